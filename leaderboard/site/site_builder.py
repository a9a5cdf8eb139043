"""Entries to site: verify everything, then write the pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.leaderboard.board import Board, make_board
from gym_stepwise_routing.leaderboard.build_cache import BuildCache
from gym_stepwise_routing.leaderboard.checking import Verdict
from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.entry_files import files_of, read_entries
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.site.site_data import board_json, headlines, points, script_json
from gym_stepwise_routing.leaderboard.site.site_pages import entry_page
from gym_stepwise_routing.leaderboard.site.traces import path_chunks, problem_index, tree_chunks
from gym_stepwise_routing.leaderboard.track import TRACKS, open_track, source_of, track_names
from gym_stepwise_routing.leaderboard.verify import verify_entry
from gym_stepwise_routing.leaderboard.visible import likeness
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.storage.atomic import new_folder, write_text

__all__ = ["build_site"]

RULES = "https://github.com/gym-stepwise-routing/gym_stepwise_routing/blob/main/leaderboard/SUBMISSION.md"
"""Where the rules of submitting are."""
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
    only: Sequence[str] = (),
    cache: Path | None = None,
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
        only: names of the tracks to build; all if empty.
        cache: folder in which verdicts and pages are kept for the next build, and looked for
            (:mod:`...leaderboard.build_cache`); None: everything is verified and drawn.
        report: told, in a line each, what has been done.

    Returns:
        Number of pages.

    Raises:
        ValueError: no entries, rejected entries, an unknown track, or a folder with something else in it.
        StaleTrackError: a track is out of date.
    """
    _check_out(out)
    names = track_names(tracks)
    for name in only:
        check_choice("track", name, names)
    kept = None if cache is None else BuildCache(cache, entries, artefacts, tracks, rows, rerun, trust)
    options = {"artefacts": artefacts, "tracks": tracks, "rows": rows, "run_again": rerun, "trust": trust}
    chosen = [name for name in names if not only or name in only]
    boards = _verified_boards(chosen, entries, tracks, options, kept, report)
    with new_folder(out, overwrite=True) as building:
        writer = _Writer(building, kept)
        writer.site(boards)
        _check_out(out)  # somebody may have put something there while the entries were verified
    if kept is not None:
        kept.prune()
    return sum(1 for _ in out.rglob("*.html"))


def _check_out(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ValueError(f"out={str(out)!r} is a link or a file; allowed: a folder")
    if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
        raise ValueError(f"out={str(out)!r} has other files in it; allowed: an empty folder, or an earlier site")


def _verified_boards(
    names: Sequence[str],
    entries: Path,
    tracks: Path,
    options: dict[str, Any],
    kept: BuildCache | None,
    report: Callable[[str], None],
) -> dict[str, Board | Path]:
    """By track its board, or the folder of its pages from an earlier build in which nothing was different."""
    boards: dict[str, Board | Path] = {}
    rejections: list[str] = []
    for name in names:
        if kept is not None and (pages := kept.pages(name)) is not None:
            boards[name] = pages
            report(f"{name}: unchanged")
            continue
        verdicts: list[Verdict] = []
        again = 0
        for entry in _read(files_of(entries, name), rejections):
            verdict = None if kept is None else kept.verdict(entry, open_track(name, tracks))
            try:
                if verdict is None:
                    again += 1
                    verdict = verify_entry(entry, **options)
                    if kept is not None:
                        kept.keep(verdict)
                verdicts.append(verdict)
            except EntryRejectedError as error:
                rejections.append(str(error))
            except ImportError as error:  # a package that is not installed here: no fault of the entry
                rejections.append(f"{entry.name} is not verified: {error}")
        if verdicts:
            boards[name] = make_board(open_track(name, tracks), verdicts)
        same = f", {len(verdicts) - again} of them earlier" if again < len(verdicts) else ""
        report(f"{name}: {len(verdicts)} entries verified{same}")
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

    def __init__(self, out: Path, kept: BuildCache | None) -> None:
        self.out = out
        self.kept = kept
        self._templates = Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined)
        self._templates.filters |= {"script_json": script_json, "points": points}

    def site(self, boards: Mapping[str, Board | Path]) -> None:
        """All pages."""
        if taken := _TAKEN & set(boards):
            raise ValueError(f"track={min(taken)!r}; allowed: a name that is no folder of the site ({sorted(_TAKEN)})")
        for asset in _ASSETS:
            content = resources.files(__package__).joinpath("assets", asset).read_text(encoding="utf-8")
            write_text(self.out / "assets" / asset, content)
        for board in boards.values():
            if isinstance(board, Path):
                shutil.copytree(board, self.out, dirs_exist_ok=True)
            else:
                self._board(board)
        told = [json.loads((self.out / name / "board.json").read_text(encoding="utf-8")) for name in boards]
        self._page("index.html.j2", self.out / "index.html", **headlines(told))
        write_text(self.out / _MARK, "written by: stepwise-routing leaderboard build\n")

    def _board(self, board: Board) -> None:
        folder, data = self.out / board.track.name, board_json(board)
        write_text(folder / "board.json", script_json(data) + "\n")
        viewer = self._traces(folder, board)
        self._page("track.html.j2", folder / "index.html", board=board, data=data, viewer=viewer is not None)
        for row in board.rows:
            # A folder of their own: an entry may be called index or traces.
            path = folder / "entries" / row.entry.name
            write_text(path.with_suffix(".json"), row.entry.model_dump_json(indent=1) + "\n")
            content = entry_page(board, row)
            self._page("entry.html.j2", path.with_suffix(".html"), board=board, viewer=viewer is not None, **content)
        if self.kept is not None:
            folders = (folder,) if viewer is None else (folder, viewer)
            self.kept.keep_pages(board.track.name, tuple(row.entry for row in board.rows), folders)

    def _traces(self, folder: Path, board: Board) -> Path | None:
        """The viewer and its data: trees once a bank and split, paths once a track. None where nothing is recorded."""
        source, split = source_of(board.track), board.track.spec.split
        if not isinstance(source, BankSource):
            return None
        trees = f"trees/{source.name}-{split}"
        if not (self.out / trees).is_dir():
            for number, chunk in enumerate(tree_chunks(source.bank, source.problems(split).tolist())):
                write_text(self.out / trees / f"{number}.js", f"traces.trees({number},{script_json(chunk)})\n")
        for number, paths in enumerate(path_chunks(board)):
            write_text(folder / "paths" / f"{number}.js", f"traces.paths({number},{script_json(paths)})\n")
        index = {**problem_index(board), "trees": trees}
        self._page("traces.html.j2", folder / "traces.html", board=board, index=index)
        return self.out / trees

    def _page(self, template: str, path: Path, **values: Any) -> None:
        root = "../" * len(path.relative_to(self.out).parent.parts)
        write_text(
            path, self._templates.get_template(template).render(root=root, units=COST_UNITS, rules=RULES, **values)
        )
