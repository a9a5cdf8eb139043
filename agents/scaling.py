"""Inputs of one scale: how the features are standardised while a policy is trained, and folded into it afterwards.

Features differ tenfold in spread, and a small network that is trained for some hundred thousand steps hardly sees the
small ones. Networks are therefore trained behind a fixed affine map. It is no part of what is exported: the first layer
takes it in (:func:`fold`), so that observations, ``router.npz`` and whatever plays it stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import FlattenExtractor

from gym_stepwise_routing.baselines.experience import Experience, experience, reach
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.policy_network import Dense, Recurrent

__all__ = ["CONSTANT", "Scale", "StandardisedExtractor", "extractor_arguments", "fold", "measure", "scale_of"]

CONSTANT = 1e-6
"""A feature whose standard deviation is below counts as constant."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """The map ``(x - centre) * factor`` of an observation.

    Attributes:
        centre: ``float64[features]`` means.
        factor: ``float64[features]`` 1 / standard deviation; 0 for a feature that is constant in training, so that the
            policy does not look at it: what another value would mean was never learned.
    """

    centre: Array
    factor: Array

    def __call__(self, observation: NDArray[np.floating]) -> Array:
        """Observations ``[B, features]`` on one scale."""
        return np.asarray((observation - self.centre) * self.factor, dtype=np.float64)


def measure(observation: NDArray[np.floating], weight: Array) -> Scale:
    """Mean and spread of observations ``[N, features]`` with weights ``float64[N]`` >= 0, not all 0."""
    share = weight / weight.sum()
    centre = share @ observation
    spread = np.sqrt(share @ np.square(observation - centre))
    return Scale(centre, np.where(spread > CONSTANT, 1.0 / np.maximum(spread, CONSTANT), 0.0))


def scale_of(game: Game, *, seed: int = 0) -> Scale:
    """The scale of the states of decision that a coin reaches, every problem with the same weight.

    Exact on a bank; on a random source over sampled episodes. Budgets that are drawn from a range are independent of
    what happens: ``budget_left`` has the spread of both. A live source is not played for this: its observations are
    left as they are.

    Args:
        game: the game of the training.
        seed: seed of the sampling (random sources only).
    """
    if game.source.kind == "live":
        features = len(game.spec.features)
        return Scale(np.zeros(features), np.ones(features))
    return of_experience(experience(game, seed=seed), game)


def of_experience(known: Experience, game: Game) -> Scale:
    """:func:`scale_of` of what is known of a game already."""
    waiting = np.flatnonzero(~known.ended)
    weight, observation = reach(known)[waiting], known.observation[waiting]
    if game.budget_columns is None or game.budget is None:
        return measure(observation, weight)
    low, high = game.budget if isinstance(game.budget, tuple) else (game.budget, game.budget)
    # Three budgets, of which the mean and the spread are those of the uniform distribution.
    budgets = 0.5 * (low + high) + (high - low) * np.sqrt(1.0 / 8.0) * np.array([-1.0, 0.0, 1.0])
    cost = known.cost[waiting]
    shown = [game.show_budget(observation.copy(), cost, np.full(len(cost), budget)) for budget in budgets]
    return measure(np.concatenate(shown), np.tile(weight, len(budgets)))


class StandardisedExtractor(FlattenExtractor):
    """Stable-Baselines3's flattening, then :class:`Scale`'s map, which is not trained.

    Args:
        observation_space: a flat ``Box``.
        centre: one number a feature.
        factor: one number a feature.

    Raises:
        ValueError: another number of features.
    """

    centre: th.Tensor
    factor: th.Tensor

    def __init__(self, observation_space: gym.Space[Any], centre: Sequence[float], factor: Sequence[float]) -> None:
        super().__init__(observation_space)
        for name, values in (("centre", centre), ("factor", factor)):
            if len(values) != self.features_dim:
                raise ValueError(f"{name} of {len(values)} numbers; allowed: one a feature, {self.features_dim}")
            self.register_buffer(name, th.as_tensor(values, dtype=th.float32))

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """Observations ``float32[B, ...]`` as features on one scale, ``float32[B, features]``."""
        return (super().forward(observations) - self.centre) * self.factor

    @property
    def scale(self) -> Scale:
        """The map, as arrays."""
        centre, factor = (np.asarray(part.cpu().numpy(), dtype=np.float64) for part in (self.centre, self.factor))
        return Scale(centre, factor)


def extractor_arguments(scale: Scale) -> dict[str, object]:
    """The ``policy_kwargs`` that put :class:`StandardisedExtractor` before a policy of Stable-Baselines3."""
    arguments = {"centre": scale.centre.tolist(), "factor": scale.factor.tolist()}
    return {"features_extractor_class": StandardisedExtractor, "features_extractor_kwargs": arguments}


def fold(
    scale: Scale, dense: Sequence[Dense], recurrent: Sequence[Recurrent] = ()
) -> tuple[list[Dense], list[Recurrent]]:
    """The layers with the map in the first of them: they take observations as the environment shows them."""
    if recurrent:
        first, *others = recurrent
        weight = first.weight_input * scale.factor
        moved = replace(first, weight_input=weight, bias=first.bias - weight @ scale.centre)
        return list(dense), [moved, *others]
    layer, *rest = dense
    weight = layer.weight * scale.factor
    return [replace(layer, weight=weight, bias=layer.bias - weight @ scale.centre), *rest], []
