"""The step rule that goes with a prompt and a grader."""

from __future__ import annotations

from typing import Any

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import BLANK_LINE, FENCE, NEWLINE, StepRule
from gym_stepwise_routing.grading import GRADERS, Grading

__all__ = ["STEPS", "step_rule"]

PYTHON_LINE = "python-line"
STEPS = {"newline": NEWLINE, "blank-line": BLANK_LINE, PYTHON_LINE: NEWLINE}
"""What may end a step, by its name on the command line."""


def step_rule(prompt: PromptTemplate, grading: Grading, *, step: str | None = None, **figures: Any) -> StepRule:
    """A rule that ends a trace at the answer that the grader reads, and where the model makes up the next question.

    Args:
        prompt: its label of a question is a stop string.
        grading: decides what a stated answer looks like.
        step: one of :data:`STEPS`; None: that of the grader.
        figures: further arguments of :class:`StepRule`.

    Raises:
        ValueError: unknown ``step``, or a bad figure.
    """
    grader = GRADERS.get(grading)
    step = grader.step if step is None else step
    check_choice("step", step, STEPS)
    marker = prompt.marker or grader.question
    end = {"newline": (BLANK_LINE,), PYTHON_LINE: (FENCE,)}.get(step, ())
    return StepRule(
        delimiter=STEPS[step],
        stop=(*end, marker, "Human:"),
        answer=grader.answer,
        python=step == PYTHON_LINE,
        **figures,
    )
