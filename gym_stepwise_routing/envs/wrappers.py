"""Adapters to other conventions: scalarised reward, Safety-Gymnasium's 6-tuple, MO-Gymnasium's vector reward.

Also masks in the observation, for libraries that look there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

__all__ = [
    "FinalTruncation",
    "FromSafetyGymnasium",
    "MaskInObservation",
    "ScalarisedReward",
    "ToSafetyGymnasium",
    "VectorReward",
]

_Observation = NDArray[np.float32]
_Env = gym.Env[_Observation, np.int64]
_Info = dict[str, Any]
_Masks = Callable[[], NDArray[np.bool_]]


def _masks_of(env: object) -> _Masks:
    """The method ``action_masks`` of an environment, seen through wrappers.

    Raises:
        AttributeError: it has none; a property passes that on, and then has none either, as MaskablePPO expects.
    """
    look_up = getattr(env, "get_wrapper_attr", None)
    masks: _Masks = getattr(env, "action_masks") if look_up is None else look_up("action_masks")  # noqa: B009
    return masks


class ScalarisedReward(gym.Wrapper[_Observation, np.int64, _Observation, np.int64], RecordConstructorArgs):
    """Reward ``reward - penalty * cost``: the usual way to train without a constraint.

    Args:
        env: an environment with ``info["cost"]``.
        penalty: price of one always-largest episode in units of a right answer, >= 0.

    Example:
        >>> import gymnasium as gym
        >>> import gym_stepwise_routing
        >>> env = ScalarisedReward(gym.make("StepwiseRouting-v0", cost_unit="large_tokens"), penalty=0.5)
        >>> _ = env.reset(seed=0, options={"problem": "gsm8k/train/0"})
        >>> _, reward, _, _, info = env.step(1)
        >>> bool(reward == -0.5 * info["cost"])
        True
    """

    def __init__(self, env: _Env, penalty: float) -> None:
        if not (math.isfinite(penalty) and penalty >= 0):
            raise ValueError(f"penalty={penalty!r}; allowed: a finite number >= 0")
        RecordConstructorArgs.__init__(self, penalty=penalty)
        gym.Wrapper.__init__(self, env)
        self.penalty = penalty

    def step(self, action: np.int64) -> tuple[_Observation, SupportsFloat, bool, bool, _Info]:
        """Step with the penalised reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward) - self.penalty * float(info["cost"]), terminated, truncated, info


class FinalTruncation(gym.Wrapper[_Observation, np.int64, _Observation, np.int64], RecordConstructorArgs):
    """Report truncations as terminations.

    Horizon and hard budget are part of the task, so nothing comes after them. Stable-Baselines3's own vector
    environments would bootstrap the value of a truncated state; wrap the scalar environment in this one to prevent it.

    Args:
        env: the environment.
    """

    def __init__(self, env: _Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    def step(self, action: np.int64) -> tuple[_Observation, SupportsFloat, bool, bool, _Info]:
        """Step; a truncated episode is terminated."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated or truncated, False, info


class MaskInObservation(gym.Wrapper[dict[str, Any], np.int64, _Observation, np.int64], RecordConstructorArgs):
    """Observations ``{"observations": float32[features], "action_mask": float32[K]}``, 1 for an allowed action.

    The form that RLlib's example module for action masks reads; RLlib itself masks nothing. Where an episode has ended,
    or begins without a model, the mask is 0 throughout.

    Args:
        env: an environment with ``action_masks()``.
    """

    def __init__(self, env: _Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)  # type: ignore[misc]
        assert isinstance(env.action_space, gym.spaces.Discrete)
        mask = gym.spaces.Box(0, 1, (int(env.action_space.n),), np.float32)
        self.observation_space = gym.spaces.Dict({"observations": env.observation_space, "action_mask": mask})

    def reset(self, *, seed: int | None = None, options: _Info | None = None) -> tuple[dict[str, Any], _Info]:
        """Reset; the observation holds the mask."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._with_mask(observation), info

    def step(self, action: np.int64) -> tuple[dict[str, Any], SupportsFloat, bool, bool, _Info]:
        """Step; the observation holds the mask."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask(observation), reward, terminated, truncated, info

    def _with_mask(self, observation: Any) -> dict[str, Any]:
        return {"observations": observation, "action_mask": _masks_of(self.env)().astype(np.float32)}


class VectorReward(gym.Wrapper[_Observation, np.int64, _Observation, np.int64], RecordConstructorArgs):
    """MO-Gymnasium's convention: reward ``float32[2]`` = (correctness, -cost), ``reward_space`` and ``reward_dim``.

    MO-Gymnasium's wrappers and algorithms look both up on ``env.unwrapped``, so this environment is its own innermost
    one; what it wraps is ``env.env.unwrapped``.

    Args:
        env: an environment with ``info["cost"]``.

    Attributes:
        reward_space: ``Box`` of the reward vectors.
        reward_dim: 2.
    """

    def __init__(self, env: _Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self.reward_space = gym.spaces.Box(
            np.array([0, -np.inf], dtype=np.float32), np.array([1, 0], dtype=np.float32), dtype=np.float32
        )
        self.reward_dim = 2

    @property
    def unwrapped(self) -> _Env:
        """This environment, whose reward is the vector."""
        return self

    @property
    def action_masks(self) -> _Masks:
        """The environment's ``action_masks``."""
        return _masks_of(self.env)

    def step(  # type: ignore[override]
        self, action: np.int64
    ) -> tuple[_Observation, NDArray[np.float32], bool, bool, _Info]:
        """Step with a vector reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, np.array([reward, -info["cost"]], dtype=np.float32), terminated, truncated, info


class ToSafetyGymnasium(gym.Wrapper[_Observation, np.int64, _Observation, np.int64], RecordConstructorArgs):
    """Safety-Gymnasium's convention: ``step`` returns (observation, reward, cost, terminated, truncated, info).

    As in Safety-Gymnasium, it is a ``gymnasium.Env`` in all but the six parts, so that wrappers accept it which pass on
    what ``step`` returns.

    Args:
        env: an environment with ``info["cost"]``.
    """

    def __init__(self, env: _Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)

    @property
    def action_masks(self) -> _Masks:
        """The environment's ``action_masks``."""
        return _masks_of(self.env)

    def step(  # type: ignore[override]
        self, action: np.int64
    ) -> tuple[_Observation, SupportsFloat, float, bool, bool, _Info]:
        """Step with the cost as the third part."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, float(info["cost"]), terminated, truncated, info


class _SixTuple(Protocol):
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    metadata: dict[str, Any]
    render_mode: str | None

    def reset(self, *, seed: int | None = None, options: _Info | None = None) -> tuple[Any, _Info]: ...

    def step(self, action: Any) -> tuple[Any, SupportsFloat, float, bool, bool, _Info]: ...

    def render(self) -> Any: ...

    def close(self) -> None: ...


class FromSafetyGymnasium(gym.Env[Any, Any]):
    """The way back: an environment with Safety-Gymnasium's 6-tuple as one with ``info["cost"]``.

    The constrained agents of this package then train on any Safety-Gymnasium environment with discrete actions.

    Args:
        env: an environment whose ``step`` returns six parts.
    """

    def __init__(self, env: _SixTuple) -> None:
        self.env = env
        self.observation_space = env.observation_space
        self.action_space = env.action_space
        self.metadata = env.metadata
        self.render_mode = env.render_mode

    @property
    def action_masks(self) -> _Masks:
        """The environment's ``action_masks``."""
        return _masks_of(self.env)

    def reset(self, *, seed: int | None = None, options: _Info | None = None) -> tuple[Any, _Info]:
        """Reset the environment."""
        super().reset(seed=seed)  # nothing is drawn here, but Gymnasium's checker looks for a seeded generator
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, _Info]:
        """Step; the cost moves to ``info["cost"]``."""
        observation, reward, cost, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "cost": float(cost)}

    def render(self) -> Any:
        """Render the environment."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment."""
        self.env.close()
