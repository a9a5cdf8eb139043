"""One run of one example, in the environment of its framework: ``python -m studies.frameworks.play rllib --seed 1``.

Needs nothing but the package. What the example prints last is what was reached.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from gym_stepwise_routing.storage.atomic import write_json

__all__ = ["EXAMPLES", "Reached", "main", "play", "reached", "read_run"]

EXAMPLES = {
    "sb3": ("stable-baselines3", "sb3-contrib"),
    "cleanrl": ("torch",),
    "rllib": ("ray", "gymnasium"),
    "torchrl": ("torchrl",),
    "d3rlpy": ("d3rlpy", "minari"),
    "optuna": ("optuna", "sb3-contrib"),
}
"""Examples, and the packages whose versions stand for them."""
_LINE = re.compile(r"^\S+: accuracy ([\d.]+) cost ([\d.]+) return (-?[\d.]+)$")


@dataclass(frozen=True, slots=True)
class Reached:
    """What a run reached.

    Attributes:
        example: name of the example.
        seed: of the training.
        arguments: further arguments of the example.
        accuracy: on the test split.
        cost: mean, in the example's unit; 1 is always-largest's.
        gain: accuracy minus the penalty times the cost.
        seconds: CPU seconds of the whole process, imports and evaluation included.
        versions: of the packages that stand for it.
    """

    example: str
    seed: int
    arguments: tuple[str, ...]
    accuracy: float
    cost: float
    gain: float
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)


def reached(printed: str) -> tuple[float, float, float]:
    """Accuracy, cost and return of the last line.

    Raises:
        ValueError: the last line tells none.
    """
    last = (printed.strip().splitlines() or [""])[-1]
    found = _LINE.match(last)
    if found is None:
        raise ValueError(f"last line {last!r}; allowed: 'NAME: accuracy A cost C return R'")
    accuracy, cost, gain = map(float, found.groups())
    return accuracy, cost, gain


def play(example: str, seed: int, *arguments: str) -> Reached:
    """Run an example with this Python.

    Raises:
        ValueError: no such example, or one that tells no figures.
        CalledProcessError: it failed.
    """
    if example not in EXAMPLES:
        raise ValueError(f"example={example!r} is not known; allowed: {', '.join(map(repr, EXAMPLES))}")
    command = [sys.executable, f"examples/with_{example}.py", "--seed", str(seed), *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    versions = {package: metadata.version(package) for package in EXAMPLES[example]}
    return Reached(example, seed, arguments, *reached(printed), seconds, versions)


def read_run(path: Path) -> Reached:
    """A run that :func:`main` wrote."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Reached(**{**told, "arguments": tuple(told["arguments"])})


def main() -> None:
    """Run, and write what was reached into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", choices=EXAMPLES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/frameworks"))
    args, arguments = parser.parse_known_args()
    run = play(args.example, args.seed, *arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / f"{run.example}-{run.seed}.json", asdict(run))
    print(run)


if __name__ == "__main__":
    main()
