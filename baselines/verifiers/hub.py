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
question after each step and the decoded digit included. Only drafts are rated.

:class:`MaxLogit` is no judge: it reads the largest logits that the smallest model had when it wrote its steps, STEER's
figure (arXiv 2511.06190), which engines that record log-probabilities do not tell.

Causal models read all traces of a problem in one forward pass (:mod:`gym_stepwise_routing.baselines.verifiers.packed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.observed_figures import LOGIT_SCALE, logit_name
from gym_stepwise_routing.baselines.spec_reason import rating_name
from gym_stepwise_routing.baselines.verifiers.packed import logits_at, pack
from gym_stepwise_routing.baselines.verifiers.step_texts import Trace
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.costs.models import Latency, Model, Price
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.storage.hugging_face import unloadable

try:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer
except ImportError as error:
    raise ImportError("hub verifiers need torch and transformers: pip install 'gym-stepwise-routing[llm]'") from error

__all__ = ["RATING", "HubPrm", "LargeModelRater", "MaxLogit", "PrmStyle", "StepJudge"]

Floats = NDArray[np.float64]
RATING = (
    "\n\nHow useful and correct is the last step? Answer with one digit from 0 (wrong) to 9 (certainly right)."
    "\nRating: "
)
"""What the rater is asked after question and steps; written for this purpose, the paper's own is longer.

It stands at the end, so that a prefix cache serves all steps but the judged one.
"""
PACK_TOKENS = 3072
"""Most tokens of a forward pass."""


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
    """A causal or token-classifying model that scores steps, on a GPU if there is one.

    Args:
        model: local folder or hub name.
        loader: class of transformers that loads it.
        revision: commit or tag on the hub; None for a local folder.
        dtype: of its weights, as torch spells it; ``auto`` is that of the file.
        trust_remote_code: run code that comes with the model.

    Raises:
        ValueError: the model cannot be loaded, a gated one among them.
    """

    def __init__(
        self,
        model: str | Path,
        loader: Any,
        revision: str | None = None,
        *,
        dtype: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.name = Path(model).name
        code = {"revision": revision, "trust_remote_code": trust_remote_code}
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model, **code)
            loaded: Any = loader.from_pretrained(model, dtype=dtype, **code)
        except OSError as error:
            raise ValueError(unloadable(model, error)) from None
        self.model: Any = loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    @property
    def parameters(self) -> int:
        """Parameters of the model."""
        return sum(p.numel() for p in self.model.parameters())

    def scores(self, traces: Sequence[Trace]) -> Floats:
        """Score of the last step of each trace, ``float64[n]`` in [0, 1]. Traces of one problem are read together."""
        raise NotImplementedError

    def _length(self, text: str) -> int:
        """Tokens of a text within another."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _last(self, texts: Sequence[str], outputs: Sequence[int]) -> torch.Tensor:
        """These outputs of a causal model after each text, ``float32[n, len(outputs)]``."""
        found = []
        for packed in pack([self.tokenizer(text)["input_ids"] for text in texts], PACK_TOKENS):
            last = np.array([path[-1] for path in packed.paths])
            found.append(logits_at(self.model, packed, last)[:, list(outputs)].float().cpu())
        return torch.cat(found)

    def _token(self, text: str) -> int:
        """The last token that a text ends with."""
        return int(self.tokenizer(text, add_special_tokens=False)["input_ids"][-1])


class HubPrm(StepJudge):
    """A process reward model.

    Args:
        model: local folder or hub name.
        style: how it is read.
        loading: further arguments of :class:`StepJudge`.
    """

    def __init__(self, model: str | Path, style: PrmStyle | None = None, **loading: Any) -> None:
        self.style = style or PrmStyle()
        loader = AutoModelForCausalLM if self.style.kind == "tag" else AutoModelForTokenClassification
        super().__init__(model, loader, **loading)
        if self.style.kind == "tag":
            self._choice = [self._token(self.style.bad), self._token(self.style.good)]
            if self._choice[0] == self._choice[1]:
                raise ValueError(f"good={self.style.good!r} and bad={self.style.bad!r} are one token to {self.name}")

    def as_model(self) -> Verifier:
        """The model for the ledger: it reads its separator after each step."""
        separator = self._length(self.style.separator)
        return Verifier(self.name, parameters=float(self.parameters), prompt_tokens=separator)

    def scores(self, traces: Sequence[Trace]) -> Floats:
        """Probability of the good token, or label, after the last step of each trace."""
        texts = [self.style.text(trace) for trace in traces]
        logits = self._last(texts, self._choice) if self.style.kind == "tag" else self._labels(texts)
        return torch.softmax(logits, dim=1)[:, 1].double().numpy()

    def _labels(self, texts: Sequence[str]) -> torch.Tensor:
        """Both labels at the last token of each text, read one by one: a classifier may attend both ways."""
        with torch.no_grad():
            inputs = [self.tokenizer(text, return_tensors="pt").to(self.model.device) for text in texts]
            read = [self.model(**tokens).logits[0, -1] for tokens in inputs]
        return torch.stack(read).float().cpu()


class LargeModelRater(StepJudge):
    """SpecReason's judge: the digit from 0 to 9 that a model is expected to answer with, over 9.

    The mean over its probabilities of the ten digits, as G-Eval (arXiv 2303.16634) reads its raters, in place of the
    one digit that the paper decodes: a small model may answer nearly every draft with the same digit, and yet be more
    or less sure of it.

    Args:
        model: local folder or hub name of the large model.
        loading: further arguments of :class:`StepJudge`.
    """

    def __init__(self, model: str | Path, **loading: Any) -> None:
        super().__init__(model, AutoModelForCausalLM, **loading)
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

    def scores(self, traces: Sequence[Trace]) -> Floats:
        """Expected digit / 9, of each trace."""
        texts = ["\n".join((trace.question, *trace.steps)) + RATING for trace in traces]
        chances = torch.softmax(self._last(texts, self._digits), dim=1).double().numpy()
        return chances @ np.arange(10) / 9


class MaxLogit(StepJudge):
    """Mean over a step's tokens of the largest logit before each, over ``LOGIT_SCALE``, as when the step was written.

    Args:
        model: local folder or hub name of the bank's smallest model.
        template: prompt that the bank was recorded with; ``{question}`` stands for the question.
        delimiter: what stood between its steps.
        loading: further arguments of :class:`StepJudge`.
    """

    def __init__(self, model: str | Path, template: str, *, delimiter: str = "\n", **loading: Any) -> None:
        self._prompt, self._rule = PromptTemplate("of the bank", template), StepRule(delimiter=delimiter, stop=())
        super().__init__(model, AutoModelForCausalLM, **loading)

    def as_model(self, smallest: Model) -> Verifier:
        """The figure for the ledger: logits come with decoding, so that it costs as good as nothing."""
        free = "logits come with decoding"
        return Verifier(
            logit_name(smallest.name),
            parameters=1.0,
            price=smallest.price and Price(0.0, 0.0, 0.0, smallest.price.date, free),
            latency=smallest.latency and Latency(0.0, 0.0, 0.0, free),
        )

    def scores(self, traces: Sequence[Trace]) -> Floats:
        """Mean largest logit of the last step of each trace, over ``LOGIT_SCALE``."""
        sequences, starts = [], []
        for trace in traces:
            before = self._prompt.fill(trace.question) + self._rule.prefix(trace.steps[:-1])
            read = self.tokenizer(before + trace.steps[-1], return_offsets_mapping=True)
            sequences.append(read["input_ids"])
            starts.append(next(token for token, (_, end) in enumerate(read["offset_mapping"]) if end > len(before)))
        means: list[float] = []
        for packed in pack(sequences, PACK_TOKENS):
            # a token is written by the logits after the one before it
            spans = [path[start - 1 : -1] for path, start in zip(packed.paths, starts[len(means) :], strict=False)]
            wanted = np.unique(np.concatenate(spans))
            largest = logits_at(self.model, packed, wanted).amax(dim=1).double().cpu().numpy()
            means += [float(largest[np.searchsorted(wanted, span)].mean()) for span in spans]
        return np.array(means) / LOGIT_SCALE
