"""Which tokens stand in words of a table, and the figures over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generator_fakes import completion

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import PartialStep, StepRule
from gym_stepwise_routing.generators.steps import read_steps
from gym_stepwise_routing.generators.token_classes import TableWords, table_words
from gym_stepwise_routing.generators.token_confidence import ClassConfidence
from gym_stepwise_routing.types import TOKEN_CLASS_FIGURES

TABLE = (("Year", "Venue of the final"), ("1,998", "King's Park"), ("2001", "Åre"), ("3.50", "O'Brien Field"))
WORDS = TableWords(TABLE)
RULE = StepRule(answer=None, stop=())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("In the YEAR 1998, of course.", ["YEAR", "1998"]),
        ("years 19 98", []),  # a part of a word is none, nor is one with more letters
        ("3.5 and 03.500 and 35", ["3.5", "03.500"]),
        ("2,001 or 2001.", ["2,001", "2001"]),
        ("the king at O\u2019Brien's", ["king", "O\u2019Brien"]),
        ("s of the", []),
        ("åre are", ["åre"]),
    ],
)
def test_words_are_compared_whatever_their_case_and_numbers_by_value(text: str, found: list[str]) -> None:
    assert [text[start:stop] for start, stop in WORDS.spans(text)] == found


@pytest.mark.parametrize(
    ("pieces", "table"),
    [
        (["In", " Ye", "ar", " 1", "9", "9", "8", ",", " so"], [0, 1, 1, 1, 1, 1, 1, 0, 0]),
        (["The ", "field", "\n"], [0, 1, 0]),
        ([" (", "2001)", "."], [0, 1, 0]),
        (["", "Å", "re", ""], [1, 1, 1, 0]),  # a token without text is a part of the character behind it
        ([], []),
    ],
)
def test_a_token_counts_by_where_it_stands_not_by_itself(pieces: list[str], table: list[int]) -> None:
    assert WORDS.tokens(pieces, "".join(pieces)).astype(int).tolist() == table


def test_a_token_of_a_longer_word_that_spells_one_of_the_table_is_none() -> None:
    assert not WORDS.tokens(["year", "ling"], "yearling").any()


def test_a_step_has_figures_over_its_table_tokens_and_over_the_others() -> None:
    pieces = ["Year", " is", " 19", "98", ".\n", "Then", "\n"]
    run = completion("".join(pieces), pieces=pieces)
    first, second = read_steps(run, RULE, [], WORDS)
    assert first.classes is not None
    assert first.classes.table.tokens + first.classes.other.tokens == first.first_tokens == 5
    chosen = run.logprob[[0, 2, 3]]
    assert first.classes.table.logprob_mean == pytest.approx(chosen.mean())
    assert first.classes.table.logprob_min == pytest.approx(chosen.min())
    p = np.exp(run.top[[1, 4]])
    rest = 1 - p.sum(axis=1, keepdims=True)
    buckets = np.concatenate([p, rest], axis=1)
    assert first.classes.other.entropy_mean == pytest.approx(-(buckets * np.log(buckets)).sum(axis=1).mean())
    assert second.classes is not None
    assert second.classes.table == ClassConfidence(0)
    assert set(second.classes.rounded()) == {"table_tokens", *TOKEN_CLASS_FIGURES[4:]}


def test_a_step_that_is_asked_for_by_itself_has_the_same_figures() -> None:
    pieces = ["Year", " is", " 19", "98", ".", "\n", "Then", "\n"]
    whole = read_steps(completion("".join(pieces), pieces=pieces), RULE, [], WORDS)[0]
    run = completion("Year is 1998.", pieces=pieces[:6], after="\n")
    partial = PartialStep(RULE, [], WORDS)
    step = partial.add(run)
    while step is None:
        step = partial.add(completion("Then", pieces=["Then"], length=True))
    assert step.classes == whole.classes
    assert step.classes is not None


def test_at_the_horizon_the_figures_are_those_of_the_first_line() -> None:
    (step,) = read_steps(completion("Year\n2001\n1998"), StepRule(answer=None, stop=(), horizon=1), [], WORDS)
    assert step.classes is not None
    assert (step.classes.table.tokens, step.classes.other.tokens) == (4, 1)


def test_without_a_table_or_without_tokens_there_are_none() -> None:
    assert read_steps(completion("Year"), RULE, [])[0].classes is None
    blind = replace(completion("Year"), pieces=(), logprob=np.zeros(0), top=np.zeros((0, 0)))
    assert read_steps(blind, RULE, [], WORDS)[0].classes is None
    assert table_words(Problem("toy", "test", 0, "Which?", "1")) is None
