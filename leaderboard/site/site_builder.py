"""Entries to site: verify everything, then write the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.leaderboard.board import Board, make_board
from gym_stepwise_routing.leaderboard.checking import Verdict
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_files import files_of, read_entries
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.site.site_data import board_json, points, script_json
from gym_stepwise_routing.leaderboard.site.site_pages import entry_page
from gym_stepwise_routing.leaderboard.site.traces import path_chunks, problem_index, tree_chunks
from gym_stepwise_routing.leaderboard.track import TRACKS, open_track, source_of, track_names
from gym_stepwise_routing.leaderboard.verify import verify_entry
from gym_stepwise_routing.leaderboard.visible import likeness
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.storage.atomic import new_folder, write_text

__all__ = ["build_site"]

_MARK = ".stepwise-routing-site"
_TAKEN = {"assets", "trees"}
_ASSETS = ("board.css", "theme.js", "board.js", "chart.js", "traces.js")


def build_site(
    out: Path,
    *,
    entries: Path,
    artefacts: Path,
    tracks: Path = TRACKS,
    rows: Path | None = None,
    rerun: bool = True,
    trust: bool = False,
    report: Callable[[str], None],
) -> int:
    """Verify all entries and write the site. Nothing is written unless every entry is verified.

    Args:
        out: folder to write; an earlier site in it is replaced.
        entries: folder of the entries, see :mod:`~gym_stepwise_routing.leaderboard.entry_files`.
        artefacts: folder that artefact paths are relative to.
        tracks: folder of the tracks.
        rows: file of the board's own rows; see :func:`...rows.find_rows` if None.
        rerun: whether routers are run again; without, the pages say that they were not.
        trust: whether code of unknown origin may run, so that such routers are run again, too.
        report: told, in a line each, what has been done.

    Returns:
        Number of pages.

    Raises:
        ValueError: no entries, rejected entries, or a folder with something else in it.
        StaleTrackError: a track is out of date.
    """
    _check_out(out)
    boards = _verified_boards(entries, artefacts, tracks, rows, rerun, trust, report)
    with new_folder(out, overwrite=True) as building:
        writer = _Writer(building)
        writer.site(boards)
        _check_out(out)  # somebody may have put something there while the entries were verified
    return writer.pages


def _check_out(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ValueError(f"out={str(out)!r} is a link or a file; allowed: a folder")
    if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
        raise ValueError(f"out={str(out)!r} has other files in it; allowed: an empty folder, or an earlier site")


def _verified_boards(
    entries: Path,
    artefacts: Path,
    tracks: Path,
    rows: Path | None,
    rerun: bool,
    trust: bool,
    report: Callable[[str], None],
) -> list[Board]:
    boards: list[Board] = []
    rejections: list[str] = []
    for name in track_names(tracks):
        verdicts: list[Verdict] = []
        for entry in _read(files_of(entries, name), rejections):
            try:
                verdicts.append(
                    verify_entry(entry, artefacts=artefacts, tracks=tracks, rows=rows, run_again=rerun, trust=trust)
                )
            except EntryRejectedError as error:
                rejections.append(str(error))
            except ImportError as error:  # a package that is not installed here: no fault of the entry
                rejections.append(f"{entry.name} is not verified: {error}")
        if verdicts:
            boards.append(make_board(open_track(name, tracks), verdicts))
        report(f"{name}: {len(verdicts)} entries verified")
    if rejections:
        raise ValueError("\n".join(rejections))
    if not boards:
        raise ValueError(
            f"entries={str(entries)!r} has no entry; allowed: a folder with TRACK.jsonl or TRACK/NAME.json, such as "
            "leaderboard/entries of a checkout of the repository (they are not installed)"
        )
    return boards


def _read(files: list[Path], rejections: list[str]) -> Iterator[Entry]:
    """The entries of a track's files; what is wrong with a file joins the rejections."""
    seen: dict[str, Path] = {}
    titles: dict[str, Entry] = {}
    for path in files:
        try:
            entries = read_entries(path)
        except EntryRejectedError as error:
            rejections.append(str(error))
            continue
        for entry in entries:
            if (other := seen.setdefault(entry.name, path)) != path:
                fault = Fault("place", f"an entry {entry.name!r} is in {other} as well; allowed: one of a name")
                rejections.append(str(EntryRejectedError(path, [fault])))
                continue
            same = titles.setdefault(likeness(entry.about.title), entry)
            if same is not entry:
                message = f"title={entry.about.title!r} is that of {same.name!r}, too; allowed: another one"
                rejections.append(str(EntryRejectedError(path, [Fault("title", message)])))
                continue
            yield entry


class _Writer:
    """Writes the pages of a site into an empty folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.pages = 0
        self._trees: set[str] = set()
        self._templates = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined)
        self._templates.filters |= {"script_json": script_json, "points": points}

    def site(self, boards: list[Board]) -> None:
        """All pages."""
        if taken := _TAKEN & {board.track.name for board in boards}:
            raise ValueError(f"track={min(taken)!r}; allowed: a name that is no folder of the site ({sorted(_TAKEN)})")
        for asset in _ASSETS:
            content = resources.files(__package__).joinpath("assets", asset).read_text(encoding="utf-8")
            write_text(self.out / "assets" / asset, content)
        self._page("index.html.j2", self.out / "index.html", boards=[(board, board_json(board)) for board in boards])
        for board in boards:
            self._board(board)
        write_text(self.out / _MARK, "written by: stepwise-routing leaderboard build\n")

    def _board(self, board: Board) -> None:
        folder, data = self.out / board.track.name, board_json(board)
        write_text(folder / "board.json", script_json(data) + "\n")
        viewer = self._traces(folder, board)
        self._page("track.html.j2", folder / "index.html", board=board, data=data, viewer=viewer)
        for row in board.rows:
            # A folder of their own: an entry may be called index or traces.
            path = folder / "entries" / row.entry.name
            write_text(path.with_suffix(".json"), row.entry.model_dump_json(indent=1) + "\n")
            content = entry_page(board, row)
            self._page("entry.html.j2", path.with_suffix(".html"), board=board, viewer=viewer, **content)

    def _traces(self, folder: Path, board: Board) -> bool:
        """The viewer and its data: trees once a bank and split, paths once a track. False where nothing is recorded."""
        source, split = source_of(board.track), board.track.spec.split
        if not isinstance(source, BankSource):
            return False
        trees = f"trees/{source.name}-{split}"
        if trees not in self._trees:
            self._trees.add(trees)
            for number, chunk in enumerate(tree_chunks(source.bank, source.problems(split).tolist())):
                write_text(self.out / trees / f"{number}.js", f"traces.trees({number},{script_json(chunk)})\n")
        for number, paths in enumerate(path_chunks(board)):
            write_text(folder / "paths" / f"{number}.js", f"traces.paths({number},{script_json(paths)})\n")
        index = {**problem_index(board), "trees": trees}
        self._page("traces.html.j2", folder / "traces.html", board=board, index=index)
        return True

    def _page(self, template: str, path: Path, **values: Any) -> None:
        root = "../" * len(path.relative_to(self.out).parent.parts)
        write_text(path, self._templates.get_template(template).render(root=root, units=COST_UNITS, **values))
        self.pages += 1
