"""What every study writes: a page with table, command and figure, and the same numbers as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gym_stepwise_routing.routers.provenance import versions
from gym_stepwise_routing.storage.atomic import replaced, write_json

__all__ = ["Page", "Table", "command_of", "new_figure", "save_figure", "write_page"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its heading, column names and cells as text."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        return f"## {self.heading}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results.

    Attributes:
        title: what was measured.
        command: the command that writes this page again.
        setting: bank, hashes, problems, seeds: everything a reader needs to place the numbers.
        tables: the tables.
        findings: what they say, in sentences made from the numbers.
        figure: file name of the figure beside the page, or None.
        numbers: the same as data.
        simulated: the numbers come from a simulator; title and data say so.
    """

    title: str
    command: str
    setting: tuple[str, ...]
    tables: tuple[Table, ...]
    findings: tuple[str, ...]
    figure: str | None
    numbers: Any
    simulated: bool = False

    @property
    def heading(self) -> str:
        """Title, with the label of simulated results."""
        return f"SIMULATED: {self.title}" if self.simulated else self.title


def command_of(command: str, main: Callable[..., None], **given: object) -> str:
    """The command with the options of its ``main`` whose values are not the defaults."""
    usual = {name: parameter.default for name, parameter in inspect.signature(main).parameters.items()}
    changed = {name: value for name, value in given.items() if value != usual[name]}
    return " ".join([command, *(f"--{name.replace('_', '-')} {value}" for name, value in changed.items())])


def write_page(page: Page, folder: Path, name: str) -> None:
    """Write ``NAME.md`` and ``NAME.json`` to the folder."""
    parts = [f"# {page.heading}", f"Written by `{page.command}`.", "\n".join(f"- {line}" for line in page.setting)]
    if page.findings:
        parts.append("## What it says\n\n" + "\n".join(f"- {line}" for line in page.findings))
    if page.figure is not None:
        parts.append(f"![{page.heading}]({page.figure})")
    parts += [table.markdown() for table in page.tables]
    with replaced(folder / f"{name}.md") as temporary:
        temporary.write_text("\n\n".join(part.rstrip("\n") for part in parts) + "\n", encoding="utf-8")
    numbers = {
        "command": page.command,
        "simulated": page.simulated,
        "versions": versions(),
        "results": page.numbers,
    }
    write_json(folder / f"{name}.json", numbers)


def new_figure(panels: int, *, height: float = 4.2, simulated: bool = False) -> tuple[Figure, Sequence[Any]]:
    """A figure with panels side by side, and their axes; one of simulated results says so."""
    figure = Figure(figsize=(5.2 * panels, height), layout="constrained")
    if simulated:
        figure.suptitle("SIMULATED")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, panels, k) for k in range(1, panels + 1)]


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as PNG."""
    with replaced(path) as temporary:
        figure.savefig(temporary, format="png", dpi=140)
