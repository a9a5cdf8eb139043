"""``stepwise-routing processbench``: does a text verifier find the first wrong step?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from gym_stepwise_routing.cli.bank_command import QuestionsOption
from gym_stepwise_routing.errors import check_choice

if TYPE_CHECKING:
    from gym_stepwise_routing.baselines.verifiers.processbench import Floats, Solution
    from gym_stepwise_routing.baselines.verifiers.text import TextVerifier

__all__ = ["processbench"]

LABELS = ("benchmark", "bank")
HEADER = ("file", "judge", "with an error", "without", "F1", "F1 minus the best guess")


def processbench(
    files: Annotated[list[Path], typer.Argument(help="ProcessBench's JSON files.", metavar="FILE...")],
    encoder: Annotated[str, typer.Option(help="Local folder or hub name of a text encoder.")],
    labels: Annotated[
        str, typer.Option(help="What is learned: the benchmark's own labels (cross-fitted), or a bank's trees.")
    ] = "benchmark",
    bank: Annotated[str, typer.Option(help="With --labels bank: bundled bank or folder.")] = "gsm8k-qwen2.5-coder",
    questions: QuestionsOption = None,
    layers: Annotated[int, typer.Option(help="Topmost layers that are fine-tuned; 0: the head alone.")] = 2,
    epochs: Annotated[int, typer.Option(help="Passes over the labelled steps.")] = 2,
    max_tokens: Annotated[int, typer.Option(help="Most tokens read; the beginning is cut off.")] = 160,
    seeds: Annotated[int, typer.Option(help="Seeds of folds and training.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Markdown file that the table is added to.")] = None,
) -> None:
    """F1 on ProcessBench with 95 % intervals over problems, beside guesses that do not read the solution."""
    from gym_stepwise_routing.baselines.verifiers.processbench import FOLDS, majority, read_processbench
    from gym_stepwise_routing.baselines.verifiers.text import TextVerifier

    try:
        check_choice("labels", labels, LABELS)
        if seeds < 1:
            raise ValueError(f"seeds={seeds!r}; allowed: an integer >= 1")
        benchmark = {file.stem: read_processbench(file) for file in files}
        verifier = TextVerifier(encoder, layers=layers, epochs=epochs, max_tokens=max_tokens)
        judged = {name: _guesses(each, verifier, labels, bank, questions, seeds) for name, each in benchmark.items()}
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    rows: list[tuple[str, ...]] = []
    for name, solutions in benchmark.items():
        guesses = majority(solutions)
        best = guesses["most common"]
        rows += [_row(name, f"guess: {guess}", [right], solutions) for guess, right in guesses.items()]
        rows.append(_row(name, verifier.name, judged[name], solutions, best))
    learned = "benchmark's labels, cross-fitted" if labels == "benchmark" else f"trees of {bank}, train split"
    counts = ", ".join(
        f"{name} n = {len(each)} solutions of {len({s.problem for s in each})} problems"
        for name, each in benchmark.items()
    )
    title = (
        f"{verifier.name}: {layers} layers fine-tuned, {epochs} epochs, {max_tokens} tokens; labels: {learned}; "
        f"thresholds from {FOLDS} folds, {seeds} seed{'s' * (seeds > 1)}; {counts}"
    )
    table = Table(*HEADER, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if out is not None:
        _append(out, title, rows)


def _guesses(
    solutions: Sequence[Solution],
    verifier: TextVerifier,
    labels: str,
    bank: str,
    questions: list[str] | None,
    seeds: int,
) -> list[Floats]:
    """Hits of each seed."""
    from gym_stepwise_routing.banks import Bank
    from gym_stepwise_routing.banks.questions import join_questions
    from gym_stepwise_routing.baselines.verifiers.processbench import cross_fitted, hits, transferred
    from gym_stepwise_routing.cli.compare_command import question_files

    found: list[Floats] = []
    if labels == "bank":
        opened = Bank.open(bank)
        texts = join_questions(opened, question_files(questions) if questions else None)
    for seed in range(seeds):
        verifier.seed = seed
        if labels == "bank":
            guesses = transferred(solutions, verifier, opened, texts, seed=seed)
        else:
            guesses = cross_fitted(solutions, verifier, seed=seed)
        found.append(hits(guesses, solutions))
    return found


def _row(
    name: str, judge: str, right: Sequence[Floats], solutions: Sequence[Solution], best: Floats | None = None
) -> tuple[str, ...]:
    import numpy as np

    from gym_stepwise_routing.baselines.verifiers.processbench import f1_interval, process_score

    stacked = np.stack(right)
    score = process_score(stacked.mean(axis=0), solutions)
    f1 = f1_interval(stacked, solutions)
    more = None if best is None else f1_interval(stacked, solutions, minus=best)
    return (
        name,
        judge,
        f"{score.with_error:.3f}",
        f"{score.without_error:.3f}",
        f"{f1.estimate:.3f} [{f1.low:.3f}, {f1.high:.3f}]",
        "" if more is None else f"{more.estimate:+.3f} [{more.low:+.3f}, {more.high:+.3f}]",
    )


def _append(out: Path, title: str, rows: Sequence[Sequence[str]]) -> None:
    lines = [f"| {' | '.join(row)} |" for row in (HEADER, tuple("---" for _ in HEADER), *rows)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as page:
        page.write(f"\n{title}.\n\n" + "\n".join(lines) + "\n")
