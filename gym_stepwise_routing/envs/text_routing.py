"""Routing as a conversation: the trace is shown as text, and the action is a model's name written by a language model.

The adapters to OpenEnv (:mod:`...envs.openenv_routing`) and verifiers (:mod:`...envs.verifiers_routing`) play this.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import numpy as np

from gym_stepwise_routing.costs.ledger import CALLS, KINDS, PROBE, VERIFIER
from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.costs.units import cost_of
from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameArguments
from gym_stepwise_routing.types import TRUNCATIONS

__all__ = ["TextRouting", "Turn", "Unclear", "named_model"]

Unclear = Literal["smallest", "largest", "error"]

_TASK = {
    "route": "Reply with the name of the model that is to write the next step.",
    "escalate": "Reply with the name of the model that is to write the next step, none smaller than the last.",
    "regenerate": "The smallest model has drafted the next step. Reply with its name to keep the draft, or with the "
    "name of the model that is to write the step instead.",
    "restart": "Reply with the name of the last writer to let it go on, or of a larger model to have it begin afresh.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a router is told after its reply, or at the start.

    Attributes:
        text: question, trace, figures, costs and what may be replied.
        reward: 1 at the end of an episode whose answer is right, else 0.
        done: the episode has ended.
        model: name of the model that wrote the step; '' at the start.
        understood: the reply named a model that may be chosen. Where it did not, ``model`` is what ``unclear`` says.
        cost: of the step, without the router's own; 1 is always-largest's mean.
        router_cost: of the router's own tokens for this reply, in the same unit.
        spent: of the episode so far, the router's own included.
        right: the final answer is right.
        problem: public id of the problem.
        truncated_by: what truncated the episode, one of ``types.TRUNCATIONS``; '' for nothing.
    """

    text: str
    reward: float = 0.0
    done: bool = False
    model: str = ""
    understood: bool = True
    cost: float = 0.0
    router_cost: float = 0.0
    spent: float = 0.0
    right: bool = False
    problem: str = ""
    truncated_by: str = ""


class TextRouting:
    """``StepwiseRouting-v0`` in texts, with the tokens of the router itself charged.

    The prompt of a turn has the question, every step with its writer, the cost so far and the models that may be named.
    Texts exist only in live sources and in banks that keep them, and no bank keeps questions: pass ``questions`` for
    those. A step without a text is told as such, and the figures of the observation are then shown by name, as
    ``p_mean=0.93``; missing ones are left out.

    What the router reads and decodes is charged like a verifier's tokens. It is in ``Turn.spent``, but neither in the
    environment's own ``info`` nor in its budget.

    Args:
        source: where steps come from, as for the environment.
        router: what the cost unit needs to know of the router's own model; None for a router that is free, such as a
            person. With one, every reply says its tokens, and the cost unit has to count them: ``large_tokens`` counts
            those of the largest model alone.
        questions: question texts by public id of the problem; a live source has its own.
        unclear: whom a reply chooses that names no model that may be chosen: the smallest or the largest of those
            that may, or an error.
        figures: whether to show the figures also where there are texts.
        **game: as for the environment.

    Raises:
        ValueError: an unknown argument or value; a router whose tokens cost nothing in the cost unit.
        PriceError: the router lacks what the cost unit needs.
    """

    def __init__(
        self,
        source: object = DEFAULT_BANK,
        *,
        router: Model | None = None,
        questions: Mapping[str, str] | None = None,
        unclear: Unclear = "smallest",
        figures: bool = False,
        **game: Unpack[GameArguments],
    ) -> None:
        check_choice("unclear", unclear, ("smallest", "largest", "error"))
        self.env = StepwiseRoutingEnv(source, **game)
        self.unclear = unclear
        self.figures = figures
        self._questions = questions or {}
        self._game = self.env.game
        self.models = self.env.routing_spec.models
        self._router = None if router is None else ModelPool(self._game.source.pool.models, verifier=router)
        self._steps: list[tuple[int, str]] = []
        self._info: dict[str, Any] = {}
        self._router_spent = 0.0
        if router is not None and self._price(1, 1) == 0.0:  # a router without the figures is refused here too
            raise ValueError(
                f"router={router.name!r}: its tokens cost nothing in cost_unit={self._game.cost_unit!r}; allowed: "
                "a unit that counts them, such as 'flops', or router=None for a router that is free"
            )

    @property
    def system_prompt(self) -> str:
        """What is said once, before the first turn: the task, and the models with their sizes."""
        pool = self._game.source.pool.models
        sizes = [m.name if m.parameters is None else f"{m.name} ({m.parameters:.3g} parameters)" for m in pool]
        return (
            "You route a chain of reasoning between language models, so that the answer is right at little cost. "
            f"{_TASK[self.env.routing_spec.mode]} Reply with the name alone.\n"
            f"Models, smallest first: {', '.join(sizes)}."
        )

    def problem_ids(self) -> Sequence[str]:
        """Public ids of the problems of the split."""
        return self._game.source.problem_ids(self._game.problems)

    def reset(self, *, seed: int | None = None, problem: str | int | None = None) -> Turn:
        """Start an episode.

        Args:
            seed: seeds what is drawn.
            problem: id or number of a problem of the split; None: one is drawn.

        Raises:
            ValueError: a problem of another split.
        """
        options = None if problem is None else {"problem": problem}
        self._observation, self._info = self.env.reset(seed=seed, options=options)
        self._steps, self._router_spent = [], 0.0
        return Turn(text=self._show(), problem=self._id())

    def reply(self, text: str, *, prompt_tokens: int | None = None, completion_tokens: int | None = None) -> Turn:
        """Take a router's reply as the action.

        Args:
            text: the reply; the last model that it names is chosen.
            prompt_tokens: tokens that the router read for it, without those that its prefix cache served.
            completion_tokens: tokens that it decoded, its thoughts included.

        Raises:
            ValueError: with ``unclear="error"`` a reply that names no model that may be chosen; tokens that are missing
                with a ``router``, or given without one, or are no counts.
            ResetNeeded: no episode, or one that has ended.
        """
        router_cost = self._charge(prompt_tokens, completion_tokens)
        mask = self.env.action_masks()
        action = named_model(text, self.models)
        understood = action is not None and bool(mask[action])
        if not understood:
            allowed = np.flatnonzero(mask) if mask.any() else np.arange(len(mask))
            if self.unclear == "error":
                names = ", ".join(self.models[k] for k in allowed)
                raise ValueError(f"reply={text!r} names no model that may be chosen; allowed: {names}")
            action = int(allowed[0 if self.unclear == "smallest" else -1])
        assert action is not None
        before = self.env.depth
        self._observation, reward, terminated, truncated, self._info = self.env.step(action)
        self._router_spent += router_cost
        afresh = self.env.routing_spec.mode == "restart" and bool(self._steps) and self._steps[-1][0] != action
        if self.env.depth > before or (afresh and not self._info["failed"]):
            kept = [] if afresh else self._steps
            self._steps = [*kept, (action, self.env.texts()[0])]
        done = terminated or truncated
        return Turn(
            text=self._ended(reward, bool(truncated)) if done else self._show(),
            reward=float(reward),
            done=done,
            model=self.models[action],
            understood=understood,
            cost=float(self._info["cost"]),
            router_cost=router_cost,
            spent=self._spent,
            right=reward == 1.0,
            problem=self._id(),
            truncated_by=TRUNCATIONS[self._info["truncated_by"]] if truncated else "",
        )

    @property
    def _spent(self) -> float:
        return float(self._info["spent"]) + self._router_spent

    def _id(self) -> str:
        return self._game.source.problem_ids(np.array([self._info["problem"]]))[0]

    def _charge(self, prompt_tokens: int | None, completion_tokens: int | None) -> float:
        given = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        for name, value in given.items():
            if (value is None) != (self._router is None):
                allowed = "None, since the router is free" if self._router is None else "a count, since it is charged"
                raise ValueError(f"{name}={value!r}; allowed: {allowed}")
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise ValueError(f"{name}={value!r}; allowed: an integer >= 0")
        if prompt_tokens is None or completion_tokens is None:
            return 0.0
        return self._price(prompt_tokens, completion_tokens)

    def _price(self, prompt_tokens: int, completion_tokens: int) -> float:
        assert self._router is not None
        ledger = np.zeros((len(self._router.rows), len(KINDS)), dtype=np.int64)
        ledger[-1, [CALLS, VERIFIER, PROBE]] = 1, prompt_tokens, completion_tokens
        return float(cost_of(ledger, self._game.cost_unit, self._router)) / self._game.normaliser

    def _show(self) -> str:
        lines = [f"Question: {self._question()}", "Steps so far:" if self._steps else "No step is written yet."]
        lines += [f"{n}. [{self.models[k]}] {text or '(no text kept)'}" for n, (k, text) in enumerate(self._steps, 1)]
        draft = self.env.texts()[1]
        if self.env.routing_spec.mode == "regenerate":
            lines.append(f"Draft: [{self.models[0]}] {draft or '(no text kept)'}")
        known = all(text for _, text in self._steps) and (self.env.routing_spec.mode != "regenerate" or bool(draft))
        if self.figures or not known or not self._known_question():
            values = zip(self.env.feature_names, self._observation, strict=True)
            lines.append("Figures: " + ", ".join(f"{name}={value:.3g}" for name, value in values if value))
        budget = float(self._info["budget"])
        of = "" if math.isinf(budget) else f" of {budget:.3g}"
        lines.append(f"Spent: {self._spent:.3g}{of} (1 is the mean cost of the largest model alone)")
        lines.append("You may name: " + ", ".join(self.models[k] for k in np.flatnonzero(self._info["action_mask"])))
        return "\n".join(lines)

    def _ended(self, reward: float, truncated: bool) -> str:
        lines = [f"{n}. [{self.models[k]}] {text or '(no text kept)'}" for n, (k, text) in enumerate(self._steps, 1)]
        outcome = "right" if reward == 1.0 else "not right"
        end = "The episode was cut off" if truncated else "The answer is there"
        return "\n".join([*lines, f"{end}: {outcome}. Spent: {self._spent:.3g}"])

    def _known_question(self) -> str:
        source, problem = self._game.source, int(self._info["problem"])
        if source.kind == "live":
            return str(source.question(problem))  # type: ignore[attr-defined]
        return self._questions.get(self._id(), "")

    def _question(self) -> str:
        return self._known_question() or f"(no text kept; problem {self._id()})"


def named_model(reply: str, models: Sequence[str]) -> int | None:
    """Which model a reply names: the last that it does, whatever the case; None for none.

    A name within a longer one does not count, so that ``gpt-4o`` is not taken for ``gpt-4``.

    Args:
        reply: what the router wrote.
        models: names of the models.
    """
    names = "|".join(re.escape(name) for name in sorted(models, key=len, reverse=True))
    found = re.findall(rf"(?<![\w.-])({names})(?![\w-]|\.\w)", reply, flags=re.IGNORECASE)
    return [name.lower() for name in models].index(found[-1].lower()) if found else None
