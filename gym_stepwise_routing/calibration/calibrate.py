"""Calibration: the threshold that keeps what the user asked for, and a certificate of what is promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.calibration.certificate import CalibratedRouter, CalibrationMethod, Certificate
from gym_stepwise_routing.calibration.targets import CostLimit, RelativeAccuracy, Target
from gym_stepwise_routing.calibration.trained_on import refuse_training, taken_out, trained_game
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.evaluate import Sweep, sweep
from gym_stepwise_routing.evaluation.p_values import check_level
from gym_stepwise_routing.evaluation.risk_control import CannotCertify, Certified, Risk, certify, control_expectation
from gym_stepwise_routing.game.config import GameArguments, GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.routers.base import ALWAYS_LARGEST, ALWAYS_SMALLEST, Scores, name_of
from gym_stepwise_routing.routers.provenance import GameDescription

__all__ = ["calibrate"]

JOINT_STARTS = 5
"""Where accuracy and cost are promised together, testing starts at so many thresholds spread over the grid."""

_GRID = np.append(np.linspace(0, 1, 201), ALWAYS_SMALLEST)  # a score may be 1, which the threshold 1 lets pass


def calibrate(
    router: Scores,
    game: object,
    *,
    target: Target | Sequence[Target],
    delta: float = 0.1,
    method: CalibrationMethod = "exact",
    thresholds: Sequence[float] | NDArray[np.float64] | None = None,
    seed: int = 0,
    transfer: bool = False,
    **arguments: Unpack[GameArguments],
) -> CalibratedRouter:
    """Choose the cheapest threshold that keeps the target (for a cost limit alone: the most accurate one).

    Args:
        router: anything with ``scores``, or a Stable-Baselines3 model, whose policy is taken out (``scores.scored``).
            Of a calibrated router the ``base`` is calibrated anew.
        game: the game (or its config) on the split to calibrate on, normally ``calibration``; or a bank (its name,
            folder or source), whose calibration split is played unless ``split`` is given. Never ``test``, nor what it
            was trained on.
        target: what to keep; several are kept together.
        delta: highest tolerated probability that the promise is wrong, over the draw of the calibration problems.
        method: ``exact`` (binomial) or ``ltt`` (Hoeffding-Bentkus), both by fixed-sequence testing from the safe side;
            ``crc`` (conformal risk control: in expectation only); ``empirical`` (no promise).
        thresholds: candidates, chosen without looking at the calibration split; None takes a fine fixed grid. The
            safest one is among them: 0 for relative accuracy, one above 1 (always-smallest) for a cost limit alone.
        seed: seed of random sources.
        transfer: calibrate a trained router on another bank than that of its training. The promise is then about
            problems like those calibrated on; without it a bank that differs is taken for a mistake. Problems that both
            banks hold are found by their ids if the bank of the training comes with this package; of any other, as of
            a policy that brings no record of its training, it is your word that none of them is calibrated on.
        **arguments: of the :class:`...game.config.GameConfig` on that bank: ``split``, ``mode``, ``cost_unit``, ...

    Returns:
        The router at its threshold. If the target cannot be certified, the threshold is the safest one and
        ``certificate.certified`` is False, with ``items_needed``; nothing else is chosen silently.

    Raises:
        ValueError: a parameter out of range, a split that shares problems with *test* or with the router's training,
            no item that counts, a bank that differs from the one trained on (or is unknown), or relative accuracy with
            a hard budget.
    """
    check_choice("method", method, get_args(CalibrationMethod))
    if isinstance(delta, bool) or not isinstance(delta, int | float):
        raise ValueError(f"delta={delta!r}; allowed: a number in (0, 1)")
    targets = _targets(target)
    game = _game(game, arguments)
    trained_on = trained_game(router, transfer)
    router = taken_out(router)
    if not isinstance(router, Scores):
        raise ValueError(f"router={name_of(router)!r} has no scores(observation); allowed: a router that has")
    check_level("delta", delta)
    _refuse_test(game)
    _refuse_cut_off(targets, game)
    if trained_on is not None and not transfer:
        trained_on.check_game(game, f"router {name_of(router)!r}")
    refuse_training(trained_on, game)
    outcome = sweep(router, game, _GRID if thresholds is None else thresholds, seed=seed)
    only_cost = all(isinstance(t, CostLimit) for t in targets)
    if only_cost and not outcome.thresholds[-1] > 1:
        raise ValueError(
            f"thresholds end at {outcome.thresholds[-1]:g}; allowed with a cost limit alone: include one above 1, "
            "which is always-smallest (routers.ALWAYS_SMALLEST)"
        )
    order = np.arange(len(outcome.thresholds))[:: -1 if only_cost else 1]  # safest first
    losses = [_losses(t, outcome, game)[order] for t in targets]
    answer = _select(losses, targets, method, delta)
    if isinstance(answer, Certified):
        accepted = order[list(answer.accepted)]
        quality = outcome.right.mean(axis=1) if only_cost else -outcome.cost.mean(axis=1)
        chosen = int(accepted[np.argmax(quality[accepted])]) if method != "crc" else int(accepted[-1])
    else:
        chosen = int(order[0])
    position = int(np.flatnonzero(order == chosen)[0])
    spec = game.spec
    certificate = Certificate(
        target=" and ".join(map(str, targets)),
        promise=_promise(answer, targets, method, delta),
        certified=isinstance(answer, Certified) and method != "empirical",
        method=method,
        threshold=float(outcome.thresholds[chosen]),
        risk=tuple(float(loss[position].mean()) for loss in losses),
        alpha=tuple(t.alpha for t in targets),
        delta=delta if method in ("exact", "ltt") else None,
        n=tuple(loss.shape[1] for loss in losses),
        items_needed=answer.items_needed if isinstance(answer, CannotCertify) else None,
        router=name_of(router),
        source=spec.source,
        source_hash=game.source_hash,
        split_hash=game.split_hash,
        mode=spec.mode,
        cost_unit=spec.cost_unit,
        simulated=spec.simulated,
    )
    return CalibratedRouter(router, certificate, GameDescription.of(game), trained_on)


def _targets(target: object) -> tuple[Target, ...]:
    targets = tuple(target) if isinstance(target, Sequence) and not isinstance(target, str) else (target,)
    if not targets:
        raise ValueError("target=(); allowed: at least one target")
    for one in targets:
        if not isinstance(one, Target):
            raise ValueError(
                f"target={one!r}; allowed: RelativeAccuracy(share), Accuracy(floor), CostLimit(limit), or several"
            )
    return targets


def _game(given: object, arguments: GameArguments) -> Game:
    if isinstance(given, GameConfig):
        return Game(given, **arguments)
    if not isinstance(given, Game):
        return Game(GameConfig.of(given, **{"split": "calibration", **arguments}))
    for name, value in arguments.items():
        raise ValueError(f"{name}={value!r} with a game, which has one; allowed: a bank")
    return given


def _refuse_test(game: Game) -> None:
    """Test problems must not choose thresholds. Problems of a simulator are drawn anew and belong to no split."""
    if game.source.kind == "simulator":
        return
    shared = np.intersect1d(game.problems, game.source.problems("test"))
    if len(shared):
        raise ValueError(
            f"split={game.split!r} shares {len(shared)} problems with 'test'; allowed: a split without test problems"
        )


def _refuse_cut_off(targets: Sequence[Target], game: Game) -> None:
    """A hard budget cuts always-largest off as well: it is then neither what to compare with nor the safest."""
    for target in targets:
        if game.hard_budget and isinstance(target, RelativeAccuracy):
            raise ValueError(
                f"target={target!r} with hard_budget=True, which cuts off the always-largest that it compares with; "
                "allowed: Accuracy(floor), or hard_budget=False"
            )


def _losses(target: Target, outcome: Sweep, game: Game) -> NDArray[np.float64]:
    """Losses ``float64[T, n]`` of the items that count for the target."""
    if isinstance(target, CostLimit):
        return outcome.cost * _train_units(game)
    wrong = (~outcome.right).astype(np.float64)
    if not isinstance(target, RelativeAccuracy):
        return wrong
    solved = outcome.right[0] if outcome.thresholds[0] == ALWAYS_LARGEST else None
    if solved is None:
        raise ValueError(f"thresholds start at {outcome.thresholds[0]:g}; allowed: include 0, which is always-largest")
    if not solved.any():
        raise ValueError(
            f"split={game.split!r}: always-largest solves none of {len(solved)} problems, so there is nothing to keep; "
            "allowed: a split with problems that it solves"
        )
    return wrong[:, solved]


def _train_units(game: Game) -> float:
    """What turns the game's costs into units of always-largest on the *train* split.

    A normaliser measured on the calibration problems would be one more random number in the loss, which the p-value
    takes for fixed. One that was given (that of a track, say) is fixed already.
    """
    if game.split == "train" or game.source.kind != "bank":
        return 1.0
    train = game.source.problems("train")
    if len(train) == 0 or game.normaliser != always_largest_cost(game.source, game.problems, game.cost_unit):
        return 1.0
    return game.normaliser / always_largest_cost(game.source, train, game.cost_unit)


def _select(
    losses: Sequence[NDArray[np.float64]], targets: Sequence[Target], method: CalibrationMethod, delta: float
) -> Certified | CannotCertify:
    if method == "empirical":
        return _empirical(losses, targets)
    if method == "crc":
        if len(targets) != 1:
            raise ValueError(f"method='crc' with {len(targets)} targets; allowed: one, or method='exact' or 'ltt'")
        upper = _upper(targets[0])
        return control_expectation(losses[0], targets[0].alpha, upper=upper)
    risks = []
    for loss, target in zip(losses, targets, strict=True):
        costs = isinstance(target, CostLimit)
        if costs and method == "exact":
            raise ValueError("method='exact' with a CostLimit, which is no loss of 0 and 1; allowed: method='ltt'")
        risks.append(Risk(losses=loss, alpha=target.alpha, upper=_upper(target), method=method))
    mixed = len({isinstance(target, CostLimit) for target in targets}) == 2
    rows = len(losses[0])
    starts = sorted(set(np.linspace(0, rows - 1, JOINT_STARTS).astype(int).tolist())) if mixed else [0]
    return certify(risks, delta=delta, starts=starts)


def _upper(target: Target) -> float:
    if not isinstance(target, CostLimit):
        return 1.0
    if target.upper is None:
        raise ValueError("CostLimit: upper=None; allowed with this method: a bound that no episode's cost can exceed")
    return target.upper


def _empirical(losses: Sequence[NDArray[np.float64]], targets: Sequence[Target]) -> Certified | CannotCertify:
    risks = np.stack([loss.mean(axis=1) for loss in losses])
    excess = (risks - np.array([[target.alpha] for target in targets])).max(axis=0)
    kept = np.flatnonzero(excess <= 0)
    items = losses[0].shape[1]
    if len(kept) == 0:
        return CannotCertify(
            reason="no threshold keeps the target on the calibration split", n=items, items_needed=None
        )
    return Certified(accepted=tuple(kept.tolist()), statistics=tuple(excess[kept].tolist()), n=items, delta=None)


def _promise(
    answer: Certified | CannotCertify, targets: Sequence[Target], method: CalibrationMethod, delta: float
) -> str:
    kept = " and ".join(map(str, targets))
    if isinstance(answer, CannotCertify):
        return f"nothing: {answer.reason}; the safest threshold is used"
    if method == "empirical":
        return f"nothing: on the calibration problems themselves, {kept}"
    if method == "crc":
        return f"in expectation over calibration and new problems, {kept}"
    return f"with probability >= {1 - delta:g} over the calibration problems: {kept} on problems like them"
