"""The step rule that goes with a prompt and a grader."""

from __future__ import annotations

from typing import Any

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.chat import opens_thought
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import BLANK_LINE, FENCE, NEWLINE, StepRule
from gym_stepwise_routing.grading import GRADERS, Grading

__all__ = ["STEPS", "step_rule"]

PYTHON_LINE = "python-line"
STEPS = {"newline": NEWLINE, "blank-line": BLANK_LINE, PYTHON_LINE: NEWLINE}
"""What may end a step, by its name on the command line."""


def step_rule(
    prompt: PromptTemplate,
    grading: Grading,
    *,
    step: str | None = None,
    blank_line_ends: bool = False,
    **figures: Any,
) -> StepRule:
    """A rule that ends a trace at the answer that the grader reads, and where the model makes up the next question.

    Args:
        prompt: its label of a question ends a trace, where a line begins with it.
        grading: decides what a stated answer looks like.
        step: one of :data:`STEPS`; None: that of the grader.
        blank_line_ends: a blank line ends the trace, for prompts whose examples end so and have no label; else it
            separates steps, as in the paragraphs that most models write.
        figures: further arguments of :class:`StepRule`.

    Raises:
        ValueError: a prompt that opens a thought, which nobody could tell from an answer;
            unknown ``step``, ``blank_line_ends`` where blank lines separate steps, or a bad figure.
    """
    if opens_thought(prompt.text.rpartition("{question}")[2]):
        raise ValueError(f"prompt {prompt.name!r} ends in <think>; allowed: one that leaves <think> to the model")
    grader = GRADERS.get(grading)
    step = grader.step if step is None else step
    check_choice("step", step, STEPS)
    return StepRule(
        delimiter=STEPS[step],
        stop=((FENCE,) if step == PYTHON_LINE else ()) + ((BLANK_LINE,) if blank_line_ends else ()),
        labels=(prompt.marker or grader.question, "Human:"),
        answer=grader.answer,
        python=step == PYTHON_LINE,
        **figures,
    )
