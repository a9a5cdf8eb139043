"""``stepwise-routing calibrate``: the cheapest threshold that keeps a target, and what it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.costs.units import COST_UNITS, DEFAULT_UNIT
from gym_stepwise_routing.types import MODES

__all__ = ["calibrate"]


def calibrate(
    run: Annotated[str, typer.Argument(help="Folder of a run, or a rule with scores such as confidence-p_min.")],
    bank: Annotated[str, typer.Option(help="Bundled bank, folder of a bank, or simulator preset.")],
    target: Annotated[
        list[str],
        typer.Option(help="accuracy=0.95x (of always-largest's), accuracy=0.7 or cost=0.4; several hold together."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to save the calibrated router to; by default not.")] = None,
    method: Annotated[
        str | None,
        typer.Option(help="exact, ltt, crc or empirical (no promise). Default: exact; ltt with a cost and --upper."),
    ] = None,
    delta: Annotated[float, typer.Option(help="Highest probability that the promise is wrong.")] = 0.1,
    upper: Annotated[float | None, typer.Option(help="With a cost target: what no episode's cost can exceed.")] = None,
    mode: Annotated[str | None, typer.Option(help=f"For a rule: one of {', '.join(MODES)}.")] = None,
    cost_unit: Annotated[
        str | None, typer.Option(help=f"For a rule: {', '.join(COST_UNITS)}; default: {DEFAULT_UNIT}.")
    ] = None,
    transfer: Annotated[bool, typer.Option(help="The bank is another than that of the training, on purpose.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of random sources and of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose the threshold on the calibration split. Measure what it brings with `evaluate ... --split test`."""
    from gym_stepwise_routing.calibration import CostLimit, save_calibrated
    from gym_stepwise_routing.calibration.calibrate import calibrate as choose
    from gym_stepwise_routing.calibration.router_files import load_router, play_arguments
    from gym_stepwise_routing.calibration.saving import items_for_saving, measure_saving
    from gym_stepwise_routing.calibration.targets import parse_target
    from gym_stepwise_routing.cli.saving_report import show
    from gym_stepwise_routing.game.game import Game

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with plain_errors():
        targets = [parse_target(text, upper=upper if text.startswith("cost") else None) for text in target]
        costs = any(isinstance(one, CostLimit) for one in targets)
        if upper is not None and not costs:
            raise ValueError(f"--upper={upper:g} without a cost target; allowed: with --target cost=...")
        if costs and upper is None and method is None:
            console.print("[yellow]warning:[/yellow] a cost is promised only with --upper; without it: empirical")
        chosen = method or ("exact" if not costs else "empirical" if upper is None else "ltt")
        router: Any = load_router(run)
        game = Game(bank, split="calibration", **play_arguments(router, mode=mode, cost_unit=cost_unit))
        calibrated = choose(
            router,
            game,
            target=targets,
            delta=delta,
            method=chosen,  # type: ignore[arg-type]  # checked by calibrate, which names what is allowed
            seed=seed,
            transfer=transfer,
        )
        saving = measure_saving(calibrated, game, seed=seed)
        if saving.constant and len(targets) == 1:
            needed = items_for_saving(calibrated, game, targets[0], seed=seed)
            saving = replace(saving, items_for_saving=needed)
        if out is not None:
            save_calibrated(calibrated, out)
    show(saving, as_json=as_json, folder=None if out is None else str(out))
    if not as_json:
        where = "" if out is None else f"; saved in {out}"
        typer.echo(f"these problems chose the threshold: measure it with `evaluate` on test{where}")
