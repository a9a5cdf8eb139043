"""Trees on disk survive whatever ends the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.recorder.store import TreeStore, read_trees


def tree(index: int) -> dict[str, Any]:
    return {"problem": {"dataset": "toy", "split": "test", "index": index}, "nodes": [{"id": 0, "text": "é\n"}]}


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    store.append(tree(3))
    store.append(tree(1))
    store.close()
    again = TreeStore(tmp_path / "trees.jsonl")
    assert again.ids == {"toy/test/3", "toy/test/1"}
    assert list(read_trees(again.path)) == [tree(3), tree(1)]


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_half_written_line_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "trees.jsonl"
    store = TreeStore(path)
    store.append(tree(0))
    whole = path.stat().st_size
    store.append(tree(1))
    store.close()
    os.truncate(path, whole + cut)
    again = TreeStore(path)
    assert again.ids == {"toy/test/0"}
    again.append(tree(1))
    assert [t["problem"]["index"] for t in read_trees(path)] == [0, 1]


def test_a_tree_is_never_doubled(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    store.append(tree(0))
    with pytest.raises(BankError, match="recorded already"):
        store.append(tree(0))


def test_only_one_recording_writes_to_a_file(tmp_path: Path) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    with pytest.raises(BankError, match="another recording"):
        TreeStore(tmp_path / "trees.jsonl")
    store.close()
    TreeStore(tmp_path / "trees.jsonl").close()


def test_a_full_disk_leaves_the_trees_before_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TreeStore(tmp_path / "trees.jsonl")
    store.append(tree(0))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.append(tree(1))
    monkeypatch.undo()
    store.append(tree(2))
    assert [t["problem"]["index"] for t in read_trees(store.path)] == [0, 2]


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_disk_that_fills_up_in_the_middle_of_a_tree_leaves_whole_lines(tmp_path: Path, size: int) -> None:
    script = Path(__file__).with_name("full_disk.py")
    words = [sys.executable, str(script), str(tmp_path / "trees.jsonl"), str(size)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "2\n"
    assert [t["problem"]["index"] for t in read_trees(tmp_path / "trees.jsonl")] == [0, 3]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"problem": {}}',
        '{"problem": 3, "nodes": []}',
        '{"problem": {"dataset": "toy", "split": "test", "index": true}, "nodes": []}',
        '{"problem": {"dataset": "toy", "split": ["test"], "index": 0}, "nodes": []}',
        '{"problem": {"dataset": "toy", "split": "test", "index": 0}, "nodes": 3}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "trees.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(BankError, match="line 1"):
        TreeStore(path)
