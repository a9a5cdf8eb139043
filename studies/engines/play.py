"""Has one engine answer problems step by step, one line a problem: ``python -m studies.engines.play``.

Continued where it was stopped. The lines are for ``python -m studies.engines`` and hold token ids and verdicts; they
stay outside the repository.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from gym_stepwise_routing.datasets import Problem, load_problems
from gym_stepwise_routing.generators.generator import Completion, Failure, Generator, Request, generate
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.generators.step_rule import NEWLINE
from gym_stepwise_routing.generators.token_confidence import token_confidence
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.recorder.step_rules import step_rule
from studies.engines.local_engines import register_engines

__all__ = ["STEPS", "STEP_TOKENS", "Trace", "play"]

STEPS, STEP_TOKENS = 10, 64
"""Most steps of a trace, and most tokens of a step."""


@dataclass(slots=True)
class Trace:
    """One problem under way: ``margin`` is of each token, where the engine tells all of them."""

    problem: Problem
    text: str = ""
    steps: int = 0
    tokens: int = 0
    over: bool = False
    margin: list[float] = field(default_factory=list)

    def add(self, run: Completion, rule: Any) -> None:
        """Enter a step; the trace ends at an answer, an empty step, a step that was cut, or the last step allowed."""
        self.steps, self.tokens = self.steps + 1, self.tokens + run.tokens
        if run.has_logprobs:
            self.margin += token_confidence(run.logprob, run.top).margin.round(5).tolist()
        cut = run.finish == "length"
        self.text += run.text if cut else run.text + NEWLINE
        answered = rule.end_of_answer(self.text) is not None
        self.over = cut or answered or not run.text.strip() or self.steps == STEPS


def play(generator: Generator, problems: Sequence[Problem], template: Any, rule: Any) -> list[Trace]:
    """Answer problems side by side, one step at a time.

    Raises:
        RuntimeError: a request failed.
    """
    traces = [Trace(problem) for problem in problems]
    while going := [trace for trace in traces if not trace.over]:
        requests = [
            Request(template.fill(trace.problem.question), trace.text, STEP_TOKENS, (NEWLINE,)) for trace in going
        ]
        for trace, result in zip(going, generate(generator, requests), strict=True):
            if isinstance(result, Failure):
                raise RuntimeError(f"{trace.problem.id}: {result.reason}")
            trace.add(result, rule)
    return traces


def main(
    model: Annotated[str, typer.Option(help="BACKEND:MODEL[,key=value...]; also llama.cpp, onnxruntime, openvino.")],
    tokenizer: Annotated[Path, typer.Option(help="tokenizer.json that all texts are compared in.")],
    data: Annotated[Path, typer.Option(help="Folder with GSM8K's files.")],
    out: Annotated[Path, typer.Option(help="File of lines.")],
    problems: Annotated[int, typer.Option(min=1, help="First rows of the test split.")] = 100,
) -> None:
    """Answer the first problems of GSM8K's test split."""
    from tokenizers import Tokenizer

    register_engines()
    words = Tokenizer.from_file(str(tokenizer))
    template = load_prompt("gsm8k-4shot")
    rule = step_rule(template, "numeric")
    grade = GRADERS.get("numeric").make()
    spec = GeneratorSpec.parse(model)
    rows = load_problems("gsm8k", "test", data=data)[:problems]
    done = {json.loads(line)["index"] for line in out.read_text("utf-8").splitlines()} if out.exists() else set()
    waiting = [problem for problem in rows if problem.index not in done]
    generator = spec.build()
    info = generator.info()
    settings = dict(info.settings)
    at_once = spec.batch or 1
    if waiting:  # so that every engine with a cache reads the examples once
        generate(generator, [Request(template.head, "", 1)])
    while waiting:
        chunk, waiting = waiting[:at_once], waiting[at_once:]
        traces = play(generator, chunk, template, rule)
        with out.open("a", encoding="utf-8") as stream:
            for trace in traces:
                ids = words.encode(trace.text, add_special_tokens=False).ids
                verdict = grade(trace.text, trace.problem)
                line = {
                    "index": trace.problem.index,
                    "engine": info.backend,
                    "dtype": settings.get("dtype"),
                    "batch": at_once,
                    "ids": ids,
                    "margin": trace.margin if len(trace.margin) == len(ids) else None,
                    "steps": trace.steps,
                    "tokens": trace.tokens,
                    "answer": verdict.answer,
                    "correct": verdict.correct,
                }
                stream.write(json.dumps(line) + "\n")
    generator.close()


if __name__ == "__main__":
    typer.run(main)
