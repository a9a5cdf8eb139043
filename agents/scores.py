"""Scores for models of Stable-Baselines3 and sb3-contrib, so that they can be swept, calibrated and deployed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from gym_stepwise_routing.agents.scaling import StandardisedExtractor, fold
from gym_stepwise_routing.routers.base import refuse_normalised
from gym_stepwise_routing.routers.policy_network import Activation, Dense, PolicyNetwork, Recurrent

__all__ = ["VALUE_TEMPERATURE", "dense_layers", "scored"]

VALUE_TEMPERATURE = 0.1
"""Softmax temperature over action values. They differ by differences in accuracy and priced cost: at 0.1 a difference
of 0.22 gives a score of 0.9. It changes the scale of the scores, not their order (for two models)."""

_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def scored(
    model: BaseAlgorithm, *, name: str | None = None, temperature: float = VALUE_TEMPERATURE, threshold: float = 0.5
) -> PolicyNetwork:
    """The router in a trained model: scores P(action > k), without masks, which the game applies.

    =========================================================  ================================================
    model                                                      probabilities
    =========================================================  ================================================
    PPO, A2C, TRPO, MaskablePPO and this package's agents      the policy's (CCPO: scored by the highest, not the sum)
    RecurrentPPO                                               the policy's, given the episode so far
    DQN, QR-DQN                                                softmax of (mean) action values over temperature
    =========================================================  ================================================

    A standardisation of the inputs (:class:`...scaling.StandardisedExtractor`) is folded into the first layer.

    Args:
        model: trained on a flat ``Box`` observation with ``Discrete`` actions.
        name: name of the router; the class's if None.
        temperature: of the softmax over action values (DQN and QR-DQN).
        threshold: threshold of the router.

    Raises:
        ValueError: a policy, feature extractor or layer of another kind, or observations that ``VecNormalize`` scaled;
            the message names it.
    """
    refuse_normalised(model)
    policy = model.policy
    name = type(model).__name__ if name is None else name
    if not isinstance(policy.action_space, spaces.Discrete) or not isinstance(policy.observation_space, spaces.Box):
        raise ValueError(f"model with {policy.observation_space} and {policy.action_space}; allowed: Box and Discrete")
    extractor = _extractor(policy)
    recurrent: list[Recurrent] = []
    extras: dict[str, Any] = {}
    if isinstance(policy, DQNPolicy):
        dense, extras["temperature"] = dense_layers(policy.q_net.q_net), temperature
    elif isinstance(policy, QRDQNPolicy):
        dense = dense_layers(policy.quantile_net.quantile_net)
        extras |= {"temperature": temperature, "quantiles": policy.quantile_net.n_quantiles}
    elif isinstance(policy, ActorCriticPolicy | MaskableActorCriticPolicy):
        dense = dense_layers([*policy.mlp_extractor.policy_net, policy.action_net])
        if isinstance(policy, RecurrentActorCriticPolicy):
            recurrent = _recurrent(policy.lstm_actor)
        extras["score_kind"] = getattr(policy, "score_kind", "tail")
    else:
        raise ValueError(
            f"policy {type(policy).__name__}; allowed: PPO's, RecurrentPPO's, MaskablePPO's, DQN's and QR-DQN's"
        )
    if isinstance(extractor, StandardisedExtractor):
        dense, recurrent = fold(extractor.scale, dense, recurrent)
    return PolicyNetwork(dense, recurrent=recurrent, name=name, threshold=threshold, **extras)


def _extractor(policy: Any) -> FlattenExtractor:
    """What comes before a policy's first layer, if it can be folded into it."""
    if isinstance(policy, DQNPolicy):
        extractor: Any = policy.q_net.features_extractor
    elif isinstance(policy, QRDQNPolicy):
        extractor = policy.quantile_net.features_extractor
    else:
        extractor = policy.features_extractor
    if type(extractor) not in (FlattenExtractor, StandardisedExtractor):
        raise ValueError(
            f"features extractor {type(extractor).__name__}; allowed: FlattenExtractor and StandardisedExtractor"
        )
    return extractor  # type: ignore[no-any-return]


def dense_layers(modules: Iterable[nn.Module]) -> list[Dense]:
    """Layers of a :class:`PolicyNetwork` from PyTorch's, such as those of an ``nn.Sequential``, whatever trained them.

    Raises:
        ValueError: a layer of another kind than Linear, Tanh and ReLU; the message names it.
    """
    layers: list[Dense] = []
    for module in modules:
        if isinstance(module, nn.Linear):
            layers.append(Dense(_array(module.weight), _array(module.bias), "none"))
        elif type(module) in _ACTIVATIONS and layers:
            last = layers.pop()
            layers.append(Dense(last.weight, last.bias, _ACTIVATIONS[type(module)]))
        else:
            raise ValueError(f"layer {module}; allowed: Linear, Tanh and ReLU")
    return layers


def _recurrent(lstm: nn.LSTM) -> list[Recurrent]:
    return [
        Recurrent(
            _array(getattr(lstm, f"weight_ih_l{i}")),
            _array(getattr(lstm, f"weight_hh_l{i}")),
            _array(getattr(lstm, f"bias_ih_l{i}")) + _array(getattr(lstm, f"bias_hh_l{i}")),
        )
        for i in range(lstm.num_layers)
    ]


def _array(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
