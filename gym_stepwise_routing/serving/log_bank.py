"""A bank out of a decision log: of the answers that were judged, the steps that were taken."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.jsonl import import_jsonl
from gym_stepwise_routing.banks.manifest import Dataset, Decoding, Grader, Prompt, Recipe, Served, StepRule
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.recorder.finished_bank import step_rule_note
from gym_stepwise_routing.serving.log_reading import LoggedFeedback, LoggedRequest, LoggedServer, LogReader
from gym_stepwise_routing.serving.log_trees import ConflictError, LoggedTree, replayed_ledger

__all__ = ["FromLog", "bank_from_log"]

_NO_FEEDBACK = "no feedback: nobody knows whether the answer is right"


@dataclass(frozen=True, slots=True)
class FromLog:
    """What became of a log.

    Attributes:
        bank: the bank.
        requests: requests of the log.
        taken: those that are in the bank.
        left_out: how many are not, by reason.
        torn: where half-written lines stand.
    """

    bank: Bank
    requests: int
    taken: int
    left_out: Mapping[str, int]
    torn: Sequence[str]


def bank_from_log(path: Path, target: Path, *, mode: str | None = None, overwrite: bool = False) -> FromLog:
    """Build a bank of the answers in a log.

    Each answer that feedback speaks of is a chain of steps. Chains on one question are merged where they agree; an
    answer that contradicts an earlier one is left out. Replaying the bank gives the logged ledgers: an answer whose
    ledger the rules do not give again from its steps (the router has probed) is left out as well.

    Args:
        path: the log; its rotated files are read before it.
        target: folder to make.
        mode: take only requests of this mode, where the log has several.
        overwrite: replace an existing ``target``.

    Raises:
        ValueError: no such log, a line that cannot be read, servers with other models, prompts or step rules, several
            modes, or no answer that can be taken; the message says what is left out and why.
        BankError: ``target`` exists.
    """
    log = LogReader(path)
    servers: dict[str, LoggedServer] = {}
    requests: list[LoggedRequest] = []
    said: dict[str, bool] = {}
    for record in log:
        if isinstance(record, LoggedServer):
            servers[record.id] = record
        elif isinstance(record, LoggedRequest):
            steps = tuple(replace(step, features=None) for step in record.steps)  # a bank has no use for them
            requests.append(replace(record, steps=steps))
        elif isinstance(record, LoggedFeedback):
            said[record.id] = record.right
    left_out: Counter[str] = Counter()
    chosen = [request for request in requests if mode in (None, request.mode)]
    left_out["another mode"] = len(requests) - len(chosen)
    if not chosen:
        raise ValueError(f"{path}: no request{f' in mode {mode!r}' if mode else ''} is in it")
    server = _only_server(path, [servers.get(id) for id in dict.fromkeys(request.server for request in chosen)])
    if len(modes := sorted({request.mode for request in chosen})) > 1:
        raise ValueError(f"{path}: requests of modes {', '.join(modes)}; allowed: one, --mode {modes[0]}")
    pool = ModelPool(server.models)
    shared = Counter(request.shared_prefix for request in chosen).most_common(1)[0][0]
    trees, taken = _grow(chosen, said, pool, server, shared, left_out)
    if not taken:
        raise ValueError(f"{path}: no answer can be taken: {_told(left_out)}")
    recipe = _recipe(target.name, server, taken, shared, f"stepwise-routing bank from-log {path} --out {target}")
    counts = {tree.sha256: tree.counts for tree in trees}
    if recipe.served is not None and recipe.served.propensity is None:
        for tree in trees:
            tree.set_propensities()
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "trees.jsonl"
        with lines.open("w", encoding="utf-8") as file:
            for index, tree in enumerate(trees):
                file.write(json.dumps(tree.record(server.name, index), ensure_ascii=False) + "\n")
        bank = import_jsonl(
            lines, recipe, target, counts=lambda dataset, split, index, sha256: counts[sha256], overwrite=overwrite
        )
    return FromLog(bank, len(requests), len(taken), dict((+left_out).most_common()), tuple(log.torn))


def _only_server(path: Path, servers: Sequence[LoggedServer | None]) -> LoggedServer:
    """The server that wrote the requests, or one of several that record alike."""
    if None in servers:
        raise ValueError(f"{path}: the line of the server that wrote a request is missing")
    known = [server for server in servers if server is not None]
    first = known[0]
    for name in ("models", "prompt", "form", "rule"):
        if any(getattr(server, name) != getattr(first, name) for server in known):
            ids = ", ".join(f"{server.id} ({server.time})" for server in known)
            raise ValueError(f"{path}: servers with other {name}: {ids}; allowed: a log of servers that record alike")
    return first


def _grow(
    requests: Iterable[LoggedRequest],
    said: Mapping[str, bool],
    pool: ModelPool,
    server: LoggedServer,
    shared: Sequence[int],
    left_out: Counter[str],
) -> tuple[list[LoggedTree], list[LoggedRequest]]:
    """Trees of the answers that can be taken, and these; ``left_out`` counts the others."""
    trees: dict[str, LoggedTree] = {}
    taken: list[LoggedRequest] = []
    fit = []
    for request in requests:
        if reason := _unfit(request, pool, shared):
            left_out[reason] += 1
        else:
            fit.append(request)
    for request in sorted(fit, key=lambda request: request.id not in said):  # those that are judged first
        new = LoggedTree(request, pool.names, server.rule.horizon)
        tree = trees.get(request.question_sha256, new)
        try:
            entered = tree.add(request, said.get(request.id))
        except ConflictError as conflict:
            left_out[f"conflict: {conflict}"] += 1
            continue
        if entered:
            trees[request.question_sha256] = tree
            taken.append(request)
        else:
            left_out[_NO_FEEDBACK] += 1
    return list(trees.values()), taken


def _unfit(request: LoggedRequest, pool: ModelPool, shared: Sequence[int]) -> str:
    """Why a request is no trace of a bank, '' if it is one."""
    own = request.own
    if request.outcome != "answered":
        return f"not answered ({request.outcome})"
    if request.ended != "finished":
        return f"cut off ({request.ended})"
    if own.max_tokens is not None and request.finish_reason == "length":
        return "cut off (max_tokens)"
    if own.sampling.keys() & {"temperature", "presence_penalty", "frequency_penalty"}:
        return "sampled, or with penalties: a bank is greedy"
    if own.stop:
        return "with stop strings of its own"
    if not all(request.prompt_tokens):
        return "a model did not count the prompt"
    if replayed_ledger(request, pool, shared) != request.ledger:
        return "its ledger is not that of its steps" + (": probes" if "probe" in request.observation else "")
    return ""


def _told(left_out: Mapping[str, int]) -> str:
    return "; ".join(f"{count} {reason}" for reason, count in left_out.items() if count)


def _recipe(
    name: str, server: LoggedServer, taken: Sequence[LoggedRequest], shared: tuple[int, ...], command: str
) -> Recipe:
    rule = server.rule
    times = sorted(request.time for request in taken)
    routers = tuple(sorted({request.router for request in taken}))
    explored = any(step.probabilities is not None for request in taken for step in request.steps)
    propensity = "each with its own propensity" if explored else "each with propensity 1"
    return Recipe(
        name=name,
        description=(
            f"Made from the log of a server: {len(taken)} answers of {', '.join(routers)} from {times[0]} to "
            f"{times[-1]}. Only the steps that were taken are recorded, {propensity}."
        ),
        simulated=False,
        models=server.models,
        prompt=Prompt(template_sha256=server.prompt.sha256, template=None, shared_prefix_tokens=shared),
        decoding=Decoding(
            temperature=0.0,
            max_tokens=rule.max_tokens,
            stop=rule.engine_stops,
            top_logprobs=min(least for request in taken for least in request.top_logprobs),
            form=server.form,
            engine="endpoints of the server",
        ),
        step_rule=StepRule(separator=rule.delimiter, note=step_rule_note(asdict(rule))),
        horizon=rule.horizon,
        recorded_mode=taken[0].mode,
        grader=Grader(name="feedback of the clients", version="1"),
        datasets={
            server.name: Dataset(
                question_field="question", source="questions to the server, which keeps none", licence="NOASSERTION"
            )
        },
        split_rule=SplitRule(salt=name, shares={"served": {"train": 1.0}}),
        command=command,
        licence="NOASSERTION",
        served=Served(
            router=routers, first=times[0], last=times[-1], requests=len(taken), propensity=None if explored else 1.0
        ),
    )
