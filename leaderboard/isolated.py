"""A router of unknown origin, run again in a process of its own, which has to say what it found.

Code that ends its process (``sys.exit``, ``os._exit``), that kills it or never returns says nothing, and nothing is a
rejection. The process is no sandbox: it may read and write what its user may.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_args

from gym_stepwise_routing.leaderboard.entry import Entry
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault, FaultCode
from gym_stepwise_routing.leaderboard.resource_limits import end_below, end_with_parent

__all__ = ["rerun_apart"]


def rerun_apart(entry: Entry, number: int, *, artefacts: Path, tracks: Path, longest: float) -> list[Fault]:
    """:func:`gym_stepwise_routing.leaderboard.rerun.rerun` with trust, in another process.

    Afterwards every process below this one is killed: they are what the router has left behind.

    Args:
        entry: the entry, whose decisions have been replayed.
        number: which of its runs.
        artefacts: folder that artefact paths are relative to.
        tracks: folder of the tracks.
        longest: seconds that it may take.
    """
    with tempfile.TemporaryDirectory(prefix="rerun-") as temporary:
        folder = Path(temporary)
        entry.write(folder / "entry.json")
        token = secrets.token_hex(16)
        task = {"number": number, "artefacts": str(artefacts), "tracks": str(tracks), "token": token}
        # -P: as in this process, a file in the working directory does not stand in for a library of the same name.
        command = [sys.executable, "-P", "-m", __name__, temporary]
        with (folder / "said").open("wb") as said:
            try:
                ended = subprocess.run(
                    command, input=json.dumps(task).encode(), stdout=said, stderr=said, timeout=longest, check=False
                )
            except subprocess.TimeoutExpired:
                return [Fault("rerun", f"the router has not finished after {longest:g} seconds")]
            finally:
                end_below(os.getpid())
        verdict = _read(folder / "verdict.json", token)
        if verdict is None or ended.returncode != 0:
            last = (folder / "said").read_bytes()[-300:].decode(errors="replace").strip()
            message = f"the router ended its process with status {ended.returncode} and without a verdict: {last}"
            return [Fault("rerun", message.rstrip(": "))]
        return verdict


def _read(path: Path, token: str) -> list[Fault] | None:
    """The faults that were found; None without a verdict of that very run."""
    try:
        content = json.loads(path.read_bytes())
        if content["token"] != token:
            return None
        return [Fault(code if code in get_args(FaultCode) else "rerun", str(text)) for code, text in content["faults"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _main(folder: Path) -> None:
    from gym_stepwise_routing.leaderboard.replay import replay_entry
    from gym_stepwise_routing.leaderboard.rerun import rerun
    from gym_stepwise_routing.leaderboard.track import open_track

    task = json.loads(sys.stdin.buffer.read())
    entry = Entry.read(folder / "entry.json")
    track = open_track(entry.played.track, Path(task["tracks"]))
    number = task["number"]
    run = entry.runs[number]
    (replayed,) = replay_entry(track, entry.model_copy(update={"runs": (run,)}))
    try:
        faults = rerun(track, entry, run, replayed, artefacts=Path(task["artefacts"]), trust=True)
    except EntryRejectedError as error:
        faults = list(error.faults)
    content = {"token": task["token"], "faults": [[fault.code, fault.message] for fault in faults]}
    (folder / "verdict.json").write_text(json.dumps(content), encoding="utf-8")
    os._exit(0)  # nothing that the router left behind runs after the verdict


if __name__ == "__main__":
    end_with_parent()
    _main(Path(sys.argv[1]))
