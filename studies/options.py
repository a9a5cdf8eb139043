"""What studies share on the command line: options, the command that writes a page again, and a line on the bank."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.units import COST_UNITS, CostUnit
from gym_stepwise_routing.errors import check_choice

__all__ = [
    "AGENT_PAGES",
    "DEFAULT",
    "BankOption",
    "OutOption",
    "ResamplesOption",
    "SeedsOption",
    "UnitOption",
    "checked_unit",
    "command_of",
    "described",
    "page_name",
]

DEFAULT = "gsm8k-qwen2.5-coder"
"""Bank that studies are made on, if no other is asked for."""
AGENT_PAGES = Path("docs/results/agents")

BankOption = Annotated[str, typer.Option(help="Bundled bank, or folder of a bank.")]
OutOption = Annotated[Path, typer.Option(help="Folder to write.")]
UnitOption = Annotated[str, typer.Option(help="Unit of the cost.")]
SeedsOption = Annotated[int, typer.Option(min=3, help="Training seeds.")]
ResamplesOption = Annotated[int, typer.Option(min=1000, help="Bootstrap resamples.")]


def checked_unit(cost_unit: str) -> CostUnit:
    """The unit, if it is one."""
    check_choice("cost_unit", cost_unit, COST_UNITS)
    return cost_unit  # type: ignore[return-value]


def command_of(command: str, main: Callable[..., None], **given: object) -> str:
    """The command with the options of its ``main`` whose values are not the defaults."""
    usual = {name: parameter.default for name, parameter in inspect.signature(main).parameters.items()}
    changed = {name: value for name, value in given.items() if value != usual[name]}
    return " ".join([command, *(f"--{name.replace('_', '-')} {value}" for name, value in changed.items())])


def page_name(study: str, source: str, *options: str) -> str:
    """Name of a study's page: with the bank or preset, if it is not the default, and the options that are not ''."""
    return "-".join([study, *([] if source == DEFAULT else [source]), *filter(None, options)])


def described(bank: Bank, unit: CostUnit) -> str:
    """A bank and its splits, in one line."""
    counts = [f"{len(bank.split_problems(split))} {split}" for split in ("train", "calibration", "test")]
    simulated = "SIMULATED: " if bank.manifest.simulated else ""
    return f"{simulated}bank {bank.name}, content {bank.hash[:12]}; problems: {', '.join(counts)}; cost unit {unit}."
