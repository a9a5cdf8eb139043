"""Which problems are recorded: ``gsm8k/test:0-100,205``, ``math/train:0-7500/50``, or ``mine.jsonl@train``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.datasets import DATASETS, Problem, line_of_row, load_file, load_problems
from gym_stepwise_routing.datasets.table_questions import table_text
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.grading import GRADERS, Grading
from gym_stepwise_routing.types import SPLITS

__all__ = ["UNSPLIT", "Selection", "interleaved"]

UNSPLIT = "all"
"""Official split of a file of one's own that names none."""

_PART = r"\d+(?:-\d+(?:/[1-9]\d*)?)?"
_FORM = re.compile(rf"(?P<name>.+?)(?:(?<=\.jsonl)@(?P<split>\w+))?(?::(?P<rows>{_PART}(?:,{_PART})*))?")


@dataclass(frozen=True, slots=True)
class Selection:
    """Problems of one split of one dataset.

    Attributes:
        problems: in the order of the official file.
        name: dataset.
        dataset: what a bank's manifest says of it.
        grading: how its answers are compared.
        file: the file of one's own that they come from; None: a known dataset.
    """

    problems: tuple[Problem, ...]
    name: str
    dataset: Dataset
    grading: Grading
    file: Path | None = None

    def place(self, problem: Problem) -> str:
        """Where a problem stands, for people: file and line, or its id in a known dataset."""
        return problem.id if self.file is None else f"{self.file}: line {line_of_row(self.file, problem.index)}"

    def with_tables_up_to(self, characters: int) -> Selection:
        """The problems whose tables have at most so many characters, as they stand in the questions.

        Raises:
            ValueError: a problem without a table, or none whose table is so short.
        """
        if bare := [problem for problem in self.problems if problem.table is None]:
            raise ValueError(
                f"max_table_characters={characters!r}: {self.place(bare[0])} has no table; allowed: those with one"
            )
        sizes = [len(table_text(problem.table or ())) for problem in self.problems]
        kept = tuple(p for p, size in zip(self.problems, sizes, strict=True) if size <= characters)
        if not kept:
            raise ValueError(
                f"max_table_characters={characters!r}: no table of {self.name} is so short; allowed: >= {min(sizes)}"
            )
        return replace(self, problems=kept, dataset=replace(self.dataset, max_table_characters=characters))

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        data: Path | None,
        question: str = "question",
        answer: str = "answer",
        grading: Grading | None = None,
        licence: str = "unknown",
    ) -> Selection:
        """Read ``NAME/SPLIT[:ROWS]`` or ``FILE.jsonl[@SPLIT][:ROWS]``.

        SPLIT of a file of one's own is ``train`` (which a bank divides into training and calibration), ``calibration``
        or ``test``; by default it is divided into all three by the hashes of its questions.
        ROWS are numbers and ranges FIRST-LAST or FIRST-LAST/STRIDE with commas between; rows count from 0, LAST is not
        included. A stride spreads a small selection over a file that is sorted by subject, as MATH's train split is.

        Args:
            text: the selection.
            data: folder with local files of known datasets; None: the ``datasets`` library fetches them.
            question: field of a file of one's own that holds the question.
            answer: field of a file of one's own that holds the final answer.
            grading: how answers are compared; None: as the catalogue says, which a file of one's own is not in.
            licence: licence of a file of one's own.

        Raises:
            ValueError: another form, an unknown dataset or split, a missing file or field, no rows left, or a
                file of one's own without a grading.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise ValueError(f"dataset={text!r}; allowed: NAME/SPLIT[:ROWS] or FILE.jsonl[@SPLIT][:ROWS]")
        name, file = form["name"], None
        if name.endswith(".jsonl"):
            path = Path(name)
            split, file = form["split"] or UNSPLIT, path
            check_choice(f"dataset={text!r}: split", split, (*SPLITS, UNSPLIT))
            problems = load_file(path, split=split, question=question, answer=answer)
            dataset = Dataset(question_field=question, source=path.name, licence=licence)
            name, default = path.stem, None
        else:
            name, slash, split = name.partition("/")
            if not slash:
                allowed = ", ".join(f"{entry.name}/{s}" for entry in DATASETS.values() for s in entry.splits)
                raise ValueError(f"dataset={text!r}; allowed: FILE.jsonl, {allowed}, with [:ROWS]")
            problems = load_problems(name, split, data=data)
            spec = DATASETS.get(name)
            dataset = Dataset(question_field=spec.question, source=spec.hub or spec.source, licence=spec.licence)
            default = spec.grading
        rows = _rows(form["rows"], len(problems))
        if not rows or rows[-1] >= len(problems):
            raise ValueError(f"dataset={text!r}; allowed: rows within 0-{len(problems)}, at least one")
        chosen = tuple(problems[row] for row in rows)
        grading = grading or default
        if grading is None:
            raise ValueError(
                f"dataset={text!r} is a file of your own, and nothing says how its answers are compared; allowed: "
                f"--grading {', '.join(GRADERS)}, judge:MODEL,url=... or module:function"
            )
        return cls(chosen, name, dataset, grading, file)


def _rows(text: str | None, count: int) -> list[int]:
    """The chosen row numbers, ascending, each once; all ``count`` for None."""
    if text is None:
        return list(range(count))
    rows: set[int] = set()
    for part in text.split(","):
        ends, _, stride = part.partition("/")
        first, dash, last = ends.partition("-")
        rows.update(range(int(first), int(last) if dash else int(first) + 1, int(stride or 1)))
    return sorted(rows)


def interleaved(selections: Sequence[Selection]) -> list[Problem]:
    """The problems of all selections, mixed evenly, so that a recording that is cut short has its share of each."""
    placed = [
        ((position + 0.5) / len(selection.problems), number, problem)
        for number, selection in enumerate(selections)
        for position, problem in enumerate(selection.problems)
    ]
    return [problem for _, _, problem in sorted(placed, key=lambda entry: entry[:2])]
