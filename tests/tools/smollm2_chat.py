"""SmolLM2-135M-Instruct behind OpenAI's chat endpoint: ``python tests/tools/smollm2_chat.py FOLDER PORT``.

A (poor) router to try the language-model environments with. FOLDER is what ``smollm2.py`` laid out. Greedy, at most 24
tokens a reply; the usage is counted. Where a stream is asked for, the reply comes as one piece of it.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MOST = 24


def events(completion: dict[str, Any]) -> str:
    """A completion as a stream: the message, why it ended, and the usage."""
    (choice,) = completion["choices"]
    pieces = [{"delta": choice["message"], "finish_reason": None}, {"delta": {}, "finish_reason": "stop"}]
    told = {**completion, "object": "chat.completion.chunk"}
    chunks = [{**told, "choices": [{"index": 0, **piece}], "usage": None} for piece in pieces]
    return (
        "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in [*chunks, {**told, "choices": []}]) + "data: [DONE]\n\n"
    )


def main(folder: str, port: int) -> None:
    """Answer until the process is ended."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def complete(messages: list[dict[str, Any]]) -> dict[str, Any]:
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        prompt = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=MOST, do_sample=False)[0, prompt:]
        message = {"role": "assistant", "content": tokenizer.decode(out, skip_special_tokens=True)}
        usage = {"prompt_tokens": prompt, "completion_tokens": len(out), "total_tokens": prompt + len(out)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        told = {"id": "1", "object": "chat.completion", "created": 0, "model": "smollm2"}
        return {**told, "choices": choices, "usage": usage}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            completion, streams = complete(body["messages"]), bool(body.get("stream"))
            data = (events(completion) if streams else json.dumps(completion)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
