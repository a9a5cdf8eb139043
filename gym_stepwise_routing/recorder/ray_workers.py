"""Recording on several processes or machines with Ray.

Workers grow trees and send each one back as soon as it is complete; only the driver writes. A worker that dies takes
nothing with it but the trees it was growing, which another worker grows again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem, problem_id
from gym_stepwise_routing.errors import RecordingError
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.recorder.grow import RecordingStats, grow_trees
from gym_stepwise_routing.recorder.session import DescribedModel, RecordingSession, describe_models
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore

__all__ = ["TreeWorker", "record_with_ray"]

_CHUNK = 2
"""Problems handed to a worker at a time, in multiples of ``in_flight``: large enough that batches stay full."""
_DEATHS = 5
"""Workers that may die without a tree in between before the recording stops."""


class TreeWorker:
    """Holds the models of one worker process and grows the trees it is handed."""

    def __init__(self, specs: Sequence[GeneratorSpec], settings: RecordingSettings) -> None:
        self.generators = [spec.build() for spec in specs]
        self.settings = settings
        self.models = describe_models(self.generators, settings)

    def grow(self, problems: Sequence[Problem]) -> Iterator[dict[str, Any]]:
        """Trees as they become complete, each with the tokens decoded since the one before; last, what failed."""
        stats = RecordingStats([0] * len(self.generators))
        counted = list(stats.tokens)
        shared = [model.shared_prefix for model in self.models]
        for tree in grow_trees(problems, self.generators, self.settings, stats, shared_prefix=shared):
            yield {"tree": tree, "tokens": [now - before for now, before in zip(stats.tokens, counted, strict=True)]}
            counted = list(stats.tokens)
        late = [now - before for now, before in zip(stats.tokens, counted, strict=True)]
        yield {"failed": stats.failed, "tokens": late, "timed_out": stats.timed_out}

    def describe(self) -> list[DescribedModel]:
        """What the manifest needs of this worker's models; the driver seals it, on its own disk."""
        return self.models


class _Desk:
    """The driver's side of one worker: its actor, the stream of its trees, and the problems it still owes."""

    def __init__(self, ray: Any, session: RecordingSession, gpus: float) -> None:
        self._ray = ray
        actor = ray.remote(num_gpus=gpus)(TreeWorker)
        self.actor = actor.remote(session.specs, session.settings)
        self.stream: Any = None
        self.owed: dict[str, Problem] = {}

    def hand(self, problems: Sequence[Problem]) -> None:
        """Give the worker its next problems."""
        self.owed = {problem.id: problem for problem in problems}
        self.stream = self.actor.grow.options(num_returns="streaming").remote(list(problems))

    def close(self) -> None:
        """End the worker process."""
        self._ray.kill(self.actor)


def record_with_ray(
    session: RecordingSession,
    *,
    workers: int,
    address: str | None = None,
    gpus_per_worker: float = 0,
    on_tree: Callable[[RecordingStats, dict[str, Any]], None] | None = None,
) -> RecordingStats:
    """Record on a Ray cluster.

    Args:
        session: what is recorded; every worker loads all its models.
        workers: worker processes.
        address: address of a running cluster; None: a local one is started.
        gpus_per_worker: GPUs that Ray reserves for each worker and shows to it; 0: it shows none.
        on_tree: called after every tree that has been written.

    Raises:
        ImportError: ray is missing.
        ValueError: ``workers`` is not positive, or ``gpus_per_worker`` negative or more than this machine has (a
            cluster at an address may grow, so that its workers wait).
        BankError: the folder holds problems that are not among the session's, or another recording writes to it.
        RecordingError: workers die one after the other, or a worker's models fail, or the cluster does; trees recorded
            before are safe.
    """
    if workers < 1:
        raise ValueError(f"ray={workers!r}; allowed: an integer >= 1")
    if not gpus_per_worker >= 0:
        raise ValueError(f"gpus_per_worker={gpus_per_worker!r}; allowed: a number >= 0")
    try:
        import ray
    except ImportError as error:
        raise ImportError("recording with --ray needs ray: pip install 'gym-stepwise-routing[llm]'") from error
    with session.alone():
        session.check_selected()
        return _record_on(ray, session, workers, address, gpus_per_worker, on_tree)


def _record_on(
    ray: Any,
    session: RecordingSession,
    workers: int,
    address: str | None,
    gpus_per_worker: float,
    on_tree: Callable[[RecordingStats, dict[str, Any]], None] | None,
) -> RecordingStats:
    """Record on a cluster that is running at the address, or on one that is started for it."""
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
    resources: Any = ray.cluster_resources  # untyped
    if address is None and workers * gpus_per_worker > (gpus := resources().get("GPU", 0)):
        if started:
            ray.shutdown()
        raise ValueError(f"gpus_per_worker={gpus_per_worker!r} for {workers} workers; allowed: {gpus:g} GPUs in all")
    desks: list[_Desk] = []
    store = TreeStore(session.out / "trees-0.jsonl")
    try:
        desks = [_Desk(ray, session, gpus_per_worker) for _ in range(workers)]
        session.seal(ray.get(desks[0].actor.describe.remote()))
        return _collect(ray, session, desks, store, gpus_per_worker, on_tree)
    except ray.exceptions.RayError as error:
        cause = _cause(error)
        raise RecordingError(f"a worker failed: {cause}; trees in {store.path} are safe") from None
    finally:
        store.close()
        for desk in desks:
            desk.close()
        if started:
            ray.shutdown()


def _cause(error: BaseException) -> str:
    """The innermost error of a worker in one line, without the workers' stack traces that Ray puts around it."""
    while isinstance(inner := getattr(error, "cause", None) or error.__cause__, BaseException):
        error = inner
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _collect(
    ray: Any,
    session: RecordingSession,
    desks: list[_Desk],
    store: TreeStore,
    gpus: float,
    on_tree: Callable[[RecordingStats, dict[str, Any]], None] | None,
) -> RecordingStats:
    """Hand out problems and write down trees until none is left."""
    stats = RecordingStats([0] * len(session.specs))
    waiting = deque(session.missing())
    deaths = 0
    while True:
        for desk in desks:
            if desk.stream is None and waiting:
                chunk = min(_CHUNK * session.settings.in_flight, -(-len(waiting) // len(desks)))
                desk.hand([waiting.popleft() for _ in range(chunk)])
        streams = {desk.stream: desk for desk in desks if desk.stream is not None}
        if not streams:
            return stats
        ready, _ = ray.wait(list(streams), num_returns=1, fetch_local=False)
        desk = streams[ready[0]]
        try:
            result = ray.get(next(desk.stream))
        except StopIteration:
            desk.stream, desk.owed = None, {}
            continue
        except ray.exceptions.ActorDiedError as error:
            deaths += 1
            if deaths >= _DEATHS:
                raise RecordingError(f"{deaths} workers died: {error}; trees in {store.path} are safe") from None
            waiting.extendleft(reversed(desk.owed.values()))
            desks[desks.index(desk)] = _Desk(ray, session, gpus)
            continue
        stats.tokens = [total + new for total, new in zip(stats.tokens, result["tokens"], strict=True)]
        if "failed" in result:
            stats.failed |= result["failed"]
            stats.timed_out += result["timed_out"]
            continue
        tree = result["tree"]
        store.append(tree)
        desk.owed.pop(problem_id(tree["problem"]))
        deaths = 0
        stats.trees += 1
        stats.nodes += len(tree["nodes"]) - 1
        if on_tree is not None:
            on_tree(stats, tree)
