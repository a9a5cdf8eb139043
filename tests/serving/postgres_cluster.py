"""A PostgreSQL cluster in a temporary folder, where Debian's or any other binaries are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from worker_processes import free_port

psycopg = pytest.importorskip("psycopg", reason="needs psycopg: pip install 'gym-stepwise-routing[postgres]'")


def _binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or not (folders[-1] / "postgres").exists():
        pytest.skip("needs PostgreSQL's initdb and postgres (Debian: apt-get install postgresql)")
    return folders[-1]


class PostgresCluster:
    """The cluster: it runs as ``postgres`` where we are root, since PostgreSQL refuses to run as root.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._bin, self._folder, self.port = _binaries(), folder, free_port()
        self._user: dict[str, Any] = {"user": "postgres", "cwd": folder} if os.geteuid() == 0 else {"cwd": folder}
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        words = [
            self._bin / "initdb",
            "-D",
            folder / "data",
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **self._user)
        self.address = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.url = self.address.replace("postgresql:", "postgresql+psycopg:")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", str(self._folder)]
        words = [self._bin / "postgres", "-D", self._folder / "data", "-p", str(self.port), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, **self._user)
        for _ in range(600):
            try:
                psycopg.connect(self.address).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.1)
        raise AssertionError((self._folder / "log").read_text())

    def stop(self) -> None:
        """Stop, and drop the connections."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.address) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    folder = Path(tempfile.mkdtemp())
    try:
        cluster = PostgresCluster(folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)
