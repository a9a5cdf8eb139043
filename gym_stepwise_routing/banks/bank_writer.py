"""Writing a bank: three tables and a recipe become a sealed directory, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.manifest import BANK_FILES, MANIFEST, FileEntry, Manifest, Recipe
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage.atomic import new_folder, write_json
from gym_stepwise_routing.types import VERSION

__all__ = ["seal_bank", "write_bank"]

_ROW_GROUP = 1 << 16  # rows decoded at a time: bounds the memory that opening a large bank takes on top of its arrays


def write_bank(recipe: Recipe, tables: Mapping[str, pa.Table], target: Path, *, overwrite: bool = False) -> Bank:
    """Write a bank, and open it with all checks before it takes the place of ``target``.

    Args:
        recipe: what is stated of the recording.
        tables: the tables by file name, with the schemas of ``banks.tables.bank_schemas``.
        target: directory to make.
        overwrite: replace a ``target`` that is a bank; a link, and a folder that holds anything else, never.

    Raises:
        BankError: ``target`` exists and may not be replaced, or what was written is no bank.
    """
    _check_place(target, overwrite)
    with new_folder(target, overwrite=overwrite, error=BankError) as directory:
        seal_bank(recipe, tables, directory)
        try:
            opened = Bank.open(directory)
        except BankError as error:
            raise BankError(str(error).replace(str(directory), str(target))) from None
    return replace(opened, path=target)


def seal_bank(recipe: Recipe, tables: Mapping[str, pa.Table], directory: Path) -> None:
    """Write the files of a bank into a directory, whatever they hold: :meth:`...bank.Bank.open` checks them."""
    files = {name: _write_table(directory / name, table) for name, table in tables.items()}
    created_with = f"gym-stepwise-routing {VERSION}, pyarrow {pa.__version__}"
    write_json(directory / MANIFEST, Manifest.seal(recipe, created_with=created_with, files=files).as_json())


def _check_place(target: Path, overwrite: bool) -> None:
    if target.is_symlink():
        raise BankError(f"{target}: is a link; allowed: a new directory, or one that holds a bank")
    if not target.exists():
        return
    if not overwrite:
        raise BankError(f"{target}: exists already; allowed: a new directory, or overwriting it")
    names = {path.name for path in target.iterdir()} - {MANIFEST, *BANK_FILES} if target.is_dir() else {target.name}
    if names:
        raise BankError(
            f"{target}: {min(names)!r} is no part of a bank; allowed: to replace a folder that holds a bank and "
            "nothing else"
        )


def _write_table(path: Path, table: pa.Table) -> FileEntry:
    pq.write_table(table, path, compression="zstd", compression_level=9, row_group_size=_ROW_GROUP)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(sha256=digest, bytes=path.stat().st_size, rows=table.num_rows)
