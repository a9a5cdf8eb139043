"""A process reward model on text: a small encoder that reads question and steps, fine-tuned on CPU on soft labels.

Math-Shepherd fashion (arXiv 2312.08935): the label of a step is the probability that a trace which goes on from it ends
right, exact on a recorded tree (:func:`soft_labels`). The encoder reads the question and the earlier steps as one
segment and the judged step as the other; the mean of its last hidden states feeds a linear head.

What is charged for it: an encoder attends both ways and has no prefix cache, so that it reads question and steps again
for every score, and the ledger charges all of it (:class:`gym_stepwise_routing.costs.charging.Verifier`). The charge
does not know of ``max_tokens``: of traces that are cut off it is too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.experience import folds
from gym_stepwise_routing.baselines.verifiers.attach import node_reach, soft_labels
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.errors import NotApplicableError

try:
    import torch
    from transformers import AutoModel, AutoTokenizer
except ImportError as error:
    raise ImportError("text verifiers need torch and transformers: pip install 'gym-stepwise-routing[llm]'") from error

__all__ = ["Judged", "TextVerifier", "Trace", "bank_steps", "bank_traces", "text_scores"]

Floats = NDArray[np.float64]
FOLDS = 3
"""Folds of the train split whose scores are out of fold."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A step to be judged: what stands before it (question and earlier steps), and the step itself."""

    before: str
    step: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A question and the steps so far, the last of which is to be judged."""

    question: str
    steps: tuple[str, ...]

    @property
    def judged(self) -> Judged:
        """The last step and what stands before it, one step a line."""
        return Judged("\n".join((self.question, *self.steps[:-1])), self.steps[-1])


def bank_steps(bank: Bank, questions: Sequence[str]) -> dict[int, Judged]:
    """Every step of a bank that has a text, by node; see :func:`bank_traces`."""
    return {row: trace.judged for row, trace in bank_traces(bank, questions).items()}


def bank_traces(bank: Bank, questions: Sequence[str]) -> dict[int, Trace]:
    """The trace up to every step of a bank that has a text, by node.

    Args:
        bank: the bank.
        questions: question of each problem, see :func:`gym_stepwise_routing.banks.questions.join_questions`.

    Raises:
        NotApplicableError: the bank holds no step texts.
    """
    starts = {int(row): Trace(questions[problem], ()) for problem, row in enumerate(bank.problems.root)}
    traces: dict[int, Trace] = {}
    for row in np.argsort(bank.depth, kind="stable"):
        if bank.depth[row] == 0 or (text := bank.text(row)) is None:
            continue
        parent = int(bank.nodes.parent[row])
        before = starts[parent] if parent in starts else traces[parent]
        traces[int(row)] = Trace(before.question, (*before.steps, text))
    if not traces:
        raise NotApplicableError(f"bank {bank.name!r} holds no step texts; a text verifier needs them")
    return traces


class TextVerifier:
    """An encoder with a linear head, trained by binary cross-entropy on soft labels.

    Args:
        encoder: local folder or hub name of a bidirectional encoder.
        layers: topmost encoder layers that are trained besides the head, >= 0; 0 trains the head alone, on hidden
            states that are computed once.
        epochs: passes over the steps, >= 1.
        learning_rate: of the encoder's layers; the head's is 20 times as large.
        batch: steps in a gradient step.
        max_tokens: most tokens read; what stands before the step is cut off from its beginning.
        seed: seed of initialisation and order.
    """

    def __init__(
        self,
        encoder: str | Path,
        *,
        layers: int = 2,
        epochs: int = 2,
        learning_rate: float = 5e-5,
        batch: int = 32,
        max_tokens: int = 160,
        seed: int = 0,
    ) -> None:
        if layers < 0 or epochs < 1 or batch < 1 or max_tokens < 8:
            raise ValueError(
                f"layers={layers}, epochs={epochs}, batch={batch}, max_tokens={max_tokens}; allowed: layers >= 0, "
                "epochs >= 1, batch >= 1, max_tokens >= 8"
            )
        self.layers, self.epochs, self.learning_rate = layers, epochs, learning_rate
        self.batch, self.max_tokens, self.seed = batch, max_tokens, seed
        self.name = f"text verifier on {Path(encoder).name}"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(encoder, truncation_side="left")
        self._encoder: Any = AutoModel.from_pretrained(encoder).eval()
        if layers > len(self._encoder.encoder.layer):
            raise ValueError(f"layers={layers}; allowed: at most the {len(self._encoder.encoder.layer)} of {encoder}")
        self._known: dict[Judged, torch.Tensor] = {}
        self._start = {name: value.clone() for name, value in self._encoder.state_dict().items()}

    @property
    def parameters(self) -> int:
        """Parameters of encoder and head."""
        return int(sum(p.numel() for p in self._encoder.parameters()) + self._encoder.config.hidden_size + 1)

    def as_model(self) -> Verifier:
        """The verifier for the ledger; it has parameters, but neither a price, a measured speed nor a prefix cache."""
        return Verifier(self.name, parameters=float(self.parameters), prefix_cache=False)

    def fit(self, steps: Sequence[Judged], labels: Floats, weight: Floats) -> Self:
        """Train from the pretrained encoder.

        Args:
            steps: the steps, ``n`` of them.
            labels: ``float64[n]`` in [0, 1].
            weight: ``float64[n]`` >= 0.
        """
        torch.manual_seed(self.seed)
        self._encoder.load_state_dict(self._start)
        self._head = torch.nn.Linear(int(self._encoder.config.hidden_size), 1)
        stack = self._encoder.encoder.layer
        tuned = [parameter for layer in stack[len(stack) - self.layers :] for parameter in layer.parameters()]
        self._encoder.requires_grad_(False)
        for parameter in tuned:
            parameter.requires_grad_(True)
        groups = [{"params": self._head.parameters(), "lr": 20 * self.learning_rate}]
        if tuned:
            groups.append({"params": tuned, "lr": self.learning_rate})
        optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
        target = torch.as_tensor(labels, dtype=torch.float32)
        share = torch.as_tensor(weight / weight.mean(), dtype=torch.float32)
        states = None if self.layers else self._frozen(steps)
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(steps)), self.batch):
                hidden = self._states([steps[row] for row in rows.tolist()]) if states is None else states[rows]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    self._head(hidden)[:, 0], target[rows], weight=share[rows]
                )
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
        return self

    def predict(self, steps: Sequence[Judged]) -> Floats:
        """Probability that the trace ends right, ``float64[n]``."""
        with torch.no_grad():
            if self.layers == 0:
                hidden = self._frozen(steps)
            else:
                hidden = torch.cat([self._states(part) for part in _chunks(steps, self.batch)])
            return torch.sigmoid(self._head(hidden)[:, 0]).double().numpy()

    def _frozen(self, steps: Sequence[Judged]) -> torch.Tensor:
        """States of an encoder that does not change, each computed once, ``[n, hidden]``."""
        fresh = [step for step in dict.fromkeys(steps) if step not in self._known]
        for part in _chunks(fresh, self.batch):
            self._known.update(zip(part, self._states(part), strict=True))
        return torch.stack([self._known[step] for step in steps])

    def _states(self, steps: Sequence[Judged]) -> torch.Tensor:
        """Mean of the last hidden states, ``[n, hidden]``."""
        tokens = self._tokenizer(
            [step.before for step in steps],
            [step.step for step in steps],
            truncation="longest_first",
            max_length=self.max_tokens,
            padding=True,
            return_tensors="pt",
        )
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.layers > 0):
            hidden = self._encoder(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(hidden.dtype)
        mean: torch.Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return mean


def text_scores(bank: Bank, questions: Sequence[str], verifier: TextVerifier) -> NDArray[np.float32]:
    """Scores of every step, from a verifier trained on the train split; those of train problems are out of fold.

    Args:
        bank: the bank.
        questions: question of each problem.
        verifier: the verifier; it is trained ``FOLDS`` + 1 times.

    Returns:
        ``float32[N]``, NaN where a node has no text.
    """
    steps = bank_steps(bank, questions)
    rows = np.array(list(steps))
    texts = list(steps.values())
    labels, weight = soft_labels(bank)[rows], node_reach(bank)[rows]
    train = np.isin(bank.nodes.problem[rows], bank.split_problems("train"))
    fold = np.full(len(rows), -1)
    fold[train] = folds(bank.nodes.problem[rows][train].astype(np.int64), FOLDS)
    scores = np.full(len(bank.nodes), np.nan, dtype=np.float32)
    for held in range(-1, FOLDS):  # -1: everything that is not of the train split
        fitted, judged = np.flatnonzero(train & (fold != held)), np.flatnonzero(fold == held)
        verifier.fit([texts[i] for i in fitted], labels[fitted], weight[fitted])
        scores[rows[judged]] = verifier.predict([texts[i] for i in judged])
    return scores


def _chunks(steps: Sequence[Judged], size: int) -> list[Sequence[Judged]]:
    return [steps[start : start + size] for start in range(0, len(steps), size)]
