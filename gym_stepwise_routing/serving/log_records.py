"""What a server writes down: the lines of the decision log. :mod:`...serving.log_reading` reads them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from gym_stepwise_routing.banks.bank_tables import RAW_FIGURES
from gym_stepwise_routing.banks.questions import question_counts
from gym_stepwise_routing.generators.steps import Step
from gym_stepwise_routing.serving.answering import Answering
from gym_stepwise_routing.serving.asked import Asked
from gym_stepwise_routing.serving.client_requests import ClientRequest
from gym_stepwise_routing.serving.drift import DriftReport
from gym_stepwise_routing.serving.log_reading import LOG_VERSION
from gym_stepwise_routing.serving.pool_config import PoolConfig
from gym_stepwise_routing.storage.strict_json import canonical_json

__all__ = ["drift_record", "feedback_record", "request_record", "server_record"]

_HASH_DIGITS = 16  # of a text that is only compared with others


def server_record(config: PoolConfig) -> dict[str, Any]:
    """What all answers of a server have in common; the first line of every file of its log.

    Its ``id`` is a hash of the rest, so servers that answer alike have the same.
    """
    template = config.template()
    said: dict[str, Any] = {
        "name": config.name,
        "router": config.router,
        "models": [asdict(model) for model in config.pool.models],
        "prompt": {"name": template.name, "sha256": template.sha256},
        "form": "completion" if all(model.continuation == "raw" for model in config.models) else "chat",
        "rule": asdict(config.rule()),
        "grading": config.grading,
    }
    return _head("server") | {"id": hashlib.sha256(canonical_json(said)).hexdigest()[:_HASH_DIGITS], **said}


def request_record(
    server: str, request: ClientRequest, answering: Answering, outcome: str, client: str, error: str, *, texts: bool
) -> dict[str, Any]:
    """A request that has ended, one way or another.

    Args:
        server: id of the server's own line.
        request: what was asked.
        answering: what was done for it.
        outcome: how it ended.
        client: name of the client.
        error: what went wrong, '' if nothing.
        texts: whether question, steps and answer are part of it.
    """
    asked, routing = request.asked, answering.routing()
    record = _head("request") | {
        "server": server,
        "id": asked.id,
        "client": client,
        "user": None if request.user is None else _sha256(request.user)[:_HASH_DIGITS],
        "outcome": outcome,
        "error": error or None,
        "finish_reason": answering.finish,
        "seconds": round(time.monotonic() - answering.began, 6),
        "first_text_seconds": None if answering.first_text is None else round(answering.first_text, 6),
        "usage": answering.usage,
        **{name: value for name, value in routing.items() if name != "id"},
        "own": _own(asked),
        "question_sha256": _question_sha256(asked),
        "question_counts": question_counts(asked.question),
        "prompt_tokens": answering.prompt_tokens,
        "shared_prefix": answering.shared,
        "observation": answering.observation,
        "top_logprobs": [0 if e.abilities is None else e.abilities.top_logprobs for e in answering.endpoints],
        "steps": [
            told
            | {
                "seconds": round(step.seconds, 6),
                "features": [round(value, 6) for value in step.features],
                "node": _node(step.written, texts),
                "draft": None if step.draft is None else _node(step.draft, texts),
            }
            for told, step in zip(routing["steps"], answering.steps, strict=True)
        ],
    }
    return record | ({"question": asked.question, "answer": answering.text} if texts else {})


def feedback_record(id: str, right: bool, largest_right: bool | None, threshold: float | None) -> dict[str, Any]:
    """What was said of an answer, and the threshold after it (None: it follows no feedback)."""
    return _head("feedback") | {"id": id, "right": right, "largest_right": largest_right, "threshold": threshold}


def drift_record(report: DriftReport, message: str) -> dict[str, Any]:
    """The test of a window of requests; ``message`` says what an alarm means."""
    return _head("drift") | {**asdict(report), "message": message}


def _head(event: str) -> dict[str, Any]:
    return {"version": LOG_VERSION, "event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}


def _own(asked: Asked) -> dict[str, Any]:
    """What the request asked for beyond an answer."""
    given = {
        "threshold": asked.threshold,
        "budget": asked.budget,
        "hard_budget": asked.hard_budget or None,
        "target": asked.target or None,
        "max_tokens": asked.max_tokens,
        "stop": list(asked.stop) or None,
        "sampling": {name: value for name, value in asked.sampling.fields().items() if value != 0.0} or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _node(step: Step, texts: bool) -> dict[str, Any]:
    """A step as a bank has it, figures rounded as in a recording."""
    figures: Sequence[float] | None = None
    if step.confidence is not None:
        rounded = step.confidence.rounded()
        figures = [rounded[name] for name in RAW_FIGURES]
    node: dict[str, Any] = {
        "tokens": step.tokens,
        "first_tokens": step.first_tokens,
        "figures": figures,
        "ending": step.ending,
        "sha256": _sha256(step.text)[:_HASH_DIGITS],
    }
    if step.cached_tokens is not None:
        node["cached_tokens"] = step.cached_tokens
    return node | ({"text": step.text} if texts else {})


def _question_sha256(asked: Asked) -> str:
    """Hash of the question, or of all messages where they go to the endpoints as they are."""
    if asked.messages is None:
        return _sha256(asked.question)
    return hashlib.sha256(canonical_json([dict(message) for message in asked.messages])).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
