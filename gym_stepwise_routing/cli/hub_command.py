"""``stepwise-routing bank push|pull`` and ``router push|pull``: the Hugging Face hub."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.manifest import BANK_FILES, MANIFEST
from gym_stepwise_routing.cli.plain_errors import plain_errors
from gym_stepwise_routing.storage.atomic import new_folder
from gym_stepwise_routing.storage.hugging_face import Reference

__all__ = ["bank_pull", "bank_push", "router"]

router = typer.Typer(help="Routers on the Hugging Face hub, as arrays: push, pull.", no_args_is_help=True)

From = Annotated[str, typer.Argument(help="owner/name[@revision][#content hash].", metavar="REFERENCE")]
To = Annotated[str, typer.Argument(help="owner/name, or owner/name@branch.", metavar="REFERENCE")]
Out = Annotated[Path | None, typer.Option(help="New folder to copy it to; by default it stays in the hub's cache.")]
Private = Annotated[bool, typer.Option("--private", help="Make a missing repository private.")]


def bank_push(
    bank: Annotated[str, typer.Argument(help="Name of a bundled bank, or folder of a bank.", metavar="BANK")],
    reference: To,
    private: Private = False,
) -> None:
    """Put a bank on the Hugging Face hub, with a card, every hash checked first. HF_TOKEN says who you are."""
    from gym_stepwise_routing.banks.hub_banks import push_bank

    with plain_errors():
        pushed = push_bank(Bank.open(bank), reference, private=private)
    _say(f"pushed; this very content is {pushed}")


def bank_pull(reference: From, out: Out = None) -> None:
    """Fetch a bank from the Hugging Face hub, and check every hash; afterwards it is found without a network."""
    with plain_errors():
        asked = Reference.parse(reference)
        bank = Bank.open(str(asked))
        bank.read("texts.parquet")
        pinned = Reference(asked.repo, bank.path.name, bank.hash[:12])
        _copy(bank.path, (MANIFEST, *BANK_FILES), out)
    _say(f"{bank.name}: content hash {bank.hash}, in {out or bank.path}")
    _say(f'this very content is source="{pinned}"')


@router.command("push")
def router_push(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, or of a calibrated router.")],
    reference: To,
    private: Private = False,
) -> None:
    """Put a trained or calibrated router on the Hugging Face hub, with a card; pickles stay here."""
    from gym_stepwise_routing.calibration.hub_routers import push_router

    with plain_errors():
        pushed = push_router(folder, reference, private=private)
    _say(f"pushed; this very content is {pushed}")


@router.command("pull")
def router_pull(reference: From, out: Out = None) -> None:
    """Fetch a router from the Hugging Face hub, and check it; `evaluate hf://...` does so by itself."""
    from gym_stepwise_routing.calibration.router_files import ROUTER_FILES, load_router, pull_router

    with plain_errors():
        asked = str(Reference.parse(reference))
        name = load_router(asked).name
        folder = pull_router(asked)
        _copy(folder, [name for name in ROUTER_FILES if (folder / name).is_file()], out)
    _say(f"{name}, in {out or folder}")


def _copy(folder: Path, files: tuple[str, ...] | list[str], out: Path | None) -> None:
    if out is not None:
        with new_folder(out) as temporary:
            for name in files:
                shutil.copyfile(folder / name, temporary / name)


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(escape(text))
