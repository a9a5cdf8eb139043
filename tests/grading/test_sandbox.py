"""Programs that misbehave, without harm meant: each is contained, and none of them passes."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gym_stepwise_routing.grading.sandbox import Limits, run_tests, sandbox_version

try:
    sandbox_version()
except RuntimeError as error:
    pytest.skip(str(error), allow_module_level=True)

LIMITS = Limits(seconds=1.5, memory=1 << 28, file_bytes=1 << 16)
TESTS = "assert answer(2) == 4"
WRITE = "import os\nfor fd in range(3, 64):\n    try: os.write(fd, {})\n    except OSError: pass"
RIGHT = "def answer(x): return x * x\n"

HOSTILE = {
    "endless loop": "while True: pass",
    "endless loop in the function": "def answer(x):\n    while True: pass",
    "sleeps": "import time; time.sleep(60)",
    "ignores signals": "import signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
    "waits for input": RIGHT + "input()",
    "forks for ever": RIGHT + "import os\nwhile True: os.fork()",
    "forks once": RIGHT + "import os\nos.fork()",
    "a process pool": RIGHT + "import multiprocessing\nmultiprocessing.Process(target=print).start()",
    "starts a program": RIGHT + "import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], check=True)",
    "starts a shell": RIGHT + "import os\nassert os.system('true') == 0",
    "spawns": RIGHT + "import os\nos.posix_spawn('/usr/bin/env', ['env'], {})",
    "threads for ever": "import threading\nwhile True: threading.Thread(target=threading.Event().wait).start()",
    "allocates 4 GB": RIGHT + "x = bytearray(1 << 32)",
    "grows a list": RIGHT + "x = [0]\nwhile True: x = x + x",
    "a large number": RIGHT + "x = 1 << (1 << 40)",
    "writes outside": RIGHT + "open('/usr/written', 'w').write('x')",
    "writes in the root": RIGHT + "open('/written', 'w').write('x')",
    "writes in devices": RIGHT + "open('/dev/shm/written', 'w').write('x')",
    "fills its folder": RIGHT + "for i in range(100): open(f'/tmp/{i}', 'w').write('x' * 10_000)",
    "one large file": RIGHT + "open('large', 'w').write('x' * (1 << 20))",
    "reads the home folder": RIGHT + "import os\nassert os.listdir(os.path.expanduser('~'))",
    "looks for the tests in all processes": "import glob\nfiles = glob.glob('/proc/[0-9]*/cmdline')\n"
    "files += glob.glob('/proc/[0-9]*/environ')\nassert '(2) ==' in ''.join(open(f).read() for f in files)\n" + RIGHT,
    "sees other processes": RIGHT + "import os\nassert len([p for p in os.listdir('/proc') if p.isdigit()]) > 2",
    "ends its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "ends at once": "import os; os._exit(0)",
    "ends politely": "import sys; sys.exit(0)",
    "ends in the function": "import os\ndef answer(x): os._exit(0)",
    "exits in the function": "def answer(x): raise SystemExit(0)",
    "patches assert": "import builtins\nbuiltins.AssertionError = type('Fine', (BaseException,), {})",
    "catches the failure": "import sys\nsys.excepthook = lambda *_: None\ndef answer(x): return 5",
    "ends before the failure is told": "import atexit, os\natexit.register(os._exit, 0)\ndef answer(x): return 5",
    "says that it passed": WRITE.format("b'passed'"),
    "answers with a novel": WRITE.format("b'x' * 60_000"),
    "deep recursion": "def answer(x): return answer(x)",
    "recursion without a limit": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef answer(x): return answer(x)",
    "raises the limits": RIGHT + "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "no Python": "def answer(x:",
    "a surrogate": "x = '\ud800'",
    "no function": "x = 4",
}


@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_program_is_contained_and_wrong(program):
    started = time.monotonic()
    assert run_tests(program, TESTS, limits=LIMITS, sandboxed=True) in ("failed", "timeout")
    assert time.monotonic() - started < 20  # a limit of 1.5 s, on a machine that may be busy


def test_an_honest_program_passes():
    assert run_tests(RIGHT, TESTS, limits=Limits(), sandboxed=True) == "passed"


def test_threads_may_be_used():
    threaded = (
        "from concurrent.futures import ThreadPoolExecutor\ndef answer(x):\n    with ThreadPoolExecutor(2) as p:\n"
    )
    threaded += "        return sum(p.map(int, [x, x]))"
    assert run_tests(threaded, TESTS, limits=Limits(), sandboxed=True) == "passed"


def test_its_own_folder_is_empty_and_may_be_written():
    program = "import os\nassert os.listdir() == []\nopen('mine', 'w').write('4')\n"
    program += "def answer(x): return int(open('mine').read())"
    assert run_tests(program, TESTS, limits=Limits(), sandboxed=True) == "passed"


def test_the_network_is_out_of_reach():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)\n" + RIGHT
        assert run_tests(program, TESTS, limits=Limits(), sandboxed=False) == "passed"
        assert run_tests(program, TESTS, limits=Limits(), sandboxed=True) == "failed"


def test_files_of_the_user_are_out_of_reach(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("4")
    program = f"def answer(x): return int(open({str(secret)!r}).read())"
    assert run_tests(program, TESTS, limits=Limits(), sandboxed=False) == "passed"
    assert run_tests(program, TESTS, limits=Limits(), sandboxed=True) == "failed"


def test_the_environment_is_not_handed_on(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "4")
    program = "import os\ndef answer(x): return int(os.environ['SOME_KEY'])"
    assert run_tests(program, TESTS, limits=Limits(), sandboxed=True) == "failed"
    assert run_tests(program, TESTS, limits=Limits(), sandboxed=False) == "failed"


def test_installed_packages_are_not_at_hand():
    assert run_tests("import numpy\n" + RIGHT, TESTS, limits=Limits(), sandboxed=True) == "failed"


def test_sets_have_one_order():
    """Else a program that prints a set of texts in its order passes one day and fails the next."""
    program = "def answer(x): return ''.join({'a', 'b', 'c', 'd', 'e', 'f'})"
    tests = f"assert answer(2) == {_order()!r}"
    assert [run_tests(program, tests, limits=Limits(), sandboxed=True) for _ in range(3)] == ["passed"] * 3


def _order() -> str:
    said = subprocess.run(
        [os.path.realpath(sys.executable), "-c", "print(''.join({'a', 'b', 'c', 'd', 'e', 'f'}))"],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip()


def test_a_process_that_is_left_behind_is_ended(tmp_path):
    """Without a sandbox a program may start one; it ends with the program."""
    pid = tmp_path / "pid"
    program = "import os, time\nif (child := os.fork()) == 0:\n    time.sleep(600)\n"
    program += f"open({str(pid)!r}, 'w').write(str(child))\n"
    assert run_tests(program + RIGHT, TESTS, limits=Limits(), sandboxed=False) == "passed"
    end = time.monotonic() + 20
    while (alive := _is_alive(pid.read_text())) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive


def _is_alive(pid: str) -> bool:
    try:
        return (Path("/proc") / pid / "stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("figure", ["seconds", "memory", "file_bytes"])
def test_a_limit_below_zero_is_refused(figure):
    with pytest.raises(ValueError, match=f"{figure}=-1; allowed: a number > 0"):
        Limits(**{figure: -1})
