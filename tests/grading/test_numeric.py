"""Numbers stated in GSM8K answers."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from gym_stepwise_routing.datasets import Problem, load_problems
from gym_stepwise_routing.grading.numeric import (
    STATED_NUMBER,
    grade_number,
    is_single_number,
    parse_number,
    stated_answer,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", "18"),
        ("1,200", "1200"),
        ("$1,200.50 dollars", "1200.50"),
        ("-$28,000.", "-28000"),
        ("$-5", "-5"),
        ("\u22127", "-7"),
        (".5", "0.5"),
        ("7.5.", "7.5"),
        ("about £8, I think", "8"),
        ("50%", "50"),
        ("18 ...", "18"),
        ("18 $.", "18"),
        ("18.00", "18"),
    ],
)
def test_spellings_of_a_number(text: str, number: str) -> None:
    assert parse_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "x meters", "-", "$"])
def test_no_number(text: str) -> None:
    assert parse_number(text) is None


def test_the_last_stated_answer_counts() -> None:
    assert stated_answer("The answer is 3.\nNo. The final answer is: 4.") == 4
    assert stated_answer("So 7.\n#### 1,000") == 1000


@pytest.mark.parametrize(
    "rest",
    [
        *["1/2.", "3:45 pm", "1.5 million", "not 5", "2e5", "2^5", "180/3", "5 less than 12", "3 or 4", "3 1/2"],
        *["2 * 3", "3-4", "between 3 and 5", "$5-$10", "1 000", "5k", "12.5.3", "3 out of 8"],
    ],
)
def test_a_part_of_something_longer_is_no_number(rest: str) -> None:
    text = f"The answer is {rest}"
    assert stated_answer(text) is None
    if rest[:1].isdigit():  # a trace that ended behind the first number would be graded by it
        found = re.match(STATED_NUMBER, text + "\nMore")
        assert found is not None
        assert found[0] == text


def test_a_trace_ends_with_its_number_where_that_is_whole() -> None:
    for text, end in (
        ("The answer is 5 apples.", "5"),
        ("The answer is 5\n- 3 more", "5"),
        ("The answer is 9/3 = 3. So", "3."),
    ):
        found = re.match(STATED_NUMBER, text)
        assert found is not None
        assert found[0].endswith(f" {end}")


def test_an_answer_on_another_line_is_not_stated() -> None:
    assert stated_answer("The answer is unknown.\n12 apples") is None
    assert stated_answer("We get 12 apples.") is None


@pytest.mark.parametrize(
    ("text", "answer", "correct"),
    [
        ("The answer is 18.", "18", True),
        ("The answer is 18.00.", "18", True),
        ("The answer is 18.5.", "18", False),
        ("The answer is 1,800.", "18", False),
        ("The answer is -18.", "18", False),
        ("The answer is $70,000 dollars.", "70000", True),
        ("18", "18", False),
        ("The answer is 180 / 3 = 60.", "60", True),
        ("The answer is 60. So x = 5.", "60", True),
    ],
)
def test_verdicts(text: str, answer: str, correct: bool) -> None:
    assert grade_number(text, Problem("gsm8k", "test", 0, "?", answer)).correct is correct


def test_a_reference_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="gsm8k/test/3"):
        grade_number("The answer is 1.", Problem("gsm8k", "test", 3, "?", "one"))


@pytest.mark.parametrize(("split", "count"), [("test", 1319), ("train", 7473)])
def test_every_reference_solution_is_right(shared_dir: Path, split: str, count: int) -> None:
    problems = load_problems("gsm8k", split, data=shared_dir / "data")
    assert len(problems) == count
    assert all(grade_number(problem.solution, problem).correct for problem in problems)
    assert all(grade_number(f"The answer is {problem.answer}.", problem).correct for problem in problems)


@pytest.mark.parametrize("text", ["18", "1,200", "$1,200.50", "-$28,000.", "\u22127", "12 apples", ".5", " 7 "])
def test_a_reference_that_is_one_number(text: str) -> None:
    assert is_single_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "1/2",
        "3:4",
        "10:30",
        "5%",
        "5 percent",
        "2 million",
        "3k",
        "1.5e6",
        "2^3",
        "3 and 4",
        "1,2",
        "1,23,4",
        "1-2",
        "x",
        "\\frac12",
        "two",
    ],
)
def test_a_reference_that_is_no_single_number_is_none(text: str) -> None:
    """Its first number would be taken for the answer: 1 for 1/2, 10 for 10:30, 2 for 2 million."""
    assert not is_single_number(text)
