"""What one answer costs if a model writes it step by step through an API, beside one request for all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.charging import charge_step, open_account
from gym_stepwise_routing.costs.models import IDEAL_CACHING, Caching, Model, ModelPool, Price
from gym_stepwise_routing.costs.units import cost_of

__all__ = ["StepwiseBill", "stepwise_bill"]


@dataclass(frozen=True, slots=True)
class StepwiseBill:
    """Dollars of one answer.

    Attributes:
        whole: one request for all of it.
        ideal: a request a step, where the cache serves all that was read before: what ledgers count unless told.
        stepwise: a request a step, with the cache that was asked about.
    """

    whole: float
    ideal: float
    stepwise: float

    @property
    def times_ideal(self) -> float:
        """Dollars of the cache that was asked about over those of the ideal one, >= 1; 1 where all is free."""
        return self.stepwise / self.ideal if self.ideal else 1.0

    @property
    def times_whole(self) -> float:
        """Dollars step by step over those of one request; 1 where all is free."""
        return self.stepwise / self.whole if self.whole else 1.0


@dataclass(frozen=True, slots=True)
class _Prompt:
    prompt_tokens: NDArray[np.int64]
    shared_prefix: NDArray[np.int64]


def stepwise_bill(
    price: Price, caching: Caching, *, prompt_tokens: int, steps: int, step_tokens: int, shared_tokens: int = 0
) -> StepwiseBill:
    """What one model's answer costs, charged by the rules of the ledger.

    Args:
        price: of the model.
        caching: what its server's prefix cache serves.
        prompt_tokens: tokens of the prompt, >= 1.
        steps: steps of the answer, >= 1.
        step_tokens: tokens of a step, >= 1.
        shared_tokens: tokens that all prompts begin with, which the cache holds from the start, in
            [0, ``prompt_tokens``].

    Raises:
        ValueError: a number out of range, or a request longer than the price holds for.
    """
    for name, value in (("prompt_tokens", prompt_tokens), ("steps", steps), ("step_tokens", step_tokens)):
        if value < 1:
            raise ValueError(f"{name}={value!r}; allowed: an integer >= 1")
    if not 0 <= shared_tokens <= prompt_tokens:
        raise ValueError(f"shared_tokens={shared_tokens!r}; allowed: 0 to prompt_tokens={prompt_tokens}")
    longest = prompt_tokens + (steps - 1) * step_tokens
    if price.up_to is not None and longest > price.up_to:
        raise ValueError(f"a request of {longest} tokens; allowed: up to {price.up_to}, where the price holds")
    prompt = _Prompt(np.array([[prompt_tokens] * 2]), np.array([[shared_tokens] * 2]))

    def dollars(kind: Caching, requests: int, tokens: int) -> float:
        pool = ModelPool([Model("other", price=price), Model("model", price=price, caching=kind)])
        account = open_account(prompt, pool)
        for _ in range(requests):
            account = charge_step(account, np.array([1]), np.array([tokens]), probed=None, scored=None)
        return float(cost_of(account.ledger, "dollars", pool)[0])

    return StepwiseBill(
        whole=dollars(caching, 1, steps * step_tokens),
        ideal=dollars(IDEAL_CACHING, steps, step_tokens),
        stepwise=dollars(caching, steps, step_tokens),
    )
