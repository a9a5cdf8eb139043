"""What a recording is made with: everything that decides what its trees look like."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.grading import GRADERS, Grading
from gym_stepwise_routing.types import MODES, Mode

__all__ = ["RecordingSettings"]


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """Settings of a recording.

    Args:
        prompt: prompt template, the same for all models.
        mode: which branches are recorded.
        rule: step rule, horizon and token limit.
        grading: how final answers are compared.
        in_flight: trees grown at a time; also what a kill can cost. It decides nothing but speed.
        patience: problems in a row that may fail before the recording stops.
        samples: steps drawn of each model at each prefix, >= 1; more than one only where tokens are drawn, and not in
            the mode *escalate*, which would leave out some.
        judgements: file in which a judge keeps its replies; it decides nothing but what is asked again.
    """

    prompt: PromptTemplate
    mode: Mode = "route"
    rule: StepRule = field(default_factory=StepRule)
    grading: Grading = "numeric"
    in_flight: int = 24
    patience: int = 5
    samples: int = 1
    judgements: Path | None = None

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        GRADERS.check(self.grading)
        if self.samples > 1 and self.mode == "escalate":
            raise ValueError(f"samples={self.samples!r} with mode='escalate'; allowed: route, regenerate or restart")
        for parameter in ("in_flight", "patience", "samples"):
            if getattr(self, parameter) < 1:
                raise ValueError(f"{parameter}={getattr(self, parameter)!r}; allowed: an integer >= 1")
