"""Does what a peer's paper reports hold here? Claims, each judged by a paired bootstrap, with measured reasons.

A claim is an ordering: the peer above its rivals by some figure, mostly AIQ, the mean height of the concave envelope
over the cost range. APGR would do as well but for its straight lines between settings: the more settings a family has,
the more its curve follows every dent, while the envelope does not depend on how dense the settings are. A claim *holds*
where the 95 % interval of the difference to every rival lies above 0, does *not hold* where one does not reach above
it, and is *not decided* otherwise. Where neither of the two is above the zero router, which decides nothing, their
ordering is *undefined*, and so is that of a policy that takes one decision throughout. Beside the verdict
stand the two things that can be measured about a reason: how well the signals tell where the larger model helps
(:mod:`gym_stepwise_routing.comparison.signals`), and what the router is charged at its cheapest and dearest setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gym_stepwise_routing.comparison.comparison import Comparison, Row
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import (
    Interval,
    bootstrap_curve_differences,
    bootstrap_curves,
    bootstrap_difference,
)
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from gym_stepwise_routing.reporting.formats import interval_text
from studies.baselines.claims import CLAIMS, MARGIN, METRICS, ZERO, Claim

__all__ = ["COLUMNS", "Finding", "findings", "never_cheaper"]

Verdict = Literal["holds", "does not hold", "not decided", "undefined", "not applicable"]
Intervals = Mapping[str, Interval | None]
Judgement = tuple[Verdict, dict[str, Interval | None], str]
"""Verdict, figures by what they are called, and what else decided."""
COLUMNS = ("verdict", "figures", "why", "signal", "cheapest, dearest")

_ROUNDING = 1e-9
"""Differences below come from summing in another order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim, judged.

    Attributes:
        claim: the claim.
        verdict: see the module.
        figures: differences to the rivals, or the figures of a point.
        why: what else decided, or why it could not be judged.
        signals: area under the ROC curve of the scores that it and its rivals decide by.
        ends: cost and accuracy of the cheapest and the dearest setting.
    """

    claim: Claim
    verdict: Verdict
    figures: Intervals = field(default_factory=dict)
    why: str = ""
    signals: Intervals = field(default_factory=dict)
    ends: tuple[tuple[float, float], ...] = ()

    def cells(self) -> dict[str, str]:
        """Its line in a table, by ``COLUMNS``."""
        figures, signals = (
            "; ".join(f"{what} {interval_text(interval)}" for what, interval in told.items())
            for told in (self.figures, self.signals)
        )
        ends = "; ".join(f"{accuracy:.3f} at {cost:.2f}" for cost, accuracy in self.ends)
        return dict(zip(COLUMNS, (self.verdict, figures, self.why, signals, ends), strict=True))


def findings(result: Comparison, claims: Sequence[Claim] = CLAIMS) -> tuple[Finding, ...]:
    """Every claim whose family was compared."""
    rows = {row.name: row for row in result.rows}
    return tuple(
        _judge(result, claim, rows)
        for claim in claims
        if claim.family in rows and (not claim.modes or result.mode in claim.modes)
    )


def _judge(result: Comparison, claim: Claim, rows: Mapping[str, Row]) -> Finding:
    row = rows[claim.family]
    if row.outcomes is None:
        return Finding(claim, "not applicable", why=row.not_applicable)
    if result.horizon < claim.horizon:
        return Finding(claim, "not applicable", why=claim.below)
    if claim.figure == "point":
        verdict, figures, why = _point(result, row)
    else:
        verdict, figures, why = _ordering(result, claim, row, rows)
    why = "; ".join(filter(None, (why, row.note)))
    return Finding(claim, verdict, figures, why, _signals(claim, row, rows), _ends(row))


def _ordering(result: Comparison, claim: Claim, row: Row, rows: Mapping[str, Row]) -> Judgement:
    assert row.outcomes is not None
    if row.constant:
        return "undefined", {}, "each setting takes one and the same decision throughout"
    rivals = [rows[name] for name in claim.rivals if name in rows and rows[name].outcomes is not None]
    if claim.rivals and not rivals:
        return "not applicable", {}, f"none of {', '.join(claim.rivals)} could play"
    found = _differences(result, claim, row, rivals)
    why = "no setting costs less than always-largest" if never_cheaper(result, row) else ""
    known = [interval for interval in found.values() if interval is not None]
    if len(known) < len(found):
        return "undefined", found, why
    idle = [rival for rival in rivals if rival.name != ZERO and not _above_zero(result, row, rival)]
    below = [interval.high <= _ROUNDING - claim.margin for interval in known]
    if any(low for low, rival in zip(below, rivals, strict=True) if rival not in idle) if rivals else below[0]:
        return "does not hold", found, why
    if idle:
        not_above = f"not above the zero router: {', '.join(each.name for each in (row, *idle))}"
        return "undefined", found, "; ".join(filter(None, (why, not_above)))
    if all(interval.low > _ROUNDING - claim.margin for interval in known):
        return "holds", found, why
    return "not decided", found, why


def _differences(result: Comparison, claim: Claim, row: Row, rivals: Sequence[Row]) -> dict[str, Interval | None]:
    """The figure, minus that of each rival if there are any, by what it is called."""
    assert row.outcomes is not None
    name, anchors = claim.figure, result.reference.outcomes
    metric = {name: METRICS[name]}
    if not claim.rivals:
        own = bootstrap_curves(row.outcomes, anchors, metric, resamples=result.resamples, rng=result.seed)
        return {name: own[name]}
    found: dict[str, Interval | None] = {}
    for rival in rivals:
        assert rival.outcomes is not None
        found[f"{name} minus that of {rival.name}"] = bootstrap_curve_differences(
            row.outcomes, rival.outcomes, anchors, metric, resamples=result.resamples, rng=result.seed
        )[name]
    return found


def _above_zero(result: Comparison, *rows: Row) -> bool:
    """Whether the AIQ of one of the rows is above that of the zero router, beyond the interval."""
    models = result.reference.models
    zero = SweepOutcomes(
        right=np.stack([model.right for model in models]).astype(np.float64),
        cost=np.stack([model.cost for model in models]),
    )
    for row in rows:
        assert row.outcomes is not None
        more = bootstrap_curve_differences(
            row.outcomes,
            zero,
            result.reference.outcomes,
            {"AIQ": curves.aiq},
            resamples=result.resamples,
            rng=result.seed,
        )["AIQ"]
        if more is not None and more.low > _ROUNDING:
            return True
    return False


def never_cheaper(result: Comparison, row: Row) -> bool:
    """No setting costs less than always-largest: its AIQ is that of the line between the constants."""
    return row.costs is not None and bool((row.costs >= result.reference.anchors.cost_large).all())


def _point(result: Comparison, row: Row) -> Judgement:
    """Accuracy and cost of the paper's own setting: of ``spec-reason-7`` among several."""
    assert row.outcomes is not None
    index = list(row.settings).index("spec-reason-7") if len(row.settings) > 1 else 0
    outcomes = result.reference.outcomes
    lost, saved = (
        bootstrap_difference(one, other, resamples=result.resamples, rng=result.seed)
        for one, other in (
            (np.asarray(row.outcomes.right)[index], outcomes.right_large),
            (outcomes.cost_large, np.asarray(row.outcomes.cost)[index]),
        )
    )
    found: dict[str, Interval | None] = {"accuracy minus always-largest's": lost, "cost saved": saved}
    if saved.low > MARGIN and lost.low >= -MARGIN:
        return "holds", found, ""
    return ("does not hold" if saved.high < MARGIN or lost.high < -MARGIN else "not decided"), found, ""


def _signals(claim: Claim, row: Row, rows: Mapping[str, Row]) -> dict[str, Interval | None]:
    """Its own, where it tells more after the first step that as well, and its rivals'."""
    own = rows.get(claim.signal) if claim.signal else row
    if own is None or own.signal is None:
        return {}
    found: dict[str, Interval | None] = {own.name: own.signal}
    if own.later_signal is not None and own.later_signal.low > own.signal.high:
        found["after the first step"] = own.later_signal
    rivals = (rows[name] for name in claim.rivals if name in rows and rows[name].signal is not None)
    return found | {rival.name: rival.signal for rival in rivals if rival is not own}


def _ends(row: Row) -> tuple[tuple[float, float], ...]:
    if row.costs is None or row.accuracies is None:
        return ()
    places = (int(np.argmin(row.costs)), int(np.argmax(row.costs)))
    return tuple((float(row.costs[place]), float(row.accuracies[place])) for place in places)
