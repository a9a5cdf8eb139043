"""The page on damaged inputs, kills and full disks: ``python -m studies.robustness``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer

from gym_stepwise_routing.reporting import Page, Table, write_page
from studies.options import OutOption

__all__ = ["main", "page_of", "read_fuzz"]

COMMAND = "python -m studies.robustness"
_NUMBERS = {"read": int, "refused": int, "slowest_seconds": float, "peak_bytes": int}
_KILLS = ("killed at a random time", "killed before a file operation", "ended before the kill")
_DISKS = ("disk full", "file cut off", "disk full, but not too soon", "file cut off, but not too soon")
_PAIRS = ("two at once: both right", "two at once: one told")
_TITLES = {
    "record": "recording",
    "bank": "bank building",
    "submit": "`submit`",
    "build": "`leaderboard build`",
    "log": "`serve`'s log",
}


def read_fuzz(path: Path) -> dict[str, dict[str, float]]:
    """Counts of each reader from the report that ``make fuzz`` writes.

    Raises:
        ValueError: no reader in it, or one that failed or told no counts.
    """
    readers = {}
    for case in ElementTree.parse(path).iter("testcase"):
        told = {item.get("name"): item.get("value", "") for item in case.iter("property")}
        if case.find("failure") is not None or case.find("error") is not None or not told.keys() >= _NUMBERS.keys():
            raise ValueError(f"{path}: {case.get('name')} failed or told no counts; allowed: readers that passed")
        readers[_reader(str(case.get("name")))] = {name: kind(told[name]) for name, kind in _NUMBERS.items()}
    if not readers:
        raise ValueError(f"{path}: no reader; allowed: what make fuzz wrote")
    return readers


def _reader(test: str) -> str:
    """``test_any_json_is_read_or_refused[pool]`` becomes ``json: pool``."""
    what, _, case = test.removeprefix("test_any_").removesuffix("]").partition("[")
    return ": ".join(filter(None, (what.removesuffix("_is_read_or_refused").removesuffix("_are_read_or_refused")
                                   .removesuffix("_is_loaded_or_refused").replace("_", " "), case)))  # fmt: skip


def page_of(readers: Mapping[str, Mapping[str, float]], jobs: Mapping[str, Mapping[str, int]]) -> Page:
    """The page.

    Args:
        readers: counts of each reader, as :func:`read_fuzz` gives them.
        jobs: counts of each job of ``tests/tools/interruptions.py``.
    """
    inputs = int(sum(counts["read"] + counts["refused"] for counts in readers.values()))
    kills = sum(jobs[job].get(what, 0) for job in jobs for what in _KILLS[:2])
    return Page(
        title="Damaged inputs, kills, full disks",
        command=COMMAND,
        setting=(
            f"Readers: {len(readers)}, {inputs} mutated inputs in all, from `make fuzz`.",
            f"Commands: {len(jobs)}, {kills} kills in all, from `make interruptions`.",
            "Any failure fails these runs, so the page is only written where there was none.",
        ),
        notes=(
            "An input is a valid file with one to three of its values, or up to eight of its bytes, changed. It is "
            "read, or refused by a `ValueError` that names the file. Nothing else may be raised, no input may take "
            "over 5 CPU seconds, and the process may not have over 1 GB at its peak.",
            "Each reader has a process of its own, and the peak is that of the process, with all libraries.",
            "Half of the kills are at random times, half right before file operations that are spread over the run. "
            "Disks are full after numbers of pages, or files end after numbers of bytes, that are spread likewise. "
            "After each, what was there is there, old or new; the same command, run again, ends with the same result "
            "as one that nothing happened to, and leaves no other file.",
        ),
        tables=(
            Table(
                "Readers",
                ("reader", "inputs", "read", "refused", "failures", "slowest input, CPU s", "peak memory, MB"),
                [_row(name, counts) for name, counts in readers.items()],
            ),
            Table(
                "Interruptions",
                ("job", "killed", "ended before the kill", "full disks", "two at once", "ended well when run again"),
                [_job(name, counts) for name, counts in jobs.items()],
            ),
        ),
        numbers={"readers": readers, "jobs": jobs},
    )


def _row(name: str, counts: Mapping[str, float]) -> tuple[str, ...]:
    read, refused = int(counts["read"]), int(counts["refused"])
    seconds, peak = counts["slowest_seconds"], counts["peak_bytes"]
    return name, str(read + refused), str(read), str(refused), "0", f"{seconds:.2f}", f"{peak / 1e6:.0f}"


def _job(name: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    killed, disks, pairs = (sum(counts.get(what, 0) for what in group) for group in (_KILLS[:2], _DISKS, _PAIRS))
    well = counts["ended well when run again"]
    return (
        _TITLES[name], str(killed), str(counts.get(_KILLS[2], 0)), str(disks), str(pairs), str(well),
    )  # fmt: skip


def main(
    fuzz: Annotated[Path, typer.Option(help="Report of make fuzz.")] = Path("runs/fuzz.xml"),
    interruptions: Annotated[Path, typer.Option(help="Counts of make interruptions.")] = Path(
        "runs/interruptions.json"
    ),
    out: OutOption = Path("docs/results"),
) -> None:
    """Write the page on what was read, refused and survived."""
    page = page_of(read_fuzz(fuzz), json.loads(interruptions.read_text(encoding="utf-8")))
    write_page(page, out, "robustness")


if __name__ == "__main__":
    typer.run(main)
