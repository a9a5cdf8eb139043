"""Where steps begin and end."""

from __future__ import annotations

import numpy as np
import pytest
from generator_fakes import completion

from gym_stepwise_routing.generators.steps import BLANK_LINE, BOXED_LINE, PartialStep, StepRule, read_steps

LINES = StepRule()


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


def test_a_degenerate_end_belongs_to_the_step_before() -> None:
    steps = read_steps(completion("We add.\n---"), StepRule(merge_headings=True), [])
    assert [step.text for step in steps] == ["We add.\n---"]


def test_blank_line_rule_keeps_lines_together() -> None:
    rule = StepRule(delimiter=BLANK_LINE, stop=("Question:",))
    steps = read_steps(completion("a\nb\n\n\nc"), rule, [])
    assert [step.text for step in steps] == ["a\nb", "c"]


def test_repetition_guard_counts_earlier_steps_too() -> None:
    rule = StepRule(repeat_limit=3, horizon=9)
    steps = read_steps(completion("x\ny\nx\nz"), rule, ["x"])
    assert [step.ending for step in steps] == ["", "", "repetition"]


def test_several_steps_without_tokens_are_refused() -> None:
    run = completion("a\nb")
    blind = type(run)(run.text, 3, (), np.zeros(0), np.zeros((0, 0)), "stop", 1)
    with pytest.raises(ValueError, match="one step at a time"):
        read_steps(blind, LINES, [])


def test_partial_step_goes_on_at_the_delimiter_and_ends_at_a_blank_line() -> None:
    going = PartialStep(LINES, ["a"]).add(completion("b", after="\n"))
    ended = PartialStep(LINES, ["a"]).add(completion("b", after=".\n\n"[1:]))
    assert going is not None
    assert ended is not None
    assert (going.ending, ended.ending) == ("", "stop")


def test_partial_step_asks_on_after_a_heading() -> None:
    partial = PartialStep(StepRule(merge_headings=True), ["a"])
    assert partial.request("Q\n", 20).prefix == "a\n"
    assert partial.add(completion("Step 2:", after="\n")) is None
    request = partial.request("Q\n", 20)
    assert (request.prefix, request.max_tokens) == ("a\nStep 2:\n", 12)
    step = partial.add(completion("We add.", after="\n"))
    assert step is not None
    assert (step.text, step.tokens) == ("Step 2:\nWe add.", 16)


def test_partial_steps_equal_a_whole_run() -> None:
    run = read_steps(completion("ab\ncd\nThe answer is 7.", after="\n\n"), LINES, [])
    history: list[str] = []
    for text, after in (("ab", "\n"), ("cd", "\n"), ("The answer is 7.", "\n")):
        step = PartialStep(LINES, history).add(completion(text, after=after))
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
        ({"answer": "("}, "regular expression"),
    ],
)
def test_bad_rules_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        StepRule(**arguments)  # type: ignore[arg-type]
