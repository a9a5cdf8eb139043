"""Trees out of logged answers: each is a chain of steps, and chains on one question share what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank_tables import RAW_FIGURES
from gym_stepwise_routing.costs.charging import charge_draft_step, charge_step, open_account
from gym_stepwise_routing.costs.ledger import as_table
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.serving.log_reading import LoggedNode, LoggedRequest, LoggedStep

__all__ = ["ConflictError", "LoggedTree", "replayed_ledger"]


class ConflictError(ValueError):
    """An answer that contradicts those before it: another step at the same place, or another verdict."""


@dataclass(slots=True)
class _Node:
    """A node.

    ``undrafted``: an answer in *regenerate* went on from here without a draft; ``drawn``: probabilities at each visit.
    """

    id: int
    parent: int | None
    depth: int
    model: int | None
    step: LoggedNode | None
    same_as: int | None = None
    correct: bool | None = None
    undrafted: bool = False
    children: dict[int, int] = field(default_factory=dict)
    drawn: list[tuple[float, ...]] = field(default_factory=list)
    propensity: float | None = None


@dataclass(frozen=True, slots=True)
class _Prompts:
    """The one problem that an account is opened for."""

    prompt_tokens: NDArray[np.int64]
    shared_prefix: NDArray[np.int64]


class LoggedTree:
    """The answers to one question.

    Args:
        request: the first of them.
        models: names of the models, smallest first.
        horizon: most steps.
    """

    def __init__(self, request: LoggedRequest, models: Sequence[str], horizon: int) -> None:
        self.sha256 = request.question_sha256
        self.counts = request.question_counts
        self._prompt_tokens = request.prompt_tokens
        self._models = {name: number for number, name in enumerate(models)}
        self._horizon = horizon
        self.nodes = [_Node(0, None, 0, None, None)]

    def __len__(self) -> int:
        return len(self.nodes)

    def add(self, request: LoggedRequest, right: bool | None) -> bool:
        """Enter an answer.

        Args:
            request: the answer.
            right: what feedback says of it; None: nothing, and then it is only entered if it came the same way as
                another of which something is known.

        Returns:
            Whether it is in the tree.

        Raises:
            ConflictError: it contradicts what is there; then nothing of it is entered.
        """
        if request.prompt_tokens != self._prompt_tokens:
            raise ConflictError("the prompt has another number of tokens")
        known = self._end_of(request)
        if right is None and known is None:
            return False
        if right is not None and known is not None and known.correct != right:
            raise ConflictError("other feedback on the same answer")
        here = self.nodes[0]
        for step in request.steps:
            place = here if here.same_as is None else self.nodes[here.same_as]
            if step.draft is not None:
                self._child(place, 0, step.draft)
            place.undrafted |= self._undrafted(request, step)
            place.drawn.append(self._probabilities(step))
            here = self._child(place, self._models[step.model], step.node)
        if right is not None:
            here.correct = right
        return True

    def record(self, dataset: str, index: int) -> dict[str, Any]:
        """The tree as one JSON object of the interchange form (``docs/banks.md``)."""
        problem = {
            "dataset": dataset,
            "split": "served",
            "index": index,
            "question_sha256": self.sha256,
            "answer": "",
            "prompt_tokens": list(self._prompt_tokens),
        }
        return {"problem": problem, "nodes": [self._entry(node) for node in self.nodes]}

    def set_propensities(self) -> None:
        """Give every step that was taken the probability of its model at its place, in the mean over all visits.

        That mean is what a step is weighed by where several policies have logged (Agarwal et al., "Effective evaluation
        using logged bandit feedback from multiple loggers", 2017).
        """
        for node in self.nodes:
            for model, child in node.children.items():
                mean = float(np.mean([drawn[model] for drawn in node.drawn]))
                self.nodes[child].propensity = mean or None  # 0: a draft that nobody could have kept

    def _probabilities(self, step: LoggedStep) -> tuple[float, ...]:
        """Of each model; a router that decides gives all to the one that wrote."""
        if step.probabilities is not None:
            return step.probabilities
        return tuple(float(name == step.model) for name in self._models)

    def _end_of(self, request: LoggedRequest) -> _Node | None:
        """The node in which an answer ends, if its way is known and it was judged; nothing is changed.

        Raises:
            ConflictError: a step differs from the one that its model has written at the same place, or the smallest
                model has drafted there once and not another time, so that one bank cannot cost the same as both.
        """
        here = self.nodes[0]
        for step in request.steps:
            place = here if here.same_as is None else self.nodes[here.same_as]
            drafting = step.draft is not None or self._models[step.model] == 0
            undrafted = self._undrafted(request, step)
            if (place.undrafted and drafting) or (0 in place.children and undrafted):
                raise ConflictError("a draft at the same place where there was none")
            if step.draft is not None:
                self._known(place, 0, step.draft)
            found = self._known(place, self._models[step.model], step.node)
            if found is None:  # from here on all is new
                return None
            here = found
        return here if here.correct is not None else None

    def _undrafted(self, request: LoggedRequest, step: LoggedStep) -> bool:
        """Whether the router decided without a draft, because the smallest model did not deliver."""
        return request.mode == "regenerate" and step.draft is None and self._models[step.model] > 0

    def _known(self, parent: _Node, model: int, step: LoggedNode) -> _Node | None:
        number = parent.children.get(model)
        if number is None:
            return None
        node = self.nodes[number]
        assert node.step is not None
        if (node.step.sha256, node.step.tokens, node.step.ending) != (step.sha256, step.tokens, step.ending):
            raise ConflictError("another step of the same model at the same place")
        return node

    def _child(self, parent: _Node, model: int, step: LoggedNode) -> _Node:
        """The node of a step, made where there is none."""
        node = self._known(parent, model, step)
        if node is None:
            twin = None if step.ending else self._twin(parent, step)
            node = _Node(len(self.nodes), parent.id, parent.depth + 1, model, step, twin)
            self.nodes.append(node)
            parent.children[model] = node.id
        return node

    def _twin(self, parent: _Node, step: LoggedNode) -> int | None:
        """Sibling with the same text, which goes on."""
        for child in parent.children.values():
            other = self.nodes[child]
            assert other.step is not None
            if other.same_as is None and not other.step.ending and other.step.sha256 == step.sha256:
                return child
        return None

    def _entry(self, node: _Node) -> dict[str, Any]:
        entry: dict[str, Any] = {"id": node.id, "parent": node.parent, "depth": node.depth}
        step = node.step
        if step is None:
            return entry
        entry |= {"model": node.model, "tokens": step.tokens}
        if step.text is not None:
            entry["text"] = step.text
        if node.depth == self._horizon or step.first_tokens != step.tokens:
            entry["first_step_tokens"] = step.first_tokens
        if step.figures is not None:
            entry |= dict(zip(RAW_FIGURES, step.figures, strict=True))
        if node.propensity is not None:
            entry["propensity"] = node.propensity
        if node.same_as is not None:
            entry["same_as"] = node.same_as
        if node.correct is not None:
            entry |= {"terminal": True, "final_answer": None, "correct": node.correct}
        return entry


def replayed_ledger(
    request: LoggedRequest, pool: ModelPool, shared_prefix: Sequence[int]
) -> Mapping[str, Mapping[str, int]]:
    """What the steps of an answer cost by the rules of the game, as a bank of them will be charged."""
    prompts = _Prompts(np.array([request.prompt_tokens]), np.array([shared_prefix]))
    account = open_account(prompts, pool)
    for step in request.steps:
        models, tokens = np.array([pool.names.index(step.model)]), np.array([step.node.tokens])
        if request.mode != "regenerate":
            account = charge_step(account, models, tokens, probed=None, scored=None, served=_served(step.node))
            continue
        kept = models[0] == 0
        drafts = np.array([step.draft.tokens if step.draft else step.node.tokens])
        drafted = np.array([kept or step.draft is not None])
        account = charge_draft_step(
            account,
            models,
            tokens,
            drafts,
            drafted=drafted,
            scored=None,
            served=_served(step.node),
            drafts_served=_served(step.draft or step.node),
        )
    return as_table(account.ledger[0], pool)


def _served(node: LoggedNode) -> NDArray[np.int64]:
    """Tokens that the endpoint said its cache served, ``int64[1]``, -1 where it did not say."""
    return np.array([-1 if node.cached_tokens is None else node.cached_tokens], dtype=np.int64)
