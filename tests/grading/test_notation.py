"""What an answer says: normal forms, numerals with a base, and what is put otherwise for math-verify."""

from __future__ import annotations

from collections import Counter

import pytest

from gym_stepwise_routing.grading.notation import normal_form, read, readings, same_numeral


def test_a_normal_form_keeps_what_matters() -> None:
    assert normal_form(r"\left( 3, \dfrac{\pi}{2} \right)") == r"(3,\frac{\pi}{2})"
    assert normal_form("(1,2)") != normal_form("[1,2]")
    assert normal_form("0.4") != normal_form("0.4...")


@pytest.mark.parametrize(
    "answer", ["0.5", ".5", r"\frac{1}{2}", r"\dfrac{2}{4}", "1/2", r"$50\%$", r"50 \text{ percent}"]
)
def test_a_number_has_one_form_however_it_is_written(answer: str) -> None:
    assert normal_form(answer) == "1/2"


def test_votes_are_counted_by_form_and_their_order_does_not_matter() -> None:
    r"""math-verify's equality is not transitive: to it ``50\%`` equals 50 and 0.5, and would join all seven votes."""
    votes = ["50", r"50\%", "0.5", "50.", r"\frac12", "50.0", "50"]
    for order in (votes, votes[::-1], sorted(votes)):
        assert Counter(map(normal_form, order)) == {"50": 4, "1/2": 3}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (r"12.5\%", r"\frac{12.5}{100}"),
        (r"1,200\%", r"\frac{1200}{100}"),
        (r"0.\overline{27}", r"\frac{3}{11}"),
        (r"-3.0\overline{6}", r"-\frac{46}{15}"),
        (r"0.1212\ldots", r"0.1212\ldots"),
        (r"0.121212\ldots", r"\frac{4}{33}"),
        (r"3.14159\ldots", r"3.14159\ldots"),
        (r"\overline{AB}", r"\overline{AB}"),
        (r"40^\circ", r"40^\circ"),
        (r"\tan 40^\circ", r"\tan \left(40\cdot\frac{\pi}{180}\right)"),
        ("3+4i", r"3+4\sqrt{-1}"),
        (r"\frac i2", r"\frac {\sqrt{-1}}2"),
        ("six", "six"),
        (r"\sin x", r"\sin x"),
        ("x_i+i", "x_i+i"),
        (r"\sum_{i=1}^{3} i", r"\sum_{i=1}^{3} i"),
    ],
)
def test_what_is_put_otherwise_and_what_stays(answer: str, expected: str) -> None:
    assert read(answer) == expected
    assert read(read(answer)) == read(answer)


@pytest.mark.parametrize(
    "answer", ["73_8", "73_{8}", r"73_{\text{eight}}", r"(73)_8", r"73 \text{ (base 8)}", r"59=73_8"]
)
def test_a_numeral_with_its_base(answer: str) -> None:
    assert same_numeral("73_8", answer, "") is True
    assert same_numeral("73_9", answer, "") is False


@pytest.mark.parametrize("answer", ["x_1", "a_{10}", "73", r"\log_2 7", "9_8", r"\frac{1}{2}", "east"])
def test_what_is_no_numeral_with_a_base_is_left_to_the_engine(answer: str) -> None:
    assert same_numeral("73", answer, "") is None


def test_percent_is_forgiven_only_where_the_question_asks_for_it() -> None:
    assert readings("40", r"40\%", "How many?") == [("40", r"40\%")]
    assert readings("40", r"40\%", "How many percent?") == [("40", r"40\%"), ("40", "40")]
    assert readings(r"40\%", r"40\%", "How many percent?") == [(r"40\%", r"40\%")]
