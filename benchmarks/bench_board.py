"""CPU seconds of ``leaderboard build --no-rerun``: everything anew, unchanged, and with one entry more on a track.

    python benchmarks/bench_board.py

Takes about ten minutes of a core. Wants a checkout: entries are not installed. Processes below the build count.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BOARD = Path("leaderboard")
TRACK = "gsm8k-route"
LEAST = {"unchanged": 20.0, "one entry more": 3.0}
"""How many times faster than everything anew."""
_MAIN = "from gym_stepwise_routing.cli import main; main()"


def seconds(*words: str | Path) -> float:
    """CPU seconds of one build, with the processes that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", _MAIN, "leaderboard", "build", "--no-rerun", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_more(entries: Path) -> None:
    """Submit a router of one run, which is on the board, by another name."""
    rows = [json.loads(line) for line in (entries / f"{TRACK}.jsonl").read_text(encoding="utf-8").splitlines()]
    entry = next(row for row in rows if row["kind"] == "router" and len(row["runs"]) == 1)
    entry |= {"name": "one-more", "about": entry["about"] | {"title": "One more"}}
    (entries / TRACK).mkdir(exist_ok=True)
    (entries / TRACK / "one-more.json").write_text(json.dumps(entry), encoding="utf-8")


def main() -> None:
    """Print the three figures and the ratios, and end with status 1 where one is too small."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = shutil.copytree(BOARD / "entries", folder / "entries")
        options = ("--out", folder / "site", "--entries", entries, "--artefacts", BOARD / "artefacts")
        anew = seconds(*options, "--no-cache")
        print(f"everything anew: {anew:.1f} CPU s", flush=True)
        print(f"filling the cache: {seconds(*options, '--cache', folder / 'cache'):.1f} CPU s", flush=True)
        failed = False
        for title, change in (("unchanged", None), ("one entry more", one_more)):
            if change is not None:
                change(entries)
            taken = seconds(*options, "--cache", folder / "cache")
            failed |= anew / taken < LEAST[title]
            print(
                f"{title}: {taken:.1f} CPU s, {anew / taken:.1f} times faster (at least {LEAST[title]:g})", flush=True
            )
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
