"""Faults put into the code on purpose: the tests must notice each of them.

    python tests/tools/mutants.py [--only NAME] [--out FILE]

A mutant names a piece of code by its text, wherever that stands, and the test files that have to fail; so the list
outlives files that move. All runs happen in a copy of the checkout, which is thrown away.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mutant_list import MUTANTS, Mutant

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "gym_stepwise_routing"
BESIDE = ("agents", "baselines", "leaderboard")
"""Top-level folders that are imported as parts of the package."""
LONGEST = 600
"""Seconds that one run of pytest may take."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant: ``killed``, ``survived`` or ``error``; and of ``killed`` the first test that failed."""

    group: str
    name: str
    verdict: str
    file: str
    tests: tuple[str, ...]
    failed: str
    seconds: float


class Tree:
    """A copy of the checkout, in which mutants are applied and undone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.check_output(listing, cwd=REPOSITORY, text=True).split("\0"):
            source, target = REPOSITORY / name, root / name
            if name and source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        for name in BESIDE:
            if (root / name).is_dir() and not (root / PACKAGE / name).exists():
                (root / PACKAGE / name).symlink_to(Path("..") / name)
        # Compiled files are checked by content: a mutant may have the size and the second of the original.
        compileall.compile_dir(root, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        variables = {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        self.environment = os.environ | variables
        self._check_imports()

    def _check_imports(self) -> None:
        """An editable install must not be tested in place of the copy."""
        names = [PACKAGE, *(f"{PACKAGE}.{name}" for name in BESIDE)]
        code = f"import {', '.join(names)}; print(*(m.__file__ for m in ({', '.join(names)})), sep='\\n')"
        told = subprocess.check_output([sys.executable, "-c", code], cwd=self.root, env=self.environment, text=True)
        for path in told.split("\n")[: len(names)]:
            if not Path(path).is_relative_to(self.root):
                raise SystemExit(f"{path} is imported; allowed: the code of the copy")

    def code(self) -> dict[Path, str]:
        """Text of every module, by path."""
        found = {path.resolve() for folder in (PACKAGE, *BESIDE) for path in (self.root / folder).rglob("*.py")}
        return {path: path.read_text(encoding="utf-8") for path in sorted(found)}

    def test_files(self, name: str) -> list[str]:
        """Paths of the test files of that name."""
        return sorted(str(path.relative_to(self.root)) for path in (self.root / "tests").rglob(name))

    def run(self, files: Sequence[str], only: str) -> tuple[int | None, str]:
        """Exit status of pytest, None if it was too slow, and the first test that failed (or its last lines)."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += ["--hypothesis-seed=0", *(["-k", only] if only else []), *files]
        try:
            done = subprocess.run(
                command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            return None, f"more than {LONGEST} seconds"
        first = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.MULTILINE)
        return done.returncode, first[1] if first else (done.stdout + done.stderr)[-600:]


def locate(mutants: Sequence[Mutant], tree: Tree) -> dict[str, Path]:
    """Where each mutant stands. Ends the program where one stands nowhere or twice, or its tests are not there."""
    code, faults, places = tree.code(), [], {}
    for mutant in mutants:
        found = [path for path, text in code.items() for _ in range(text.count(mutant.old))]
        if len(found) != 1:
            where = ", ".join(str(path.relative_to(tree.root)) for path in found) or "nowhere"
            faults.append(f"{mutant.name}: {mutant.old!r} is found {len(found)} times ({where}); allowed: once")
            continue
        places[mutant.name] = found[0]
        compile(code[found[0]].replace(mutant.old, mutant.new), str(found[0]), "exec")
        faults += [f"{mutant.name}: no test file {name!r}" for name in mutant.tests if not tree.test_files(name)]
    if faults:
        raise SystemExit("\n".join(faults))
    return places


@contextmanager
def applied(mutant: Mutant, path: Path) -> Iterator[None]:
    """The mutant stands in the code meanwhile."""
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


def files_of(mutants: Sequence[Mutant], tree: Tree) -> list[str]:
    """The test files of the mutants, each once."""
    return sorted({file for mutant in mutants for name in mutant.tests for file in tree.test_files(name)})


def run_unmutated(mutants: Sequence[Mutant], tree: Tree) -> None:
    """The selected tests must pass as the code is. Ends the program where they do not."""
    for only in sorted({mutant.only for mutant in mutants}):
        status, said = tree.run(files_of([mutant for mutant in mutants if mutant.only == only], tree), only)
        if status != 0:
            raise SystemExit(f"without a mutant, -k {only!r} ends with status {status}: {said}")


def run_mutant(mutant: Mutant, path: Path, tree: Tree) -> Result:
    """Play one mutant against its tests."""
    started = time.monotonic()
    with applied(mutant, path):
        status, said = tree.run(files_of([mutant], tree), mutant.only)
    verdict = {0: "survived", 1: "killed"}.get(-1 if status is None else status, "error")
    seconds = round(time.monotonic() - started, 1)
    place, failed = str(path.relative_to(tree.root)), "" if verdict == "survived" else said
    return Result(mutant.group, mutant.name, verdict, place, mutant.tests, failed, seconds)


def main() -> int:
    """Exit status 0 if every mutant is killed."""
    parser = argparse.ArgumentParser(description="Faults put into the code on purpose: the tests must notice each.")
    parser.add_argument("--only", help="name of one mutant")
    parser.add_argument("--out", type=Path, help="file for the results, as JSON")
    arguments = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if arguments.only in (None, mutant.name)]
    if not mutants:
        parser.error(f"--only {arguments.only}; allowed: {', '.join(mutant.name for mutant in MUTANTS)}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Tree(Path(folder).resolve())
        places = locate(mutants, tree)
        run_unmutated(mutants, tree)
        results = []
        for mutant in mutants:
            results.append(run_mutant(mutant, places[mutant.name], tree))
            print(f"{results[-1].verdict:9}{results[-1].seconds:6.1f} s  {mutant.group}: {mutant.name}", flush=True)
    bad = [result for result in results if result.verdict != "killed"]
    print(f"{len(results) - len(bad)} of {len(results)} killed")
    for result in bad:
        print(f"{result.verdict}: {result.name} in {result.file}, by {', '.join(result.tests)} {result.failed}")
    if arguments.out:
        arguments.out.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
