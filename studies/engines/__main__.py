"""The page on engines: ``python -m studies.engines --runs FOLDER``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from gym_stepwise_routing.reporting import Page, Table, write_page
from studies.engines.differences import Difference, Played, compare, read_runs
from studies.engines.play import STEP_TOKENS, STEPS
from studies.options import OutOption
from studies.shares import Share

__all__ = ["main", "page_of"]

COMMAND = "python -m studies.engines --runs FOLDER"
NOTES = (
    "A first difference is where the two texts, cut by one tokenizer, have another token or only one goes on; after it "
    "the two answers are answers to different prefixes, so only the first is counted. The interval of a count is "
    "exact (Clopper and Pearson, 95 %): 0 of 100 still allows 3.6 %.",
    "The margin is the difference of the two largest probabilities, by the reference run, at the token where the other "
    "engine parts from it. A small one says that the engines disagree on near-ties only.",
    "llama.cpp multiplies in the format of its file: beside the same numbers in a bfloat16 file activations are "
    "rounded to bfloat16, beside a float32 file they are not.",
)
REFERENCE = "transformers "


def page_of(runs: Mapping[str, Mapping[int, Played]], model: str) -> Page:
    """The page.

    Args:
        runs: at least two runs, by name.
        model: what was run, in words.

    Raises:
        ValueError: fewer than two runs, or no transformers run in float32 with margins to compare with.
    """
    if len(runs) < 2:
        raise ValueError(f"runs: {sorted(runs)!r}; allowed: at least two")
    candidates = [name for name in runs if name.startswith(REFERENCE) and ", float32, " in name]
    if not candidates:
        raise ValueError(f"runs: {sorted(runs)!r}; allowed: among them transformers in float32, the reference")
    reference = max(candidates, key=lambda name: len(runs[name]))
    names = [reference, *(name for name in runs if name != reference)]
    pairs = [compare(one, other, runs, runs[reference]) for one, other in combinations(names, 2)]
    mine = [pair for pair in pairs if pair.one == reference]
    others = [pair for pair in pairs if pair.one != reference]
    return Page(
        title="The same weights in several engines",
        command=COMMAND,
        setting=(
            f"Model: {model}.",
            f"Problems: the first {max(len(run) for run in runs.values())} of GSM8K's test split, 4 examples in the "
            "prompt (gsm8k-4shot), no chat template; greedy.",
            f"One request a step: a step ends with its newline or after {STEP_TOKENS} tokens, a trace with a stated "
            f"answer, an empty line or {STEPS} steps.",
            f"Reference: {reference}. All runs on one machine's CPU, one thread.",
        ),
        notes=NOTES,
        tables=(
            Table("The runs", ("run", "problems", "solved", "tokens, mean", "tokens, median"), _runs(runs, names)),
            Table("Against the reference", _COLUMNS, [_cells(pair, margin=True) for pair in mine]),
            Table("Every other pair", _COLUMNS, [_cells(pair, margin=False) for pair in others]),
        ),
        numbers={"runs": {name: len(runs[name]) for name in names}, "pairs": pairs},
    )


_COLUMNS = (
    "run",
    "and",
    "texts that differ",
    "first difference, median token",
    "parted within 16, 32, 64, 128 tokens",
    "stated answers that differ",
    "verdicts that differ",
    "margin there, median",
)


def _runs(runs: Mapping[str, Mapping[int, Played]], names: Sequence[str]) -> list[tuple[str, ...]]:
    rows = []
    for name in names:
        run = runs[name].values()
        solved = Share.of([played.correct for played in run])
        lengths = np.array([len(played.ids) for played in run])
        rows.append((name, str(len(run)), _counted(solved), f"{lengths.mean():.0f}", f"{np.median(lengths):.0f}"))
    return rows


def _counted(share: Share) -> str:
    """Count, n and the interval in per cent."""
    return f"{share.count} of {share.n} [{100 * share.low:.1f}, {100 * share.high:.1f}] %"


def _cells(pair: Difference, *, margin: bool) -> tuple[str, ...]:
    return (
        pair.one,
        pair.other,
        _counted(pair.texts),
        "none" if pair.median is None else f"{pair.median:.0f}",
        ", ".join(map(str, pair.parted)),
        _counted(pair.answers),
        _counted(pair.verdicts),
        "" if not margin or pair.margin is None else f"{pair.margin:.4f}",
    )


def main(
    runs: Annotated[Path, typer.Option(help="Folder with the files of python -m studies.engines.play.")],
    out: OutOption = Path("docs/results"),
    model: Annotated[
        str, typer.Option(help="What was run, in words.")
    ] = "SmolLM2-135M-Instruct, its Q4_1 weights written out in bfloat16, the same numbers for every engine",
) -> None:
    """Compare what the engines wrote."""
    out.mkdir(parents=True, exist_ok=True)
    write_page(page_of(read_runs(runs), model), out, "engines")


if __name__ == "__main__":
    typer.run(main)
