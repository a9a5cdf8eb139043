"""Banks made of banks: several merged into one, and a sample of the problems of one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.banks.manifest import Asked, Endings, Grader, Recipe
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.datasets.problem import problem_id
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.types import SPLITS

__all__ = ["merge_banks", "sample_bank"]

_ALIKE = ("models", "verifier", "prompt", "decoding", "step_rule", "horizon", "recorded_mode", "environment", "licence")
"""What banks must have in common to be one: all that a trace hangs on."""


def merge_banks(banks: Sequence[Bank], target: Path, *, name: str, overwrite: bool = False) -> Bank:
    """One bank of the problems of several, recorded in the same way.

    Where all draw their splits by one salt, each problem stays in its split; else the new bank draws them anew, by its
    own name.

    Args:
        banks: two or more, none made from a log.
        target: folder to make.
        name: name of the new bank.
        overwrite: replace an existing ``target``.

    Raises:
        BankError: banks that differ in what a trace hangs on, or share a question; the message names it.
    """
    first = banks[0].manifest
    if len(banks) < 2:
        raise BankError(f"banks={[bank.name for bank in banks]!r}; allowed: two or more")
    for bank in banks:
        if bank.manifest.served is not None:
            raise BankError(f"bank {bank.name!r} was made from a log; allowed: recorded banks")
        if bank.manifest.grader.name != first.grader.name:
            raise _differ("grader", banks[0], bank)
        for key in _ALIKE:
            if getattr(bank.manifest, key) != getattr(first, key):
                raise _differ(key, banks[0], bank)
    _check_distinct(banks)
    salts = {bank.manifest.split_rule.salt for bank in banks}
    shares: dict[str, Any] = {}
    datasets: dict[str, Any] = {}
    for bank in banks:
        for known, told, key in (
            (shares, bank.manifest.split_rule.shares, "split_rule.shares"),
            (datasets, bank.manifest.datasets, "datasets"),
        ):
            for item, value in told.items():
                if known.setdefault(item, value) != value:
                    raise _differ(f"{key}[{item!r}]", banks[0], bank)
    recipe = replace(
        first.recipe,
        name=name,
        description=" ".join(dict.fromkeys(bank.manifest.description for bank in banks)),
        simulated=any(bank.manifest.simulated for bank in banks),
        datasets=datasets,
        split_rule=SplitRule(salt=salts.pop() if len(salts) == 1 else name, shares=shares),
        command="\n".join(dict.fromkeys(bank.manifest.command for bank in banks)),
        grader=replace(first.grader, asked=_asked([bank.manifest.grader for bank in banks])),
        endings=_endings([bank.manifest.endings for bank in banks]),
    )
    return _rebuild(banks, recipe, target, lambda _: True, overwrite=overwrite)


def sample_bank(bank: Bank, problems: int, target: Path, *, name: str, seed: int = 0, overwrite: bool = False) -> Bank:
    """A bank of some of a bank's problems, each in its split, the splits in their proportion.

    Args:
        bank: the bank.
        problems: how many, 1 or more, fewer than it has.
        target: folder to make.
        name: name of the new bank.
        seed: seed of the draw.
        overwrite: replace an existing ``target``.

    Raises:
        BankError: no such number.
    """
    if not 1 <= problems < len(bank.problems):
        raise BankError(f"problems={problems!r}; allowed: 1 to {len(bank.problems) - 1}")
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(bank.split_problems(split)) for split in SPLITS])
    places = np.concatenate([(np.arange(n) + 0.5) / max(n, 1) for n in (len(bank.split_problems(s)) for s in SPLITS)])
    chosen = {bank.problem_ids[problem] for problem in order[np.argsort(places, kind="stable")[:problems]]}
    recipe = replace(
        bank.manifest.recipe,
        name=name,
        description=f"{problems} problems drawn from {bank.name} (seed {seed}). {bank.manifest.description}",
        endings=None,
    )
    return _rebuild([bank], recipe, target, lambda identity: identity in chosen, overwrite=overwrite)


def _differ(key: str, one: Bank, other: Bank) -> BankError:
    return BankError(f"banks {one.name!r} and {other.name!r} differ in {key}; allowed: banks that were recorded alike")


def _check_distinct(banks: Sequence[Bank]) -> None:
    seen: dict[str, str] = {}
    for bank in banks:
        for identity, reference in zip(bank.problem_ids, bank.problems.references(), strict=True):
            if (where := seen.setdefault(reference[3], bank.name)) != bank.name:
                raise BankError(
                    f"{identity} of bank {bank.name!r} is in bank {where!r} too; allowed: each question once"
                )


def _asked(graders: Iterable[Grader]) -> Asked | None:
    told = [grader.asked for grader in graders if grader.asked is not None]
    return Asked(**{f.name: sum(getattr(one, f.name) for one in told) for f in fields(Asked)}) if told else None


def _endings(told: Sequence[Mapping[str, Endings] | None]) -> Mapping[str, Endings] | None:
    known = [endings for endings in told if endings is not None]
    if len(known) < len(told):
        return None
    return {
        model: Endings(**{f.name: _sum(getattr(one[model], f.name) for one in known) for f in fields(Endings)})
        for model in known[0]
    }


def _sum(counts: Iterable[int | None]) -> Any:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def _rebuild(
    banks: Sequence[Bank], recipe: Recipe, target: Path, wanted: Callable[[str], bool], *, overwrite: bool
) -> Bank:
    """The wanted trees of the banks as one bank, with the counts over their questions."""
    counted: dict[str, Sequence[int | None]] = {}
    for bank in banks:
        for reference, row in zip(bank.problems.references(), bank.problems.question, strict=True):
            counted[reference[3]] = [None if np.isnan(figure) else int(figure) for figure in row]
    with tempfile.TemporaryDirectory() as folder:
        trees = Path(folder) / "trees.jsonl"
        with trees.open("w", encoding="utf-8") as out:
            for number, bank in enumerate(banks):
                part = Path(folder) / f"{number}.jsonl"
                export_jsonl(bank, part)
                with part.open(encoding="utf-8") as lines:
                    out.writelines(line for line in lines if wanted(problem_id(json.loads(line)["problem"])))
        counts = lambda dataset, split, index, sha256: counted[sha256]  # noqa: E731
        return import_jsonl(trees, recipe, target, counts=counts, overwrite=overwrite)  # type: ignore[arg-type]
