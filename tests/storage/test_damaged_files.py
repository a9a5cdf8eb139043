"""Damaged and hostile files end in one error that names the file, whatever they hold."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bank_files import BUNDLED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gym_stepwise_routing.banks import BANKS
from gym_stepwise_routing.banks.bank_tables import bank_schemas, open_table, reading
from gym_stepwise_routing.banks.manifest import FileEntry
from gym_stepwise_routing.banks.records import read_trees as read_interchange
from gym_stepwise_routing.datasets.json_lines import json_lines
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.recorder.store import TreeStore, read_trees
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.storage import atomic, lines, strict_json
from gym_stepwise_routing.storage.lines import numbered_lines
from gym_stepwise_routing.storage.strict_json import parse_json, read_json

TREE = {"problem": {"dataset": "toy", "split": "test", "index": 0}, "nodes": [{"text": "größer ≥ 3"}]}


@pytest.mark.parametrize(
    "text",
    [
        b'"\xed\xa0\x80"',
        "",
        "{",
        "[" * 100_000,
        '{"a": ' * 50_000,
        "9" * 5000,
        b"\xff\xfe",
        b'"\xc3"',
        r'"\ud83d"',
        rb'"\uDE00"',
    ],
    ids=range(10),
)
def test_what_is_no_json_is_told_with_its_place(text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(BankError, match="here: line 3: not JSON"):
        parse_json(text, "here: line 3", BankError)
    path = tmp_path / "file.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"file\.json: not JSON"):
        read_json(path)


def test_a_pair_of_surrogates_is_a_character_as_json_spells_it() -> None:
    assert parse_json(r'"\ud83d\ude00"', "here") == "\U0001f600"


PACKED = gzip.compress(b'{"a": 1}\n' * 2000, mtime=0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PACKED[: len(PACKED) // 2], r"line \d+: cannot be read \(Compressed file ended"),
        (PACKED[:12] + b"\xff" * 8 + PACKED[20:], r"line \d+: cannot be read \(Error -3 while decompressing"),
        (PACKED[:-8] + b"\0" * 8, r"line \d+: cannot be read \(CRC check failed"),
        (b'{"a": 1}\n', r"line 1: cannot be read \(Not a gzipped file"),
        (None, "the file is missing"),
    ],
    ids=["torn", "zlib", "crc", "plain", "missing"],
)
@pytest.mark.parametrize("reader", [numbered_lines, json_lines, read_interchange, read_trees])
def test_a_damaged_packed_file_is_one_error_of_every_reader_of_lines(
    reader: Callable[[Path], Iterable[object]], content: bytes | None, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl.gz"
    if content is not None:
        path.write_bytes(content)
    if reader in (read_interchange, read_trees):
        told = rf"{told}|line 1"  # {"a": 1} is no tree, where the damage comes later
    with pytest.raises(ValueError, match=rf"rows\.jsonl\.gz: ({told})"):
        list(reader(path))


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    for name, write in (("rows.jsonl", bytes), ("rows.jsonl.gz", gzip.compress)):
        (tmp_path / name).write_bytes(write(b"a\r\n\n\xff\nb"))
        assert list(numbered_lines(tmp_path / name)) == [(1, b"a\r\n"), (2, b"\n"), (3, b"\xff\n"), (4, b"b")]
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\)"):
        list(numbered_lines(tmp_path))


def test_a_line_or_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_LINE", 1000)
    monkeypatch.setattr(strict_json, "MOST_UNPACKED", 1000)
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" + b"7" * 999))
    assert len(list(numbered_lines(path))) == 2
    assert read_json(path) == int("7" * 999)
    path.write_bytes(gzip.compress(b"\n" + b"7" * 1000 + b"\n"))
    assert path.stat().st_size < 100
    with pytest.raises(BankError, match=r"rows\.jsonl\.gz: line 2 has more than 1000 bytes; allowed: 1000"):
        list(read_interchange(path))
    with pytest.raises(ValueError, match=r"rows\.jsonl\.gz: more than 1000 bytes; allowed: 1000"):
        read_json(path)


def test_a_last_line_torn_inside_a_character_is_cut_off(tmp_path: Path) -> None:
    whole = json.dumps(TREE, ensure_ascii=False).encode() + b"\n"
    second = whole.replace(b'"index": 0', b'"index": 1')
    path = tmp_path / "trees-0.jsonl"
    for length in range(1, len(second)):
        path.write_bytes(whole + second[:length])
        assert [tree["problem"]["index"] for tree in read_trees(path, whole_lines=True)] == [0]
        store = TreeStore(path)
        assert store.ids == {"toy/test/0"}
        store.close()
        assert path.read_bytes() == whole


def test_arrays_that_are_too_large_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_MOST_BYTES", 1 << 20)
    path = tmp_path / "router.npz"
    np.savez_compressed(path, unused=np.zeros(1 << 21, np.uint8))
    assert path.stat().st_size < 1 << 14
    with pytest.raises(ValueError, match=r"router\.npz is no policy network: its arrays have 20972\d+ bytes"):
        PolicyNetwork.load(path)


def test_a_table_that_unpacks_to_far_more_than_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gym_stepwise_routing.banks.bank_tables._ALWAYS_UNPACKED", 1 << 22)  # a sixteenth
    path, schema = tmp_path / "texts.parquet", bank_schemas(2)["texts.parquet"]
    table = pa.table([pa.array(["x" * 1_000_000] * 12), *[pa.nulls(12, pa.string())] * 2], schema=schema)
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    size = path.stat().st_size
    entry = FileEntry(sha256="0" * 64, bytes=size, rows=12)
    with (
        pytest.raises(BankError, match=rf"texts\.parquet: not a Parquet file \({size} bytes that unpack to \d+"),
        open_table(path, entry, schema, verify=False) as file,
    ):
        file.read()


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_parquet_file_is_one_error(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = (BANKS.get(BUNDLED).path / "problems.parquet").read_bytes()
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    for at in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=8)):
        if damaged:
            damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "problems.parquet"
    path.write_bytes(damaged)
    told = path.name
    try:
        with reading(path):
            pq.ParquetFile(pa.BufferReader(bytes(damaged))).read(use_threads=False)
    except BankError as error:
        told = str(error)
    assert path.name in told


def test_reading_a_bank_leaves_no_thread_behind() -> None:
    """A child that is forked could hang in its next read, waiting for a thread that only its parent has."""
    code = (
        "import os, sys; from gym_stepwise_routing.banks import Bank\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        f"bank = Bank.open({BUNDLED!r}); bank.text(1)\n"
        "sys.exit(len(os.listdir('/proc/self/task')) - before)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
