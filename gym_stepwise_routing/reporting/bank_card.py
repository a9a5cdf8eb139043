"""One page on a bank, in Markdown: models, endings, each model alone, what routing could gain, some trees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.summary import SplitSummary, ended_trace, summarise
from gym_stepwise_routing.recorder.endings import ending_warnings
from gym_stepwise_routing.storage.strict_json import plain

__all__ = ["CARD", "bank_card", "bank_card_json", "grader_text"]

CARD = "card.md"
"""Name of the page beside a recording's bank."""
_EXAMPLES = 3
_LONGEST = 160
_SHARES = ("unanswered", "answer", "stop", "length", "repetition", "empty")


def bank_card(bank: Bank) -> str:
    """The page."""
    manifest = bank.manifest
    origin = "**SIMULATED**" if manifest.simulated else "recorded"
    lines = [f"# {bank.name}", "", f"{manifest.description} ({origin})", ""]
    lines += _table(
        ("", ""),
        [
            ("problems", f"{len(bank.problems):,}{_limits(bank)}"),
            ("nodes", f"{len(bank.nodes):,}"),
            ("horizon", f"{manifest.horizon} steps"),
            ("modes", ", ".join(manifest.modes)),
            ("grader", grader_text(bank)),
            ("temperature", f"{manifest.decoding.temperature:g}, {manifest.samples or 1} samples of each step"),
            ("licence of the traces", manifest.licence),
            ("content", f"`{bank.hash[:16]}`"),
        ],
    )
    lines += ["## Models", "", *_table(("model", "parameters", "active", "$ / M in", "$ / M out"), _models(bank))]
    lines += ["## Endings", "", *_endings(bank), "## Each model alone, and the oracle", ""]
    told = summarise(bank)
    lines += _table(("split", "problems", "model", "right", "accuracy", "tokens a trace"), _alone(told))
    lines += [
        "The oracle sees all recorded traces (where steps were drawn, their chances). What it has beyond the best "
        "model alone is the headroom that routing could gain at most.",
        "",
        *_table(("split", "best alone", "right by some model alone", "oracle", "headroom"), _headroom(told)),
    ]
    lines += ["## Examples", "", *_examples(bank)]
    return "\n".join(lines).rstrip() + "\n"


def bank_card_json(bank: Bank) -> str:
    """The figures of the page: endings by model (None where nobody counted), and the summary of each split."""
    endings = bank.manifest.endings
    told = {
        "name": bank.name,
        "simulated": bank.manifest.simulated,
        "hash": bank.hash,
        "endings": None if endings is None else {name: asdict(count) for name, count in endings.items()},
        "splits": [asdict(split) for split in summarise(bank)],
    }
    return json.dumps(plain(told), indent=1, ensure_ascii=False) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {row} |" for row in cells), ""]


def _limits(bank: Bank) -> str:
    """What was left out of each dataset because of its tables; '' if nothing was."""
    told = ((name, dataset.max_table_characters) for name, dataset in bank.manifest.datasets.items())
    return "".join(f"; {name}: tables of at most {most:,} characters" for name, most in told if most is not None)


def grader_text(bank: Bank) -> str:
    """The grader with its version, and what it was asked if it is a model."""
    grader, asked = bank.manifest.grader, bank.manifest.grader.asked
    version = "" if "version" in grader.name else f" (version {grader.version})"
    if asked is None:
        return f"{grader.name}{version}"
    told = f"asked {asked.calls:,} times, {asked.tokens:,} tokens, {asked.unread:,} replies say nothing"
    return f"{grader.name}{version}; {told}"


def _models(bank: Bank) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for model in bank.pool.rows:
        price = ("unknown",) * 2 if model.price is None else (f"{model.price.input:g}", f"{model.price.output:g}")
        size = "unknown" if model.parameters is None else f"{model.parameters:.4g}"
        rows.append((model.name, size, f"{model.active_parameters:.4g}" if model.active_parameters else size, *price))
    return rows


def _endings(bank: Bank) -> list[str]:
    endings = bank.manifest.endings
    if endings is None:
        return ["Nobody counted how these traces ended.", ""]
    rows = [
        (name, f"{count.traces:,}", *(f"{getattr(count, share) / max(count.traces, 1):.1%}" for share in _SHARES))
        for name, count in endings.items()
    ]
    heads = ("last model", "traces", "no answer", "by: answer", *_SHARES[2:])
    warnings = [f"- warning: {warning}" for warning in ending_warnings(endings)]
    return [*_table(heads, rows), *warnings, *([""] if warnings else [])]


def _alone(told: Sequence[SplitSummary]) -> list[tuple[str, ...]]:
    return [
        (
            split.split,
            f"{split.problems:,}",
            alone.model,
            f"{alone.right:,g} of {alone.traces:,}",
            f"{alone.right / alone.traces:.1%}" if alone.traces else "",
            f"{alone.tokens:.1f}" if alone.traces else "",
        )
        for split in told
        for alone in split.alone
    ]


def _headroom(told: Sequence[SplitSummary]) -> list[tuple[str, ...]]:
    rows = []
    for split in told:
        best = max(alone.right for alone in split.alone)
        counts = (best, split.any_alone, split.reachable, split.reachable - best)
        rows.append((split.split, *(f"{count:,g} ({count / split.problems:.1%})" for count in counts)))
    return rows


def _examples(bank: Bank) -> Iterator[str]:
    """Problems on which models differ first, then any: the first recorded ones."""
    told: list[tuple[int, list[list[int]]]] = []
    others: list[tuple[int, list[list[int]]]] = []
    for problem in range(len(bank.problems)):
        traces = [ended_trace(bank, problem, model) for model in range(len(bank.pool))]
        right = {bool(trace) and bool(bank.correct[trace[-1]]) for trace in traces}
        (told if len(right) > 1 else others).append((problem, traces))
        if len(told) == _EXAMPLES:
            break
    for problem, traces in (told + others)[:_EXAMPLES]:
        reference = bank.problems.answer[problem].as_py()
        yield f"**{bank.problem_ids[problem]}**" + (f", reference `{reference[:_LONGEST]}`" if reference else "")
        yield ""
        for name, trace in zip(bank.pool.names, traces, strict=True):
            steps, texts = "1 step" if len(trace) == 1 else f"{len(trace)} steps", [bank.text(node) for node in trace]
            unread = bool(trace) and not any(texts)
            verdict = "was not recorded alone"
            if trace and bank.terminal[trace[-1]]:
                verdict = "right" if bank.correct[trace[-1]] else "wrong"
                if not unread:
                    verdict += f": `{(bank.final_answer(trace[-1]) or 'no answer')[:_LONGEST]}`"
            yield f"- {name} ({steps}{', no text was recorded' if unread else ''}) {verdict}"
            if not unread:
                yield from (f"  {number}. {_one_line(text or '')}" for number, text in enumerate(texts, start=1))
        yield ""


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return "`" + (flat if len(flat) <= _LONGEST else flat[: _LONGEST - 3] + "...").replace("`", "'") + "`"
