"""``stepwise-routing list``: what can be asked for by name, from this package and from others that add to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.banks import BANKS, BundledBank
from gym_stepwise_routing.cli.compare_command import WIDE
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.comparison import ROUTERS
from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.datasets import DATASETS
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.specs import GENERATORS
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.registry import Registry
from gym_stepwise_routing.sources.simulator import PRESETS
from gym_stepwise_routing.sources.simulator.presets import PresetFile

__all__ = ["list_"]


def _of_bank(bank: BundledBank) -> dict[str, Any]:
    manifest = bank.manifest
    return {
        "models": [model.name for model in manifest.models],
        "modes": manifest.modes,
        "datasets": list(manifest.datasets),
        "licence": manifest.licence,
        "description": manifest.description,
    }


def _of_preset(preset: PresetFile) -> dict[str, Any]:
    parameters = preset.parameters
    return {"models": [model.name for model in parameters.models], "description": parameters.description}


def _shown(*columns: str) -> Callable[[Any], dict[str, Any]]:
    return lambda item: {column: getattr(item, column) for column in columns}


KINDS: Mapping[str, tuple[Registry[Any], Callable[[Any], dict[str, Any]]]] = {
    "routers": (ROUTERS, _shown("group", "paper", "sees", "needs", "charges", "modes", "plays", "fitted")),
    "agents": (AGENTS, _shown("title", "paper", "constrained", "masks", "plays", "variants")),
    "banks": (BANKS, _of_bank),
    "graders": (GRADERS, _shown("title", "prompt", "needs")),
    "datasets": (DATASETS, _shown("splits", "grading", "licence", "source")),
    "generators": (GENERATORS, _shown("title", "options", "needs")),
    "cost-units": (COST_UNITS, _shown("title", "definition", "needs")),
    "presets": (PRESETS, _of_preset),
}
"""Registry of each kind, and what is shown of an object beside its name."""


def list_(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, whole.")] = False,
) -> None:
    """List what can be asked for by name, with what is stated of it."""
    with plain_errors():
        check_choice("kind", kind, KINDS)
    registry, describe = KINDS[kind]
    rows = [{"name": name, **describe(item)} for name, item in registry.items()]
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    table = Table(*(rows[0] if rows else ("name",)), box=box.SIMPLE_HEAD)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value) if isinstance(value, str) else ", ".join(map(str, value))  # type: ignore[call-overload]
