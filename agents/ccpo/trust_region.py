"""The step of constrained policy optimisation: a linear objective and a linear constraint in an ellipsoid.

Achiam, Held, Tamar and Abbeel 2017, *Constrained Policy Optimization* (arXiv 1705.10528), section 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

NEGLIGIBLE = 1e-8

StepKind = Literal["unconstrained", "constrained", "recovery"]


@dataclass(frozen=True)
class TrustRegionStep:
    """The solution x = objective * H^-1 g - constraint * H^-1 b of the problem that :func:`solve_step` states.

    Attributes:
        objective: Coefficient of H^-1 g, >= 0.
        constraint: Coefficient of H^-1 b.
        kind: ``unconstrained``: the constraint does not bind; ``constrained``: it does; ``recovery``: no point of the
            trust region meets it, and the step does nothing but reduce the violation.
    """

    objective: float
    constraint: float
    kind: StepKind


def solve_step(*, q: float, r: float, s: float, violation: float, radius: float) -> TrustRegionStep:
    """Solve: maximise g.x subject to violation + b.x <= 0 and x.Hx / 2 <= radius, in closed form.

    With multipliers lam of the trust region and nu of the constraint, x = H^-1 (g - nu b) / lam. Either nu = 0 and x is
    TRPO's step, or both bind, and then lam = sqrt((q - r^2/s) / (2 radius - violation^2/s)) and
    nu = (lam violation + r) / s.

    Args:
        q: g.H^-1 g, >= 0.
        r: g.H^-1 b.
        s: b.H^-1 b, >= 0.
        violation: Value of the constraint at x = 0; positive when violated.
        radius: Bound on x.Hx / 2, > 0.

    Returns:
        The coefficients of the solution.
    """
    reach = math.sqrt(2.0 * radius / q) if q > NEGLIGIBLE else 0.0
    if s <= NEGLIGIBLE or violation + reach * r <= 0.0:
        return TrustRegionStep(reach, 0.0, "unconstrained")
    # Squared radius left where the constraint's boundary crosses the trust region; negative where they do not meet.
    slack = 2.0 * radius - violation**2 / s
    if slack <= 0.0:
        return TrustRegionStep(0.0, math.sqrt(2.0 * radius / s), "recovery")
    along_boundary = q - r**2 / s
    step = math.sqrt(slack / along_boundary) if along_boundary > NEGLIGIBLE * q else 0.0
    return TrustRegionStep(step, (step * r + violation) / s, "constrained")
