"""Answers that are programs: which text is the program, the order of its tests, and published solutions."""

import os
from pathlib import Path

import pytest

from gym_stepwise_routing.datasets import Problem, ProgramTests, load_file, load_problems
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.steps import segments
from gym_stepwise_routing.grading import GRADERS, Grade
from gym_stepwise_routing.grading.code import CodeGrader, stated_program
from gym_stepwise_routing.grading.sandbox import Limits, sandbox_version
from gym_stepwise_routing.recorder.step_rules import step_rule

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SQUARE = Problem("own", "test", 0, "Square a number.", "square", tests=ProgramTests("assert square(3) == 9"))
RIGHT = "def square(x):\n    return x * x"


@pytest.fixture(scope="module")
def grader():
    try:
        return CodeGrader()
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (RIGHT, RIGHT),
        (RIGHT.replace("\n", "\r\n"), RIGHT),
        (f"{RIGHT}\n```\nThis squares a number.", f"{RIGHT}\n"),
        (f"Here it is:\n```python\n{RIGHT}\n```\nDone.", f"{RIGHT}\n"),
        (f"```python\n{RIGHT}\n```\nUse it:\n```python\nprint(square(3))\n```", f"{RIGHT}\n"),
        (f"```\ndef square(x): ...\n```\nBetter:\n```py\n{RIGHT}\n```", f"{RIGHT}\n"),
        (f"```python\n{RIGHT}", RIGHT),
        (" \n", None),
        ("", None),
    ],
)
def test_the_program_of_a_text(text, program):
    assert stated_program(text, "square") == program


def test_right_wrong_and_none(grader):
    right, spaced = grader(RIGHT, SQUARE), grader(f"{RIGHT}\n\n", SQUARE)
    assert right.correct
    assert right == spaced
    wrong = grader(RIGHT.replace("*", "+"), SQUARE)
    assert not wrong.correct
    assert wrong.answer != right.answer
    assert grader("\n", SQUARE) == Grade(None, False)


def test_a_time_out_is_told():
    slow = CodeGrader(sandboxed=False, limits=Limits(seconds=0.3))
    assert slow("def square(x):\n    while True: pass", SQUARE).timed_out


def test_setup_runs_after_the_solution_and_before_the_tests():
    """As MBPP's tasks 367 and 927 need it."""
    tests = ProgramTests("one = Box(1)\nassert value(one) == 1")
    problem = Problem("own", "test", 0, "?", "value", tests=tests)
    solution = "class Box:\n    def __init__(self, x): self.x = x\ndef value(box): return box.x"
    assert CodeGrader(sandboxed=False)(solution, problem).correct


def test_a_body_or_the_whole_function_may_be_given():
    head = 'def square(x):\n    """x times x"""\n'
    problem = Problem("own", "test", 0, head, "square", tests=ProgramTests("assert square(3) == 9", before=head))
    grade = CodeGrader(sandboxed=False)
    assert grade("    return x * x", problem).correct
    assert grade(RIGHT, problem).correct
    assert not grade("    return x + x", problem).correct


def test_a_problem_without_tests_is_refused():
    with pytest.raises(ValueError, match=r"problem own/test/0 has no tests; allowed: problems with tests"):
        CodeGrader(sandboxed=False)("x", Problem("own", "test", 0, "?", "f"))
    assert not GRADERS.get("code").reads(Problem("own", "test", 0, "?", "f"))
    assert GRADERS.get("code").reads(SQUARE)


def test_without_a_sandbox_it_is_refused_and_says_how_to_go_on(monkeypatch):
    sandbox_version.cache_clear()
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(RuntimeError, match=r"bubblewrap \(bwrap\) is not installed; allowed: .*code-unsandboxed"):
        CodeGrader()
    monkeypatch.undo()
    assert "code-unsandboxed" in GRADERS
    assert GRADERS.get("code-unsandboxed").make()(RIGHT, SQUARE).correct


def test_tests_of_a_file_of_ones_own(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"question": "?", "answer": "square", "tests": ["assert square(3) == 9", "assert square(0) == 0"]}\n'
    )
    (problem,) = load_file(file)
    assert problem.tests == ProgramTests("assert square(3) == 9\nassert square(0) == 0")
    assert "tests" not in problem.reference()
    file.write_text('{"question": "?", "answer": "square", "tests": []}\n')
    with pytest.raises(
        ValueError, match=r"mine\.jsonl: line 1: row 0: tests=\[\]; allowed: a program, or a list of one or more"
    ):
        load_file(file)


SETS = [("mbpp", "train", 374), ("mbpp", "test", 500), ("mbpp", "validation", 90), ("human_eval", "test", 164)]
needs_data = pytest.mark.skipif(not (DATA / "mbpp").is_dir(), reason="MBPP and HumanEval are not beside the checkout")


@needs_data
@pytest.mark.parametrize(("name", "split", "count"), SETS)
def test_the_published_sets_are_read(name, split, count):
    problems = load_problems(name, split, data=DATA)
    assert len(problems) == len({problem.sha256 for problem in problems}) == count
    assert all(problem.tests is not None and problem.answer.isidentifier() for problem in problems)


@needs_data
def test_mbpp_is_graded_in_its_own_order(grader):
    """Solutions that need the set-up after them, and those that mix tabs and blanks, pass whole and in steps."""
    problems = [p for split in ("train", "test", "validation") for p in load_problems("mbpp", split, data=DATA)]
    set_up = [p for p in problems if not p.tests.after.startswith("assert")]
    mixed = [p for p in problems if "\n\t" in p.solution and "\n " in p.solution]
    assert len(set_up) == 2
    assert len(mixed) >= 12
    for problem in {p.id: p for p in (*set_up, *mixed)}.values():
        assert grader(problem.solution, problem).correct, problem.id
        assert grader(_in_steps(problem.solution), problem).correct, problem.id
        assert not grader("", problem).correct


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "split", "count"), SETS)
def test_every_published_solution_passes_whole_and_in_steps(grader, name, split, count):
    problems = load_problems(name, split, data=DATA)
    failed = [p.id for p in problems if not grader(p.solution, p).correct]
    assert failed == []
    assert [p.id for p in problems if not grader(_in_steps(p.solution), p).correct] == []


def _in_steps(solution: str) -> str:
    rule = step_rule(load_prompt("code-2shot"), "code", horizon=100)
    return rule.delimiter.join(rule.step_text(solution[slice(*ends)]) for ends in segments(solution, rule))
