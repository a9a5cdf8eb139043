"""Time of ``import gym_stepwise_routing`` beyond its three dependencies: ``python benchmarks/bench_import.py``.

Every repetition is a fresh process that imports gymnasium, numpy and pyarrow first and then the package. Limit of the
project: 0.5 s in the fastest run, since other work on the machine only ever adds time; the exit status is 1 if missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

LIMIT = 0.5
IMPORT = """
import time
start = time.perf_counter()
import gymnasium, numpy, pyarrow
before = time.perf_counter()
import gym_stepwise_routing
print(before - start, time.perf_counter() - before)
"""


def main() -> None:
    """Import repeatedly and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    own = []
    print(f"{'run':>4} {'dependencies':>13} {'package':>8}  in seconds")
    for run in range(arguments.repeats):
        out = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout
        dependencies, package = map(float, out.split())
        own.append(package)
        print(f"{run:>4} {dependencies:>13.3f} {package:>8.3f}")
    met = min(own) < LIMIT
    print(f"fastest {min(own):.3f} s (limit {LIMIT:g}): {'met' if met else 'NOT met'}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
