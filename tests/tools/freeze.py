"""Hashes of behaviour, to show that moving code moves no number: ``PYTHONPATH=. python tests/tools/freeze.py``.

Numbers are hashed from their exact bytes; names of banks and tracks, paths, dates and ids are not. Two runs are to be
compared on one machine with the same packages: matrix products differ in their last bits between processors.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from frozen_games import certificates, episodes, routers, training
from frozen_names import Items, digest
from frozen_verdicts import cost, entries, grading, reruns, simulator

SECTIONS: Mapping[str, Callable[[], Items]] = {
    "cost": cost,
    "grading": grading,
    "simulator": simulator,
    "certificates": certificates,
    "episodes": episodes,
    "training": training,
    "routers": routers,
    "entries": entries,
    "reruns": reruns,
}


def freeze(names: Sequence[str]) -> dict[str, str]:
    """Hash by name of these sections, printed as they come, with the CPU seconds of each."""
    found: dict[str, str] = {}
    for section in names:
        begin = last = time.process_time()
        for name, value, *known in SECTIONS[section]():
            key, now = f"{section}/{name}", time.process_time()
            if key in found:
                raise ValueError(f"{key} occurs twice; allowed: one hash a name")
            found[key] = digest(value)[:16]
            print(f"{key:75} {found[key]} {known[0] if known else now - last:8.2f}", flush=True)
            last = time.process_time()
        count = sum(key.startswith(f"{section}/") for key in found)
        print(f"{section}: {count} hashes in {time.process_time() - begin:.1f} CPU seconds\n", flush=True)
    return found


def compare(found: Mapping[str, str], former: Mapping[str, str], sections: Sequence[str]) -> list[str]:
    """What differs from a former table or is missing, one line each, as far as these sections go."""
    expected = {key: value for key, value in former.items() if key.split("/")[0] in sections}
    lines = [f"differs: {key}" for key in expected if key in found and found[key] != expected[key]]
    return lines + [f"missing: {key}" for key in expected if key not in found]


def main() -> int:
    """Print the table; exit status 1 where a hash of ``--check`` differs or is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file to write: hash by name, of 16 digits")
    parser.add_argument("--check", type=Path, help="JSON file of an earlier run to compare with")
    arguments = parser.parse_args()
    sections = arguments.only.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"--only: {', '.join(sorted(unknown))}; allowed: {', '.join(SECTIONS)}")
    warnings.simplefilter("ignore")  # trainings this short keep no limit
    found = freeze(sections)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if arguments.check is None:
        return 0
    former = json.loads(arguments.check.read_text(encoding="utf-8"))
    lines = compare(found, former, sections)
    print("".join(f"new: {key}\n" for key in found if key not in former), end="")
    print("\n".join(lines) or f"all hashes are as in {arguments.check}")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
