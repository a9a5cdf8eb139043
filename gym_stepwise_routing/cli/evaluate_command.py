"""``stepwise-routing evaluate``: accuracy, cost and saving of one router on one split of a bank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.costs.units import COST_UNITS, DEFAULT_UNIT
from gym_stepwise_routing.types import MODES

__all__ = ["evaluate"]


def evaluate(
    router: Annotated[str, typer.Argument(help="Folder of a run or of a calibrated router, or the name of a rule.")],
    bank: Annotated[
        str | None,
        typer.Option(help="Bundled bank, folder of a bank, or simulator preset; with --log: for a rule's costs."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Instead of a split: decision log of a server with exploration and feedback.")
    ] = None,
    split: Annotated[str, typer.Option(help="test, calibration or train.")] = "test",
    threshold: Annotated[
        float | None, typer.Option(help="Another threshold, 0 (always-largest) to above 1; nothing is then promised.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help=f"For a rule: one of {', '.join(MODES)}.")] = None,
    cost_unit: Annotated[
        str | None, typer.Option(help=f"For a rule: {', '.join(COST_UNITS)}; default: {DEFAULT_UNIT}.")
    ] = None,
    trust: Annotated[bool, typer.Option(help="I know who wrote the calibrated router, which may be a pickle.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of random sources and of the bootstrap.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples over problems.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play a router on every problem of a split, beside always-largest, with paired 95 % intervals.

    With --log: estimate from served requests what it would have done with them.
    """
    from gym_stepwise_routing.calibration.router_files import load_router, play_arguments
    from gym_stepwise_routing.calibration.saving import measure_saving
    from gym_stepwise_routing.cli.saving_report import show, show_off_policy
    from gym_stepwise_routing.game.game import Game
    from gym_stepwise_routing.routers.base import Scores, ThresholdRouter

    with plain_errors():
        if log is not None:
            from gym_stepwise_routing.serving.off_policy import off_policy  # needs the extra serve

            given = {"--threshold": threshold, "--mode": mode, "--cost-unit": cost_unit}
            if own := [name for name, value in given.items() if value is not None]:
                raise ValueError(f"{own[0]} with --log={str(log)!r}; allowed: none, the requests are of one game")
            show_off_policy(
                off_policy(log, router, bank=bank, trust=trust, seed=seed, resamples=resamples), as_json=as_json
            )
            return
        if bank is None:
            raise ValueError("--bank=None without --log; allowed: a bank, or the log of a server that explores")
        played: Any = load_router(router, trust=trust)
        arguments = play_arguments(played, mode=mode, cost_unit=cost_unit)
        game = Game(bank, split=split, **arguments)  # type: ignore[arg-type]  # checked by GameConfig
        if (check := getattr(played, "check_game", None)) is not None:
            check(game)
        if threshold is not None:
            if not isinstance(played, Scores):
                raise ValueError(f"--threshold={threshold:g} with {router!r}, which has no scores; allowed: none")
            played = ThresholdRouter(getattr(played, "base", played), threshold)
        saving = measure_saving(played, game, seed=seed, resamples=resamples)
    show(saving, as_json=as_json)
