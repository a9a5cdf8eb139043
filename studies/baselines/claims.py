"""What peers' papers report, as orderings that can be judged on our own recordings (:mod:`.peers`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import CurveMetric
from gym_stepwise_routing.evaluation.curves import Curves

__all__ = ["CLAIMS", "MARGIN", "METRICS", "SAVED_AT_98", "ZERO", "Claim"]

MARGIN = 0.02
"""What may be lost where a paper says that nothing is."""
ZERO = "zero router"
SAVED_AT_98 = "cost saved at 98% of the accuracy"


def _saved_at_98(found: Curves) -> NDArray[np.float64]:
    """``1 - C / C_s`` at the cheapest point with 98 % of always-largest's accuracy; 0 where there is none."""
    share: NDArray[np.float64] = curves.cost_at(found, share=0.98) / np.asarray(found.anchors.cost_large)
    return np.maximum(1.0 - share, 0.0)


METRICS: Mapping[str, CurveMetric] = {
    "AIQ": curves.aiq,
    "Acc@60%": partial(curves.accuracy_at, budget=0.6),
    "cost saved at full accuracy": curves.cost_save,
    SAVED_AT_98: _saved_at_98,
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
        figure: a key of ``METRICS``, or ``point``: as right as always-largest and cheaper, to ``MARGIN``.
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
        "EcoTab-style two-part, FLOPs at 98% of the accuracy",
        "2605.29319",
        "risk from two parts of the uncertainty beats either alone",
        "two-part risk",
        ("confidence entropy_mean", "confidence entropy_max"),
        figure=SAVED_AT_98,
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
