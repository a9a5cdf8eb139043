"""Answers of one item or a set of items, by the rules of the evaluator of WikiTableQuestions."""

from __future__ import annotations

import pytest

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.grading.table import STATED_ITEMS, normalised
from gym_stepwise_routing.recorder.step_rules import step_rule

GRADER = GRADERS.get("table")
RULE = step_rule(load_prompt("table-3shot"), "table")


def right(reference: str, text: str) -> bool:
    return GRADER.make()(text, Problem("wikitablequestions", "test", 0, "Which?", reference)).correct


@pytest.mark.parametrize(
    ("reference", "stated"),
    [
        ("Italy", "italy."),
        ("caf\u00e9", "Cafe"),  # accents do not count
        (
            "O\u2019Brien \u2013 the \u201cold\u201d one",
            'o\'brien - the "old" one',
        ),  # nor the kind of quotes and dashes
        ("Oslo[3]", "Oslo"),  # nor footnotes
        ("Oslo\u2020", "Oslo [a][12]"),
        ("Oslo (2nd time)", "Oslo"),  # nor a remark behind it
        ('"A  Tale"', "a tale"),  # nor quotation marks around it, and white space
        ('"A Tale" (live)[1]', "A Tale"),
        ("U.S.", "U.S."),
        ("J. Doe, M.D.", "J. Doe, M.D.."),
        ("100,000", "100000"),
        ("1000", "1,000"),
        ("17", "17.0"),
        ("17", "17.0000001"),
        (".5", "0.50"),
        ("-3", "\u22123"),
        ("0", "-0"),
        ("Italy|France", "France | Italy"),
        ("3|4", "4.0 | 3"),
        ("2|2", "2"),  # a set: an item that stands twice counts once
        ("Italy", "Italy | ITALY"),
        ("1990-01-12", "12 January 1990"),
        ("January 12, 1990", "1990-1-12"),
        ("12 Jan. 1990", "Jan 12th, 1990"),
        ("xx-01-12", "January 12"),
        ("xxxx-01-12", "12 january"),
        ("May 1990", "1990-05-xx"),
        ("1990-xx-xx", "1990"),  # a year alone is a number
        ("17 years", "17"),  # a reference with a unit is its number as well
        ("17 years", "17 years"),
        ("48.4%", "48.4"),
        ("2nd", "2"),
        ("$1.5 billion", "1,500,000,000"),
        ("7km", "7"),
        ("4 events|2", "2 | 4"),
        ("May", "xx-05-xx"),
        ("8 August", "xx-08-08"),
        ("a plan (of old).", "a plan (of old)."),
        ("Oslo", "**Oslo**"),
    ],
)
def test_the_same_text_number_or_date_is_right(reference: str, stated: str) -> None:
    assert right(reference, f"So.\nThe answer is {stated}\n")


@pytest.mark.parametrize(
    ("reference", "stated"),
    [
        ("Italy", "Italy | France"),
        ("Italy | France", "Italy"),
        ("Italy|France", "Italy, France"),
        ("17", "17 years"),  # but an answer with a unit is none
        ("20 km walk", "20"),
        ("125cc", "125"),
        ("17", "17.001"),
        ("1,00", "100"),
        ("xx-01-12", "1990-01-12"),  # all parts of a date must be the same
        ("1990-01-12", "January 1990"),
        ("1990-13-12", "1990-12-13"),
        ("January 32, 1990", "1990-01-32"),
        ("0000", "xx-xx-xx"),
        ("(2nd time)", "2nd time"),  # a remark alone is all there is
        ("nan", "inf"),
        ("Oslo", "Oslo is"),
    ],
)
def test_anything_else_is_wrong(reference: str, stated: str) -> None:
    assert not right(reference, f"So.\nThe answer is {stated}\n")


def test_a_text_that_states_nothing_is_wrong_and_has_no_answer() -> None:
    for text in ("Italy", "The answer is", "The answer is:\nItaly", "The answer isn't Italy", ""):
        grade = GRADER.make()(text, Problem("toy", "test", 0, "Which?", "Italy"))
        assert (grade.answer, grade.correct) == (None, False)
        assert RULE.end_of_answer(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.\nThe answer is 3",
        "the answer is: Oslo | Rome.",
        "So the final answer is :\t3 and the answer is 4",
        "THE ANSWER IS **Oslo**",
    ],
)
def test_the_grader_reads_what_ends_a_trace(text: str) -> None:
    """A trace ends at the end of the line in which the grader finds the answer, and nowhere before."""
    assert RULE.end_of_answer(text + "\nTable: another") == len(text)
    assert all(RULE.end_of_answer(text[:end].rstrip(":")) is None for end in range(text.lower().index("answer is") + 9))
    before, after = (
        GRADER.make()(told, Problem("toy", "test", 0, "Which?", "3")).answer for told in (text, text + "\nx")
    )
    assert before is not None
    assert before == after


def test_the_rule_is_that_of_the_grader() -> None:
    assert RULE.answer == GRADER.answer == STATED_ITEMS
    assert RULE.labels == ("Table:", "Human:")


def test_a_long_line_is_normalised_in_no_time() -> None:
    assert len(normalised("[" * 100_000)) == 100_000


@pytest.mark.parametrize("answer", ["", " | ", '""'])
def test_a_reference_without_letters_cannot_be_graded(answer: str) -> None:
    assert not GRADER.reads(Problem("toy", "test", 0, "Which?", answer))
