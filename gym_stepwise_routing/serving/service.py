"""What a server holds besides its requests: endpoints, routers, log, feedback and the drift alarm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from gym_stepwise_routing.calibration.targets import parse_target
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST
from gym_stepwise_routing.serving.access import Access
from gym_stepwise_routing.serving.answering import Answering
from gym_stepwise_routing.serving.asked import Asked
from gym_stepwise_routing.serving.background import BatchWorker
from gym_stepwise_routing.serving.client_requests import ClientRequest, RequestError
from gym_stepwise_routing.serving.decision_log import DecisionLog
from gym_stepwise_routing.serving.drift import DriftAlarm, reference_features
from gym_stepwise_routing.serving.endpoint import Endpoint
from gym_stepwise_routing.serving.exploration import Exploration
from gym_stepwise_routing.serving.feedback import FeedbackStore, ThresholdFollower, UnknownAnswerError
from gym_stepwise_routing.serving.log_records import drift_record, feedback_record, request_record, server_record
from gym_stepwise_routing.serving.pool_config import PoolConfig
from gym_stepwise_routing.serving.served_metrics import Metrics
from gym_stepwise_routing.serving.served_router import ServedRouter, ready_router

__all__ = ["Service", "new_id"]

_LOGGER = logging.getLogger("gym_stepwise_routing.serving")
_FEEDBACK_DELAY = 0.05  # an answer may wait so long before it is in the database
_FOLLOW_SECONDS = 2.0  # how often feedback of other servers is looked for


class Service:
    """Everything that requests share.

    Args:
        config: the pool file.
        trust: allow pickled routers.

    Raises:
        ValueError: something in the config does not fit: no router, one of another pool or mode, a missing price, an
            unset variable, an unwritable log, a database that cannot be reached.
    """

    def __init__(self, config: PoolConfig, *, trust: bool = False) -> None:
        if config.router is None:
            raise ValueError(
                "router is missing; allowed: the folder of a run or of a calibrated router, or a rule's name"
            )
        self.config = config
        self.pool, self.prompt, self.rule = config.pool, config.template(), config.rule()
        self.router = self._router(config.router, trust)
        self.targets = {name: self._router(folder, trust) for name, folder in config.targets.items()}
        for name, router in self.targets.items():
            self._check_target(name, router)
        self.access = Access(config.server)
        self.metrics = Metrics()
        self.drift = self._drift()
        draws = config.exploration
        self.exploration = None if draws is None else Exploration(draws.share, draws.seed)
        self.endpoints = [
            Endpoint(model, config.timeouts, config.retries, config.circuit, model.key()) for model in config.models
        ]
        said = server_record(config)
        self.id: str = said["id"]
        self.log = None if config.log is None else DecisionLog(config.log, said)
        self.store: FeedbackStore | None = None
        self.follower: ThresholdFollower | None = None
        if config.feedback is not None:
            self.store = FeedbackStore(config.feedback.database)
            self._answers: BatchWorker[tuple[str, bool]] = BatchWorker(
                "answers", self.store.answered, seconds=_FEEDBACK_DELAY
            )
            self.follower = self._follower(self.store)
        self.draining = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def models(self) -> tuple[str, ...]:
        """Names that clients may ask for."""
        return (self.config.name,)

    async def start(self) -> None:
        """Greet the endpoints, without waiting for them, and keep an eye on those that are down."""
        self._tasks = [asyncio.create_task(self._recover(endpoint)) for endpoint in self.endpoints]
        if self.follower is not None:
            self._tasks.append(asyncio.create_task(self._follow(self.follower)))

    async def stop(self) -> None:
        """Close what is open; what is waiting to be written is written."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for endpoint in self.endpoints:
            await endpoint.close()
        if self.log is not None:
            await asyncio.to_thread(self.log.close)
        if self.store is not None:
            await asyncio.to_thread(self._answers.close)
            self.store.close()

    async def answering(self, asked: Asked, show: Callable[[str], None] | None) -> Answering:
        """An answer to begin with.

        Raises:
            RequestError: a budget, threshold or stop string that does not go with the router or the step rule.
        """
        router = self.targets[asked.target] if asked.target else self.router
        threshold = asked.threshold
        try:
            if threshold is not None:
                router.check_threshold(threshold)
            if asked.budget is not None:
                router.check_budget(asked.budget, asked.hard_budget)
        except ValueError as error:
            raise RequestError(str(error), param=str(error).partition("=")[0]) from None
        if asked.budget is None and asked.hard_budget:
            raise RequestError("hard_budget=True without a budget; allowed: with budget", param="hard_budget")
        if self._follows(asked):
            assert self.follower is not None
            threshold = self.follower.threshold
        shared = [await endpoint.count_head(self.prompt.head) for endpoint in self._counting()]
        try:
            return Answering(
                asked=asked,
                router=router,
                threshold=threshold,
                endpoints=self.endpoints,
                pool=self.pool,
                prompt=self.prompt,
                rule=self.rule,
                shared=shared,
                exploration=None if _has_own(asked) else self.exploration,
                show=show,
            )
        except ValueError as error:
            raise RequestError(str(error), param="stop") from None

    def finished(
        self, request: ClientRequest, answering: Answering | None, outcome: str, client: str, error: str
    ) -> None:
        """Count and log a request that has ended, one way or another."""
        self.metrics.requests.labels(outcome).inc()
        if answering is None:
            return
        self.metrics.seconds.observe(time.monotonic() - answering.began)
        if outcome == "answered":
            self.metrics.answered(answering)
            if self.store is not None:
                self._answers.put((request.asked.id, self._follows(request.asked)))
            self._look_for_drift(answering)
        if self.log is not None:
            texts = self.log.texts
            self.log.put(request_record(self.id, request, answering, outcome, client, error, texts=texts))
            self.metrics.log_lost.set(self.log.lost)

    async def feedback(self, id: str, right: bool, largest_right: bool | None) -> dict[str, Any]:
        """Take feedback in.

        Raises:
            RequestError: there is no feedback here, no such answer, or something else was said of it.
        """
        if self.store is None:
            raise RequestError("feedback is not configured here", status=404, code="not_configured")
        if self.follower is not None and self.follower.needs_largest and largest_right is None:
            raise RequestError(
                "largest_right is missing; allowed: true or false, since the target compares with always-largest",
                param="largest_right",
            )
        for attempt in range(5):
            try:
                new = await asyncio.to_thread(self.store.say, id, right, largest_right)
                break
            except UnknownAnswerError as error:  # it may still be on its way to the database
                if attempt == 4:
                    raise RequestError(str(error), param="id", status=404, code="unknown_id") from None
                await asyncio.sleep(2 * _FEEDBACK_DELAY)
            except ValueError as error:
                raise RequestError(str(error), param="id", status=409, code="conflict") from None
            except OSError as error:
                raise _unreachable(error) from None
        threshold = None
        if self.follower is not None:
            try:
                threshold = await asyncio.to_thread(self.follower.catch_up)
            except OSError as error:  # it is written down, and will be read
                raise _unreachable(error) from None
        if new:
            self.metrics.feedback.labels(str(right).lower()).inc()
            if self.log is not None:
                self.log.put(feedback_record(id, right, largest_right, threshold))
        return {"id": id, "object": "feedback", "new": new, "threshold": threshold}

    def _router(self, name: str, trust: bool) -> ServedRouter:
        config = self.config
        return ready_router(
            name,
            pool=self.pool,
            bank=config.bank,
            mode=config.mode,
            cost_unit=config.cost_unit,
            trust=trust,
            prompt=self.prompt,
            rule=self.rule,
        )

    def _check_target(self, name: str, router: ServedRouter) -> None:
        asked = str(parse_target(name))
        certificate = router.certificate
        if certificate is None or certificate.target != asked:
            found = "not calibrated" if certificate is None else f"calibrated for {certificate.target!r}"
            raise ValueError(f"targets: {name!r}: its router is {found}; allowed: one calibrated for {asked!r}")

    def _follower(self, store: FeedbackStore) -> ThresholdFollower | None:
        config = self.config.feedback
        assert config is not None
        if config.target is None:
            return None
        if self.router.threshold is None:
            raise ValueError(
                f"feedback.target={config.target!r}; allowed with {self.router.called!r}: none, no threshold"
            )
        return ThresholdFollower(
            store,
            parse_target(config.target),
            initial=min(self.router.threshold, ALWAYS_SMALLEST),
            step=config.step,
            decay=config.decay,
            told=self.metrics.threshold.set,
        )

    def _follows(self, asked: Asked) -> bool:
        """Whether a request is routed at the threshold that follows feedback."""
        return self.follower is not None and not _has_own(asked)

    def _counting(self) -> list[Endpoint]:
        """For each model the endpoint that counts its prompts."""
        by_name = {endpoint.name: endpoint for endpoint in self.endpoints}
        return [by_name[endpoint.config.counts_like or endpoint.name] for endpoint in self.endpoints]

    def _drift(self) -> DriftAlarm | None:
        config = self.config.drift
        if config is None:
            return None
        game = self.router.reference
        assert game is not None
        features = reference_features(self.router.router, game)
        return DriftAlarm(features, game.spec.feature_names, window=config.window, false_alarm=config.false_alarm)

    def _look_for_drift(self, answering: Answering) -> None:
        asked = answering.asked
        if self.drift is None or _has_own(asked) or not answering.steps:
            return
        if any(step.probabilities is not None and step.model != step.chosen for step in answering.steps):
            return  # another model was drawn: not what the router was calibrated on
        report = self.drift.add(np.mean([step.features for step in answering.steps], axis=0))
        if report is None:
            return
        self.metrics.drift.set(report.alarm)
        self.metrics.drift_windows.labels(str(report.alarm).lower()).inc()
        message = ""
        if report.alarm:
            message = (
                f"the last requests do not look like the calibration problems (feature {report.feature}, corrected "
                f"p = {report.p_value:.2g}): the certificate does not speak of them"
            )
            _LOGGER.warning(message)
        if self.log is not None:
            self.log.put(drift_record(report, message))

    async def _recover(self, endpoint: Endpoint) -> None:
        """Greet an endpoint, and try it again whenever it has been left alone long enough."""
        while True:
            down = endpoint.abilities is None or endpoint.circuit.state != "closed"
            if down and endpoint.circuit.seconds_left == 0:
                with contextlib.suppress(Exception):  # a fault of ours must not end the watch; requests will show it
                    if await endpoint.try_again():
                        await endpoint.count_head(self.prompt.head)
            await asyncio.sleep(max(endpoint.circuit.seconds_left, self.config.circuit.cooldown / 4))

    async def _follow(self, follower: ThresholdFollower) -> None:
        while True:
            await asyncio.sleep(_FOLLOW_SECONDS)
            try:
                await asyncio.to_thread(follower.catch_up)
            except Exception:
                _LOGGER.exception("feedback cannot be read")


def _has_own(asked: Asked) -> bool:
    """Whether a request says itself how it is to be routed."""
    return asked.threshold is not None or bool(asked.target) or asked.budget is not None


def _unreachable(error: OSError) -> RequestError:
    return RequestError(f"{error}; try again", status=503, code="database_unreachable")


def new_id(kind: str) -> str:
    """An id for a request."""
    return ("chatcmpl-" if kind == "chat" else "cmpl-") + uuid.uuid4().hex
