"""``stepwise-routing compare``: every opponent on one bank, chosen on calibration, reported on test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gym_stepwise_routing.cli.bank_command import QuestionsOption
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.costs.units import COST_UNITS, DEFAULT_UNIT
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.types import MODES

__all__ = ["WIDE", "compare", "question_files"]

WIDE = 160  # of a log file: the tables are wider than the 80 columns that rich assumes there


def compare(
    bank: Annotated[str, typer.Option(help="Bundled bank, folder of a bank, or simulator preset.")],
    split: Annotated[str, typer.Option(help="Split that is reported: test or train.")] = "test",
    mode: Annotated[str, typer.Option(help=f"One of {', '.join(MODES)}.")] = "route",
    cost_unit: Annotated[str, typer.Option(help=f"Unit of the cost axis: {', '.join(COST_UNITS)}.")] = DEFAULT_UNIT,
    accuracy: Annotated[
        float, typer.Option(help="Choose the cheapest setting with this share of always-largest's accuracy.")
    ] = 0.95,
    budget: Annotated[
        float, typer.Option(help="Choose instead the most accurate setting within this share of its cost; 0: do not.")
    ] = 0.0,
    only: Annotated[list[str] | None, typer.Option(help="Part of a router's name; may be repeated.")] = None,
    problems: Annotated[
        int, typer.Option(help="Most problems a split; 0: all of a bank, 500 of a simulator preset.")
    ] = 0,
    scores: Annotated[
        list[Path] | None,
        typer.Option(help="File that `stepwise-routing score` wrote, may be repeated; else a feature verifier judges."),
    ] = None,
    questions: QuestionsOption = None,
    encoder: Annotated[str | None, typer.Option(help="Text encoder for routers that read questions.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for table.md, figure.png and comparison.json.")] = Path(
        "runs/compare"
    ),
    seed: Annotated[int, typer.Option(help="Seed of random sources and of whatever is fitted.")] = 0,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples over problems.")] = 10_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare every baseline: fitted on train, set on calibration, reported with 95 % intervals."""
    from gym_stepwise_routing.comparison.choose import Rule
    from gym_stepwise_routing.comparison.comparison_tables import tables
    from gym_stepwise_routing.comparison.output import write
    from gym_stepwise_routing.comparison.run import run_comparison, select
    from gym_stepwise_routing.reporting.terminal import rich_table

    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(width=WIDE, stderr=as_json)
    with plain_errors():
        check_choice("mode", mode, MODES)
        check_choice("cost_unit", cost_unit, COST_UNITS)
        rule = Rule("budget", budget) if budget else Rule("accuracy", accuracy)
        names = [family.name for family in select(only or ())]
        columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bars:
            task = bars.add_task("", total=len(names))

            def advance(name: str) -> None:
                bars.update(task, description=name, completed=names.index(name))

            result = run_comparison(
                bank,
                mode=mode,  # type: ignore[arg-type]
                cost_unit=cost_unit,
                split=split,  # type: ignore[arg-type]
                rule=rule,
                only=only or (),
                problems=problems or None,
                scores=scores or (),
                questions=question_files(questions) if questions else None,
                encoder=encoder,
                seed=seed,
                resamples=resamples,
                progress=advance,
            )
        paths = write(result, out)
    if as_json:
        print(paths[-1].read_text(encoding="utf-8"))
        return
    for table in tables(result, brief=True):
        console.print(rich_table(table))
    for path in paths:
        console.print(f"wrote {path}", highlight=False)


def question_files(questions: list[str]) -> dict[str, Path]:
    """Files by ``dataset/split``, from ``DATASET/SPLIT=FILE``.

    Raises:
        ValueError: an entry of another form.
    """
    pairs = [item.partition("=") for item in questions]
    for item, (_, _, file) in zip(questions, pairs, strict=True):
        if not file:
            raise ValueError(f"questions={item!r}; allowed: DATASET/SPLIT=FILE")
    return {key: Path(file) for key, _, file in pairs}
