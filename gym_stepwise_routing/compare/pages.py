"""Pages of results: ``python -m gym_stepwise_routing.compare.pages --out docs/results/baselines``.

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

import typer
from rich.console import Console

import gym_stepwise_routing
from gym_stepwise_routing.accounting import Mode
from gym_stepwise_routing.compare.comparison import Comparison
from gym_stepwise_routing.compare.figure import draw
from gym_stepwise_routing.compare.peers import Finding, collapsed, findings
from gym_stepwise_routing.compare.run import run_comparison
from gym_stepwise_routing.compare.tables import Table, interval_text, tables, to_markdown
from gym_stepwise_routing.compare.write import strict
from gym_stepwise_routing.costs import CostUnit
from gym_stepwise_routing.evaluation.bootstrap import Interval

__all__ = ["SETTINGS", "Setting", "main", "write_page", "write_peers"]

COMMAND = "python -m gym_stepwise_routing.compare.pages"
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
    Setting("gsm8k-closed-models", "gsm8k-closed-models", "route", "dollars"),
    Setting("gsm8k-mixtral-gpt4", "gsm8k-mixtral-gpt4", "route", "dollars"),
    Setting("simulator-math-qwen2.5", "math-qwen2.5", "regenerate", "flops"),
)


def write_page(result: Comparison, setting: Setting, folder: Path, seconds: float) -> None:
    """Write ``NAME.md``, ``NAME.png`` and ``NAME.json``."""
    judged = findings(result)
    figure = f"{setting.name}.png"
    draw(result, folder / figure)
    simulated = "SIMULATED: " if result.simulated else ""
    parts = [
        f"# {simulated}baselines on {result.source}, mode {result.mode}, cost in {result.cost_unit}",
        f"Written by `{COMMAND} --only {setting.name}`; read how in [baselines](../../baselines.md).",
        "\n".join(f"- {line}" for line in _facts(result, seconds)),
        "## What it says\n\n" + "\n".join(f"- {line}" for line in _says(result)),
        f"![accuracy against cost]({figure})",
        "## Peers\n\n" + to_markdown([_peer_table(judged)]),
        "## Tables\n\n" + to_markdown(tables(result)),
    ]
    _replace(folder / f"{setting.name}.md", "\n\n".join(part.strip("\n") for part in parts) + "\n")
    data = {
        "command": f"{COMMAND} --only {setting.name}",
        "version": gym_stepwise_routing.__version__,
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
        f"Verifier: {result.verifier or 'none'}. Cost 1 is always-largest on average. Computed in {seconds:.0f} s.",
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
    curves = [r for r in played if not collapsed(result, r)]
    bound = next((r for r in result.rows if r.name == "state only, cross-fitted" and r.sweep is not None), None)
    zero = next((r for r in result.rows if r.name == "zero router" and r.sweep is not None), None)
    for figure in ("APGR", "AIQ"):
        known = [(r.sweep[figure], r.name) for r in curves if r.sweep is not None and r.sweep[figure] is not None]
        if not known:
            continue
        best, name = max(known, key=lambda pair: pair[0].estimate if pair[0] is not None else 0.0)
        more = "".join(
            f"; {row.name}: {interval_text(row.sweep[figure])}"
            for row in (zero, bound)
            if row is not None and row.sweep
        )
        lines.append(
            f"Best {figure} of {len(known)} routers: {name}, {interval_text(best)}{more}. The best of many flatters "
            "itself: no choice was made on other problems."
        )
    both = {r.name: r.sweep["AIQ"] for r in result.rows if r.group.startswith("bounds") and r.sweep is not None}
    if len(both) == 2 and all(both.values()):
        cross, same = both["state only, cross-fitted"], both["state only, in sample"]
        assert cross is not None
        assert same is not None
        lines.append(
            f"Best router that knows the state, not the future: AIQ between {cross.estimate:.3f} (cross-fitted) and "
            f"{same.estimate:.3f} (in sample); generalisation gap {same.estimate - cross.estimate:.3f}."
        )
    chosen = [r for r in played if r.chosen is not None]
    if chosen:
        level = [r for r in chosen if r.chosen is not None and r.chosen.cost.high < float(anchors.cost_large)]
        lines.append(
            f"{len(level)} of {len(chosen)} routers, at the setting that calibration chose, are cheaper than "
            f"always-largest beyond the interval"
            + (f": {', '.join(_point(r.name, r.chosen) for r in level)}." if level else ".")
        )
    return lines


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
        "interval of the paired difference lies above 0, and does not where it lies below. *Signal* is the area under "
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
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 10_000,
) -> None:
    """Write the pages of results on baselines."""
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
        began = time.perf_counter()
        result = run_comparison(
            setting.source, mode=setting.mode, cost_unit=setting.cost_unit, resamples=resamples, progress=None
        )
        seconds = time.perf_counter() - began
        write_page(result, setting, out, seconds)
        Console().print(f"wrote {out / setting.name}.md ({seconds:.0f} s)", highlight=False)
        write_peers(out)


if __name__ == "__main__":
    typer.run(main)
