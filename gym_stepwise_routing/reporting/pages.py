"""Pages of results: a few hand-written sentences, tables, a figure, and the same numbers as JSON.

A page is generated: what it says of its numbers is for its reader, or for ``docs/``, where somebody has looked at them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gym_stepwise_routing.routers.provenance import versions
from gym_stepwise_routing.storage.atomic import write_json, write_text
from gym_stepwise_routing.storage.strict_json import plain

__all__ = ["Page", "Table", "write_page"]

Lines = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of strings.

    Attributes:
        title: what it shows.
        columns: names of the columns.
        rows: cells of each line.
        groups: further lines, by the heading that they stand under.
    """

    title: str
    columns: Sequence[str]
    rows: Lines = ()
    groups: Mapping[str, Lines] = field(default_factory=dict)

    def lines(self) -> Iterator[tuple[bool, Sequence[str]]]:
        """Every line, and whether it is the heading of a group."""
        yield from ((False, row) for row in self.rows)
        for name, rows in self.groups.items():
            yield True, (name, *[""] * (len(self.columns) - 1))
            yield from ((False, row) for row in rows)

    def markdown(self) -> str:
        """As Markdown, the title as a heading."""
        lines = [self.columns, ["---"] * len(self.columns)]
        lines += [(f"*{line[0]}*", *line[1:]) if heading else line for heading, line in self.lines()]
        cells = ("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
        return f"## {self.title}\n\n" + "\n".join(cells) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of results.

    Attributes:
        title: what was measured.
        command: the command that writes this page again.
        lead: the result in a sentence or two, before everything else.
        next_steps: what to do next, each a sentence and the command for it, if any.
        setting: bank, hashes, problems, seeds: everything a reader needs to place the numbers.
        tables: the tables.
        notes: how to read them; written by hand, not made from the numbers.
        figure: file name of the figure beside the page, or None.
        numbers: the same as data: dataclasses, mappings, arrays and numbers; None where the data are elsewhere.
        simulated: the numbers come from a simulator; title and data say so.
    """

    title: str
    command: str
    lead: str = ""
    next_steps: Sequence[tuple[str, str]] = ()
    setting: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    figure: str | None = None
    numbers: Any = None
    simulated: bool = False

    @property
    def heading(self) -> str:
        """Title, with the label of simulated results."""
        return f"SIMULATED: {self.title}" if self.simulated else self.title

    def markdown(self) -> str:
        """The page as Markdown."""
        parts = [f"# {self.heading}", self.lead, f"Written by `{self.command}`."]
        parts.append("\n".join(f"- {line}" for line in self.setting))
        parts += self.notes
        if self.figure is not None:
            parts.append(f"![{self.heading}]({self.figure})")
        parts += [table.markdown() for table in self.tables]
        if self.next_steps:
            steps = (f"- {told}" + (f" `{command}`" if command else "") for told, command in self.next_steps)
            parts.append("\n".join(("## Next", "", *steps)))
        return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"

    def html(self) -> str:
        """The page as HTML that needs nothing but the figure beside it."""
        from jinja2 import Environment, PackageLoader

        templates = Environment(loader=PackageLoader("gym_stepwise_routing.reporting", "."), autoescape=True)
        return templates.get_template("page.html.j2").render(page=self)


def write_page(page: Page, folder: Path, name: str, *, html: bool = False) -> None:
    """Write ``NAME.md``, ``NAME.json`` if the page has numbers, and ``NAME.html`` if asked for."""
    write_text(folder / f"{name}.md", page.markdown())
    if html:
        write_text(folder / f"{name}.html", page.html())
    if page.numbers is not None:
        content = {
            "command": page.command,
            "simulated": page.simulated,
            "versions": versions(),
            "results": plain(page.numbers),
        }
        write_json(folder / f"{name}.json", content, indent=None)
