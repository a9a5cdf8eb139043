"""What a step costs in the planner: the rules of :mod:`gym_stepwise_routing.costs.charging`, per token and per call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import CACHED, CALLS, KEPT, PREFILL, VERIFIER
from gym_stepwise_routing.costs.units import CostUnit, cost_weights
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.sources.simulator.threshold_curves import solo

__all__ = ["StepCosts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StepCosts:
    """Costs of a simulator's steps, normalised so that always-largest costs 1 an episode.

    Attributes:
        unit: the cost unit.
        normaliser: cost of always-largest in that unit, exact.
        call: ``float64[K]`` of a call.
        prefill: ``float64[K]`` of a token that the model has to read afresh.
        decode: ``float64[K]`` of a decoded token.
        prompt: ``float64[K]`` tokens of the prompt that are not shared.
        verify_call: of a call to the verifier, 0 without one.
        verify: of a token that the verifier reads.
    """

    unit: CostUnit
    normaliser: float
    call: Floats
    prefill: Floats
    decode: Floats
    prompt: Floats
    verify_call: float
    verify: float

    @classmethod
    def of(cls, source: SimulatorSource, unit: CostUnit) -> StepCosts:
        """Costs of a simulator in a unit.

        Raises:
            ValueError: unknown unit.
            PriceError: a model lacks the figure that the unit needs.
            NotApplicableError: cached tokens have a price, or a cache serves less than it holds; the planner would have
                to know the whole context's length.
        """
        pool, prompt = source.pool, source.parameters.prompt
        weights = cost_weights(unit, pool)
        if weights[:, CACHED].any():
            raise NotApplicableError(
                f"cost_unit={unit!r}: cached tokens have a price; allowed: units where they are free"
            )
        for model in pool.rows:
            if model.caching is not None:
                raise NotApplicableError(f"model {model.name!r}: {model.caching}; allowed: ideal caching (None)")
        models, largest = len(pool), len(pool) - 1
        unread = np.array(prompt.tokens, np.float64) - np.array(prompt.shared)
        alone = solo(source.process, largest)
        normaliser = float(
            weights[largest, CALLS] * alone.steps
            + weights[largest, PREFILL] * unread[largest]
            + weights[largest, KEPT] * alone.tokens
        )
        weights = weights / normaliser
        verifier = weights[models] if pool.verifier is not None else np.zeros(weights.shape[1])
        return cls(
            unit=unit,
            normaliser=normaliser,
            call=weights[:models, CALLS],
            prefill=weights[:models, PREFILL],
            decode=weights[:models, KEPT],
            prompt=unread,
            verify_call=float(verifier[CALLS]),
            verify=float(verifier[VERIFIER]),
        )
