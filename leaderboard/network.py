"""Trained policies as plain arrays: loading one runs no code, and needs neither torch nor Stable-Baselines3."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import NotApplicableError, check_choice
from gym_stepwise_routing.game import RoutingSpec
from gym_stepwise_routing.routers import Router

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

__all__ = ["PolicyNetwork", "export_policy"]

Activation = Literal["tanh", "relu"]
Floats = NDArray[np.float64]
_ACTIVATIONS: dict[Activation, Callable[[Floats], Floats]] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}
_MOST_LAYERS = 8
_MOST_BYTES = 2**26
_DECIMALS = 9


class PolicyNetwork(Router):
    """A categorical policy: a multi-layer perceptron from observations to logits, one for each model.

    Args:
        path: file that :func:`export_policy` wrote.

    Raises:
        ValueError: a file of another kind.
    """

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > _MOST_BYTES:
                raise ValueError(f"{path}: more than {_MOST_BYTES} bytes when unpacked; allowed: a small network")
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            layers = [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in range(min(header["layers"], _MOST_LAYERS))]
        check_choice("activation", header["activation"], get_args(Activation))
        self.name = str(header["name"])
        self.activation = cast("Activation", header["activation"])
        self.features = tuple(header["features"])
        self.layers = [(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in layers]

    def bind(self, spec: RoutingSpec) -> None:
        """Check that the observation is the one that the policy was trained on."""
        super().bind(spec)
        if spec.feature_names != self.features:
            odd = sorted(set(spec.feature_names) ^ set(self.features)) or ["their order"]
            raise NotApplicableError(f"{self.name} was trained on another observation; different: {', '.join(odd)}")
        if len(self.layers[-1][1]) != self.models:
            raise NotApplicableError(f"{self.name} chooses between {len(self.layers[-1][1])} models, not {self.models}")

    def probabilities(self, observation: NDArray[np.float32]) -> Floats:
        """Probability of each model, ``float64[B, K]``."""
        hidden = observation.astype(np.float64)
        for weight, bias in self.layers[:-1]:
            hidden = _ACTIVATIONS[self.activation](_affine(hidden, weight, bias))
        logits = _affine(hidden, *self.layers[-1])
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = odds / odds.sum(axis=1, keepdims=True)
        return shares

    def scores(self, observation: NDArray[np.float32]) -> Floats:
        """P(a model larger than k) in column k, ``float64[B, K-1]``.

        Sums are taken in an order that varies with the size of the batch. The scores are rounded, so that one that sits
        right at a threshold does not cross it because of the other problems in the batch.
        """
        tails = np.cumsum(self.probabilities(observation)[:, ::-1], axis=1)[:, ::-1][:, 1:]
        return np.clip(np.round(tails, _DECIMALS), 0.0, 1.0)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """The most probable model that is allowed."""
        shares = self.probabilities(observation)
        allowed = shares if action_masks is None else np.where(action_masks, shares, -1.0)
        return np.argmax(allowed, axis=1), state


def export_policy(model: BaseAlgorithm, path: Path, *, name: str, features: tuple[str, ...]) -> None:
    """Write the actor of an on-policy SB3 model as arrays, under a temporary name first.

    Args:
        model: PPO, A2C, TRPO, MaskablePPO or an agent of this package, with an ``MlpPolicy`` on flat observations.
        path: the ``.npz`` file.
        name: name of the router.
        features: names of the observation's components, in order.

    Raises:
        ValueError: a policy of another make.
    """
    from torch import nn

    policy = model.policy
    head = getattr(policy, "action_net", None)
    body = getattr(getattr(policy, "mlp_extractor", None), "policy_net", None)
    kinds: dict[type, Activation] = {nn.Tanh: "tanh", nn.ReLU: "relu"}
    modules = [] if body is None else list(body)
    used = {kinds[type(module)] for module in modules if type(module) in kinds}
    # Linear, activation, linear, activation, ..., linear: nothing else can be written as arrays alone.
    regular = all(isinstance(m, nn.Linear) if i % 2 == 0 else type(m) in kinds for i, m in enumerate(modules))
    if not (isinstance(head, nn.Linear) and regular and len(modules) % 2 == 0 and len(used) <= 1):
        raise ValueError(
            f"model={type(model).__name__} with {type(policy).__name__}; allowed: an MlpPolicy with an actor of linear "
            f"layers and one activation of {', '.join(kinds.values())}"
        )
    linear = [*(module for module in modules if isinstance(module, nn.Linear)), head]
    if linear[0].in_features != len(features) or len(linear) > _MOST_LAYERS:
        raise ValueError(
            f"the policy has {linear[0].in_features} inputs and {len(linear)} layers; "
            f"allowed: {len(features)} inputs, at most {_MOST_LAYERS} layers"
        )
    header = {"name": name, "activation": used.pop() if used else "tanh", "layers": len(linear), "features": features}
    arrays: dict[str, NDArray[Any]] = {"header": np.array(json.dumps(header))}
    for i, layer in enumerate(linear):
        arrays[f"weight_{i}"] = layer.weight.detach().cpu().numpy().T
        arrays[f"bias_{i}"] = layer.bias.detach().cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def _affine(x: Floats, weight: Floats, bias: Floats) -> Floats:
    product: Floats = x @ weight + bias
    return product
