"""An entry that is too much, or that ends the process which checks it, is refused, and the next one is verified."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from board_kit import ABOUT

from gym_stepwise_routing.leaderboard import checking
from gym_stepwise_routing.leaderboard.entry import RouterRef
from gym_stepwise_routing.leaderboard.entry_files import read_entries, read_entry
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError, Fault
from gym_stepwise_routing.leaderboard.loading import CALIBRATED, FITTED, describe_artefact
from gym_stepwise_routing.leaderboard.resource_limits import LIMITS, Limits, end_below
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.verify import verify_entry


def with_router(entry, ref):
    return entry.model_copy(update={"runs": (entry.runs[0].model_copy(update={"router": ref}),)})


def test_a_fit_that_never_ends(honest, tracks, artefacts, repository):
    row = read_entry(repository / "leaderboard" / "entries" / "gsm8k-closed-models.jsonl", "first-1-large")
    kwargs = {"baseline": "trim_agg:TrimAgg", "price": 1.0, "steps": 10**12}
    told = {"track": row.played.track, "observation": [*row.played.view.observation]}
    endless = with_router(row, RouterRef(factory=FITTED, kwargs=kwargs | told))
    endless = endless.model_copy(update={"name": "endless", "about": ABOUT})
    with pytest.raises(EntryRejectedError, match=r"limits: its check takes over 0\.5 seconds"):
        verify_entry(endless, artefacts=artefacts, limits=Limits(rerun_seconds=0.5))
    assert verify_entry(honest, artefacts=artefacts, tracks=tracks, run_again=False).rerun == "not asked"


@pytest.mark.usefixtures("fresh_worker")
def test_a_file_that_takes_all_memory(honest, tracks, artefacts):
    (artefacts / "large").mkdir()
    (artefacts / "large" / "certificate.json").write_bytes(b"[" + b"[]," * 2**23 + b"[]]")
    ref = RouterRef(factory=CALIBRATED, artefact=describe_artefact(artefacts / "large", artefacts, CALIBRATED))
    options = {"artefacts": artefacts, "tracks": tracks, "run_again": False, "limits": Limits(memory=2**29)}
    with pytest.raises(EntryRejectedError, match=r"limits: its check takes over 0\.5 GiB of memory"):
        verify_entry(with_router(honest, ref), **options)
    assert verify_entry(honest, **options).entry == honest


@pytest.mark.usefixtures("fresh_worker")
def test_a_process_that_does_not_start_is_no_fault_of_the_entry(honest, tracks, artefacts):
    with pytest.raises(ValueError, match=r"memory=1000000: the process that checks entries ends with") as caught:
        verify_entry(honest, artefacts=artefacts, tracks=tracks, limits=Limits(memory=10**6))
    assert not isinstance(caught.value, EntryRejectedError)


@pytest.mark.usefixtures("fresh_worker")
def test_a_process_that_ended_meanwhile_is_started_again(honest, tracks, artefacts):
    """It ends with the thread that has started it."""
    options = {"artefacts": artefacts, "tracks": tracks, "run_again": False}
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(verify_entry, honest, **options).result().entry == honest
    assert verify_entry(honest, **options).entry == honest


def test_time_counts_from_the_last_limit_on():
    code = (
        "import time; from gym_stepwise_routing.leaderboard.resource_limits import limit_seconds\n"
        "while time.process_time() < 1.2: pass\n"
        "limit_seconds(0.5); print(1, flush=True)\n"
        "while True: pass"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert (done.stdout, done.returncode) == (b"1\n", -signal.SIGXCPU)


def test_what_nobody_thought_of_is_the_entrys_fault(honest, tracks, artefacts, monkeypatch):
    def fails(*args):
        raise KeyError("a case\nverified")

    options = {"tracks": tracks, "rows": None, "run_again": False, "trust": False, "limits": LIMITS}
    check = {"artefacts": artefacts, "within": lambda seconds: None, **options}
    assert checking.check_entry(honest, **check).entry == honest
    monkeypatch.setattr(checking, "sweep_faults", fails)
    with pytest.raises(EntryRejectedError, match="failed: KeyError: 'a case"):
        checking.check_entry(honest, **check)


ROUTER = """
import os, subprocess, sys
from pathlib import Path
from gym_stepwise_routing.baselines import AlwaysLargest

class Own(AlwaysLargest):
    def predict(self, *args, **kwargs):
        if os.environ.get("DO") == "leave" and not Path("left").exists():
            code = "import os, time; os.setsid(); os.fork() and os._exit(0); print(os.getpid(), flush=True); "
            left = subprocess.Popen([sys.executable, "-c", code + "time.sleep(600)"], stdout=subprocess.PIPE)
            Path("left").write_bytes(left.stdout.readline())
        elif os.environ.get("DO") == "kill":
            os.kill(os.getppid(), 9)
        elif os.environ.get("DO") == "say":
            print("\\nverified it all")
            os._exit(3)
        return super().predict(*args, **kwargs)
"""


@pytest.fixture
def own(track, artefacts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_router.py").write_text(ROUTER)
    ref = RouterRef(factory="own_router:Own")
    yield make_entry(track, "own", [ref], ABOUT, artefacts=artefacts, trust=True)
    sys.modules.pop("own_router")


def is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux alone")
def test_a_process_that_a_router_leaves_behind_is_killed(own, tracks, artefacts, tmp_path, monkeypatch):
    """In a session of its own, its parent gone: nothing ties it to the router any more."""
    monkeypatch.setenv("DO", "leave")
    assert verify_entry(own, artefacts=artefacts, tracks=tracks, trust=True).rerun == "done"
    assert not is_running(int((tmp_path / "left").read_text()))


def test_a_router_that_kills_the_process_above_it(own, honest, tracks, artefacts, monkeypatch):
    monkeypatch.setenv("DO", "kill")
    with pytest.raises(EntryRejectedError, match="limits: the process that checks it ended with SIGKILL"):
        verify_entry(own, artefacts=artefacts, tracks=tracks, trust=True)
    assert verify_entry(honest, artefacts=artefacts, tracks=tracks, run_again=False).entry == honest


def test_what_a_router_prints_begins_no_line(own, tracks, artefacts, monkeypatch):
    monkeypatch.setenv("DO", "say")
    with pytest.raises(EntryRejectedError, match="status 3 and without a verdict") as caught:
        verify_entry(own, artefacts=artefacts, tracks=tracks, trust=True)
    assert "verified it all" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x1b[2K\x1b[1G", "\x85", "\u2028", "\u202e", "\x00"])
def test_a_fault_is_one_line(end):
    fault = Fault("schema", f"key 'a{end}verified x' is unknown")
    error = EntryRejectedError(f"a{end}verified b.json", [fault])
    for text in (fault.message, str(error)):
        assert text.isprintable()
        assert "verified" in text
    assert len(Fault("schema", "x" * 10**6).message) < 1100


def test_what_is_below_a_process_is_ended_and_it_goes_on():
    code = (
        "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); print(1, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert end_below(process.pid) == 1
        assert end_below(process.pid) == 0
        assert process.poll() is None
        process.communicate(b"\n")
    assert process.returncode == 0


def test_a_key_that_occurs_twice(honest, tmp_path):
    path = tmp_path / honest.played.track / "honest.json"
    honest.write(path)
    assert read_entries(path) == (honest,)
    text = path.read_text()
    path.write_text(text.replace('"kind": "router"', '"kind": "bound", "kind": "router"'))
    assert json.loads(path.read_text())["kind"] == "router"
    with pytest.raises(EntryRejectedError, match=r"schema: .*honest\.json: key 'kind' occurs twice in an object"):
        read_entries(path)
    path.write_text(text.replace('"seed": 0', '"seed": 0, "seed": 1'))
    with pytest.raises(EntryRejectedError, match="key 'seed' occurs twice"):
        read_entries(path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process outlives its parent")
def test_nothing_goes_on_when_whoever_asked_is_killed():
    child = "from gym_stepwise_routing.leaderboard.resource_limits import end_with_parent\n"
    child += "end_with_parent(); print(1, flush=True); input()"
    code = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE); "
        "child.stdout.readline(); print(child.pid, flush=True); child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        number = int(process.stdout.readline())
        watched = os.pidfd_open(number)
        assert select.select([watched], [], [], 0)[0] == []
        process.kill()
        assert select.select([watched], [], [], 60)[0] == [watched]
        os.close(watched)
