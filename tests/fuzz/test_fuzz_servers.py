"""What servers and clients send: read, or refused by a ``ValueError``, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mutations import mutated_bytes, mutated_json

from gym_stepwise_routing.generators.openai_answers import completion_of
from gym_stepwise_routing.serving.client_requests import RequestError, read_request
from gym_stepwise_routing.storage.strict_json import parse_json

COMPLETION = {
    "id": "1",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "text": "4 + 4 = 8\n",
            "finish_reason": "length",
            "logprobs": {
                "tokens": ["4 + 4", " = 8", "\n"],
                "token_logprobs": [-0.5, -0.1, -0.2],
                "top_logprobs": [{"4 + 4": -0.5, "x": -1.0}, {" = 8": -0.1, "y": -3.0}, {"\n": -0.2, "": -2.0}],
                "text_offset": [0, 5, 9],
            },
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}
CHAT = COMPLETION | {
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "4 + 4 = 8\n"},
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {
                        "token": token,
                        "logprob": -0.5,
                        "bytes": list(token.encode()),
                        "top_logprobs": [{"token": token, "logprob": -0.5}, {"token": "x", "logprob": -1.0}],
                    }
                    for token in ("4 + 4", " = 8", "\n")
                ]
            },
        }
    ]
}
REQUEST = {
    "model": "m",
    "messages": [{"role": "user", "content": "2 + 2"}],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 10,
    "stop": ["x"],
    "temperature": 0.5,
    "seed": 1,
    "user": "u",
    "n": 1,
    "budget": 0.5,
    "threshold": None,
}


@pytest.mark.parametrize("answer", [COMPLETION, CHAT], ids=["completions", "chat"])
def test_any_answer_of_a_server_is_read_or_refused(answer: dict[str, Any], fuzz: Any) -> None:
    assert len(completion_of(answer, 2).pieces) == 3
    fuzz(mutated_json(json.dumps(answer).encode()), lambda body: completion_of(parse_json(body, "body"), 2, prefix="4"))


@pytest.mark.parametrize("kind", ["chat", "text"])
def test_any_request_of_a_client_is_read_or_refused(kind: str, fuzz: Any) -> None:
    valid = REQUEST if kind == "chat" else {k: v for k, v in REQUEST.items() if k != "messages"} | {"prompt": "2 + 2"}
    whole = json.dumps(valid).encode()

    def read(body: bytes) -> Any:
        given = {"id": "1", "models": ("m",), "targets": (), "takes_messages": False}
        return read_request(kind, body, {}, **given)

    assert read(whole).asked.question == "2 + 2"
    fuzz(mutated_json(whole) | mutated_bytes(whole), read, refusal=RequestError)
