"""How ``calibrate`` and ``evaluate`` say what a router saves: a table for people, or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gym_stepwise_routing.calibration.saving import Saving
from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.evaluation.bootstrap import Interval

if TYPE_CHECKING:
    from gym_stepwise_routing.serving.off_policy import OffPolicy

__all__ = ["show", "show_off_policy"]


def show(saving: Saving, *, as_json: bool, **more: Any) -> None:
    """Print a saving; ``more`` are further fields of the JSON form."""
    if as_json:
        print(json.dumps({**asdict(saving), "warnings": saving.warnings, **more}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    simulated = ", simulated" if saving.simulated else ""
    console.print(
        f"{escape(saving.router)} on {escape(saving.source)}, {saving.split} ({saving.n} problems, "
        f"{saving.mode}, {saving.cost_unit}{simulated})"
    )
    table = Table("", "value", "95 % interval", box=box.SIMPLE_HEAD)
    table.add_row("accuracy", *_cells(saving.accuracy))
    table.add_row("  always-largest's", *_cells(saving.largest_accuracy))
    table.add_row("  difference, paired", *_cells(saving.accuracy_difference, signed=True))
    table.add_row("cost (always-largest: 1)", *_cells(saving.cost))
    table.add_row("saving against always-largest", *_cells(saving.saving, percent=True))
    for unit in COST_UNITS:
        if unit in saving.savings and unit != saving.cost_unit:
            table.add_row(f"  in {COST_UNITS.get(unit).label}", *_cells(saving.savings[unit], percent=True))
    console.print(table)
    console.print("steps: " + ", ".join(f"{escape(name)} {share:.0%}" for name, share in saving.share.items()))
    certificate = saving.certificate
    if certificate is not None:
        console.print(f"asked: {escape(certificate.target)}")
        console.print(f"promised: {escape(certificate.promise)} (threshold {certificate.threshold:.4g})")
    for warning in saving.warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")


def show_off_policy(estimate: OffPolicy, *, as_json: bool) -> None:
    """Print an estimate from served requests."""
    if as_json:
        print(json.dumps(asdict(estimate), indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{escape(estimate.router)}, estimated from {estimate.n} served requests ({estimate.mode}) that weigh as many "
        f"as {estimate.effective:.0f} of its own"
    )
    table = Table("", "value", "95 % interval", box=box.SIMPLE_HEAD)
    table.add_row("accuracy", *_cells(estimate.accuracy))
    table.add_row("  as served", *_cells(estimate.served_accuracy))
    table.add_row("cost (always-largest: 1)", *_cells(estimate.cost))
    table.add_row("  as served", *_cells(estimate.served_cost))
    console.print(table)
    for reason, count in estimate.left_out.items():
        console.print(f"left out: {count} {escape(reason)}")


def _cells(value: Interval, *, signed: bool = False, percent: bool = False) -> tuple[str, str]:
    form = ".1%" if percent else "+.3f" if signed else ".3f"
    return f"{value.estimate:{form}}", f"{value.low:{form}} to {value.high:{form}}"
