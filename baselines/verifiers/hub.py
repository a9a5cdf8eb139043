"""Process reward models and raters from a hub or a local folder, through transformers.

``PrmStyle`` says how a model tells its judgement of a step:

* ``tag``: a causal model reads a tag after each step, earlier ones included, as it was trained to; the score is the
  probability of a good token against a bad one at the last tag (Math-Shepherd's own models: tag ``ки``, tokens ``+``
  and ``-``).
* ``labels``: a token classifier with two labels, read at the separator after each step (models trained with TRL's
  ``PRMTrainer``).

Others are not supported: those that want a chat template (such as RLHFlow's), or that have a head of their own behind
``AutoModel`` (such as Qwen2.5-Math-PRM). Models of either style whose code comes from the hub need
``trust_remote_code``, which runs it.

:class:`LargeModelRater` is SpecReason's judge (arXiv 2504.07891): the large model itself rates the step from 0 to 9 in
one token. Its reading is prefill of a model as dear as the one that is to be saved; the ledger charges it, the rating's
question after each step and the decoded digit included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.accounting import Verifier
from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.spec_reason import rating_name
from gym_stepwise_routing.baselines.verifiers.text import Trace, bank_traces
from gym_stepwise_routing.generators.tokenizers import weights_sha256
from gym_stepwise_routing.pool import Model

try:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer
except ImportError as error:
    raise ImportError("hub verifiers need torch and transformers: pip install 'gym-stepwise-routing[llm]'") from error

__all__ = ["RATING", "HubPrm", "LargeModelRater", "PrmStyle", "StepJudge", "check_rater", "judge_bank"]

Floats = NDArray[np.float64]
RATING = (
    "\n\nHow useful and correct is the last step? Answer with one digit from 0 (wrong) to 9 (certainly right)."
    "\nRating: "
)
"""What the rater is asked after question and steps; written for this purpose, the paper's own is longer.

It stands at the end, so that a prefix cache serves all steps but the judged one.
"""


@dataclass(frozen=True, slots=True)
class PrmStyle:
    """How a process reward model is read.

    Attributes:
        kind: ``tag`` or ``labels``, see the module.
        separator: text after every step, at whose last token the score is read.
        good: token that approves (``tag``).
        bad: token that disapproves (``tag``).
    """

    kind: Literal["tag", "labels"] = "tag"
    separator: str = " ки"
    good: str = "+"
    bad: str = "-"

    def text(self, trace: Trace) -> str:
        """What the model reads: question and steps, the separator after each step, one step a line."""
        between = "" if self.separator.endswith("\n") else "\n"
        return f"{trace.question}\n" + between.join(f"{step}{self.separator}" for step in trace.steps)


class StepJudge:
    """A causal or token-classifying model that scores one step at a time.

    Args:
        model: local folder or hub name.
        loader: class of transformers that loads it.
        revision: commit or tag on the hub; None for a local folder.
        trust_remote_code: run code that comes with the model.
    """

    def __init__(
        self, model: str | Path, loader: Any, revision: str | None = None, *, trust_remote_code: bool = False
    ) -> None:
        self.name = Path(model).name
        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            model, revision=revision, trust_remote_code=trust_remote_code
        )
        self.model: Any = loader.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code).eval()

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return sum(p.numel() for p in self.model.parameters())

    def score(self, trace: Trace) -> float:
        """Score of the last step, in [0, 1]."""
        raise NotImplementedError

    def _length(self, text: str) -> int:
        """Tokens of a text within another."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

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
        trust_remote_code: run code that comes with the model.
    """

    def __init__(
        self,
        model: str | Path,
        style: PrmStyle | None = None,
        revision: str | None = None,
        *,
        trust_remote_code: bool = False,
    ) -> None:
        self.style = style or PrmStyle()
        loader = AutoModelForCausalLM if self.style.kind == "tag" else AutoModelForTokenClassification
        super().__init__(model, loader, revision, trust_remote_code=trust_remote_code)
        if self.style.kind == "tag":
            self._choice = [self._token(self.style.bad), self._token(self.style.good)]
            if self._choice[0] == self._choice[1]:
                raise ValueError(f"good={self.style.good!r} and bad={self.style.bad!r} are one token to {self.name}")
        else:
            self._choice = [0, 1]

    def as_model(self) -> Verifier:
        """The model for the ledger: it reads its separator after each step."""
        separator = self._length(self.style.separator)
        return Verifier(self.name, parameters=float(self.parameters), prompt_tokens=separator)

    def score(self, trace: Trace) -> float:
        """Probability of the good token, or label, after the last step."""
        logits = self._last(self.style.text(trace))[self._choice]
        return float(torch.softmax(logits, dim=0)[1])


class LargeModelRater(StepJudge):
    """SpecReason's judge: a digit from 0 to 9, the most likely one, over 9.

    Args:
        model: local folder or hub name of the large model.
        revision: commit or tag on the hub; None for a local folder.
        trust_remote_code: run code that comes with the model.
    """

    def __init__(self, model: str | Path, revision: str | None = None, *, trust_remote_code: bool = False) -> None:
        super().__init__(model, AutoModelForCausalLM, revision, trust_remote_code=trust_remote_code)
        self._digits = [self._token(str(digit)) for digit in range(10)]

    def as_model(self, largest: Model) -> Verifier:
        """The rater for the ledger: the largest model, which reads the rating's question and decodes a digit."""
        return Verifier(
            rating_name(largest.name),
            parameters=largest.parameters,
            price=largest.price,
            latency=largest.latency,
            weights_sha256=largest.weights_sha256,
            licence=largest.licence,
            prompt_tokens=self._length(RATING),
            decoded_tokens=1,
        )

    def score(self, trace: Trace) -> float:
        """Most likely digit / 9."""
        logits = self._last("\n".join((trace.question, *trace.steps)) + RATING)[self._digits]
        return int(torch.argmax(logits)) / 9


def check_rater(model: str | Path, largest: Model) -> None:
    """Check that a model is the bank's largest, by the hash of its weights where both are known, or else by name.

    Args:
        model: local folder or hub name.
        largest: the bank's largest model.

    Raises:
        ValueError: it is another one, or other weights.
    """
    found = weights_sha256(str(model))
    if found is not None and largest.weights_sha256 is not None:
        if found != largest.weights_sha256:
            raise ValueError(
                f"model={str(model)!r} has weights with hash {found}; allowed: those of the bank's largest model, "
                f"{largest.name!r}, {largest.weights_sha256} (or --any-weights, if they are the same model's in other "
                "files)"
            )
    elif Path(model).name != largest.name:
        raise ValueError(
            f"model={str(model)!r} is not named like the bank's largest model; allowed: {largest.name!r} (or "
            "--any-weights, if it is the same model by another name)"
        )


def judge_bank(bank: Bank, questions: Sequence[str], judge: StepJudge) -> NDArray[np.float32]:
    """Scores of every step of a bank, ``float32[N]``, NaN where a node has no text."""
    scores = np.full(len(bank.nodes), np.nan, dtype=np.float32)
    for row, trace in bank_traces(bank, questions).items():
        scores[row] = judge.score(trace)
    return scores
