"""A reasoning model recorded through a server: its thoughts are steps of the bank, and its answer is graded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_servers import FakeLlamaCpp, Server

from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.problem_selection import Selection
from gym_stepwise_routing.recorder.session import RecordingSession
from gym_stepwise_routing.recorder.settings import RecordingSettings

pytest.importorskip("openai")

TEXT = "<think>\nMaybe. The answer is 5.\nNo.\n</think>\nThe answer is 1."


@pytest.fixture
def server() -> Iterator[Server]:
    model = FakeLlamaCpp(TEXT)

    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, told = model(path, body)
        return status, told | {"model": body["model"]}

    server = Server(answer)
    yield server
    server.close()


def test_thoughts_are_steps_and_the_answer_behind_them_is_graded(server: Server, tmp_path: Path) -> None:
    problems = tuple(Problem("toy", "test", i, f"What is {i}?", "1") for i in range(3))
    toy = Dataset(question_field="question", source="toy.jsonl", licence="MIT")
    specs = [GeneratorSpec.parse(f"openai:{name},url={server.url},key=none,parameters=5") for name in ("r", "s")]
    session = RecordingSession(
        specs=tuple(specs),
        selections=(Selection(problems, "toy", toy, "numeric"),),
        settings=RecordingSettings(
            PromptTemplate("p", "Q: {question}\nA:\n"),
            mode="restart",
            rule=StepRule(stop=(), labels=("Q:",), horizon=8),
        ),
        out=tmp_path,
        command="record",
        licence="MIT",
    )
    session.run()
    bank = session.bank("toy")
    ends = bank.terminal.nonzero()[0]
    assert bank.correct[ends].all()
    assert {bank.final_answer(int(end)) for end in ends} == {"1"}
    assert set(bank.depth[ends].tolist()) == {5}
    texts = [bank.text(row) for row in range(1, 6)]
    assert texts == TEXT.split("\n")
    assert bank.tokens[1:6].sum() >= len(TEXT.split())
