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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from gym_stepwise_routing.comparison.comparison import Comparison, Row
from gym_stepwise_routing.comparison.comparison_tables import interval_text
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import (
    CurveMetric,
    Interval,
    bootstrap_curve_differences,
    bootstrap_curves,
    bootstrap_difference,
)
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes

__all__ = ["CLAIMS", "MARGIN", "Claim", "Finding", "findings", "never_cheaper"]

Verdict = Literal["holds", "does not hold", "not decided", "undefined", "not applicable"]
MARGIN = 0.02
"""What may be lost where a paper says that nothing is."""

ZERO = "zero router"

_ROUNDING = 1e-9
"""Differences below come from summing in another order."""

_METRICS: Mapping[str, CurveMetric] = {
    "AIQ": curves.aiq,
    "Acc@60%": partial(curves.accuracy_at, budget=0.6),
    "cost saved at full accuracy": curves.cost_save,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a paper reports.

    Attributes:
        peer: the method.
        paper: arXiv number.
        reports: in words.
        family: family of the roster that stands for it.
        rivals: families that it should be above; none: the figure itself should be above 0.
        figure: a key of ``_METRICS``, or ``point``: as right as always-largest and cheaper, to ``MARGIN``.
        signal: family whose scores it decides by, '' if its own.
        modes: modes that it is judged in, all if empty.
        margin: how far below its rivals it may be, where the paper says "as good as".
        horizon: least number of steps of a trace for which the claim says anything.
        below: why it says nothing below.
    """

    peer: str
    paper: str
    reports: str
    family: str
    rivals: tuple[str, ...] = ()
    figure: str = "AIQ"
    signal: str = ""
    modes: tuple[str, ...] = ()
    margin: float = 0.0
    horizon: int = 1
    below: str = ""


CLAIMS = (
    Claim(
        "TRIM-Thr",
        "2601.10245",
        "rewriting drafts below a verifier's threshold beats query-level routing",
        "TRIM-Thr",
        ("query classifier", "zero router"),
    ),
    Claim(
        "TRIM-Agg",
        "2601.10245",
        "CPT95 of 17.2 % against 54.0 % for the best earlier baseline; above its own threshold rule",
        "TRIM-Agg",
        ("TRIM-Thr", "query classifier"),
        signal="TRIM-Thr",
    ),
    Claim(
        "TRIM-POMDP, on par with TRIM-Agg",
        "2601.10245",
        "CPT95 of 18.0 % against 17.2 % for TRIM-Agg: on par with it",
        "TRIM-POMDP",
        ("TRIM-Agg",),
        signal="TRIM-Thr",
        margin=MARGIN,
    ),
    Claim(
        "TRIM-POMDP, above TRIM-Thr",
        "2601.10245",
        "planning over hidden states beats the threshold rule",
        "TRIM-POMDP",
        ("TRIM-Thr",),
        signal="TRIM-Thr",
    ),
    Claim(
        "RSD",
        "2501.19324",
        "at threshold .7 as accurate as the large model for up to 4.4 times fewer FLOPs",
        "RSD",
        figure="point",
        signal="TRIM-Thr",
    ),
    Claim(
        "SpecReason",
        "2504.07891",
        "keeping drafts that the large model rates 7 or more costs no accuracy and saves time",
        "SpecReason",
        figure="point",
    ),
    Claim(
        "GlimpRouter",
        "2601.05110",
        "the first token's entropy tells more than an average over a step",
        "GlimpRouter",
        ("confidence entropy_mean",),
        modes=("route", "escalate"),
    ),
    Claim(
        "GlimpRouter, on the draft's own first token",
        "2601.05110",
        "the first token's entropy tells more than an average over the same step",
        "confidence entropy_first",
        ("confidence entropy_mean",),
        modes=("regenerate",),
    ),
    Claim(
        "STEER, by the largest logits",
        "2511.06190",
        "confidence beats trained external routers",
        "STEER max-logit",
        ("query classifier",),
    ),
    Claim(
        "STEER, by the largest probabilities",
        "2511.06190",
        "confidence beats trained external routers",
        "STEER probability",
        ("query classifier",),
    ),
    Claim(
        "EcoTab-style two-part",
        "2605.29319",
        "risk from two parts of the uncertainty beats either alone",
        "two-part risk",
        ("confidence entropy_mean", "confidence entropy_max"),
        figure="Acc@60%",
    ),
    Claim(
        "RouteLLM-style",
        "2406.18665",
        "a classifier of questions beats mixing the models at random",
        "query classifier",
        ("zero router",),
    ),
    Claim(
        "FrugalGPT",
        "2305.05176",
        "a cascade is as accurate as the best model for less",
        "FrugalGPT cascade",
        figure="cost saved at full accuracy",
    ),
    Claim(
        "AutoMix",
        "2310.12963",
        "self-verification beats FrugalGPT's trained scorer",
        "AutoMix cascade",
        ("FrugalGPT cascade",),
    ),
    Claim(
        "SACPO",
        "2404.11049",
        "re-weighting a policy trained for reward is as good as or better than training for both",
        "re-weighted (SACPO)",
        ("fitted Q",),
        margin=MARGIN,
        horizon=2,
        below="traces of one step have no later decision to plan anew: re-weighting is fitted Q itself",
    ),
    Claim(
        "rubric-guided PRM (process reward)",
        "2605.29310",
        "a router trained on outcome and process reward together (that it beats one trained on the outcome alone is "
        "read from the design: the paper's figures are not at hand)",
        "process reward",
        ("fitted Q",),
    ),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim, judged.

    Attributes:
        claim: the claim.
        verdict: see the module.
        figures: differences to the rivals (or the figures of a point) with their 95 % intervals.
        measured: what could be measured about the reason; why, where it is not applicable.
    """

    claim: Claim
    verdict: Verdict
    figures: str
    measured: str


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
        return Finding(claim, "not applicable", "-", row.not_applicable)
    if result.horizon < claim.horizon:
        return Finding(claim, "not applicable", "-", claim.below)
    if claim.figure == "point":
        verdict, figures = _point(result, row)
    else:
        verdict, figures = _ordering(result, claim, row, rows)
    rivals = [rows[name] for name in claim.rivals if name in rows and rows[name].signal is not None]
    own = rows.get(claim.signal) if claim.signal else row
    return Finding(claim, verdict, figures, "; ".join(_measured(result, row, own, rivals)))


def _ordering(result: Comparison, claim: Claim, row: Row, rows: Mapping[str, Row]) -> tuple[Verdict, str]:
    assert row.outcomes is not None
    if row.constant:
        return "undefined", "each setting takes one and the same decision throughout"
    rivals = [rows[name] for name in claim.rivals if name in rows and rows[name].outcomes is not None]
    if claim.rivals and not rivals:
        return "not applicable", f"none of {', '.join(claim.rivals)} could play"
    found = _differences(result, claim, row, rivals)
    text = "; ".join(f"{what} {interval_text(interval)}" for what, interval in found.items())
    text = text.replace("unaffordable", "none: full accuracy is never reached")
    if never_cheaper(result, row):
        text += "; no setting costs less than always-largest"
    known = [interval for interval in found.values() if interval is not None]
    if len(known) < len(found):
        return "undefined", text
    idle = [rival for rival in rivals if rival.name != ZERO and not _above_zero(result, row, rival)]
    below = [interval.high <= _ROUNDING - claim.margin for interval in known]
    if any(low for low, rival in zip(below, rivals, strict=True) if rival not in idle) if rivals else below[0]:
        return "does not hold", text
    if idle:
        return "undefined", f"{text}; neither it nor {', '.join(rival.name for rival in idle)} is above the zero router"
    if all(interval.low > _ROUNDING - claim.margin for interval in known):
        return "holds", text
    return "not decided", text


def _differences(result: Comparison, claim: Claim, row: Row, rivals: Sequence[Row]) -> dict[str, Interval | None]:
    """The figure, minus that of each rival if there are any, by what it is called."""
    assert row.outcomes is not None
    name, anchors = claim.figure, result.reference.outcomes
    metric = {name: _METRICS[name]}
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


def _point(result: Comparison, row: Row) -> tuple[Verdict, str]:
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
    text = f"accuracy minus always-largest's {interval_text(lost)}; cost saved {interval_text(saved)}"
    if saved.low > MARGIN and lost.low >= -MARGIN:
        return "holds", text
    return ("does not hold" if saved.high < MARGIN or lost.high < -MARGIN else "not decided"), text


def _measured(result: Comparison, row: Row, own: Row | None, rivals: Sequence[Row]) -> list[str]:
    facts = []
    if own is not None and own.signal is not None:
        facts.append(f"signal: {_told(own)}")
        facts += [f"that of {rival.name} {_told(rival)}" for rival in rivals if rival is not own]
    if row.costs is not None and row.accuracies is not None:
        anchors = result.reference.anchors
        cheapest, dearest = int(np.argmin(row.costs)), int(np.argmax(row.costs))
        facts.append(
            f"from {row.accuracies[cheapest]:.3f} right at cost {row.costs[cheapest]:.2f} to "
            f"{row.accuracies[dearest]:.3f} at {row.costs[dearest]:.2f} (smallest alone "
            f"{float(anchors.accuracy_small):.3f} at {float(anchors.cost_small):.2f}, largest "
            f"{float(anchors.accuracy_large):.3f} at {float(anchors.cost_large):.2f})"
        )
    if row.sweep is not None and (reached := row.sweep.get("CPT95")) is not None:
        facts.append(f"CPT95 {'unreached' if not math.isfinite(reached.estimate) else f'{reached.estimate:.2f}'}")
    return facts


def _told(row: Row) -> str:
    told = row.signal
    assert told is not None
    text = f"AUROC {interval_text(told)}"
    if told.low <= 0.5:
        text += " (points the wrong way)" if told.high < 0.5 else " (no better than chance)"
    if row.later_signal is not None and row.later_signal.low > told.high:
        text += f", after the first step {interval_text(row.later_signal)}"
    return text
