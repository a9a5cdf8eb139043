"""Fakes of OpenAI-compatible servers on loopback, and the answers that real ones were measured to give."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]
WORD = re.compile(r"\n|[^\S\n]*\S+|[^\S\n]+")


class Chunks(list[dict[str, Any]]):
    """An answer that is streamed."""


class Server:
    """An HTTP server on 127.0.0.1 whose answers, and headers, a test decides."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.headers: Callable[[], dict[str, str]] = dict
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.most_at_a_time = self._now = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.requests.append((self.path, body))
                    outer._now += 1
                    outer.most_at_a_time = max(outer.most_at_a_time, outer._now)
                try:
                    reply = outer.answer(self.path, body)
                finally:  # before the client can know that it may ask again
                    with lock:
                        outer._now -= 1
                self._send(*reply)

            def _send(self, status: int, value: Any) -> None:
                kind = "application/json"
                if isinstance(value, Chunks):
                    kind = "text/event-stream"
                    value = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in value) + "data: [DONE]\n\n"
                data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                for name, told in outer.headers().items():
                    self.send_header(name, told)
                self.end_headers()
                with suppress(BrokenPipeError):  # the client has given up waiting
                    self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        class Listening(ThreadingHTTPServer):
            request_queue_size = 128  # as real servers; five at a time are reset

        self._server = Listening(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class FakeModel:
    """Writes one text, a word a token, and goes on with any beginning of it; with anything else it begins anew."""

    word = WORD

    def __init__(self, text: str) -> None:
        self.text = text

    def goes_on(self, so_far: str) -> str:
        return self.text[len(so_far) :] if self.text.startswith(so_far) else self.text

    def decode(self, so_far: str, body: dict[str, Any]) -> tuple[list[str], str, str]:
        """Tokens, the text before the first stop string, and why it ends."""
        tokens: list[str] = []
        for token in self.word.findall(self.goes_on(so_far)):
            tokens.append(token)
            joined = "".join(tokens)
            found = [joined.find(stop) for stop in body.get("stop") or () if stop in joined]
            if found:
                return tokens, joined[: min(found)], "stop"
            if len(tokens) == body["max_tokens"]:
                return tokens, joined, "length"
        return [*tokens, ""], "".join(tokens), "stop"


def count(text: str) -> int:
    return len(WORD.findall(text))


class FakeLlamaCpp(FakeModel):
    """Answers as llama.cpp's server does, measured on xllamacpp 2026.10.11549 with SmolLM2-135M.

    ``content`` of a chat answer begins with the open assistant message, streamed pieces do not, and neither do usage
    and log-probabilities. Log-probabilities have the chat form in completions too, without the tokens of the stop
    string. Of several prompts usage counts the first.

    Its streams tell the token in which the stop string begins as well, cut to the text before it, and uncut among the
    most likely ones; so measured too with Qwen2.5-Coder-0.5B, whose full stop and newline are one token.

    Args:
        text: what it writes.
        logprobs: whether log-probabilities are given; False is no habit of the real one.
        streams: whether it streams; False is no habit of the real one.
        merged: whether a newline belongs to the token before it.
    """

    def __init__(self, text: str, *, logprobs: bool = True, streams: bool = True, merged: bool = False) -> None:
        super().__init__(text)
        self.logprobs, self.streams = logprobs, streams
        if merged:
            self.word = re.compile(r"[^\S\n]*\S+\n?|\n")

    def __call__(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path.endswith("/tokenize"):
            return 404, {}
        if body.get("stream") and not self.streams:
            return 400, {"error": {"message": "no streams"}}
        if path.endswith("/chat/completions"):
            last = body["messages"][-1]
            begun = last["content"] if last["role"] == "assistant" else ""
            read = sum(count(message["content"]) + 5 for message in body["messages"]) + (-5 if begun else 0) + 3
            return 200, self._chat(begun, read, body)
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        runs = [self.decode(prompt.rpartition("A:\n")[2], body) for prompt in prompts]
        choices = [
            {"index": index, "text": text, "finish_reason": finish, "logprobs": self._told(tokens, text, body)}
            for index, (tokens, text, finish) in enumerate(runs)
        ]
        return 200, {"choices": choices, "usage": self._usage(count(prompts[0]), runs[0][0])}

    def _chat(self, begun: str, read: int, body: dict[str, Any]) -> Any:
        tokens, text, finish = self.decode(begun, body)
        if not body.get("stream"):
            message = {"role": "assistant", "content": begun + text}
            choice = {"message": message, "finish_reason": finish, "logprobs": self._told(tokens, text, body)}
            return {"choices": [choice], "usage": self._usage(read, tokens)}
        told = (self._told(tokens, text, body) or {"content": []})["content"]
        pieces = [{"delta": {"role": "assistant", "content": None}}]
        pieces += [{"delta": {"content": row["token"]}, "logprobs": {"content": [row]}} for row in told]
        rest = text[len("".join(row["token"] for row in told)) :]
        if len(told) < len(tokens):
            uncut = {"id": 7, "token": tokens[-1], "logprob": -0.1}
            row = uncut | {"token": rest, "top_logprobs": [uncut, *_TOP]}
            pieces.append({"delta": {"content": rest}, "logprobs": {"content": [row]} if told else None})
        pieces.append({"delta": {}, "finish_reason": finish})
        chunks = [{"choices": [{"index": 0, "finish_reason": None} | piece]} for piece in pieces]
        return Chunks([*chunks, {"choices": [], "usage": self._usage(read, tokens)}])

    def _told(self, tokens: Sequence[str], text: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if not body.get("logprobs") or not self.logprobs:
            return None
        shown = [token for end, token in enumerate(tokens, 1) if len("".join(tokens[:end])) <= len(text)]
        return {"content": [{"token": t, "logprob": -0.1, "top_logprobs": _TOP} for t in shown]}

    def _usage(self, read: int, tokens: Sequence[str]) -> dict[str, Any]:
        return {"prompt_tokens": read, "completion_tokens": len(tokens), "prompt_tokens_details": {"cached_tokens": 1}}


_TOP = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -3.0}]


class FakeTransformersServe(FakeModel):
    """Answers as ``transformers serve`` does, measured on transformers 5.24.0 with SmolLM2-135M.

    It closes a trailing assistant message (6 tokens more) and begins a new turn, refuses ``continue_final_message``,
    leaves log-probabilities out without a word and the stop string in, ignores the temperature where the model's
    generation_config has no do_sample, and counts in the last streamed chunk. Several prompts are refused.
    """

    def __call__(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path.endswith("/tokenize"):
            return 404, {"detail": "Not Found"}
        if "continue_final_message" in body:
            unexpected = {"continue_final_message", "add_generation_prompt"}
            return 422, {"detail": f"Unexpected fields in the request: {unexpected}"}
        chat = path.endswith("/chat/completions")
        if not chat and not isinstance(body["prompt"], str):
            return 400, {"detail": "prompt must be a string."}
        begun = "" if chat else body["prompt"].rpartition("A:\n")[2]
        read = sum(count(m["content"]) + 6 for m in body["messages"]) if chat else count(body["prompt"])
        tokens, _, finish = self.decode(begun, body)
        usage = {"prompt_tokens": read, "completion_tokens": len(tokens)}
        if not body.get("stream"):
            text = "".join(tokens)
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            return 200, {"choices": [{"index": 0, "finish_reason": finish} | said], "usage": usage}
        chunks = [{"choices": [{"index": 0} | ({"delta": {"content": t}} if chat else {"text": t})]} for t in tokens]
        last = {"index": 0, "finish_reason": finish} | ({"delta": {}} if chat else {"text": ""})
        return 200, Chunks([*chunks, {"choices": [last], "usage": usage}])
