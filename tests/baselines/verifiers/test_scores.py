"""Files of scores: round trip, and files that are not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers.score_files import read_scores, write_scores
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.costs.models import Latency, Model, Price
from gym_stepwise_routing.errors import BankError


@pytest.fixture(scope="module")
def bank():
    return Bank.open("gsm8k-qwen2.5-coder")


@pytest.mark.parametrize(
    "judge",
    [
        Model("plain", parameters=3e6),
        Model(
            "dear",
            parameters=7e9,
            price=Price(input=1.0, cached_input=0.5, output=2.0, date="2026-01-01", source="made up"),
            latency=Latency(prefill=0.1, decode=0.2, overhead=0.0, source="made up"),
            licence="MIT",
        ),
        Verifier("rater", parameters=7e9, prompt_tokens=40, decoded_tokens=1),
        Verifier("encoder", parameters=2e7, prefix_cache=False),
    ],
)
def test_scores_come_back(bank, tmp_path, judge):
    scores = np.where(np.arange(len(bank.nodes)) % 3 == 0, np.nan, 0.25)
    write_scores(tmp_path / "scores.parquet", bank, judge, scores)
    found = read_scores(tmp_path / "scores.parquet", bank)
    expected = np.where(bank.depth > 0, scores, np.nan).astype(np.float32)
    np.testing.assert_array_equal(found.score, expected)
    assert found.pool.verifier == judge
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]


def test_what_no_verifier_says_is_told_with_its_file(bank, tmp_path):
    path = tmp_path / "scores.parquet"
    write_scores(path, bank, Model("judge", parameters=1.0), np.zeros(len(bank.nodes)))
    table = pq.read_table(path)
    pq.write_table(pa.table([pa.array(np.full(len(table), 2, np.float32))], schema=table.schema), path)
    with pytest.raises(BankError, match=r"scores\.parquet: scores from 2\.0 to 2\.0; allowed: 0 to 1"):
        read_scores(path, bank)


def test_other_files_are_refused(bank, tmp_path):
    path = tmp_path / "scores.parquet"
    with pytest.raises(BankError, match=r"scores.parquet: the file is missing"):
        read_scores(path, bank)
    path.write_text("no")
    with pytest.raises(BankError, match="not a Parquet file"):
        read_scores(path, bank)
    pq.write_table(pa.table({"score": [0.1]}), path)
    with pytest.raises(BankError, match="not a file of verifier scores"):
        read_scores(path, bank)
    other = Bank.open("gsm8k-mixtral-gpt4")
    write_scores(path, other, Model("judge", parameters=1.0), np.zeros(len(other.nodes)))
    with pytest.raises(BankError, match=f"scores of the bank with hash {other.hash}; allowed: of "):
        read_scores(path, bank)


def rewritten(path, rows, figures=None):
    """The file with other scores, and other figures of the verifier."""
    metadata = dict(pq.read_schema(path).metadata)
    if figures is not None:
        metadata[b"verifier"] = figures
    table = pa.table({"score": pa.array(rows, pa.float32())}).replace_schema_metadata(metadata)
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def test_files_that_unpack_to_more_than_the_bank_needs_are_refused(bank, tmp_path):
    """By what they declare, before anything is unpacked: 200 MB of equal numbers are a file of 0.2 MB."""
    path, nodes = tmp_path / "scores.parquet", len(bank.nodes)
    write_scores(path, bank, Model("judge", parameters=1.0), np.zeros(nodes))
    rewritten(path, np.zeros(nodes + 1, np.float32))
    with pytest.raises(BankError, match=rf"scores\.parquet: {nodes + 1} scores; allowed: {nodes}, one a node"):
        read_scores(path, bank)
    rewritten(path, np.zeros(50_000_000, np.float32))
    with pytest.raises(BankError, match=rf"scores\.parquet: 50000000 scores; allowed: {nodes}, one a node"):
        read_scores(path, bank)


@pytest.mark.parametrize("figures", [b"7", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"name": 1}'])
def test_figures_of_a_verifier_that_are_none(figures, bank, tmp_path):
    path = tmp_path / "scores.parquet"
    write_scores(path, bank, Model("judge", parameters=1.0), np.zeros(len(bank.nodes)))
    rewritten(path, np.zeros(len(bank.nodes), np.float32), figures)
    with pytest.raises(BankError, match=r"scores\.parquet: "):
        read_scores(path, bank)
