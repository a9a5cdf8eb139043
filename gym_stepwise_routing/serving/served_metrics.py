"""What ``/metrics`` tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gym_stepwise_routing.serving.answering import Answering
from gym_stepwise_routing.serving.endpoint import Endpoint

__all__ = ["Metrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_STATES = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix, registry = "stepwise_routing_", self.registry
        self.requests = Counter(f"{prefix}requests", "Requests by outcome", ["outcome"], registry=registry)
        self.under_way = Gauge(f"{prefix}requests_under_way", "Requests under way", registry=registry)
        self.steps = Counter(f"{prefix}steps", "Steps by the model that wrote them", ["model"], registry=registry)
        self.ledger = Counter(f"{prefix}ledger", "Ledger by model and kind", ["model", "kind"], registry=registry)
        self.cost = Counter(f"{prefix}cost", "Cost of answers; always-largest costs 1 on average", registry=registry)
        self.answers = Counter(
            f"{prefix}always_largest_cost_estimated",
            "Cost of always-largest for the same answers, estimated as 1 each",
            registry=registry,
        )
        self.first_text = Histogram(
            f"{prefix}first_text_seconds", "Seconds to the first text", buckets=_SECONDS, registry=registry
        )
        self.seconds = Histogram(
            f"{prefix}request_seconds", "Seconds to the end of the answer", buckets=_SECONDS, registry=registry
        )
        self.circuit = Gauge(f"{prefix}circuit", "0 closed, 1 half-open, 2 open", ["model"], registry=registry)
        self.failures = Gauge(
            f"{prefix}endpoint_failures", "Requests to an endpoint that came to nothing", ["model"], registry=registry
        )
        self.threshold = Gauge(f"{prefix}threshold", "Threshold of the moment", registry=registry)
        self.feedback = Counter(f"{prefix}feedback", "Feedback by verdict", ["right"], registry=registry)
        self.drift = Gauge(
            f"{prefix}drift_alarm",
            "1 if the last window of requests does not look like the calibration problems",
            registry=registry,
        )
        self.drift_windows = Counter(f"{prefix}drift_windows", "Windows tested", ["alarm"], registry=registry)
        self.log_lost = Gauge(f"{prefix}log_records_lost", "Records missing in the decision log", registry=registry)

    def answered(self, answering: Answering) -> None:
        """Count an answer."""
        for step in answering.steps:
            self.steps.labels(step.model).inc()
        told = answering.routing()
        for model, kinds in told["ledger"].items():
            for kind, count in kinds.items():
                if count:
                    self.ledger.labels(model, kind).inc(count)
        self.cost.inc(told["cost"]["normalised"])
        self.answers.inc()
        if answering.first_text is not None:
            self.first_text.observe(answering.first_text)

    def page(self, endpoints: list[Endpoint]) -> bytes:
        """The page."""
        for endpoint in endpoints:
            self.circuit.labels(endpoint.name).set(_STATES[endpoint.circuit.state])
            self.failures.labels(endpoint.name).set(endpoint.failures)
        return generate_latest(self.registry)
