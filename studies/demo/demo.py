"""The main job from end to end: train on *train*, calibrate on *calibration*, compare on *test*."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gym_stepwise_routing.agents.limits import mean_outcome, tilt_to_limit, tilted
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.baselines import (
    AlwaysLargest,
    AlwaysSmallest,
    ConfidenceThreshold,
    FirstKLarge,
    LastKLarge,
    RandomMix,
    oracle,
)
from gym_stepwise_routing.calibration import (
    CalibratedRouter,
    RelativeAccuracy,
    calibrate,
    certifiable_errors,
    required_n,
)
from gym_stepwise_routing.calibration.certificate import CalibrationMethod
from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.evaluation.bootstrap import (
    Interval,
    average_seeds,
    bootstrap_difference,
    bootstrap_mean,
    percentile_interval,
    resampled_means,
    seed_draws,
)
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play, threshold_grid
from gym_stepwise_routing.evaluation.expectation import Drawn
from gym_stepwise_routing.game.config import DEFAULT_BANK, GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, interval_text, write_page
from gym_stepwise_routing.routers.base import Scores
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.types import SPLITS, Mode
from studies.demo.demo_figure import alone, draw

__all__ = ["AGENT", "Line", "Progress", "run_demo"]

BANK = DEFAULT_BANK
AGENT = "lagrangian_ppo"
NAME = "lagrangian-ppo"
MODE: Mode = "regenerate"
COST_LIMIT = 0.5
TARGET = RelativeAccuracy(0.95)
DELTA = 0.1
RESAMPLES = 10_000
DRAWS = 20
"""How often a router that draws its actions is played on the test problems."""
UNITS: tuple[CostUnit, ...] = ("large_tokens", "flops")
GRID = 41
NEXT = (
    (
        "Train a router of your own:",
        f"stepwise-routing train --mode {MODE} --limit {COST_LIMIT:g} --seeds 1 --out runs",
    ),
    (
        "Calibrate it, for another target if you like:",
        f"stepwise-routing calibrate runs/{AGENT}-seed0 --bank {BANK} --target accuracy=0.9x --out runs/router",
    ),
    ("Measure it on test problems:", f"stepwise-routing evaluate runs/router --bank {BANK}"),
    ("Put it in front of your own models: gym-stepwise-routing.github.io/gym_stepwise_routing/serving.html", ""),
)
NOTES = (
    "Small models: the point is the method, not the score. Costs are in units of always-largest; intervals are 95 %, "
    "bootstrap over problems and training seeds, and differences are paired by problem.",
    f"{NAME} draws its actions, its odds tilted after training so that the training problems cost at most "
    f"{COST_LIMIT:g} in tokens of the larger model. Tuned: threshold from the calibration split, no guarantee. "
    "Certified: threshold from the exact binomial test; always-largest where it cannot certify. The oracle knows how "
    "every branch ends: a bound, no router. Of many schedules the best is picked in hindsight.",
    "Always-largest writes everything by itself, without drafts. "
    "In FLOPs, with prefill, a model that takes over late has to read everything that it did not write.",
)

Progress = Callable[[str, int], None]
"""Called with the name of the stage and the work done since the last call, in environment steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One router on the test problems.

    Attributes:
        router: its name.
        group: heading that it stands under.
        accuracy: share of right answers.
        difference: that minus always-largest's, paired by problem.
        costs: mean cost in each unit, where always-largest costs 1 on average.
        n: number of problems.
        seeds: training seeds, or draws.
    """

    router: str
    group: str
    accuracy: Interval
    difference: Interval
    costs: dict[CostUnit, Interval]
    n: int
    seeds: int

    @classmethod
    def of(
        cls, runs: Sequence[Evaluation], largest: Evaluation, group: str, name: str | None = None, draws: int = 1
    ) -> Line:
        """A router played once, or its seeds; ``draws`` plays in a row of a seed are averaged problem by problem."""

        def by_seed(values: Sequence[np.ndarray]) -> np.ndarray:
            return np.stack(values).astype(np.float64).reshape(-1, draws, len(largest)).mean(axis=1)

        right = by_seed([run.right for run in runs])
        return cls(
            router=name or runs[0].router,
            group=group,
            accuracy=bootstrap_mean(right, resamples=RESAMPLES),
            difference=bootstrap_difference(right, largest.right.astype(np.float64), resamples=RESAMPLES),
            costs={
                unit: relative_cost(by_seed([run.costs[unit] for run in runs]), largest.costs[unit]) for unit in UNITS
            },
            n=len(largest),
            seeds=len(runs) // draws,
        )

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        costs = (interval_text(self.costs[unit]) for unit in UNITS)
        gap = interval_text(self.difference, signed=True)
        return self.router, str(self.seeds), interval_text(self.accuracy), gap, *costs


def relative_cost(costs: np.ndarray, reference: np.ndarray) -> Interval:
    """Interval of mean cost over the reference's mean cost.

    Long problems are dear for every router. So both means are taken over the same resamples, where that cancels: the
    reference itself costs 1 [1, 1].

    Args:
        costs: ``[S, n]``, one row a seed.
        reference: ``[n]``, positive on average.
    """
    rng = np.random.default_rng(0)
    means = resampled_means(np.vstack([costs, reference[None]]), RESAMPLES, rng)
    own = average_seeds(means[:-1], seed_draws(len(costs), RESAMPLES, rng))
    return percentile_interval(own / means[-1], float(costs.mean() / reference.mean()), len(reference), 0.95)


def run_demo(
    out: Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    progress: Progress | None = None,
    announce: Callable[[str], None] | None = None,
) -> Page:
    """Train, calibrate, compare; write demo.html, demo.md, demo.json, demo.png and TensorBoard logs.

    Args:
        out: folder to write; made if absent.
        seeds: training seeds, at least one.
        progress: told about training steps.
        announce: told, before training, what the number of calibration problems settles already.

    Raises:
        ValueError: no seeds.
    """
    if not seeds:
        raise ValueError("seeds=(); allowed: at least one training seed")
    out.mkdir(parents=True, exist_ok=True)
    games = {split: Game(BANK, split=split, mode=MODE, cost_unit="large_tokens") for split in SPLITS}
    settled = _settled(int(play(AlwaysLargest(), games["calibration"]).right.sum()))
    if announce is not None:
        announce(settled)
    agents = [_trained(seed, games["train"], out, progress) for seed in seeds]
    drawn = [tilted(agent, tilt_to_limit(agent, games["train"], COST_LIMIT)) for agent in agents]
    certified, tuned = ([_calibrated(agent, games, method) for agent in agents] for method in ("exact", "empirical"))
    rule = ConfidenceThreshold("p_min")
    lines = _lines(games, drawn, certified, tuned, _calibrated(rule, games, "empirical"))
    draw(out / "demo.png", games, lines, [*agents, rule], UNITS, GRID)
    on_train = float(np.mean([mean_outcome(policy, games["train"])[1] for policy in drawn]))
    page = Page(
        title="Stepwise routing of two real language models on GSM8K",
        command=f"python -m studies.demo --seeds {len(seeds)}",
        lead=_lead(lines, certified),
        next_steps=NEXT,
        setting=(
            f"Bank {BANK}, content {games['test'].source_hash[:12]}: {' and '.join(games['test'].spec.models)}.",
            f"Problems: {', '.join(f'{len(game.problems)} {split}' for split, game in games.items())}; mode {MODE}; "
            f"training seeds {', '.join(map(str, seeds))}.",
            settled,
            f"Mean cost of {NAME} on the training problems: {on_train:.3f} (limit {COST_LIMIT:g}, in large tokens).",
        ),
        notes=NOTES,
        tables=(
            _certificates(seeds, certified),
            Table(
                f"Test problems, n = {lines[0].n}",
                ("router", "seeds", "accuracy", "minus always-largest's", *UNITS),
                groups={
                    group: [line.cells() for line in lines if line.group == group]
                    for group in dict.fromkeys(line.group for line in lines)
                },
            ),
        ),
        figure="demo.png",
        numbers={
            "bank": {"name": BANK, "hash": games["test"].source_hash},
            "seeds": list(seeds),
            "resamples": RESAMPLES,
            "target": str(TARGET),
            "delta": DELTA,
            "cost_on_train": on_train,
            "certificates": [router.certificate for router in certified],
            "lines": lines,
        },
    )
    write_page(page, out, "demo", html=True)
    return page


def _lead(lines: Sequence[Line], certified: Sequence[CalibratedRouter]) -> str:
    """What was promised, and what it brings on the test problems."""
    by_name = {line.router: line for line in lines}
    ours, largest = by_name[f"{NAME}, certified"], by_name["always-largest"]
    kept = sum(router.certificate.certified for router in certified)
    seeds = f" ({kept} of {len(certified)} seeds)" if len(certified) > 1 else ""
    if kept == 0:
        return f"Not certified: {certified[0].certificate.promise}. Always-largest plays, and nothing is saved."
    saved = {unit: ours.costs[unit] for unit in UNITS}
    figures = ", and ".join(_against(cost, COST_UNITS.get(unit).label) for unit, cost in saved.items())
    if saved[UNITS[0]].high >= 1:
        return f"Certified{seeds}, and it may save nothing on {ours.n} test problems: it {figures}."
    return (
        f"Certified{seeds}: with probability at least {1 - DELTA:g}, accuracy of at least {1 - TARGET.alpha:.0%} of "
        f"always-largest's on problems like these. On {ours.n} test problems it is right on "
        f"{ours.accuracy.estimate:.1%}, always-largest on {largest.accuracy.estimate:.1%}. It {figures}."
    )


def _against(cost: Interval, label: str) -> str:
    """What a relative cost means beside always-largest, in words."""
    saves = cost.estimate <= 1
    shares = (
        [1 - cost.estimate, 1 - cost.high, 1 - cost.low] if saves else [cost.estimate - 1, cost.low - 1, cost.high - 1]
    )
    share, low, high = (f"{value:.1%}" for value in shares)
    return f"saves {share} [{low}, {high}] of the {label}" if saves else f"takes {share} [{low}, {high}] more {label}"


def _settled(solved: int) -> str:
    """What the number of problems settles before anything is trained: it alone may rule the target out."""
    allowed = certifiable_errors(solved, TARGET.alpha, DELTA) if solved else None
    return (
        f"Target: {TARGET}, delta = {DELTA:g}; it is tested on the {solved} calibration problems that always-largest "
        f"solves. Needed without a single error: {required_n(TARGET.alpha, DELTA)}; errors that can be certified: "
        f"{'none, whatever is trained' if allowed is None else allowed}."
    )


def _trained(seed: int, game: Game, out: Path, progress: Progress | None) -> PolicyNetwork:
    return scored(
        train(
            AGENT,
            seed=seed,
            game=GameConfig(game.source, mode=MODE, cost_unit="large_tokens"),
            tensorboard_log=out / "tensorboard",
            progress=None if progress is None else (lambda steps: progress(f"training, seed {seed}", steps)),
            limit=COST_LIMIT,
        ),
        name=NAME,
    )


def _calibrated(router: Scores, games: dict[str, Game], method: CalibrationMethod) -> CalibratedRouter:
    thresholds = threshold_grid(router, games["train"], GRID)
    return calibrate(router, games["calibration"], target=TARGET, delta=DELTA, method=method, thresholds=thresholds)


def _lines(
    games: dict[str, Game],
    drawn: Sequence[PolicyNetwork],
    certified: Sequence[CalibratedRouter],
    tuned: Sequence[CalibratedRouter],
    rule: CalibratedRouter,
) -> list[Line]:
    test = games["test"]
    largest = alone(test)
    horizon = test.source.horizon
    schedules = [schedule(k) for schedule in (FirstKLarge, LastKLarge) for k in range(1, horizon)]
    played: list[tuple[str, str | None, int, list[Evaluation]]] = [
        ("constants", None, 1, [play(AlwaysSmallest(), test)]),
        ("constants", None, 1, [largest]),  # without drafts
        *(("rules", None, DRAWS, [play(RandomMix(p, k), test) for k in range(DRAWS)]) for p in (0.25, 0.5, 0.75)),
        *(("rules", None, 1, [play(schedule, test)]) for schedule in schedules),
        ("rules", f"{rule.name}, tuned", 1, [play(rule, test)]),
        ("agent", NAME, DRAWS, [play(Drawn(policy, k), test) for policy in drawn for k in range(DRAWS)]),
        ("agent", f"{NAME}, tuned", 1, [play(router, test) for router in tuned]),
        ("agent", f"{NAME}, certified", 1, [play(router, test) for router in certified]),
        ("bound", None, 1, [oracle(test)]),
    ]
    return [Line.of(runs, largest, group, name, draws) for group, name, draws, runs in played]


def _certificates(seeds: Sequence[int], certified: Sequence[CalibratedRouter]) -> Table:
    lines = []
    for seed, router in zip(seeds, certified, strict=True):
        told = router.certificate
        kept = "yes" if told.certified else "no"
        lines.append((str(seed), kept, str(told.n[0]), f"{told.risk[0]:.3f}", f"{told.threshold:.3f}", told.promise))
    return Table("What is promised", ("seed", "certified", "n", "risk", "threshold", "promise"), lines)
