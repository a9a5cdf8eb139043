"""Where steps begin and end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from generator_fakes import completion

from gym_stepwise_routing.generators import Completion
from gym_stepwise_routing.generators.partial_step import PartialStep
from gym_stepwise_routing.generators.step_rule import BLANK_LINE, StepRule
from gym_stepwise_routing.generators.steps import can_be_cut, read_steps, settled_text
from gym_stepwise_routing.grading.mathematics import BOXED_LINE

LINES = StepRule()


def blind(text: str) -> Completion:
    """A run of a server that tells no tokens."""
    return Completion(text, len(text), (), np.zeros(0), np.zeros((0, 0)), "stop", 1)


def test_one_line_is_one_step_and_its_newline_is_paid_for() -> None:
    steps = read_steps(completion("ab\ncde\nThe answer is 4.", after="\n\n"), LINES, [])
    assert [step.text for step in steps] == ["ab", "cde", "The answer is 4."]
    assert [step.tokens for step in steps] == [3, 4, 16]
    assert [step.ending for step in steps] == ["", "", "answer"]


def test_a_token_that_spans_the_delimiter_belongs_to_the_step_it_ends() -> None:
    run = completion("One.\nTwo.", after="\n\n", pieces=["One", ".\n", "Two", ".\n\n"])
    assert [step.tokens for step in read_steps(run, LINES, [])] == [2, 2]


def test_confidence_is_that_of_the_steps_own_tokens() -> None:
    run = completion("ab\nc")
    first, second = read_steps(run, LINES, [])
    assert first.confidence is not None
    assert second.confidence is not None
    assert first.confidence.logprob_sum == pytest.approx(run.logprob[:3].sum())
    assert second.confidence.logprob_min == pytest.approx(run.logprob[3])


def test_the_last_step_at_the_horizon_takes_the_tail_but_shows_its_first_line() -> None:
    steps = read_steps(completion("a\nb\nc\nd"), StepRule(horizon=3), ["x"])
    assert [step.text for step in steps] == ["a", "b\nc\nd"]
    assert (steps[1].tokens, steps[1].first_tokens) == (5, 2)
    assert steps[1].confidence is not None
    assert steps[1].confidence.logprob_min == pytest.approx(-0.04)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("The answer is 18. Let us check.", "The answer is 18."),
        ("So. The answer is $1,200.50 dollars.\nMore", "So. The answer is $1,200.50"),
        ("The answer is -$28,000. The house", "The answer is -$28,000."),
    ],
)
def test_what_follows_a_stated_answer_is_dropped_and_not_counted(text: str, end: str) -> None:
    (step,) = read_steps(completion(text), LINES, [])
    assert (step.text, step.tokens, step.ending) == (end, len(end), "answer")


def test_an_answer_that_is_no_number_does_not_end_the_trace() -> None:
    steps = read_steps(completion("The answer is unknown.\nWe try x."), LINES, [])
    assert [step.text for step in steps] == ["The answer is unknown.", "We try x."]


def test_a_boxed_answer_ends_the_trace_with_its_line() -> None:
    rule = StepRule(answer=BOXED_LINE)
    steps = read_steps(completion("So $x=\\boxed{\\frac{1}{2}}$.\nAgain."), rule, [])
    assert [step.text for step in steps] == ["So $x=\\boxed{\\frac{1}{2}}$."]


UNIVERSAL = ["\n", "\r\n", "\r"]
"""MBPP's prompts and solutions mix them, and a model that reads them writes them."""


@pytest.mark.parametrize("end", UNIVERSAL)
@pytest.mark.parametrize("rule", [LINES, StepRule(delimiter=BLANK_LINE, stop=("Human:",))])
def test_lines_end_in_any_way_and_steps_are_the_same(end: str, rule: StepRule) -> None:
    text = "def f(x):\n\n  y = x\n  z = y\n\n\nreturn z"
    if rule is LINES:
        text = text.replace("\n\n\n", "\n").replace("\n\n", "\n")
    pieces = text.replace("\n", "|\n|").split("|")
    plain, other = (
        read_steps(completion("".join(run), pieces=run), rule, [])
        for run in (pieces, [piece.replace("\n", end) for piece in pieces])
    )
    assert len(plain) == (4 if rule is LINES else 3)
    assert other == plain


@pytest.mark.parametrize("end", UNIVERSAL)
def test_a_blank_line_ends_the_trace_however_it_is_written(end: str) -> None:
    """The engine knows the stop string in one spelling only, and goes on after another."""
    run = completion(
        f"a{end}b{end}{end}Another problem{end}c", pieces=["a", end, "b", end, end, "Another", " problem", end, "c"]
    )
    steps = read_steps(run, LINES, [])
    assert [(step.text, step.ending) for step in steps] == [("a", ""), ("b", "stop")]
    assert sum(step.tokens for step in steps) == 3


def test_a_carriage_return_and_its_newline_in_two_tokens_are_one_line_end() -> None:
    run = completion("a\r\nb", pieces=["a", "\r", "\n", "b"])
    assert [(step.text, step.tokens) for step in read_steps(run, LINES, [])] == [("a", 3), ("b", 1)]
    rule = StepRule(delimiter=BLANK_LINE, stop=("Human:",))
    assert [step.text for step in read_steps(run, rule, [])] == ["a\nb"]


@pytest.mark.parametrize("end", UNIVERSAL)
def test_text_shown_before_the_step_is_finished_begins_the_finished_one(end: str) -> None:
    text = f"a{end}b{end}{end}c"
    shown = [settled_text(text[:length], LINES, last=True) for length in range(len(text) + 1)]
    (step,) = read_steps(completion(text), StepRule(horizon=1), [])
    assert step.text == "a\nb"
    assert shown[-1] == step.text
    assert all(after.startswith(before) for before, after in pairwise(shown))


@pytest.mark.parametrize("end", UNIVERSAL)
def test_partial_step_ends_at_any_line_end(end: str) -> None:
    """The engine stops at the newline, so after a carriage return alone only at the end of a later line."""
    partial = PartialStep(LINES, [])
    partial.request("Q", 50)
    text, seen = (f"ab{end[:-1]}", "\n") if end.endswith("\n") else (f"ab{end}cd", "\n")
    step = partial.add(completion(text, after=seen))
    if step is None:  # was that the end of the trace?
        partial.request("Q", 50)
        step = partial.add(completion("c", length=True))
    assert step is not None
    assert (step.text, step.tokens, step.ending) == ("ab", 2 + len(end), "")


def test_a_run_cut_by_the_token_limit_says_so() -> None:
    assert read_steps(completion("a\nb", length=True), LINES, [])[-1].ending == "length"


def test_a_model_that_stops_at_once_is_one_empty_token() -> None:
    (step,) = read_steps(completion(""), LINES, ["a"])
    assert (step.text, step.tokens, step.confidence, step.ending) == ("", 1, None, "stop")


def test_headings_and_short_steps_are_merged_into_the_next() -> None:
    rule = StepRule(merge_headings=True, min_characters=3, horizon=9)
    text = "## Solution\nStep 1:\nWe add 2.\nok\nThen we stop."
    assert [step.text for step in read_steps(completion(text), rule, [])] == [
        "## Solution\nStep 1:\nWe add 2.",
        "ok\nThen we stop.",
    ]


def test_a_degenerate_end_stands_alone_as_nobody_could_foresee_it_live() -> None:
    steps = read_steps(completion("We add.\n---"), StepRule(merge_headings=True), [])
    assert [step.text for step in steps] == ["We add.", "---"]
    assert [step.text for step in read_steps(completion("We add.\n  "), LINES, [])] == ["We add."]


def test_at_the_horizon_a_run_without_tokens_is_one_step() -> None:
    (step,) = read_steps(blind("a\nb"), StepRule(horizon=2), ["x"])
    assert (step.text, step.tokens, step.first_tokens, step.confidence, step.ending) == ("a\nb", 3, 3, None, "stop")


def test_tokens_that_a_server_hides_at_the_end_belong_to_the_last_step_without_figures() -> None:
    run = completion("ab.\nc.", after="\n\n", pieces=["ab", ".\n", "c", ".\n\n"])
    hidden = replace(run, pieces=run.pieces[:3], logprob=run.logprob[:3], top=run.top[:3])
    assert can_be_cut(hidden, LINES, [])
    first, last = read_steps(hidden, LINES, [])
    assert first == read_steps(run, LINES, [])[0]
    assert (last.text, last.tokens, last.first_tokens) == ("c.", 2, 1)
    assert last.confidence is not None
    assert last.confidence.logprob_sum == pytest.approx(run.logprob[2])


def test_a_run_whose_known_tokens_end_before_its_last_step_cannot_be_cut() -> None:
    run = completion("ab\ncd")
    hidden = replace(run, pieces=run.pieces[:1], logprob=run.logprob[:1], top=run.top[:1])
    assert not can_be_cut(hidden, LINES, [])
    assert can_be_cut(hidden, StepRule(horizon=1), [])


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("The answer is 180 / 3 = 60. Then 5.", "The answer is 180 / 3 = 60."),
        ("The answer is 180 dollars / 3 people = $60.\n7 = 8", "The answer is 180 dollars / 3 people = $60."),
        ("The answer is 12. So x = 5.", "The answer is 12."),
    ],
)
def test_an_answer_that_is_worked_out_ends_with_its_result(text: str, end: str) -> None:
    assert read_steps(completion(text), LINES, [])[0].text == end


def test_blank_line_rule_keeps_lines_together() -> None:
    rule = StepRule(delimiter=BLANK_LINE, stop=("Question:",))
    steps = read_steps(completion("a\nb\n\n\nc"), rule, [])
    assert [step.text for step in steps] == ["a\nb", "c"]


def test_repetition_guard_counts_earlier_steps_too() -> None:
    rule = StepRule(repeat_limit=3, horizon=9)
    steps = read_steps(completion("x\ny\nx\nz"), rule, ["x"])
    assert [step.ending for step in steps] == ["", "", "repetition"]


def test_several_steps_without_tokens_are_refused() -> None:
    assert not can_be_cut(blind("a\nb"), LINES, [])
    with pytest.raises(ValueError, match="one step at a time"):
        read_steps(blind("a\nb"), LINES, [])


def test_partial_step_goes_on_at_the_delimiter_and_ends_at_a_blank_line() -> None:
    partial = PartialStep(LINES, ["a"])
    assert partial.request("Q\n", 9).max_tokens == 9
    assert partial.add(completion("b", after="\n")) is None
    ahead = partial.request("Q\n", 9)
    assert (ahead.prefix, ahead.max_tokens) == ("a\nb\n", 1)
    going = partial.add(completion("c", length=True))
    ended = PartialStep(LINES, ["a"]).add(completion("b", after=".\n\n"[1:]))
    assert going is not None
    assert ended is not None
    assert (going.text, going.tokens, going.ending, ended.ending) == ("b", 2, "", "stop")


@pytest.mark.parametrize("after", ["\n", ""])
def test_partial_step_sees_that_the_trace_ends_after_its_delimiter(after: str) -> None:
    whole = completion("b", after="\n" + after) if after else completion("b\n")
    partial = PartialStep(LINES, [])
    assert partial.add(completion("b", after="\n")) is None
    step, same = partial.add(completion("", after=after)), read_steps(whole, LINES, [])[0]
    assert step is not None
    assert (step.text, step.ending) == (same.text, same.ending) == ("b", "stop")
    assert step.tokens == same.tokens


def test_partial_step_waits_until_a_stop_string_is_ruled_out() -> None:
    partial = PartialStep(LINES, [])
    assert partial.add(completion("b", after="\n")) is None
    assert partial.add(completion("Quest", pieces=["Quest"], length=True)) is None
    assert partial.request("", 20).prefix == "b\nQuest"
    step = partial.add(completion("ions", pieces=["ions"], length=True))
    assert step is not None
    assert (step.text, step.tokens, step.ending) == ("b", 2, "")


def test_partial_step_asks_on_after_an_empty_part() -> None:
    partial = PartialStep(LINES, ["a"])
    assert partial.add(completion("", after="\n")) is None
    assert partial.request("", 9).prefix == "a\n\n"
    assert partial.add(completion("b", after="\n")) is None
    step = partial.add(completion("c", length=True))
    assert step is not None
    assert (step.text, step.tokens) == ("b", 3)


def test_partial_step_ends_with_the_token_limit_as_a_whole_run_does() -> None:
    partial = PartialStep(LINES, [])
    partial.request("", 2)
    step = partial.add(completion("b", after="\n"))
    assert step is not None
    assert step.ending == "length"


def test_partial_step_asks_on_after_a_heading() -> None:
    partial = PartialStep(StepRule(merge_headings=True), ["a"])
    assert partial.request("Q\n", 20).prefix == "a\n"
    assert partial.add(completion("Step 2:", after="\n")) is None
    request = partial.request("Q\n", 20)
    assert (request.prefix, request.max_tokens) == ("a\nStep 2:\n", 12)
    assert partial.add(completion("We add.", after="\n")) is None
    step = partial.add(completion("S", length=True))
    assert step is not None
    assert (step.text, step.tokens) == ("Step 2:\nWe add.", 16)


def test_partial_steps_equal_a_whole_run() -> None:
    run = read_steps(completion("ab\ncd\nThe answer is 7.", after="\n\n"), LINES, [])
    history: list[str] = []
    for text, after in (("ab", "\n"), ("cd", "\n"), ("The answer is 7.", "\n")):
        partial = PartialStep(LINES, history)
        step = partial.add(completion(text, after=after)) or partial.add(completion("x", length=True))
        assert step is not None
        assert (step.text, step.tokens, step.ending) == (
            run[len(history)].text,
            run[len(history)].tokens,
            run[len(history)].ending,
        )
        history.append(step.text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delimiter": ";"}, "delimiter=';'"),
        ({"delimiter": BLANK_LINE}, "stop="),
        ({"horizon": 0}, "horizon=0"),
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"repeat_limit": 1}, "repeat_limit=1"),
        ({"horizon": 1001}, "horizon=1001; allowed: 1 to 1000"),
        ({"answer": "("}, "regular expression"),
    ],
)
def test_bad_rules_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        StepRule(**arguments)  # type: ignore[arg-type]
