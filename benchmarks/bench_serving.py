"""Speed of ``stepwise-routing serve``, side by side with what people would run instead.

``python benchmarks/bench_serving.py [--only added,rates,streams]``. Two fake endpoints on loopback stream at a set
rate, each in a process of its own; so do the servers, and the clients are this process.

- ``added``: time per step that the server adds to calling the endpoint directly, with 50 streams at once, in
  turns. A step lasts from its question, or from the first text of the step, to the first text of the next one: all
  that a router does between two steps is in it, and in the first one the counting of the prompt too. p50 is the
  difference of the medians; p99 that of the server's 99th percentile and the direct median.
- ``rates``: requests per CPU second with an answer of one step, every question a new one, against LiteLLM's proxy (in
  an environment of its own below the cache folder) and a bare pass-through. Seconds are the server process's.
- ``streams``: 500 streams at once for 60 s; none may break, and memory may grow by 2 % from the first half to the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from lean_endpoint import MARK, lean_endpoint
from litellm_proxy import litellm_proxy
from ratios import finish, verdict
from stream_load import Answer, load

HERE = Path(__file__).parent
MODELS = ("Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct")
ADDED_P50, ADDED_P99 = 3.0, 15.0
AGAINST_LITELLM, AGAINST_BARE = 3.0, 0.5
GROWTH = 0.02
WORDS, LINES, RATE = 20, 4, 25  # tokens of a step, steps of an answer, tokens a second
PATIENT = {"connect": 60, "count": 60, "first_token": 100, "between_tokens": 100, "request": 300}


class Process:
    """A server in a process of its own.

    Attributes:
        url: address up to ``/v1``.
        pid: its process id.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.url, self.pid = url, pid

    @property
    def cpu(self) -> float:
        """CPU seconds so far, all of its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serve(folder: Path, small: str, large: str, *, streams: int = 64) -> Iterator[Process]:
    """``stepwise-routing serve`` in front of the two endpoints, with a log and feedback as in the example."""
    (folder / "prompt.txt").write_text("Q: {question}\n" + MARK)
    models = [{"name": MODELS[0], "url": small, "parameters": 0.5e9, "concurrency": streams}]
    models.append({"name": MODELS[1], "url": large, "parameters": 1.5e9, "counts_like": MODELS[0]})
    content = {
        "models": models,
        "router": "always-smallest",
        "bank": "gsm8k-qwen2.5-coder",
        "prompt": str(folder / "prompt.txt"),
        "step": {"max_tokens": 10_000},
        "timeouts": PATIENT,
        "log": {"path": str(folder / "log.jsonl")},
        "feedback": {"database": f"sqlite:///{folder / 'feedback.sqlite'}"},
    }
    (folder / "pool.yml").write_text(yaml.safe_dump(content))
    command = [sys.executable, "-c", "from gym_stepwise_routing.cli import main; main()", "serve"]
    command += ["--config", str(folder / "pool.yml"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "300"}) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            yield Process(line.rpartition(" on ")[2].strip(), process.pid)
        finally:
            process.kill()


@contextmanager
def bare(url: str) -> Iterator[Process]:
    """The bare pass-through."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "bare_passthrough.py"), url], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Process(process.stdout.readline().strip(), process.pid)
        finally:
            process.kill()


def chat(tag: str, *, stream: bool = True) -> Callable[[int], dict[str, Any]]:
    """Requests of a chat client, each a question of its own."""

    def body(number: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"Question {tag} {number}: what is {number} times {number}?"}]
        return {"model": "stepwise-routing", "stream": stream, "messages": messages}

    return body


def direct(tag: str) -> Callable[[int], dict[str, Any]]:
    """Requests for one step, straight to an endpoint, as the server would send them."""

    def body(number: int) -> dict[str, Any]:
        content = chat(tag)(number)
        prompt = f"Q: {content.pop('messages')[-1]['content']}\n{MARK}" + "word\n" * (number % LINES)
        return content | {"prompt": prompt, "max_tokens": 200, "stop": ["\n"], "logprobs": 8}

    return body


def asked(
    url: str, path: str, body: Callable[[int], dict[str, Any]], clients: int, answers: int | None, **more: Any
) -> list[Answer]:
    """All the answers, none of them broken."""
    got = asyncio.run(load(url, path, body, clients=clients, answers=answers, **more))
    for answer in got:
        if answer.status != 200 or not answer.whole:
            sys.exit(f"an answer of {url} broke: status {answer.status}, {answer.body[:300]!r}")
    return got


def added(folder: Path) -> bool:
    """Time per step that the server adds."""
    ways: dict[str, list[float]] = {"direct": [], "serve": []}
    with ExitStack() as stack:
        small, large = (stack.enter_context(lean_endpoint(words=WORDS, lines=LINES, rate=RATE)) for _ in range(2))
        server = stack.enter_context(serve(folder, small, large))
        spread = WORDS / RATE  # a step's time: at any moment streams stand at all places of their steps
        asked(server.url, "/chat/completions", chat("warm"), 50, 50, spread=spread)
        for turn in range(4):
            ways["direct"] += [
                a.seconds for a in asked(small, "/completions", direct(f"d{turn}"), 50, 300, spread=spread)
            ]
            for answer in asked(server.url, "/chat/completions", chat(f"s{turn}"), 50, 100, spread=spread):
                ways["serve"] += [end - begin for begin, end in pairwise((0.0, *answer.lines))]
    median = statistics.median(ways["direct"])
    figures = {name: statistics.quantiles(times, n=100) for name, times in ways.items()}
    p50, p99 = 1000 * (figures["serve"][49] - median), 1000 * (figures["serve"][98] - median)
    own = 1000 * (figures["direct"][98] - median)
    met = p50 <= ADDED_P50 and p99 <= ADDED_P99
    sys.stdout.write(
        f"Added per step, 50 streams at once, {LINES} steps of {WORDS} tokens at {RATE}/s, n = {len(ways['serve'])}\n"
        f"p50 {p50:8.1f} ms (asked: <= {ADDED_P50:g})\np99 {p99:8.1f} ms (asked: <= {ADDED_P99:g})"
        f"{'' if met else '  MISSED'}\nfor comparison, p99 - p50 of the endpoint alone: {own:.1f} ms\n\n"
    )
    return met


def rates(folder: Path) -> bool:
    """Requests per CPU second."""
    met = True
    with ExitStack() as stack:
        small, large = (stack.enter_context(lean_endpoint(words=WORDS, lines=1, rate=100)) for _ in range(2))
        servers = {"bare pass-through": stack.enter_context(bare(small))}
        if (proxy := stack.enter_context(litellm_proxy(small, folder))) is not None:
            servers["LiteLLM's proxy"] = Process(*proxy)
        servers["serve"] = stack.enter_context(serve(folder, small, large))
        for stream in (True, False):
            found: dict[str, list[float]] = {name: [] for name in servers}
            for turn in range(4):
                for name, server in servers.items():
                    before = server.cpu
                    asked(server.url, "/chat/completions", chat(f"{stream}{turn}{name}", stream=stream), 16, 48)
                    if turn:  # the first warms up
                        found[name].append(48 / (server.cpu - before))
            met = _table(found, "streamed" if stream else "whole") and met
    return met


def _table(found: dict[str, list[float]], how: str) -> bool:
    met = True
    sys.stdout.write(f"Answers of one step, {WORDS} tokens, {how}\n{'':20} requests/CPU s  serve / it\n")
    for name, values in found.items():
        line = f"{name:20} {statistics.median(values):14.1f}"
        if name != "serve":
            ratio = statistics.median(own / other for own, other in zip(found["serve"], values, strict=True))
            limit = AGAINST_BARE if name.startswith("bare") else AGAINST_LITELLM
            met = met and ratio >= limit
            line += f"  {ratio:10.2f}  >= {limit:g}{verdict(ratio, limit)}"
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"Medians of {len(found['serve'])} alternating rounds of 48 requests, 16 at a time.\n\n")
    return met


def streams(folder: Path, clients: int, seconds: float) -> bool:
    """Many streams at once: none breaks, and memory is flat."""
    sizes: list[float] = []
    with ExitStack() as stack:
        small, large = (stack.enter_context(lean_endpoint(words=WORDS, lines=1, rate=1)) for _ in range(2))
        server = stack.enter_context(serve(folder, small, large, streams=clients))

        async def watched() -> list[Answer]:
            asking = asyncio.create_task(
                load(server.url, "/chat/completions", chat("many"), clients=clients, seconds=seconds)
            )
            while not asking.done():
                await asyncio.sleep(0.5)
                sizes.append(server.megabytes)
            return asking.result()

        began = time.perf_counter()
        got = asyncio.run(watched())
        took = time.perf_counter() - began
    broken = sum(answer.status != 200 or not answer.whole for answer in got)
    half, quarter = len(sizes) // 2, len(sizes) // 4
    first, last = statistics.median(sizes[half - quarter // 2 : half]), statistics.median(sizes[-(quarter // 2) :])
    growth = last / first - 1
    met = broken == 0 and growth < GROWTH
    sys.stdout.write(
        f"{clients} streams at once for {took:.0f} s: {len(got)} answers, {broken} broken; {first:.0f} MB half-way, "
        f"{last:.0f} MB at the end: {100 * growth:+.1f} % (asked: < {100 * GROWTH:g} %){'' if met else '  MISSED'}\n"
    )
    return met


def main() -> None:
    """Read the arguments and measure; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="added,rates,streams")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        sys.stdout.write("skipped: CPU time and memory of other processes are read from /proc\n")
        return
    parts: dict[str, Callable[[Path], bool]] = {
        "added": added,
        "rates": rates,
        "streams": lambda folder: streams(folder, arguments.streams, arguments.seconds),
    }
    met = []
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            met.append(parts[name](Path(folder)))
        sys.stdout.flush()
    finish(all(met))


if __name__ == "__main__":
    main()
