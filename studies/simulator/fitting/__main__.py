"""Builds every preset anew: ``python -m studies.simulator.fitting PROCESSBENCH_FOLDER --bank FOLDER``.

The presets were measured on an earlier recording of the bundled bank's models (252 problems of GSM8K). It is no longer
bundled: without a copy of that bank the presets cannot be built, and no other bank is taken for it.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.sources.simulator import presets
from gym_stepwise_routing.sources.simulator import score_signals as signals
from gym_stepwise_routing.storage.atomic import write_text
from gym_stepwise_routing.storage.strict_json import to_json
from studies.simulator.fitting.build import (
    Sets,
    bank_confidence,
    build_gsm8k,
    build_math,
    build_math_3,
    build_omni,
    first_recorded,
)
from studies.simulator.fitting.processbench import read_processbench
from studies.simulator.fitting.recorded import confidence_table, recorded_steps

BANK_SHA256 = "e9dac8e56ff1c7104801c73611682d91e637b7f736fbe0f8dd3d19dca8dd493d"
"""Content hash of the bank that the presets were measured on."""


def main() -> None:
    """Measure, fit and write ``measured/confidence.json`` and ``presets/*.json``."""
    parser = argparse.ArgumentParser(prog="fitting", description="Build the simulator presets from measurements.")
    parser.add_argument("processbench", type=Path, help="folder with math.json, olympiadbench.json and omnimath.json")
    parser.add_argument("--bank", type=Path, required=True, help=f"bank with the content hash {BANK_SHA256[:12]}")
    folder = Path(presets.__file__).parent
    arguments = parser.parse_args()
    sources: Path = arguments.processbench
    bank = Bank.open(arguments.bank)
    if bank.hash != BANK_SHA256:
        parser.error(
            f"--bank {arguments.bank} has the content {bank.hash[:12]}; allowed: {BANK_SHA256[:12]}, the recording of "
            "252 GSM8K problems that the presets were measured on, which is no longer bundled"
        )
    write(folder / "measured" / "confidence.json", measure_rows(bank))
    signals.confidence_rows.cache_clear()
    sets = Sets(*(read_processbench(sources / f"{name}.json") for name in ("math", "olympiadbench", "omnimath")))
    two = build_math(sets, bank_confidence(bank))
    for preset in (two, build_math_3(two, sets), build_omni(two, sets), build_gsm8k(bank)):
        write(folder / "presets" / f"{preset.parameters.name}.json", to_json(preset))


def measure_rows(bank: Bank) -> dict[str, Any]:
    """Recorded confidence figures of a bank, by bin."""
    problems = first_recorded(bank)
    borders, rows = confidence_table(bank, recorded_steps(bank, problems), np.random.default_rng(0))
    bins, count = rows.shape[:2]
    return {
        "source": f"Steps of the train and calibration problems of the bank {bank.name}: {count} drawn from each of "
        f"{bins} bins of equally many by mean log-probability; figures in the order of sources.base.CONFIDENCE.",
        "borders": {bank.name: borders.tolist()},
        "rows": {bank.name: rows.tolist()},
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON with each list of numbers on a line."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    text = re.sub(r"\[\s+((?:[-\d.e]+,?\s+)+)\]", lambda found: "[" + " ".join(found[1].split()) + "]", text)
    write_text(path, text + "\n")


if __name__ == "__main__":
    main()
