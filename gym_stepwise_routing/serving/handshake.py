"""What each endpoint of a pool can do, and what it costs a router where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gym_stepwise_routing.costs.units import available_units
from gym_stepwise_routing.generators.generator import Failure, Request
from gym_stepwise_routing.generators.openai_requests import OPEN_MESSAGE, Sampling
from gym_stepwise_routing.serving.abilities import Abilities
from gym_stepwise_routing.serving.endpoint import Endpoint, Spent
from gym_stepwise_routing.serving.pool_config import EndpointConfig, PoolConfig

__all__ = ["Finding", "shake_hands"]

_PROMPT = "Write the numbers from one to ten, in words, separated by commas, on one line.\nAnswer:\n"
_BEGUN = "one, two, three, four,"
_GOES_ON = "five"
_WARM = Sampling(temperature=2.0)
_DRAWS = 3
_DRAWN_TOKENS = 16
"""Of a real model's texts at temperature 2, three of 16 tokens are never the same."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found out about an endpoint.

    Attributes:
        model: name in the pool.
        question: what was asked of it.
        status: ``yes``, ``no`` (it can be served all the same) or ``fails`` (it cannot).
        told: what it answered, and what a ``no`` costs.
    """

    model: str
    question: str
    status: str
    told: str


async def shake_hands(config: PoolConfig) -> list[Finding]:
    """Ask every endpoint for what serving needs."""
    findings: list[Finding] = []
    for model in config.models:
        endpoint = Endpoint(model, config.timeouts, config.retries, config.circuit, model.key())
        try:
            findings += await _endpoint(endpoint, model)
        finally:
            await endpoint.close()
    units = available_units(config.pool)
    told = f"{', '.join(units)}" if units else "none: give parameters, price or latency of every model"
    findings.append(Finding("pool", "cost units", "yes" if units else "no", told))
    return findings


async def _endpoint(endpoint: Endpoint, model: EndpointConfig) -> list[Finding]:
    name = model.name
    if not await endpoint.try_again():
        again = await endpoint.write(Request("", "", 1), prompt=_PROMPT, sampling=Sampling(), spent=Spent())
        reason = again.reason if isinstance(again, Failure) else "it does not answer steadily"
        return [Finding(name, "answers and counts its tokens", "fails", reason)]
    abilities = endpoint.abilities
    assert abilities is not None
    found = [Finding(name, "answers and counts its tokens", "yes", f"{model.served_name} at {model.url}")]
    found.append(await _named(endpoint, model))
    unseen = "no confidence is observed: rules and policies on it see nothing"
    found.append(
        Finding(name, "log-probabilities", "yes", f"the top {abilities.top_logprobs} of each token")
        if abilities.top_logprobs
        else Finding(name, "log-probabilities", "no", f"{abilities.missing_logprobs}; {unseen}")
    )
    chunk = "the last chunk" if abilities.usage_chunk == "last" else "a chunk of its own"
    found.append(
        Finding(name, "streams", "yes", f"text is shown as it is written, tokens are counted in {chunk}")
        if abilities.streams
        else Finding(name, "streams", "no", "text is shown a step at a time")
    )
    found.append(
        Finding(name, "counts a prompt", "yes", "by /tokenize")
        if abilities.tokenizes
        else Finding(name, "counts a prompt", "no", "each new prompt costs one request of one token (see counts_like)")
    )
    if model.continuation in OPEN_MESSAGE:
        found.append(_leaves_open(name, model.continuation, abilities))
    if not abilities.fault:
        found.append(await _continues(endpoint))
    found.append(await _draws(endpoint))
    return found


async def _named(endpoint: Endpoint, model: EndpointConfig) -> Finding:
    names: Sequence[str] = await endpoint.served_models()
    if not names:
        return Finding(model.name, "names its models", "no", "which model answers cannot be told")
    if model.served_name in names:
        return Finding(model.name, "names its models", "yes", model.served_name)
    return Finding(model.name, "names its models", "no", f"{model.served_name} is not among {', '.join(names[:5])}")


def _leaves_open(name: str, how: str, abilities: Abilities) -> Finding:
    """Whether it goes on with an open message, told by token counts whatever the model writes."""
    question, habits = "leaves a half-written answer open", abilities.habits
    if abilities.fault:
        return Finding(name, question, "fails", f"{how}: {abilities.fault}")
    copy = "; its copy of what it continues is taken off" if habits.echoes else ""
    if habits.keeps_newline:
        return Finding(name, question, "yes", f"{how}{copy}")
    told = "it drops the newline of the last step, which is then read as other tokens: a prompt cache ends there"
    return Finding(name, question, "no", f"{how}{copy}; {told}")


async def _draws(endpoint: Endpoint) -> Finding:
    """Whether a temperature draws tokens, or is ignored and every sample is the same."""
    name, question = endpoint.name, "draws at a temperature"
    texts = set()
    for seed in range(_DRAWS):
        sampling = replace(_WARM, seed=seed)
        request = Request("", "", _DRAWN_TOKENS)
        run = await endpoint.write(request, prompt=_PROMPT, sampling=sampling, spent=Spent())
        if isinstance(run, Failure):
            return Finding(name, question, "no", f"requests with a temperature are not served: {run.reason}")
        texts.add(run.text)
    if len(texts) > 1:
        return Finding(name, question, "yes", f"{len(texts)} texts from {_DRAWS} seeds at temperature 2")
    told = f"{_DRAWS} seeds at temperature 2 wrote one text: a client's temperature is ignored, samples are copies"
    return Finding(name, question, "no", told)


async def _continues(endpoint: Endpoint) -> Finding:
    """Whether a half-written line is gone on with, not begun anew."""
    name, how = endpoint.name, endpoint.config.continuation
    request = Request(_PROMPT, _BEGUN, 8, ("\n",))
    run = await endpoint.write(request, prompt=_PROMPT, sampling=Sampling(), spent=Spent())
    question = "continues a half-written line"
    if isinstance(run, Failure):
        return Finding(name, question, "fails", run.reason)
    if run.text.lstrip().startswith(_GOES_ON):
        return Finding(name, question, "yes", f"{how}: ...{_BEGUN[-8:]} + {run.text!r}")
    return Finding(
        name,
        question,
        "no",
        f"{how}: ...{_BEGUN[-8:]} + {run.text!r}; answers may repeat or break: try another continuation",
    )
