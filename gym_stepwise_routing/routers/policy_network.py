"""A trained policy as plain arrays: NumPy plays it, files without code in them keep it.

What a deployed router has to compute is a small multilayer perceptron, sometimes behind an LSTM. Taking just that out
of a Stable-Baselines3 model (:func:`gym_stepwise_routing.agents.scores.scored`) leaves optimiser, critics, rollout
buffer and environment behind, and the result loads without PyTorch and without unpickling anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import RoutingSpec
from gym_stepwise_routing.routers.base import ScoringRouter, columns_of
from gym_stepwise_routing.storage.atomic import read_arrays, write_arrays

__all__ = ["Activation", "Dense", "PolicyNetwork", "Recurrent", "ScoreKind", "highest_above", "tail_probabilities"]

Array = NDArray[np.float64]
Activation = Literal["tanh", "relu", "none"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
ScoreKind = Literal["tail", "max"]
SCORE_KINDS: tuple[ScoreKind, ...] = get_args(ScoreKind)
DECIMALS = 9
"""Scores are rounded to so many decimals: matrix products of another batch size differ in the last bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """One layer ``activation(x @ weight.T + bias)``.

    Attributes:
        weight: ``float64[out, in]``.
        bias: ``float64[out]``.
        activation: what is applied to the sum.
    """

    weight: Array
    bias: Array
    activation: Activation

    def __call__(self, x: Array) -> Array:
        """Outputs ``[B, out]`` for inputs ``[B, in]``."""
        total: Array = x @ self.weight.T + self.bias
        if self.activation == "tanh":
            return np.tanh(total)
        return np.maximum(total, 0.0) if self.activation == "relu" else total


@dataclass(frozen=True, slots=True, eq=False)
class Recurrent:
    """One LSTM layer with PyTorch's parameters (gates in the order input, forget, cell, output).

    Attributes:
        weight_input: ``float64[4 H, in]``.
        weight_hidden: ``float64[4 H, H]``.
        bias: ``float64[4 H]``, the sum of PyTorch's two.
    """

    weight_input: Array
    weight_hidden: Array
    bias: Array

    @property
    def size(self) -> int:
        """H, the number of hidden units."""
        return int(self.weight_hidden.shape[1])

    def __call__(self, x: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
        """Next hidden state and cell, ``[B, H]`` each."""
        gates = x @ self.weight_input.T + hidden @ self.weight_hidden.T + self.bias
        enter, forget, candidate, leave = np.split(gates, 4, axis=1)
        cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(candidate)
        return _sigmoid(leave) * np.tanh(cell), cell


class PolicyNetwork(ScoringRouter):
    """Router that scores by a categorical policy, computed by a small network: P(action > k), or its greatest term.

    Args:
        dense: the layers; the last one has ``K * quantiles`` outputs.
        recurrent: LSTM layers before them. The router then remembers the episodes of its last call, and has to see
            every episode from its first step on, all of them together: what :func:`...evaluate.sweep` and ``play`` do.
        temperature: the outputs are divided by it before the softmax, > 0. 1 for policies; for values of actions (DQN)
            the difference of values at which a choice is still open.
        quantiles: outputs are quantiles of action values, ordered ``[quantiles, K]``, that are averaged (QR-DQN).
        name: name of the router.
        score_kind: ``tail`` scores by P(action > k); ``max`` by the highest probability of an action above k, which is
            what CCPO's threshold is compared with. The two are the same for two models.
        threshold: 0 (always-largest) to above 1 (always-smallest); 0.5 is the policy's own choice for two models, and
            its median action for more.

    Raises:
        ValueError: no layers, layers that do not fit together, or a parameter out of range.
    """

    def __init__(
        self,
        dense: Sequence[Dense],
        *,
        recurrent: Sequence[Recurrent] = (),
        temperature: float = 1.0,
        quantiles: int = 1,
        name: str = "policy",
        score_kind: ScoreKind = "tail",
        threshold: float = 0.5,
    ) -> None:
        super().__init__(threshold)
        check_choice("score_kind", score_kind, SCORE_KINDS)
        if not (np.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature={temperature!r}; allowed: a finite number > 0")
        sizes = [layer.size for layer in recurrent]
        inputs = [layer.weight_input.shape[1] for layer in recurrent] + [layer.weight.shape[1] for layer in dense]
        outputs = sizes + [layer.weight.shape[0] for layer in dense]
        if not dense or inputs[1:] != outputs[:-1] or outputs[-1] % quantiles:
            raise ValueError(f"layers with inputs {inputs} and outputs {outputs} (quantiles={quantiles}) do not fit")
        self.dense = tuple(dense)
        self.recurrent = tuple(recurrent)
        self.temperature = temperature
        self.quantiles = quantiles
        self.name = name
        self.score_kind: ScoreKind = score_kind
        self._models = self.actions
        self._depth: int | None = None
        self._memory = [(np.zeros((0, size)), np.zeros((0, size))) for size in sizes]

    @property
    def features(self) -> int:
        """Number of components of the observation."""
        first = self.recurrent[0].weight_input if self.recurrent else self.dense[0].weight
        return int(first.shape[1])

    @property
    def actions(self) -> int:
        """K, the number of models."""
        return int(self.dense[-1].weight.shape[0]) // self.quantiles

    def bind(self, spec: RoutingSpec) -> None:
        """Check the sizes, and forget earlier episodes.

        Raises:
            ValueError: the game has another number of features or models.
            NotApplicableError: a recurrent network does not observe where an episode begins (block ``progress``).
        """
        super().bind(spec)
        if (len(spec.features), self.models) != (self.features, self.actions):
            raise ValueError(
                f"router {self.name!r} takes {self.features} features and {self.actions} models, the game has "
                f"{len(spec.features)} and {self.models}; allowed: the observation and pool it was trained on"
            )
        if self.recurrent:
            (self._depth,) = columns_of(spec, "depth")
            self._memory = [(np.zeros((0, layer.size)), np.zeros((0, layer.size))) for layer in self.recurrent]

    def probabilities(self, observation: NDArray[np.floating[Any]]) -> Array:
        """Probability of each action, ``float64[B, K]``, for observations ``[B, features]``."""
        x = np.asarray(observation, dtype=np.float64)
        if self.recurrent:
            x = self._remember(x)
        for layer in self.dense:
            x = layer(x)
        if self.quantiles > 1:
            x = x.reshape(len(x), self.quantiles, -1).mean(axis=1)
        x = np.exp((x - x.max(axis=1, keepdims=True)) / self.temperature)
        chances: Array = x / x.sum(axis=1, keepdims=True)
        return chances

    def scores(self, observation: NDArray[np.float32]) -> Array:
        """How much an action above k is wanted, in column k (see ``score_kind``), ``float64[B, K-1]``."""
        chances = self.probabilities(observation)
        if self.score_kind == "max":
            return np.round(highest_above(chances), DECIMALS)
        return np.round(tail_probabilities(chances), DECIMALS)

    def _remember(self, x: Array) -> Array:
        if self._depth is None:
            raise ValueError(
                f"router {self.name!r} has a memory and knows no game; allowed: bind(env.unwrapped.routing_spec) first"
            )
        begins = x[:, self._depth] == 0
        for i, layer in enumerate(self.recurrent):
            hidden, cell = self._memory[i]
            if len(hidden) != len(x):
                hidden, cell = np.zeros((2, len(x), layer.size))
            keep = ~begins[:, None]
            x, cell = layer(x, hidden * keep, cell * keep)
            self._memory[i] = (x, cell)
        return x

    def save(self, path: Path) -> None:
        """Write the network to an ``.npz`` file of plain arrays."""
        arrays: dict[str, Any] = {
            "temperature": self.temperature,
            "quantiles": self.quantiles,
            "name": self.name,
            "score_kind": self.score_kind,
            "threshold": self.threshold,
            "activations": np.array([layer.activation for layer in self.dense]),
        }
        for i, layer in enumerate(self.dense):
            arrays |= {f"dense{i}_weight": layer.weight, f"dense{i}_bias": layer.bias}
        for i, cell in enumerate(self.recurrent):
            arrays |= {
                f"lstm{i}_input": cell.weight_input,
                f"lstm{i}_hidden": cell.weight_hidden,
                f"lstm{i}_bias": cell.bias,
            }
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: str | Path, policy: str | None = None) -> PolicyNetwork:
        """Read what :meth:`save` wrote; no code is run. Older files hold no threshold: 0.5.

        Args:
            path: the file.
            policy: name of the policy in a file of several; None if the file is one policy.

        Raises:
            ValueError: the file is missing, has no such policy, or holds something else.
        """
        with read_arrays(Path(path), "policy network", policy) as stored:
            activations = [str(name) for name in stored["activations"]]
            for name in activations:
                check_choice("activation", name, ACTIVATIONS)
            cells = sum(key.endswith("_hidden") for key in stored)
            return cls(
                [
                    Dense(stored[f"dense{i}_weight"], stored[f"dense{i}_bias"], activation)  # type: ignore[arg-type]
                    for i, activation in enumerate(activations)
                ],
                recurrent=[
                    Recurrent(*(stored[f"lstm{i}_{part}"] for part in ("input", "hidden", "bias")))
                    for i in range(cells)
                ],
                temperature=float(stored["temperature"]),
                quantiles=int(stored["quantiles"]),
                name=str(stored["name"]),
                score_kind=str(stored.get("score_kind", "tail")),  # type: ignore[arg-type]
                threshold=float(stored.get("threshold", 0.5)),
            )


def tail_probabilities(probabilities: Array) -> Array:
    """P(action > k) ``[B, K-1]`` from the probabilities of the actions ``[B, K]``, clipped to [0, 1]."""
    tails = np.cumsum(probabilities[:, ::-1], axis=1)[:, -2::-1]
    return np.clip(tails, 0.0, 1.0)


def highest_above(probabilities: Array) -> Array:
    """The highest probability of an action above k, ``[B, K-1]``, from the probabilities of the actions ``[B, K]``."""
    highest: Array = np.maximum.accumulate(probabilities[:, :0:-1], axis=1)[:, ::-1]
    return highest


def _sigmoid(x: Array) -> Array:
    # By way of tanh, which does not overflow.
    return 0.5 * (1.0 + np.tanh(0.5 * x))
