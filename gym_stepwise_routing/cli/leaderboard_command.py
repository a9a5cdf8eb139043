"""``stepwise-routing submit``, ``verify`` and ``leaderboard``: router to entry to board."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from gym_stepwise_routing.cli.entry_report import figures_told, show_figures, what_was_done

if TYPE_CHECKING:
    from gym_stepwise_routing.leaderboard.entry import Entry, Selection

__all__ = ["leaderboard", "submit", "verify"]

leaderboard = typer.Typer(help="Build the board, and make its own rows anew.", no_args_is_help=True)

_ENTRIES = Path("leaderboard/entries")
_ARTEFACTS = Path("leaderboard/artefacts")
Entries = Annotated[Path, typer.Option("--entries", help="Folder of the entries.")]
Artefacts = Annotated[Path, typer.Option("--artefacts", help="Folder of saved routers.")]
Rows = Annotated[
    Path | None,
    typer.Option(help="File of the board's own rows.", show_default="that of the checkout: leaderboard/rows.json"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Trust = Annotated[bool, typer.Option("--trust", help="Run code that does not come with this package.")]


def submit(
    routers: Annotated[
        list[str],
        typer.Argument(
            metavar="ROUTER...",
            help="module:factory; or below --artefacts a trained or calibrated router's folder, or a .zip; one a seed.",
        ),
    ],
    track: Annotated[str, typer.Option(help="Track to play on; see leaderboard/tracks.")],
    name: Annotated[str, typer.Option(help="Name of the entry: lower-case letters, digits, hyphens.")],
    authors: Annotated[str, typer.Option(help="Who made the router.")],
    description: Annotated[str, typer.Option(help="How it decides, in a sentence or two.")],
    title: Annotated[str | None, typer.Option(help="What the board calls it; the name if not given.")] = None,
    paper: Annotated[str | None, typer.Option(help="Address of the paper.")] = None,
    code: Annotated[str | None, typer.Option(help="Address of the code.")] = None,
    kwargs: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for the factory; VALUE is JSON or text.")] = None,
    artefact: Annotated[Path | None, typer.Option(help="File or folder that the factory gets as `path`.")] = None,
    observation: Annotated[str | None, typer.Option(help="Blocks that the router sees, with commas.")] = None,
    budget: Annotated[float | None, typer.Option(help="Budget that is shown to the router.")] = None,
    select: Annotated[
        str | None,
        typer.Option(help="Choose the threshold on the calibration split: budget=0.8 or accuracy=0.95."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the entry of that name.")] = False,
    entries: Entries = _ENTRIES,
    artefacts: Artefacts = _ARTEFACTS,
    as_json: Json = False,
) -> None:
    """Play your router on a track and write the entry. Runs the router that you name."""
    with _plain_errors(), _no_entry():
        from gym_stepwise_routing.game.observation import check_blocks
        from gym_stepwise_routing.leaderboard.board_rows import find_rows, row_named
        from gym_stepwise_routing.leaderboard.entry import About
        from gym_stepwise_routing.leaderboard.entry_files import check_vacant, put_submission
        from gym_stepwise_routing.leaderboard.loading import describe_artefact, reference_of
        from gym_stepwise_routing.leaderboard.schema import check_name
        from gym_stepwise_routing.leaderboard.submit import make_entry
        from gym_stepwise_routing.leaderboard.track import View, open_track
        from gym_stepwise_routing.types import DEFAULT_BLOCKS

        console = Console(soft_wrap=True, stderr=as_json)
        frozen = open_track(track)
        check_name("name", name)
        if find_rows() is not None and row_named(name) is not None:  # without a checkout, verify finds it in one
            raise ValueError(f"name={name!r} is one of the board's own rows; allowed: another name")
        check_vacant(entries / track / f"{name}.json", overwrite=overwrite)
        refs = [reference_of(router, _arguments(kwargs or []), artefacts) for router in routers]
        if artefact is not None:
            saved = [describe_artefact(artefact, artefacts, ref.factory) for ref in refs]
            refs = [ref.model_copy(update={"artefact": files}) for ref, files in zip(refs, saved, strict=True)]
        blocks = DEFAULT_BLOCKS if observation is None else check_blocks(observation.split(","))
        with console.status(f"playing {frozen.problems} problems of {track}"):
            entry = make_entry(
                frozen,
                name,
                refs,
                About(title=title or name, authors=authors, description=description, paper=paper, code=code),
                artefacts=artefacts,
                view=View(observation=blocks, budget=budget),
                selection=_selection(select),
                trust=True,  # the user has just named this router
            )
        path = put_submission(entries, entry, overwrite=overwrite)
        if as_json:
            print(json.dumps({"written": str(path)} | figures_told(entry.figures, frozen), indent=1))
            return
        show_figures(console, entry.figures, frozen)
        console.print(f"written: {path}; check it with: stepwise-routing verify {path} --trust", highlight=False)


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of entries: .json, or .jsonl.")],
    name: Annotated[list[str] | None, typer.Option(help="Only the entries of these names.")] = None,
    rerun: Annotated[bool, typer.Option(help="Run the router again.")] = True,
    trust: Trust = False,
    artefacts: Artefacts = _ARTEFACTS,
    rows: Rows = None,
    as_json: Json = False,
) -> None:
    """Replay every decision, recompute every figure, and run the router again. Exit status 1 if any is rejected."""
    with _plain_errors():
        from gym_stepwise_routing.leaderboard.entry_files import read_entries
        from gym_stepwise_routing.leaderboard.verify import verify_entry

    console, failed, seen = Console(soft_wrap=True, stderr=as_json), list[str](), set[str]()
    told: list[dict[str, Any]] = []
    for file in files:
        entries: tuple[Entry, ...] = ()
        with _verdicts(console, str(file), failed, told):
            entries = read_entries(file)
        seen |= {entry.name for entry in entries}
        for entry in entries:
            label = f"{file}:{entry.name}" if len(entries) > 1 else str(file)
            if name and entry.name not in name:
                continue
            with _verdicts(console, label, failed, told):
                start = time.perf_counter()
                verdict = verify_entry(entry, artefacts=artefacts, rows=rows, run_again=rerun, trust=trust)
                done = f"({time.perf_counter() - start:.1f} s): {what_was_done(verdict)}"
                console.print(f"[green]verified[/green] {label} {done}", highlight=False)
                show_figures(console, verdict.entry.figures, verdict.track)
                figures = figures_told(verdict.entry.figures, verdict.track)
                told.append({"entry": label, "verified": True, "rerun": verdict.rerun} | figures)
    with _plain_errors():
        if unknown := sorted({*(name or ())} - seen):
            raise ValueError(f"name={unknown[0]!r} is in none of these files; allowed: {', '.join(sorted(seen))}")
    if as_json:
        print(json.dumps(told, indent=1))
    if failed:
        raise typer.Exit(1)


@contextmanager
def _verdicts(console: Console, label: str, failed: list[str], told: list[dict[str, Any]]) -> Iterator[None]:
    """What is wrong with an entry is said, and its label noted: the others are to be heard of, too."""
    from gym_stepwise_routing.leaderboard.faults import EntryRejectedError

    try:
        with _plain_errors():
            yield
    except EntryRejectedError as error:
        failed.append(label)
        faults = [{"code": fault.code, "message": fault.message} for fault in error.faults]
        told.append({"entry": label, "verified": False, "faults": faults})
        console.print(f"[red]rejected[/red] {label}")
        for fault in error.faults:
            console.print(f"  [bold]{fault.code}[/bold] {escape(fault.message)}", highlight=False)
    except typer.Exit:  # said already
        failed.append(label)
        told.append({"entry": label, "verified": False, "faults": []})
        console.print(f"[red]not verified[/red] {label}")


@leaderboard.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("runs/leaderboard"),
    rerun: Annotated[bool, typer.Option(help="Run the routers again; the pages say whether that was done.")] = True,
    trust: Trust = False,
    track: Annotated[list[str] | None, typer.Option(help="Only these tracks; may be repeated.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="What has been verified is kept here for the next build.", show_default="the user's cache"),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Verify and draw everything anew.")] = False,
    entries: Entries = _ENTRIES,
    artefacts: Artefacts = _ARTEFACTS,
    rows: Rows = None,
    as_json: Json = False,
) -> None:
    """Verify all entries and write the site: open OUT/index.html, no server needed.

    Entries that have not changed since an earlier build are not verified again, as long as the code has not changed.
    """
    with _plain_errors():
        from gym_stepwise_routing.leaderboard.build_cache import user_cache
        from gym_stepwise_routing.leaderboard.site import build_site

        if no_cache and cache is not None:
            raise ValueError(f"--cache={str(cache)!r} with --no-cache; allowed: one of them")
        console = Console(soft_wrap=True, stderr=as_json)
        pages = build_site(
            out,
            entries=entries,
            artefacts=artefacts,
            rows=rows,
            rerun=rerun,
            trust=trust,
            only=track or (),
            cache=None if no_cache else cache or user_cache(),
            report=_line(console),
        )
        if as_json:
            print(json.dumps({"index": str(out / "index.html"), "pages": pages}, indent=1))
        else:
            console.print(f"{pages} pages: {out}/index.html", highlight=False)


@leaderboard.command()
def refresh(
    row: Annotated[list[str] | None, typer.Option(help="Only these rows.")] = None,
    track: Annotated[list[str] | None, typer.Option(help="Only these tracks.")] = None,
    entries: Entries = _ENTRIES,
    artefacts: Artefacts = _ARTEFACTS,
    as_json: Json = False,
) -> None:
    """Freeze the tracks on the banks as they are now; train and play the board's own rows again."""
    with _plain_errors():
        from gym_stepwise_routing.errors import check_choice
        from gym_stepwise_routing.leaderboard.board_rows import ROWS, read_rows
        from gym_stepwise_routing.leaderboard.entry_files import files_of, rows_path
        from gym_stepwise_routing.leaderboard.refresh import freeze_tracks, refresh_rows
        from gym_stepwise_routing.storage.former_names import check_former

        if not ROWS.is_file():
            raise ValueError(
                f"{ROWS}: not there; refresh writes the tracks, entries and policies of the repository, so it needs "
                "the package of a checkout: pip install -e '.[agents,leaderboard]'"
            )
        console = Console(soft_wrap=True, stderr=as_json)
        tracks = freeze_tracks()
        for wanted in row or ():
            check_choice("row", wanted, [known.name for known in read_rows()])
        for wanted in track or ():
            check_former("track", wanted)
            check_choice("track", wanted, [frozen.name for frozen in tracks])
        chosen = [frozen for frozen in tracks if not track or frozen.name in track]
        written = refresh_rows(chosen, entries=entries, artefacts=artefacts, only=row or None, report=_line(console))
        if as_json:
            print(json.dumps({"tracks": [frozen.name for frozen in chosen], "entries_written": len(written)}, indent=1))
        console.print(f"{len(written)} entries written on {len(chosen)} tracks", highlight=False)
        for frozen in chosen:
            for path in files_of(entries, frozen.name):
                if path != rows_path(entries, frozen.name):
                    console.print(f"not one of the board's rows, left as it is: {path}", highlight=False)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Faults of input, disk and missing packages in one line instead of a traceback; rejections pass through."""
    try:
        from pydantic import ValidationError

        from gym_stepwise_routing.leaderboard.faults import EntryRejectedError
        from gym_stepwise_routing.leaderboard.schema import explain
    except ImportError as error:
        typer.echo(f"{error}: pip install 'gym-stepwise-routing[leaderboard]'", err=True)
        raise typer.Exit(2) from None
    try:
        yield
    except EntryRejectedError:
        raise
    except ImportError as error:
        hint = "" if "pip install" in str(error) else ": pip install 'gym-stepwise-routing[agents,leaderboard]'"
        typer.echo(f"error: {error}{hint}", err=True)
        raise typer.Exit(2) from None
    except (ValueError, OSError) as error:
        typer.echo(f"error: {explain(error) if isinstance(error, ValidationError) else error}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def _no_entry() -> Iterator[None]:
    """A router that cannot be played is no entry yet: its faults are those of the input."""
    from gym_stepwise_routing.leaderboard.faults import EntryRejectedError

    try:
        yield
    except EntryRejectedError as error:
        raise ValueError("; ".join(fault.message for fault in error.faults)) from None


def _line(console: Console) -> Any:
    return lambda text: console.print(text, highlight=False, markup=False)


def _arguments(pairs: list[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (equals and key.isidentifier()):
            raise ValueError(f"kwargs={pair!r}; allowed: KEY=VALUE")
        try:
            arguments[key] = json.loads(value)
        except json.JSONDecodeError:
            arguments[key] = value
    return arguments


def _selection(text: str | None) -> Selection | None:
    from gym_stepwise_routing.leaderboard.entry import Selection

    if text is None:
        return None
    rule, _, value = text.partition("=")
    try:
        return Selection.model_validate({"rule": rule, "value": float(value)})
    except ValueError:
        raise ValueError(f"select={text!r}; allowed: budget=NUMBER or accuracy=NUMBER, up to 10") from None
