"""Pages of results: ``python -m studies.baselines.pages --out docs/results/baselines``.

One page with figure and data for each setting of ``SETTINGS``, and ``peers.md``, which says for each peer whether what
its paper reports holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from gym_stepwise_routing.cli.bank_command import QuestionsOption
from gym_stepwise_routing.cli.compare_command import question_files
from gym_stepwise_routing.comparison.comparison import Comparison
from gym_stepwise_routing.comparison.comparison_figure import draw
from gym_stepwise_routing.comparison.comparison_tables import tables
from gym_stepwise_routing.comparison.run import run_comparison
from gym_stepwise_routing.costs.units import DEFAULT_UNIT, CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_difference
from gym_stepwise_routing.reporting import Page, Table, interval_text, write_page
from gym_stepwise_routing.types import Mode
from studies.baselines.peers import COLUMNS, Finding, findings
from studies.baselines.peers_page import write_peers

__all__ = ["SETTINGS", "Extras", "Setting", "command", "main", "write_comparison"]

COMMAND = "python -m studies.baselines.pages"
NOTE = (
    "How to read it: [baselines](../../baselines.md). Chosen points are what a user would have got; oracle sweeps "
    "compare whole curves, and the best of many flatters itself. The oracle is a bound; fitted Q on all splits "
    "(state only) is an estimate, no bound."
)
SAVED = ("router", "setting", "accuracy minus always-largest's", "cost saved")
BANK = "gsm8k-qwen2.5-coder"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one page shows.

    Attributes:
        name: name of the page.
        source: bundled bank, folder of a bank, or simulator preset.
        mode: mode that is played.
        cost_unit: unit of the cost axis.
    """

    name: str
    source: str
    mode: Mode
    cost_unit: CostUnit


SETTINGS = (
    Setting("gsm8k-route", BANK, "route", "flops"),
    Setting("gsm8k-escalate", BANK, "escalate", "flops"),
    Setting("gsm8k-regenerate", BANK, "regenerate", "flops"),
    Setting("gsm8k-regenerate-large-tokens", BANK, "regenerate", "large_tokens"),
    Setting("math500-escalate", "math500-qwen2.5-coder", "escalate", "flops"),
    Setting("mbpp-route", "mbpp-qwen2.5-coder", "route", "flops"),
    Setting("humaneval-route", "humaneval-qwen2.5-coder", "route", "flops"),
    Setting("wikitablequestions-escalate", "wikitablequestions-qwen2.5-coder", "escalate", "flops"),
    Setting("gsm8k-closed-models", "gsm8k-closed-models", "route", "dollars"),
    Setting("gsm8k-mixtral-gpt4", "gsm8k-mixtral-gpt4", "route", "dollars"),
    Setting("intercode-sql-gpt", "intercode-sql-gpt", "restart", "dollars"),
    Setting("intercode-sql-openai", "intercode-sql-openai", "restart", "dollars"),
    Setting("intercode-sql-seven", "intercode-sql-seven", "restart", "large_calls"),
    Setting("simulator-math-qwen2.5", "math-qwen2.5", "regenerate", "flops"),
)


@dataclass(frozen=True, slots=True)
class Extras:
    """What some routers need beside a bank.

    Attributes:
        questions: question files, ``DATASET/SPLIT=FILE`` each.
        encoder: local folder or hub name of a text encoder, '' for none.
        scores: files of scores; without any verifier's, a feature verifier judges.
    """

    questions: tuple[str, ...] = ()
    encoder: str = ""
    scores: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.questions or self.encoder or self.scores)


def command(setting: Setting, extras: Extras) -> str:
    """The command that writes a page; of files that lie elsewhere, the names only."""
    parts = [COMMAND]
    if setting in SETTINGS:
        parts.append(f"--only {setting.name}")
    else:
        parts.append(f"--bank {_shown(setting.source)} --mode {setting.mode}")
        parts.append(f"--cost-unit {setting.cost_unit} --name {setting.name}")
    for item in extras.questions:
        split, _, file = item.partition("=")
        parts.append(f"--questions {split}={_shown(file)}")
    if extras.encoder:
        parts.append(f"--encoder {_shown(extras.encoder)}")
    parts += [f"--scores {_shown(str(path))}" for path in extras.scores]
    return " ".join(parts)


def _shown(path: str) -> str:
    return Path(path).name if Path(path).is_absolute() else path


def write_comparison(
    result: Comparison, setting: Setting, folder: Path, seconds: float, extras: Extras | None = None
) -> None:
    """Write ``NAME.md``, ``NAME.png`` and ``NAME.json``."""
    judged = findings(result)
    draw(result, folder / f"{setting.name}.png")
    page = Page(
        title=f"baselines on {result.source}, mode {result.mode}, cost in {result.cost_unit}",
        command=command(setting, extras or Extras()),
        setting=_setting(result, seconds),
        notes=(NOTE,),
        tables=(_saved(result), _judged(judged), *tables(result)),
        figure=f"{setting.name}.png",
        numbers={
            "source": result.source,
            "source_hash": result.source_hash,
            "mode": result.mode,
            "cost_unit": result.cost_unit,
            "problems": result.problems,
            "rule": str(result.rule),
            "verifier": result.verifier,
            "resamples": result.resamples,
            "seed": result.seed,
            "rows": [_row(row.name, row.chosen, row.sweep, row.signal, row.not_applicable) for row in result.rows],
            "peers": [
                {"peer": each.claim.peer, "paper": each.claim.paper, "reports": each.claim.reports, **each.cells()}
                for each in judged
            ],
        },
        simulated=result.simulated,
    )
    write_page(page, folder, setting.name)


def _setting(result: Comparison, seconds: float) -> list[str]:
    n = result.problems
    source = f"content hash `{result.source_hash[:12]}`" if result.source_hash else "a random process, not models"
    return [
        f"Source: {result.source} ({source}); models, smallest first: {', '.join(result.models)}.",
        f"Problems: {n['train']} train, {n['calibration']} calibration, {n[result.split]} {result.split}; fitted on "
        f"train, settings chosen on calibration ({result.rule}), reported on {result.split}.",
        f"Intervals: 95 %, bootstrap over problems, {result.resamples:,} resamples; routers were fitted once (seed "
        f"{result.seed}), so that the spread over training seeds is not in them.",
        f"Verifier: {result.verifier or 'none'}. Cost 1 is always-largest on average. Computed in "
        f"{seconds:.0f} s of CPU time.",
    ]


def _saved(result: Comparison) -> Table:
    """What each router saves at the setting that calibration chose, paired by problem, and whether that is right."""
    lines = []
    for row in result.rows:
        if row.chosen is None or row.outcomes is None or row.group.startswith(("bounds", "constants")):
            continue
        place = list(row.settings).index(row.chosen.setting)
        large, draws = result.reference.outcomes, {"resamples": result.resamples, "rng": result.seed}
        lost = bootstrap_difference(np.asarray(row.outcomes.right)[place], large.right_large, **draws)
        saved = bootstrap_difference(large.cost_large, np.asarray(row.outcomes.cost)[place], **draws)
        lines.append(
            (row.name, row.chosen.setting, interval_text(lost, signed=True), interval_text(saved, signed=True))
        )
    return Table("Against always-largest, paired by problem", SAVED, lines)


def _judged(judged: Sequence[Finding]) -> Table:
    lines = [
        (f"{each.claim.peer} (arXiv {each.claim.paper})", each.claim.reports, *each.cells().values()) for each in judged
    ]
    return Table("Orderings of the papers, on the reported split", ("peer", "its paper reports", *COLUMNS), lines)


def _row(name: str, chosen: Any, sweep: Any, signal: Interval | None, why: str) -> dict[str, Any]:
    """A row's figures as estimate and limits, rounded; curves are in ``stepwise-routing compare``'s own file."""
    row: dict[str, Any] = {"name": name}
    if why:
        return row | {"not_applicable": why}
    row["sweep"] = {key: _short(interval) for key, interval in (sweep or {}).items()}
    row["signal"] = _short(signal)
    if chosen is not None:
        row["chosen"] = {
            "setting": chosen.setting,
            "accuracy": _short(chosen.accuracy),
            "cost": _short(chosen.cost),
            "pgr": _short(chosen.pgr),
            "regret": chosen.regret,
            "costs": {unit: _short(cost) for unit, cost in chosen.costs.items()},
        }
    return row


def _short(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [float(f"{v:.5g}") for v in (interval.estimate, interval.low, interval.high)]


def main(
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("docs/results/baselines"),
    only: Annotated[list[str] | None, typer.Option(help="Name of a page; may be repeated. Default: all.")] = None,
    bank: Annotated[str, typer.Option(help="Another bank or preset, in place of the listed settings.")] = "",
    mode: Annotated[str, typer.Option(help="With --bank: the mode.")] = "route",
    cost_unit: Annotated[str, typer.Option(help="With --bank: the cost unit.")] = DEFAULT_UNIT,
    name: Annotated[str, typer.Option(help="With --bank: name of the page.")] = "",
    questions: QuestionsOption = None,
    encoder: Annotated[str, typer.Option(help="Text encoder for routers that read questions.")] = "",
    scores: Annotated[
        list[Path] | None,
        typer.Option(help="File that `stepwise-routing score` wrote, may be repeated; else a feature verifier judges."),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
) -> None:
    """Write the pages of results on baselines."""
    extras = Extras(tuple(questions or ()), encoder, tuple(scores or ()))
    if extras and not (bank or (only and len(only) == 1)):
        raise typer.BadParameter("questions, encoder or scores for several pages; allowed: with --bank, or one --only")
    settings: Sequence[Setting] = SETTINGS
    if bank:
        settings = [Setting(name or f"{Path(bank).name}-{mode}", bank, mode, cost_unit)]  # type: ignore[arg-type]
    unknown = sorted(set(only or ()) - {setting.name for setting in settings})
    if unknown:
        raise typer.BadParameter(f"only={unknown}; allowed: {', '.join(setting.name for setting in settings)}")
    out.mkdir(parents=True, exist_ok=True)
    for setting in settings:
        if only and setting.name not in only:
            continue
        began = time.process_time()
        try:
            result = run_comparison(
                setting.source,
                mode=setting.mode,
                cost_unit=setting.cost_unit,
                resamples=resamples,
                scores=extras.scores,
                questions=question_files(list(extras.questions)) if extras.questions else None,
                encoder=encoder or None,
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        seconds = time.process_time() - began
        write_comparison(result, setting, out, seconds, extras)
        Console().print(f"wrote {out / setting.name}.md ({seconds:.0f} s of CPU time)", highlight=False)
        write_peers(out, COMMAND, [each.name for each in SETTINGS])


if __name__ == "__main__":
    typer.run(main)
