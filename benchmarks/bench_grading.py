"""Answers graded a second: one grader, one with a pool of warm workers, and math-verify with its own time-outs.

The answers are those of a JSON Lines file with ``answer`` and ``solution`` (as MATH's): each solution, and each
solution with the answer of the row after it, so that half of them are wrong.

    python benchmarks/bench_grading.py math/train.jsonl --answers 5000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.grading.mathematics import MathGrader
from gym_stepwise_routing.grading.pool import GraderPool

Answers = Sequence[tuple[str, Problem]]


def answers_of(path: Path, count: int) -> Answers:
    """Half right, half of another problem."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()][: count // 2]
    texts = [f"So the result is $\\boxed{{{row['answer']}}}$." for row in rows]
    problems = [Problem("math", "train", n, row["problem"], row["answer"]) for n, row in enumerate(rows)]
    return [pair for n, problem in enumerate(problems) for pair in ((texts[n], problem), (texts[n - 1], problem))]


def former(answers: Answers) -> list[bool]:
    """Every answer that is not spelt alike goes to one worker, and nothing is kept: as before."""
    from gym_stepwise_routing.grading.notation import normal_form, readings, same_numeral
    from gym_stepwise_routing.grading.statements import stated_expression

    grader = MathGrader(20)
    told = []
    for text, problem in answers:
        answer = stated_expression(text) or ""
        same = same_numeral(problem.answer, answer, problem.question)
        pairs = readings(problem.answer, answer, problem.question)
        alike = any(normal_form(one) == normal_form(other) != "" for one, other in pairs)
        told.append(same if same is not None else alike or any(grader.verify(*pair) is True for pair in pairs))
    grader.close()
    return told


def own_process(answers: Answers) -> list[bool]:
    """A process for each answer that is not spelt alike."""
    from gym_stepwise_routing.grading.notation import normal_form
    from gym_stepwise_routing.grading.statements import stated_expression

    told = []
    for text, problem in answers:
        if normal_form(stated_expression(text) or "") == normal_form(problem.answer):
            told.append(True)
            continue
        grader = MathGrader(60)
        told.append(grader(text, problem).correct)
        grader.close()
    return told


def pooled(answers: Answers) -> list[bool]:
    """The pool, with a worker a processor."""
    with GraderPool("math") as pool:
        return [grade.correct for grade in pool(answers)]


def single(answers: Answers) -> list[bool]:
    """One grader."""
    grader = MathGrader(20)
    told = [grader(text, problem).correct for text, problem in answers]
    grader.close()
    return told


def timed(name: str, grade: Callable[[Answers], list[bool]], answers: Answers) -> list[bool]:
    """The verdicts; the speed is printed."""
    start, used = time.perf_counter(), time.process_time()
    told = grade(answers)
    seconds = time.perf_counter() - start
    cpu = time.process_time() - used
    print(f"{name}: {len(answers)} answers, {seconds:.1f} s, {len(answers) / seconds:.1f} a second ({cpu:.1f} s here)")
    return told


def main() -> None:
    """Print the speeds, and how many verdicts differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--answers", type=int, default=5000)
    parser.add_argument("--own-process", type=int, default=40, help="answers graded in a process each")
    given = parser.parse_args()
    answers = answers_of(given.file, given.answers)
    print(f"{sum(timed('a process each', own_process, answers[: given.own_process]))} right")
    before = timed("one warm worker, every answer asked", former, answers)
    now = timed("one warm worker, numbers compared here", single, answers)
    most = timed("pool of warm workers", pooled, answers)
    print(
        f"verdicts that differ: {sum(a != b for a, b in zip(before, now, strict=True))}, "
        f"{sum(a != b for a, b in zip(now, most, strict=True))}; right: {sum(now)}"
    )


if __name__ == "__main__":
    main()
