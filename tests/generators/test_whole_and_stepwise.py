"""A trace is the same whether a model is asked for all of it or for one step at a time, and whether it tells tokens."""

from __future__ import annotations

from typing import Literal

import pytest
from generator_fakes import FakeGenerator, completion

from gym_stepwise_routing.generators import Completion, PartialStep, Request, Step, StepRule, generate, read_steps
from gym_stepwise_routing.generators.prompts import load_prompt
from gym_stepwise_routing.generators.steps import settled_text
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.recorder.step_rules import step_rule

Way = Literal["whole", "stepwise", "blind"]
WAYS: tuple[Way, ...] = ("whole", "stepwise", "blind")
STEPS = ("newline", "blank-line")


def rule_of(grading: str = "math", step: str = "newline", horizon: int = 30) -> StepRule:
    return step_rule(load_prompt("math-4shot"), grading, step=step, horizon=horizon, max_tokens=400)


def walk(text: str, rule: StepRule, way: Way, *, trims: bool = False) -> list[Step]:
    """The steps of a model that writes ``text``; ``trims``: its template trims the half-written answer."""

    def write(prompt: str, prefix: str) -> str:
        done = prefix.rstrip() if trims else prefix
        at = len(done) - len(done.lstrip("\n")) if not text.startswith("\n") else 0
        joined = done[at:]
        start = 0
        for character in joined:  # the trace has other white space between its steps than the model wrote
            while start < len(text) and text[start] != character and text[start].isspace():
                start += 1
            start += start < len(text) and text[start] == character
        return text[start:]

    model = FakeGenerator("fake", write, tell_tokens=way != "blind")
    if way == "whole":
        (run,) = generate(model, [Request("Q", "", rule.max_tokens, rule.engine_stops)])
        assert isinstance(run, Completion)
        return read_steps(run, rule, [])
    steps: list[Step] = []
    while not steps or not steps[-1].ending:
        partial, step = PartialStep(rule, [step.text for step in steps]), None
        while step is None:
            (run,) = generate(model, [partial.request("Q", 400)])
            assert isinstance(run, Completion)
            step = partial.add(run)
        steps.append(step)
        assert len(steps) < rule.horizon
    return steps


def texts(steps: list[Step]) -> list[str]:
    """Texts, without the empty step by which a server that tells no tokens shows that a trace had ended."""
    return [step.text for step in steps if step.text or not step.ending or step is steps[0]]


PARAGRAPHS = "First we add 2 and 3.\nThat is 5.\n\nThen we double it.\n\nSo the answer is $\\boxed{10}$.\n\nDone."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "newline",
            ["First we add 2 and 3.", "That is 5.", "Then we double it.", "So the answer is $\\boxed{10}$."],
        ),
        (
            "blank-line",
            ["First we add 2 and 3.\nThat is 5.", "Then we double it.", "So the answer is $\\boxed{10}$."],
        ),
    ],
)
def test_a_blank_line_between_paragraphs_ends_no_trace(way: Way, step: str, expected: list[str]) -> None:
    """A blank line was a stop string of the newline rule: nearly all answers in paragraphs were cut at the first."""
    steps = walk(PARAGRAPHS, rule_of(step=step), way)
    assert [step.text for step in steps] == expected
    assert steps[-1].ending == "answer"


@pytest.mark.parametrize("trims", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("lead", ["\n", "\n\n", "\r\n\r\n"])
def test_newlines_before_a_step_are_no_step(way: Way, step: str, lead: str, trims: bool) -> None:
    body = "One and one." + ("\n" if step == "newline" else "\n\n") + "It is \\boxed{2}."
    steps = walk(lead + body, rule_of(step=step), way, trims=trims)
    assert [step.text for step in steps] == ["One and one.", "It is \\boxed{2}."]
    if not trims:
        assert sum(step.tokens for step in steps) == len(lead + body)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_writes_nothing_is_one_empty_step(way: Way) -> None:
    (step,) = walk("", rule_of(), way)
    assert (step.text, step.ending) == ("", "stop")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Problem: it is hard.\nYes.", ["The Problem: it is hard.", "Yes."]),
        ("Yes.\nProblem: another one.\nNo.", ["Yes."]),
        ("Yes.\n\nHuman: and now?", ["Yes."]),
        ("Problems: 3.\nYes.", ["Problems: 3.", "Yes."]),
        ("Yes.\n  Problem: indented.", ["Yes.", "Problem: indented."]),
    ],
)
def test_a_label_ends_a_trace_at_the_start_of_a_line_only(way: Way, text: str, expected: list[str]) -> None:
    assert texts(walk(text, rule_of(), way)) == expected


def test_a_label_that_begins_a_run_ends_it() -> None:
    """The engine, which stops behind a newline, cannot know it: a run begins where a line does."""
    (step,) = read_steps(completion("Problem: another one.\nNo."), rule_of(), ["Yes."])
    assert (step.text, step.ending) == ("", "stop")


def test_what_may_become_a_label_is_held_back_at_the_start_of_a_line_only() -> None:
    assert settled_text("It is a Prob", rule_of(), last=True) == "It is a Prob"
    assert settled_text("Yes.\nProb", rule_of(), last=True) == "Yes."


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So $\\boxed{\\frac{1}{2}}$.\nAgain.", ["So $\\boxed{\\frac{1}{2}}$."]),
        ("So \\boxed {42}.\nAgain.", ["So \\boxed {42}."]),
        ("So \\fbox{42}.\nAgain.", ["So \\fbox{42}."]),
        ("So \\boxed{\\{1, 2\\}}.\nAgain.", ["So \\boxed{\\{1, 2\\}}."]),
        ("I put it in \\boxed{}.\nIt is \\boxed{3}.\nAgain.", ["I put it in \\boxed{}.", "It is \\boxed{3}."]),
        ("Write \\boxed{answer}.\nIt is \\boxed{3}.", ["Write \\boxed{answer}.", "It is \\boxed{3}."]),
        ("Write \\boxed{\\text{your answer}}.\nThen.", ["Write \\boxed{\\text{your answer}}.", "Then."]),
        ("So\n\\boxed{\n3\n}\nAgain.", ["So", "\\boxed{", "3", "}"]),
        ("So \\boxed{3\nand on", ["So \\boxed{3", "and on"]),
    ],
)
def test_a_trace_ends_at_a_balanced_box_that_holds_something(way: Way, text: str, expected: list[str]) -> None:
    steps = walk(text, rule_of(), way)
    assert texts(steps) == expected
    assert (steps[-1].ending == "answer") == (expected[-1] not in ("Then.", "and on"))


def test_a_box_over_several_lines_is_one_answer_whoever_begins_it() -> None:
    rule = rule_of()
    (step,) = read_steps(completion("3\n}\nAgain."), rule, ["So", "\\boxed{"])[1:]
    assert (step.text, step.ending) == ("}", "answer")
    assert GRADERS.get("math").answer == rule.answer
