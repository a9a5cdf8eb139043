"""Verifier scores as a file of their own, tied to a bank by its content hash, so that a costly verifier runs once.

Not a column of the bank: a bank's hash names the recording that leaderboards and results refer to, and must not change
when somebody scores it, or scores it again with another verifier. The hash in the file takes the place of the column:
scores of another bank, or of an earlier state of a grown one, are refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.bank_tables import check_unpacked, reading
from gym_stepwise_routing.baselines.verifiers.attach import with_verifier
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage.atomic import replaced
from gym_stepwise_routing.storage.strict_json import decode, parse_json

__all__ = ["known_scores", "read_scores", "write_scores"]

_BANK = b"bank_sha256"
_VERIFIER = b"verifier"


def write_scores(path: Path, bank: Bank, verifier: Model, scores: NDArray[np.floating]) -> None:
    """Write the scores of every node of a bank.

    Args:
        path: Parquet file to write.
        bank: the bank.
        verifier: who scored, with all that its reading costs.
        scores: ``float[N]`` in [0, 1], NaN where a node has none.

    Raises:
        ValueError: another number of scores, or scores outside [0, 1].
    """
    checked = with_verifier(bank, verifier, scores)
    table = pa.table({"score": pa.array(checked.score, pa.float32(), from_pandas=True)})
    metadata = {_BANK: bank.hash.encode(), _VERIFIER: json.dumps(asdict(verifier)).encode()}
    with replaced(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_scores(path: Path, bank: Bank) -> Bank:
    """A copy of the bank with the scores of a file.

    Raises:
        BankError: no such file, a damaged one, not a file of scores, scores of another bank, or more of them or more
            bytes than its steps have; the message names the file.
    """
    with reading(path), pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.schema_arrow.metadata or {}
        if not {_BANK, _VERIFIER} <= metadata.keys() or schema.names != ["score"] or schema.types != [pa.float32()]:
            raise BankError(f"{path}: not a file of verifier scores; allowed: one that `stepwise-routing score` wrote")
        if (scored := metadata[_BANK].decode(errors="replace")) != bank.hash:
            raise BankError(f"{path}: scores of the bank with hash {scored}; allowed: of {bank.name!r}, {bank.hash}")
        check_unpacked(file.metadata, path.stat().st_size)
        if file.metadata.num_rows != len(bank.score):
            raise BankError(f"{path}: {file.metadata.num_rows} scores; allowed: {len(bank.score)}, one a node")
        table = file.read(use_threads=False)
    figures = parse_json(metadata[_VERIFIER], path, BankError)
    # only those who read more than each step once have these figures
    verifier = decode(
        Verifier if isinstance(figures, dict) and "prefix_cache" in figures else Model, figures, path, error=BankError
    )
    scores = table["score"].to_numpy(zero_copy_only=False).astype(np.float32)
    try:
        return with_verifier(bank, verifier, scores)
    except ValueError as error:  # a damaged file may hold fewer than it declares
        raise BankError(f"{path}: {error}") from None


def known_scores(path: Path, bank: Bank, verifier: Model) -> NDArray[np.float32]:
    """Scores of a file to go on with, ``float32[N]``.

    Raises:
        BankError: as :func:`read_scores`, or scores by another verifier.
    """
    scored = read_scores(path, bank)
    if scored.pool.verifier != verifier:
        raise BankError(f"{path}: scores by {scored.pool.verifier}; allowed: by {verifier}, or another file")
    return scored.score
