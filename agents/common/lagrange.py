"""Lagrange multipliers of one inequality constraint: projected dual ascent and PID control.

Both take the *violation* J - d of a constraint J <= d (positive: violated) and hold a multiplier in [0, maximum].
Neither uses Adam: on a single scalar its step no longer depends on how large the violation is.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from gym_stepwise_routing.errors import check_choice

MultiplierKind = Literal["dual_ascent", "pid"]
KINDS: tuple[MultiplierKind, ...] = ("dual_ascent", "pid")


@dataclass
class LagrangeMultiplier(ABC):
    """A multiplier in [0, ``maximum``], moved by :meth:`update` once per rollout.

    Attributes:
        value: The multiplier now; the initial one when constructed. Within [0, maximum].
        maximum: Upper bound, > 0 and finite. At the bound the objective still weighs 1 / (1 + maximum).
    """

    value: float = 0.0
    maximum: float = 10.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.maximum) and self.maximum > 0.0):
            raise ValueError(f"multiplier_max={self.maximum!r} must be a finite number above 0")
        if not 0.0 <= self.value <= self.maximum:
            raise ValueError(f"multiplier_init={self.value!r} must lie in [0, multiplier_max={self.maximum!r}]")

    @property
    def saturated(self) -> bool:
        """Whether the multiplier stands at its upper bound: the limit may be out of reach."""
        return self.value >= self.maximum

    def update(self, violation: float) -> float:
        """Move the multiplier by one violation J - d and return its new value.

        Raises:
            ValueError: If ``violation`` is not finite; an unconstrained problem takes no update.
        """
        if not math.isfinite(violation):
            raise ValueError(f"violation={violation!r} must be finite")
        self.value = min(max(self._proposal(violation), 0.0), self.maximum)
        return self.value

    @abstractmethod
    def _proposal(self, violation: float) -> float:
        """Return the next multiplier before projection onto [0, maximum]."""


@dataclass
class DualAscent(LagrangeMultiplier):
    """Projected gradient ascent on the dual: lambda <- clip(lambda + lr * (J - d), 0, maximum).

    Attributes:
        learning_rate: Step per unit of violation, > 0.
    """

    learning_rate: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0.0):
            raise ValueError(f"multiplier_lr={self.learning_rate!r} must be a finite number above 0")

    def _proposal(self, violation: float) -> float:
        return self.value + self.learning_rate * violation


@dataclass
class PIDMultiplier(LagrangeMultiplier):
    """PID control of the multiplier (Stooke, Achiam and Abbeel 2020, arXiv 2007.03964, algorithm 2).

    lambda = kp * P + I + kd * max(0, P_now - P_delay_updates_ago), where P is the exponentially smoothed violation and
    I <- clip(I + ki * violation, 0, maximum) (bounded, so that it does not wind up). The derivative acts only on a
    growing violation. ``value`` at construction starts the integral, so a warm start keeps its effect.

    Attributes:
        kp: Proportional gain, >= 0.
        ki: Integral gain, >= 0.
        kd: Derivative gain, >= 0.
        delay: Updates between the two violations of the derivative, >= 1.
        smoothing: Weight of the past in P, in [0, 1); 0 takes the newest violation alone.
    """

    kp: float = 0.1
    ki: float = 0.01
    kd: float = 0.01
    delay: int = 10
    smoothing: float = 0.5
    _integral: float = field(init=False)
    _history: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        gains = (self.kp, self.ki, self.kd)
        if not all(math.isfinite(gain) and gain >= 0.0 for gain in gains) or not any(gains):
            raise ValueError(f"pid_gains={gains!r} must be finite, >= 0 and not all 0")
        if self.delay < 1:
            raise ValueError(f"pid_delay={self.delay!r} must be at least 1")
        if not 0.0 <= self.smoothing < 1.0:
            raise ValueError(f"pid_smoothing={self.smoothing!r} must lie in [0, 1)")
        self._integral = self.value

    def _proposal(self, violation: float) -> float:
        previous = self._history[-1] if self._history else violation
        smoothed = self.smoothing * previous + (1.0 - self.smoothing) * violation
        self._integral = min(max(self._integral + self.ki * violation, 0.0), self.maximum)
        self._history = [*self._history, smoothed][-(self.delay + 1) :]
        derivative = max(0.0, smoothed - self._history[0])
        return self.kp * smoothed + self._integral + self.kd * derivative


def make_multiplier(
    kind: MultiplierKind,
    *,
    initial: float,
    maximum: float,
    learning_rate: float,
    pid_gains: tuple[float, float, float],
    pid_delay: int,
) -> LagrangeMultiplier:
    """Build the multiplier named ``kind``; arguments of the other kind are not looked at.

    Raises:
        ValueError: If ``kind`` is unknown or an argument of it is out of range.
    """
    check_choice("multiplier", kind, KINDS)
    if kind == "dual_ascent":
        return DualAscent(value=initial, maximum=maximum, learning_rate=learning_rate)
    kp, ki, kd = pid_gains
    return PIDMultiplier(value=initial, maximum=maximum, kp=kp, ki=ki, kd=kd, delay=pid_delay)
