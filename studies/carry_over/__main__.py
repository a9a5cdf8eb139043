"""Does stepwise routing carry over from task to task? ``python -m studies.carry_over``.

The same routers on every bundled bank whose steps two models wrote: what each gains over mixing the models at random,
whose score tells where the larger model helps, and what a policy is worth on a task that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from gym_stepwise_routing.comparison.choose import Rule
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.reporting import Page, Table, span_text, write_page
from studies.carry_over.stage import CARRIED, TASKS, Carried, Gain, Span, Stage, carried_over, gains_of
from studies.options import OutOption, ResamplesOption, SeedsOption, command_of

__all__ = ["main"]

COMMAND = "python -m studies.carry_over"
PAGES = Path("docs/results")
AGENTS = ("exact", "all_budgets")


def main(
    out: OutOption = PAGES,
    seeds: SeedsOption = 3,
    resamples: ResamplesOption = 10_000,
    tasks: Annotated[str, typer.Option(help="Tasks, with commas; '' for all.")] = "",
) -> None:
    """Write the page."""
    torch.set_num_threads(1)
    known = {task.name: task for task in TASKS}
    for name in filter(None, tasks.split(",")):
        check_choice("tasks", name, tuple(known))
    chosen = [known[name] for name in tasks.split(",")] if tasks else list(TASKS)
    stages, carriers, gains, told = [], {}, [], {}
    for task in chosen:
        typer.echo(task.name)
        stage = Stage(task, resamples)
        policies = {agent: stage.trained(agent, seeds) for agent in AGENTS}
        carriers[task.name] = stage.trained(CARRIED, seeds, carried=True) if task.more else policies[CARRIED]
        gains += gains_of(stage, policies)
        told[task.name] = {after: stage.signals(after) for after in (0, 1)}
        stages.append(stage)
    carried = carried_over(stages, carriers)
    command = command_of(COMMAND, main, out=out, seeds=seeds, resamples=resamples, tasks=tasks)
    write_page(_page(stages, gains, told, carried, seeds, resamples, command), out, "carry_over")


def _page(
    stages: Sequence[Stage],
    gains: Sequence[Gain],
    told: Mapping[str, Mapping[int, Mapping[str, Span]]],
    carried: Sequence[Carried],
    seeds: int,
    resamples: int,
    command: str,
) -> Page:
    names = [stage.task.name for stage in stages]
    ends = [stage.ends() for stage in stages]
    lines = dict.fromkeys(gain.line for gain in gains)
    cells = {(gain.line, gain.task): gain.cell() for gain in gains}
    by_pair = {(each.trained, each.played): each for each in carried}

    def matrix(title: str, figure: str) -> Table:
        def cell(origin: str, name: str) -> str:
            span: Span | None = getattr(by_pair[origin, name], figure)
            return "-" if span is None else span_text(*span, signed=True)

        rows = [(origin, *(cell(origin, name) for name in names)) for origin in names]
        return Table(title, ("trained on", *names), rows)

    def signal(title: str, after: int) -> Table:
        families = dict.fromkeys(family for by_step in told.values() for family in by_step[after])
        rows = []
        for family in families:
            spans = (told[name][after].get(family) for name in names)
            rows.append((family, *("-" if span is None else span_text(*span) for span in spans)))
        return Table(title, ("router", *names), rows)

    tables = (
        Table(
            "The tasks, on their test problems",
            (
                "task",
                "train / calibration / test",
                "smaller model",
                "larger model",
                "smaller model's cost",
                "oracle",
                "oracle's cost at the larger model's accuracy",
            ),
            [each.cells() for each in ends],
        ),
        Table(
            "Gain over mixing the two models at random: AIQ, points of accuracy [95 %]",
            ("router", *names),
            [(line, *(cells[line, name] for name in names)) for line in lines],
        ),
        signal("Whose score tells where the larger model helps: area under the ROC curve [95 %]", 0),
        signal("The same after the first step, before which no last step is known", 1),
        matrix(f"Transfer: gain over mixing of {CARRIED}, AIQ [95 %]", "gain"),
        matrix("Transfer, calibrated where it is played: accuracy minus the larger model's [95 %]", "lost"),
        matrix("Transfer, calibrated where it is played: cost saved [95 %]", "saved"),
    )
    return Page(
        title="Does stepwise routing carry over?",
        command=command,
        setting=(
            *(
                f"{stage.task.name}: bank {stage.task.bank} (content {stage.games['train'].source_hash[:12]}), mode "
                f"{stage.task.mode}, cost in {stage.task.cost_unit}; {', '.join(stage.arena.source.pool.names)}."
                for stage in stages
            ),
            "Fitted on train; of several families the one with the highest AIQ on calibration is shown; figures are of "
            f"test. {resamples:,} bootstrap resamples over problems, paired; agents with {seeds} training seeds, "
            "shipped hyperparameters.",
            "On InterCode SQL agents also see what the database answered; a policy that is carried from there, too, "
            "sees the default blocks alone.",
            "The envelope that AIQ measures holds the constants, so that no gain is below 0.",
            f"Calibrated: {Rule()} on the calibration problems of the task that is played, the first seed's policy.",
            "HumanEval has no problems but its test: its bank trains and calibrates on MBPP.",
        ),
        tables=tables,
        numbers={"tasks": ends, "gains": gains, "signals": told, "carried": carried},
    )


if __name__ == "__main__":
    typer.run(main)
