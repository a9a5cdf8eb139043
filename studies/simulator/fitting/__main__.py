"""Builds every preset anew: ``python -m studies.simulator.fitting PROCESSBENCH_FOLDER``."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.sources.simulator import presets
from gym_stepwise_routing.sources.simulator import score_signals as signals
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

BANK = "gsm8k-qwen2.5-coder"


def main() -> None:
    """Measure, fit and write ``measured/confidence.json`` and ``presets/*.json``."""
    parser = argparse.ArgumentParser(prog="fitting", description="Build the simulator presets from measurements.")
    parser.add_argument("processbench", type=Path, help="folder with math.json, olympiadbench.json and omnimath.json")
    folder = Path(presets.__file__).parent
    sources: Path = parser.parse_args().processbench
    bank = Bank.open(BANK)
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
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
