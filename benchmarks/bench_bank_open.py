"""Time and memory of opening a bank of a million nodes: ``python benchmarks/bench_bank_open.py``.

The bank is synthetic (figures and texts at random, full binary trees of depth 5); only its size matters. Every run
opens it, all checks on, in a fresh process. Wanted: 0.2 s (the fastest run, since other work on the machine only ever
adds time; CPU time stands beside it) and 200 MB resident (the peak of the worst run). The exit status is 1 over 1 s or
300 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from synthetic_bank import full_tree, synthetic_bank

DEPTH = 5
TEXT = 60  # letters of a step, as in recorded banks
SECONDS, MEGABYTES = 0.2, 200  # wanted

# VmHWM, not ru_maxrss: the latter starts from what the parent process had.
OPEN = """
import sys, time
start = time.perf_counter()
from gym_stepwise_routing.banks import Bank
imported, before = time.perf_counter(), time.process_time()
bank = Bank.open(sys.argv[1])
opened, after = time.perf_counter(), time.process_time()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
megabytes = [int(status[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM")]
print(imported - start, opened - imported, after - before, *megabytes, len(bank.depth))
"""


def main() -> None:
    """Build, open repeatedly, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        bank = Path(directory) / "bank"
        synthetic_bank(bank, arguments.nodes, full_tree(2, DEPTH), letters=TEXT)
        size = sum(file.stat().st_size for file in bank.iterdir()) / 1e6
        print(f"{size:.1f} MB on disk; times in seconds, memory in MB")
        print(f"{'run':>4} {'nodes':>10} {'import':>7} {'open':>6} {'CPU':>6} {'RSS':>5} {'peak':>5}")
        runs = []
        for run in range(arguments.repeats):
            command = [sys.executable, "-c", OPEN, str(bank)]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            imported, opened, cpu, resident, peak = map(float, out[:5])
            runs.append((opened, peak))
            times = f"{imported:>7.2f} {opened:>6.2f} {cpu:>6.2f}"
            print(f"{run:>4} {int(out[5]):>10,} {times} {resident:>5.0f} {peak:>5.0f}")
    seconds, megabytes = min(run[0] for run in runs), max(run[1] for run in runs)
    print(f"fastest {seconds:.2f} s (wanted {SECONDS}), peak {megabytes:.0f} MB (wanted {MEGABYTES})")
    sys.exit(0 if seconds < 1.0 and megabytes < 300 else 1)


if __name__ == "__main__":
    main()
