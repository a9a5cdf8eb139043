"""Pages of results: ``python -m studies.baselines.pages --out docs/results/baselines``.

One page with figure and data for each setting of ``SETTINGS``, and ``peers.md``, which says for each peer whether what
its paper reports holds. All sentences are made from the numbers, so that a larger bank needs only the command again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from gym_stepwise_routing.cli.bank_command import QuestionsOption
from gym_stepwise_routing.cli.compare_command import question_files
from gym_stepwise_routing.comparison.comparison import Comparison, Row
from gym_stepwise_routing.comparison.comparison_figure import draw
from gym_stepwise_routing.comparison.comparison_tables import Table, interval_text, tables, to_markdown
from gym_stepwise_routing.comparison.output import strict
from gym_stepwise_routing.comparison.run import run_comparison
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_difference
from gym_stepwise_routing.types import VERSION, Mode
from studies.baselines.peers import CLAIMS, MARGIN, Finding, findings, never_cheaper

__all__ = ["SETTINGS", "Extras", "Setting", "command", "main", "write_page", "write_peers"]

COMMAND = "python -m studies.baselines.pages"
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
    Setting("gsm8k-closed-models", "gsm8k-closed-models", "route", "dollars"),
    Setting("gsm8k-mixtral-gpt4", "gsm8k-mixtral-gpt4", "route", "dollars"),
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


def write_page(
    result: Comparison, setting: Setting, folder: Path, seconds: float, extras: Extras | None = None
) -> None:
    """Write ``NAME.md``, ``NAME.png`` and ``NAME.json``."""
    written_by = command(setting, extras or Extras())
    judged = findings(result)
    figure = f"{setting.name}.png"
    draw(result, folder / figure)
    simulated = "SIMULATED: " if result.simulated else ""
    parts = [
        f"# {simulated}baselines on {result.source}, mode {result.mode}, cost in {result.cost_unit}",
        f"Written by `{written_by}`; read how in [baselines](../../baselines.md).",
        "\n".join(f"- {line}" for line in _facts(result, seconds)),
        "## What it says\n\n" + "\n".join(f"- {line}" for line in _says(result)),
        f"![accuracy against cost]({figure})",
        "## Peers\n\n" + to_markdown([_peer_table(judged)]),
        "## Tables\n\n" + to_markdown(tables(result)),
    ]
    _replace(folder / f"{setting.name}.md", "\n\n".join(part.strip("\n") for part in parts) + "\n")
    data = {
        "command": written_by,
        "version": VERSION,
        "source": result.source,
        "source_hash": result.source_hash,
        "simulated": result.simulated,
        "mode": result.mode,
        "cost_unit": result.cost_unit,
        "problems": dict(result.problems),
        "rule": str(result.rule),
        "verifier": result.verifier,
        "resamples": result.resamples,
        "seed": result.seed,
        "rows": [_row(row.name, row.chosen, row.sweep, row.signal, row.not_applicable) for row in result.rows],
        "peers": [_plain(finding) for finding in judged],
    }
    _replace(folder / f"{setting.name}.json", json.dumps(strict(data), ensure_ascii=False, indent=None) + "\n")


def _facts(result: Comparison, seconds: float) -> list[str]:
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


def _says(result: Comparison) -> list[str]:
    anchors = result.reference.anchors
    lines = [
        f"{result.models[0]} alone is right on {float(anchors.accuracy_small):.3f} of the problems at cost "
        f"{float(anchors.cost_small):.2f}, {result.models[-1]} on {float(anchors.accuracy_large):.3f} at 1."
    ]
    if float(anchors.cost_small) >= float(anchors.cost_large):
        lines.append(
            "The largest model of the pool is also no dearer than the smallest: there is no tradeoff between the two, "
            "and APGR and CPT are undefined."
        )
    ceiling = result.reference.ceiling
    if ceiling is not None:
        lines.append(f"The per-problem oracle (a bound) reaches {max(ceiling.accuracies):.3f}.")
    played = [r for r in result.rows if r.sweep is not None and not r.group.startswith(("bounds", "constants"))]
    curves = [r for r in played if not r.constant and not never_cheaper(result, r)]
    lines += _best(result, curves)
    lines += _state_only(result, played)
    lines += _cheaper(result, played)
    return lines


def _best(result: Comparison, curves: Sequence[Row]) -> list[str]:
    """The best curve by AIQ, which does not depend on how many settings a family has."""
    found = {row.name: figure for row in curves if row.sweep and (figure := row.sweep["AIQ"]) is not None}
    if not found:
        return []
    name = max(found, key=lambda each: found[each].estimate)
    more = "".join(
        f"; {row.name}: {interval_text(row.sweep['AIQ'])}"
        for row in result.rows
        if row.name in ("zero router", "state only, cross-fitted") and row.sweep
    )
    return [
        f"Best AIQ of {len(found)} routers: {name}, {interval_text(found[name])}{more}. The best of many flatters "
        "itself: no choice was made on other problems."
    ]


def _state_only(result: Comparison, played: Sequence[Row]) -> list[str]:
    """Fitted Q on all splits, and who is above it all the same."""
    by_name = {row.name: row.sweep["AIQ"] for row in result.rows if row.sweep}
    cross, same = (by_name.get(f"state only, {how}") for how in ("cross-fitted", "in sample"))
    if cross is None or same is None:
        return []
    above = [
        f"{row.name} ({figure.estimate:.3f})"
        for row in played
        if row.sweep and (figure := row.sweep["AIQ"]) is not None and figure.estimate > cross.estimate
    ]
    return [
        f"Fitted Q on all splits (an estimate, no bound): AIQ {cross.estimate:.3f} cross-fitted, {same.estimate:.3f} "
        f"in sample; generalisation gap {same.estimate - cross.estimate:.3f}. Routers above the "
        f"cross-fitted one: {', '.join(above) or 'none'}."
    ]


def _cheaper(result: Comparison, played: Sequence[Row]) -> list[str]:
    """Who saves something at the chosen setting, paired by problem, and who of them keeps the target of accuracy."""
    chosen = [row for row in played if row.chosen is not None]
    if not chosen:
        return []
    saved = {row.name: _saving(result, row) for row in chosen}
    level = [row for row in chosen if saved[row.name].low > 0]
    text = (
        f"{len(level)} of {len(chosen)} routers, at the setting that calibration chose, are cheaper than "
        "always-largest beyond the interval of the paired difference"
    )
    if level:
        text += ": " + ", ".join(
            f"{_point(row.name, row.chosen)} saves {interval_text(saved[row.name])}" for row in level
        )
    text += "."
    if result.rule.kind == "accuracy":
        target = result.rule.level * float(result.reference.anchors.accuracy_large)
        kept = [row.name for row in level if row.chosen is not None and row.chosen.accuracy.estimate >= target]
        text += f" {len(kept)} of these also keep the accuracy target ({target:.3f}) on the {result.split} split"
        text += f": {', '.join(kept)}." if kept else "."
    return [text]


def _saving(result: Comparison, row: Row) -> Interval:
    """Cost of always-largest minus that of the chosen setting, paired by problem."""
    assert row.chosen is not None
    assert row.outcomes is not None
    cost = np.asarray(row.outcomes.cost)[list(row.settings).index(row.chosen.setting)]
    return bootstrap_difference(result.reference.outcomes.cost_large, cost, resamples=result.resamples, rng=result.seed)


def _point(name: str, chosen: Any) -> str:
    return f"{name} ({chosen.accuracy.estimate:.3f} at {chosen.cost.estimate:.2f})"


def _peer_table(judged: Sequence[Finding]) -> Table:
    lines = [
        [
            f"{finding.claim.peer} (arXiv {finding.claim.paper})",
            finding.claim.reports,
            f"**{finding.verdict}**",
            finding.figures,
            finding.measured,
        ]
        for finding in judged
    ]
    header = ["peer", "its paper reports", "here", "figures", "measured"]
    return Table("Orderings of the papers, on the reported split", header, [("by a paired bootstrap", lines)])


def write_peers(folder: Path, settings: Sequence[Setting] = SETTINGS) -> None:
    """Write ``peers.md`` from the data of the pages that are there, other banks' too."""
    pages: dict[str, Mapping[str, Any]] = {}
    known = [setting.name for setting in settings]
    for path in sorted(folder.glob("*.json"), key=lambda path: (path.stem not in known, path.stem)):
        data = json.loads(path.read_text(encoding="utf-8"))
        if "peers" in data:
            pages[path.stem] = data
    peers = list(dict.fromkeys(peer["peer"] for page in pages.values() for peer in page["peers"]))
    parts = [
        "# Do the papers' orderings hold here?",
        f"Written by `{COMMAND}`. A claim is an ordering between a peer and its rivals; it holds where the 95 % "
        "interval of the paired difference lies above 0, and does not where it does not reach above 0. Curves are "
        "judged by AIQ, which does not depend on how many settings a family has, as APGR does. No ordering is defined "
        "where neither of the two is above the zero router. Where a paper says *as good as* "
        f"({', '.join(_lenient())}), {MARGIN:.2f} of the figure may be lost (of accuracy, where a point is judged, "
        f"which must save {MARGIN:.2f} of the cost). *Signal* is the area under "
        "the ROC curve of a router's scores for steps at which the larger model raises the chance to end right "
        "(routers of questions: for problems that only it solves; cascades: for wrong answers); costs are in units of "
        "always-largest. Every reason here is a measurement.",
    ]
    summary = ["| peer | holds on | does not hold on | not decided, or undefined, on |", "|---|---|---|---|"]
    for peer in peers:
        where: dict[str, list[str]] = {}
        for name, page in pages.items():
            for each in page["peers"]:
                if each["peer"] == peer:
                    where.setdefault(each["verdict"], []).append(name)
        undecided = [*where.get("not decided", []), *where.get("undefined", [])]
        if set(where) == {"not applicable"}:
            undecided = ["not applicable anywhere"]
        cells = [
            ", ".join(names) or "-" for names in (where.get("holds", []), where.get("does not hold", []), undecided)
        ]
        summary.append(f"| {peer} | {' | '.join(cells)} |")
    parts.append("\n".join(summary))
    for peer in peers:
        found = [(name, page, each) for name, page in pages.items() for each in page["peers"] if each["peer"] == peer]
        first = found[0][2]
        parts.append(f"## {peer}\n\narXiv {first['paper']} reports: {first['reports']}.")
        lines = ["| page | here | figures | measured |", "|---|---|---|---|"]
        absent: dict[str, list[str]] = {}
        for name, page, each in found:
            if each["verdict"] == "not applicable":
                absent.setdefault(each["measured"] if each["figures"] == "-" else each["figures"], []).append(name)
                continue
            label = f"[{name}]({name}.md){' SIMULATED' if page['simulated'] else ''}, n = {page['problems']['test']}"
            lines.append(f"| {label} | **{each['verdict']}** | {each['figures']} | {each['measured']} |")
        if len(lines) > 2:
            parts.append("\n".join(lines))
        if absent:
            why = "\n".join(f"- {', '.join(names)}: {reason}" for reason, names in absent.items())
            parts.append(f"Not applicable:\n\n{why}")
    _replace(folder / "peers.md", "\n\n".join(parts) + "\n")


def _lenient() -> list[str]:
    return [claim.peer for claim in CLAIMS if claim.margin or claim.figure == "point"]


def _plain(finding: Finding) -> dict[str, str]:
    claim = finding.claim
    return {
        "peer": claim.peer,
        "paper": claim.paper,
        "reports": claim.reports,
        "verdict": finding.verdict,
        "figures": finding.figures,
        "measured": finding.measured,
    }


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


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def main(
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("docs/results/baselines"),
    only: Annotated[list[str] | None, typer.Option(help="Name of a page; may be repeated. Default: all.")] = None,
    bank: Annotated[str, typer.Option(help="Another bank or preset, in place of the listed settings.")] = "",
    mode: Annotated[str, typer.Option(help="With --bank: the mode.")] = "route",
    cost_unit: Annotated[str, typer.Option(help="With --bank: the cost unit.")] = "flops",
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
        write_page(result, setting, out, seconds, extras)
        Console().print(f"wrote {out / setting.name}.md ({seconds:.0f} s of CPU time)", highlight=False)
        write_peers(out)


if __name__ == "__main__":
    typer.run(main)
