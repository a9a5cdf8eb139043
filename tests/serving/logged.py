"""A log that a real server has written in front of two fake endpoints, and what tests do with its lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2 as http
import numpy as np
import pytest
import yaml
from fake_endpoint import FakeEndpoint, lines_of
from running_server import BANK, MODELS, Running, running

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.costs.ledger import as_table
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.episodes import cursor
from gym_stepwise_routing.game.game import Game

QUESTIONS = ("What is 6 x 7?", "What is 2 x 21?")
Lines = list[dict[str, Any]]


def write_log(folder: Path, use: Callable[[Running, tuple[FakeEndpoint, FakeEndpoint]], None], **changes: Any) -> Lines:
    """The lines of the log of a server that ``use`` has asked things."""
    endpoints = FakeEndpoint(lines_of("small")).start(), FakeEndpoint(lines_of("large")).start()
    endpoints[0].logprob = -0.75
    (folder / "prompt.txt").write_text("Q: {question}\nA:\n")
    content = {
        "models": [
            {"name": name, "url": endpoint.url, "model": "fake", "parameters": size}
            for name, endpoint, size in zip(MODELS, endpoints, (0.5e9, 1.5e9), strict=True)
        ],
        "router": "confidence-p_min",
        "bank": BANK,
        "prompt": str(folder / "prompt.txt"),
        "log": {"path": str(folder / "log.jsonl")},
        "circuit": {"failures": 99, "cooldown": 0.1},
    }
    feedback = {"database": f"sqlite:///{folder / 'feedback.sqlite'}"} | changes.pop("feedback", {})
    (folder / "pool.yml").write_text(yaml.safe_dump(content | {"feedback": feedback} | changes))
    try:
        with running(folder / "pool.yml") as server:
            use(server, endpoints)
    finally:
        for endpoint in endpoints:
            endpoint.stop()
    return read_lines(folder / "log.jsonl")


def ask(server: Running, question: str, right: bool | None = None, **own: Any) -> Any:
    """Ask, and say whether the answer was right."""
    sampling = {name: own.pop(name) for name in ("max_tokens", "temperature", "stop") if name in own}
    messages = [{"role": "user", "content": question}]
    answer = server.ask(messages=messages, extra_body=own, **sampling)
    if right is not None:
        said = {"id": answer.id, "right": right}
        http.post(f"{server.url}/v1/feedback", json=said, timeout=20).raise_for_status()
    return answer


def read_lines(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text().splitlines()]


def put_lines(path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def events(lines: Lines, event: str = "request") -> Lines:
    return [line for line in lines if line["event"] == event]


def check_replay(bank: Bank, lines: Lines, *, features: bool = True) -> int:
    """Replay every answer of the log that feedback speaks of; returns how many. Ledger and cost are equal exactly."""
    said = {line["id"]: line["right"] for line in events(lines, "feedback")}
    judged = [line for line in events(lines) if line["id"] in said]
    hashes = [reference[-1] for reference in bank.problems.references()]
    for line in judged:
        config = GameConfig(
            bank,
            split="train",
            mode=line["mode"],
            cost_unit=line["cost_unit"],
            observation=line["observation"],
            normaliser=line["always_largest"]["raw"],
        )
        game = Game(config)
        play = cursor(game)
        rng = np.random.default_rng(0)
        play.begin(hashes.index(line["question_sha256"]), rng)
        for step in line["steps"]:
            if features and "budget" not in line["own"]:
                assert play.standing().observation == pytest.approx(step["features"], abs=1e-6)
            action = game.spec.models.index(step["model"])
            assert play.standing().mask[action]
            play.move(action, rng)
        stands = play.standing()
        assert as_table(np.asarray(stands.ledger, dtype=np.int64), game.source.pool) == line["ledger"]
        assert float(stands.cost) == line["cost"]["normalised"]
        assert (stands.terminal, stands.correct) == (True, said[line["id"]])
    return len(judged)
