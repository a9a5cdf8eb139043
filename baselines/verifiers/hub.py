"""Process reward models and raters from a hub or a local folder, through transformers.

``PrmStyle`` says how a model tells its judgement of a step:

* ``tag``: a causal model reads a tag after each step; the score is the probability of a good token against a bad one at
  the tag (Math-Shepherd's own models: tag ``ки``, tokens ``+`` and ``-``).
* ``labels``: a token classifier with two labels, read at the separator after each step (models trained with TRL's
  ``PRMTrainer``).

:class:`LargeModelRater` is SpecReason's judge (arXiv 2504.07891): the large model itself rates the step from 0 to 9 in
one token. Its reading is prefill of a model as dear as the one that is to be saved; the ledger charges it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers.text import Judged, bank_steps
from gym_stepwise_routing.pool import Model

try:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer
except ImportError as error:
    raise ImportError("hub verifiers need torch and transformers: pip install 'gym-stepwise-routing[llm]'") from error

__all__ = ["RATING", "HubPrm", "LargeModelRater", "PrmStyle", "StepJudge", "judge_bank"]

Floats = NDArray[np.float64]
RATING = (
    "{before}\n\nNext step: {step}\n\nHow useful and correct is this step? Answer with one digit from 0 (wrong) to 9 "
    "(certainly right).\nRating: "
)
"""Prompt of the rater; written for this purpose, the paper's own is longer."""


@dataclass(frozen=True, slots=True)
class PrmStyle:
    """How a process reward model is read.

    Attributes:
        kind: ``tag`` or ``labels``, see the module.
        separator: text after the judged step, at whose last token the score is read.
        good: token that approves (``tag``).
        bad: token that disapproves (``tag``).
    """

    kind: Literal["tag", "labels"] = "tag"
    separator: str = " ки"
    good: str = "+"
    bad: str = "-"


class StepJudge:
    """A causal or token-classifying model that scores one step at a time.

    Args:
        model: local folder or hub name.
        loader: class of transformers that loads it.
        revision: commit or tag on the hub; None for a local folder.
    """

    def __init__(self, model: str | Path, loader: Any, revision: str | None = None) -> None:
        self.name = Path(model).name
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision)
        self.model: Any = loader.from_pretrained(model, revision=revision).eval()

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return sum(p.numel() for p in self.model.parameters())

    def as_model(self) -> Model:
        """The judge for the ledger."""
        return Model(self.name, parameters=float(self.parameters))

    def score(self, step: Judged) -> float:
        """Score of a step, in [0, 1]."""
        raise NotImplementedError

    def _last(self, text: str) -> torch.Tensor:
        """Output at the last token of a text, ``[vocabulary or labels]``."""
        tokens = self.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            last: torch.Tensor = self.model(**tokens).logits[0, -1]
        return last

    def _token(self, text: str) -> int:
        """The last token that a text ends with."""
        return int(self.tokenizer(text, add_special_tokens=False)["input_ids"][-1])


class HubPrm(StepJudge):
    """A process reward model.

    Args:
        model: local folder or hub name.
        style: how it is read.
        revision: commit or tag on the hub; None for a local folder.
    """

    def __init__(self, model: str | Path, style: PrmStyle | None = None, revision: str | None = None) -> None:
        self.style = style or PrmStyle()
        loader = AutoModelForCausalLM if self.style.kind == "tag" else AutoModelForTokenClassification
        super().__init__(model, loader, revision)
        if self.style.kind == "tag":
            self._choice = [self._token(self.style.bad), self._token(self.style.good)]
            if self._choice[0] == self._choice[1]:
                raise ValueError(f"good={self.style.good!r} and bad={self.style.bad!r} are one token to {self.name}")
        else:
            self._choice = [0, 1]

    def score(self, step: Judged) -> float:
        """Probability of the good token, or label, after the step."""
        logits = self._last(f"{step.before}\n{step.step}{self.style.separator}")[self._choice]
        return float(torch.softmax(logits, dim=0)[1])


class LargeModelRater(StepJudge):
    """SpecReason's judge: a digit from 0 to 9, the most likely one, over 9.

    Args:
        model: local folder or hub name of the large model.
        revision: commit or tag on the hub; None for a local folder.
    """

    def __init__(self, model: str | Path, revision: str | None = None) -> None:
        super().__init__(model, AutoModelForCausalLM, revision)
        self._digits = [self._token(str(digit)) for digit in range(10)]

    def score(self, step: Judged) -> float:
        """Most likely digit / 9."""
        logits = self._last(RATING.format(before=step.before, step=step.step))[self._digits]
        return int(torch.argmax(logits)) / 9


def judge_bank(bank: Bank, questions: Sequence[str], judge: StepJudge) -> NDArray[np.float32]:
    """Scores of every step of a bank, ``float32[N]``, NaN where a node has no text."""
    scores = np.full(len(bank.nodes), np.nan, dtype=np.float32)
    for row, step in bank_steps(bank, questions).items():
        scores[row] = judge.score(step)
    return scores
