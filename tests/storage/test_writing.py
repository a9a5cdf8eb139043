"""Files and folders that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage import atomic
from gym_stepwise_routing.storage.atomic import new_folder, replaced, write_arrays, write_text
from gym_stepwise_routing.storage.locks import sole_writer

KILLED = """
import os, signal, sys
from pathlib import Path
from gym_stepwise_routing.storage.atomic import new_folder, replaced
from gym_stepwise_routing.storage.locks import sole_writer
how = {"file": replaced, "folder": lambda path: new_folder(path, overwrite=True), "lock": sole_writer}
with how[sys.argv[1]](Path(sys.argv[2])) as temporary:
    if sys.argv[1] != "lock":
        (temporary if sys.argv[1] == "file" else temporary / "part").write_text("half of")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(kind: str, path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, kind, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full_folder(path: Path, text: str, **how: object) -> None:
    with new_folder(path, **how) as temporary:
        (temporary / "file").write_text(text)


def test_what_a_kill_left_of_a_file_is_written_over(tmp_path):
    path = tmp_path / "text"
    write_text(path, "the old one")
    killed("file", path)
    assert names(tmp_path) == [".text.tmp", "text"]
    assert path.read_text() == "the old one"
    write_text(path, "new")
    assert names(tmp_path) == ["text"]
    assert path.read_text() == "new"


def test_what_a_kill_left_of_a_folder_is_removed_by_the_next(tmp_path):
    path = tmp_path / "folder"
    full_folder(path, "old")
    killed("folder", path)
    assert names(tmp_path) == [".folder.lock.tmp", ".folder.new.tmp", "folder"]
    assert names(path) == ["file"]
    full_folder(path, "new", overwrite=True)
    assert names(tmp_path) == ["folder"]
    assert (names(path), (path / "file").read_text()) == (["file"], "new")


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_is_replaced_with_and_without_an_exchange(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    path = tmp_path / "folder"
    full_folder(path, "old")
    full_folder(path, "new", overwrite=True)
    assert ((path / "file").read_text(), names(tmp_path)) == ("new", ["folder"])


@pytest.mark.skipif(sys.platform != "linux", reason="an exchange of folders is Linux's")
def test_a_folder_is_never_missing_while_it_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    full_folder(path, "old")

    def no_second_step(*_: object) -> None:
        raise AssertionError("folders were renamed one after the other")

    monkeypatch.setattr(os, "rename", no_second_step)
    full_folder(path, "new", overwrite=True)
    assert (path / "file").read_text() == "new"


def test_a_folder_that_a_kill_left_aside_is_put_back(tmp_path):
    path = tmp_path / "folder"
    full_folder(path, "old")
    path.rename(tmp_path / ".folder.old.tmp")  # where no exchange is possible, a kill may come between two steps
    with pytest.raises(RuntimeError), new_folder(path, overwrite=True):
        raise RuntimeError("and what would replace it fails")
    assert ((path / "file").read_text(), names(tmp_path)) == ("old", ["folder"])


def test_a_folder_is_put_back_if_the_second_step_fails(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    full_folder(path, "old")
    rename = os.rename

    def fails(source: Path, target: Path) -> None:
        if str(source).endswith(".new.tmp"):
            raise OSError(errno.EIO, "broken", str(target))
        rename(source, target)

    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(OSError, match="broken"):
        full_folder(path, "new", overwrite=True)
    assert ((path / "file").read_text(), names(tmp_path)) == ("old", ["folder"])


@pytest.mark.parametrize("overwrite", [True, False])
def test_neither_a_link_nor_a_file_becomes_a_folder(tmp_path, overwrite):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(ValueError, match="is a link; allowed: a folder itself"):
        full_folder(tmp_path / "link", "new", overwrite=overwrite)
    with pytest.raises(ValueError, match="exists and is not empty; allowed"):
        full_folder(tmp_path / "file", "new", overwrite=overwrite)


def test_a_folder_that_has_been_filled_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "folder"

    def meanwhile() -> None:
        with new_folder(path):
            path.mkdir()
            (path / "theirs").write_text("theirs")

    with pytest.raises(ValueError, match="exists and is not empty"):
        meanwhile()
    assert names(path) == ["theirs"]


def test_the_second_writer_of_a_folder_is_told_at_once(tmp_path):
    message = "folder: another process is writing it; allowed: one at a time"
    with new_folder(tmp_path / "folder"), pytest.raises(BankError, match=message):
        full_folder(tmp_path / "folder", "second", error=BankError)
    full_folder(tmp_path / "folder", "third")


def test_a_lock_ends_with_its_process_and_leaves_nothing(tmp_path):
    path = tmp_path / "made" / "what"
    killed("lock", path)
    assert names(path.parent) == [".what.lock.tmp"]
    with sole_writer(path):
        pass
    assert names(path.parent) == []
    with sole_writer(tmp_path / "other" / "what"):
        assert names(tmp_path / "other") == [".what.lock.tmp"]
    assert not (tmp_path / "other").exists(), "a folder that was made for the lock alone"


ADDS = """
import sys
from pathlib import Path
from gym_stepwise_routing.storage.atomic import write_text
from gym_stepwise_routing.storage.locks import sole_writer
path = Path(sys.argv[1])
for _ in range(100):
    with sole_writer(path, wait=True):
        write_text(path, str(int(path.read_text()) + 1))
"""


def test_of_many_who_wait_for_each_other_none_is_lost(tmp_path):
    path = tmp_path / "number"
    path.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", ADDS, str(path)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (path.read_text(), names(tmp_path)) == ("300", ["number"])


LIMITED = """
import resource, sys
import numpy as np
from pathlib import Path
from gym_stepwise_routing.storage.atomic import write_arrays, write_text
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for write in (
    lambda: write_text(folder / "text", "x" * 5000),
    lambda: write_arrays(folder / "plain.npz", {"a": np.arange(600)}),
    lambda: write_arrays(folder / "packed.npz", {"a": np.random.default_rng(0).random(600)}, compressed=True),
):
    try:
        write()
    except OSError as error:
        print(error)
"""


@pytest.mark.parametrize("limit", [0, 1, 100, 4096, 4700])
def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path, limit):
    write_text(tmp_path / "text", "old")
    write_arrays(tmp_path / "plain.npz", {"a": np.arange(3)})
    write_arrays(tmp_path / "packed.npz", {"a": np.arange(3)}, compressed=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    words = [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    told = [f"[Errno 27] File too large: '{tmp_path / name}'" for name in ("text", "plain.npz", "packed.npz")]
    assert done.stdout.splitlines() == told, done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_is_left_as_it_was_by_what_fails(tmp_path):
    path = tmp_path / "text"
    write_text(path, "old")

    def fails() -> None:
        with replaced(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        fails()
    assert (path.read_text(), names(tmp_path)) == ("old", ["text"])
