"""One client's request, answered: each step by the model that the router picks, by the rules of the game."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.ledger import KINDS, as_table
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.game.episode_standing import ending, truncation_numbers
from gym_stepwise_routing.game.episodes import RuleCursor
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.generators.generator import Completion, Failure
from gym_stepwise_routing.generators.openai_requests import Message
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import settled_text
from gym_stepwise_routing.serving.abilities import Written
from gym_stepwise_routing.serving.asked import Asked, Finish, NoModelError, StepTaken
from gym_stepwise_routing.serving.endpoint import Endpoint, Spent
from gym_stepwise_routing.serving.exploration import Exploration
from gym_stepwise_routing.serving.recall import RecalledGenerator, Wanted
from gym_stepwise_routing.serving.served_router import ServedRouter
from gym_stepwise_routing.sources.live import LiveSource
from gym_stepwise_routing.types import TRUNCATIONS

__all__ = ["Answering"]


@dataclass
class Answering:
    """An answer under way.

    Args:
        asked: what the client asks for.
        router: the router.
        threshold: the threshold of the moment; None: the router's own, or it has none.
        endpoints: the models, smallest first.
        pool: what the cost units know of them.
        prompt: prompt template.
        rule: step rule.
        shared: tokens of the template's head, as each model counts them.
        exploration: draws steps; None: the router decides them all.
        show: told each piece of text as soon as it is sure to stand in the answer; None: nobody reads before the end.
    """

    asked: Asked
    router: ServedRouter
    threshold: float | None
    endpoints: Sequence[Endpoint]
    pool: ModelPool
    prompt: PromptTemplate
    rule: StepRule
    shared: Sequence[int]
    exploration: Exploration | None
    show: Callable[[str], None] | None
    spent: Spent = field(default_factory=Spent)
    steps: list[StepTaken] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    finish: Finish = "stop"
    ended: str = ""
    first_text: float | None = None
    prompt_tokens: tuple[int, ...] = ()
    observation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.rule = replace(self.rule, stop=(*self.rule.stop, *self.asked.stop))
        self._filled = self.prompt.fill(self.asked.question)
        self._prompt: str | Sequence[Message] = self.asked.messages or self._filled
        self._texts: list[str] = []  # of the steps so far
        self._shown = ""  # of the step under way
        self._step_tokens: int | None = 0  # of what is shown of it; None: not told
        self._handed: Written | None = None  # what a model that broke had shown of it
        self._finishes: dict[int, str] = {}  # why each model's last run ended
        self._cost = 0.0
        self._ledger: NDArray[np.int64] | None = None
        self._last = False
        self._rng = np.random.default_rng(0)  # a live source draws nothing
        self._recalled: list[RecalledGenerator] = []

    async def run(self) -> None:
        """Write the answer.

        Raises:
            NoModelError: no model is left to go on with.
        """
        game = await self._begin()
        self.observation = game.rules.blocks
        cursor = RuleCursor(game)
        budget = np.inf if self.asked.budget is None else self.asked.budget
        await self._through(lambda: cursor.begin(0, self._rng), None)
        since = time.monotonic()
        after = cursor.standing()
        while True:
            stands = after
            self._cost, self._ledger = stands.cost, np.asarray(stands.ledger, dtype=np.int64)
            end = ending(stands, budget, game.hard_budget)
            if end.ended:
                break
            if self._tokens_left() == 0:
                self.finish, self.ended = "length", "max_tokens"
                return
            features = game.show_budget(stands.observation, stands.cost, budget)
            decision = self.router.decide(features, self.threshold, len(self.pool))
            action = int(project_actions(np.array([decision.model]), stands.mask[None])[0])
            probabilities = None
            if self.exploration is not None:
                action, probabilities = self.exploration.draw(action, stands.mask)
            self._last = stands.depth + 1 == self.rule.horizon
            # In regenerate a step is shown when it is whole: where a larger model breaks, the draft may still stand.
            regenerate = game.rules.mode == "regenerate"
            _, pending = cursor.latent()
            await self._through(lambda action=action: cursor.move(action, self._rng), None if regenerate else action)  # type: ignore[misc]
            after = cursor.standing()
            if after.failed:
                continue
            written, _ = cursor.latent()
            self._step_ends(written["written"][0].text)
            now = time.monotonic()
            names = self.pool.names
            tokens = int(after.ledger[:, KINDS.index("kept")].sum() - stands.ledger[:, KINDS.index("kept")].sum())
            self.steps.append(
                StepTaken(
                    model=names[action],
                    chosen=names[decision.model],
                    scores=decision.scores,
                    tokens=tokens,
                    seconds=now - since,
                    features=tuple(map(float, features)),
                    written=written["written"][0],
                    draft=None if pending is None or (regenerate and action == 0) else pending["written"][0],
                    probabilities=None if probabilities is None else tuple(probabilities.tolist()),
                )
            )
            since = now
        if end.truncated:
            self.ended = TRUNCATIONS[truncation_numbers(end, game.hard_budget)[()]]
            if self.ended == "no_model":
                raise self._no_model(str(stands.reason))
            self.finish = "length"
        else:
            self.ended = "finished"
            cut = self._finishes.get(action) == "length" and self.rule.end_of_answer(self._texts[-1]) is None
            self.finish = "length" if cut else "stop"

    @property
    def usage(self) -> dict[str, Any]:
        """What the endpoints reported, all models and all requests to them together, as OpenAI's ``usage``."""
        spent = self.spent
        return {
            "prompt_tokens": spent.prompt_tokens,
            "completion_tokens": spent.completion_tokens,
            "total_tokens": spent.prompt_tokens + spent.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
        }

    def routing(self) -> dict[str, Any]:
        """Who wrote what, at which cost, and what always-largest costs on average."""
        certified = self.threshold is None and self.asked.budget is None and self.exploration is None
        certificate = self.router.certificate if certified else None
        ledger = {} if self._ledger is None else as_table(self._ledger, self.pool)
        return {
            "id": self.asked.id,
            "router": self.router.called,
            "mode": self.router.arguments["mode"],
            "threshold": self.router.threshold if self.threshold is None else self.threshold,
            "promise": None if certificate is None or not certificate.certified else certificate.promise,
            "ended": self.ended,
            "steps": [
                {"model": step.model, "chosen": step.chosen, "scores": step.scores, "tokens": step.tokens}
                | ({} if step.probabilities is None else {"probabilities": step.probabilities})
                for step in self.steps
            ],
            "failures": self.failures,
            "ledger": ledger,
            "cost_unit": self.router.arguments["cost_unit"],
            "cost": {"normalised": self._cost, "raw": self._cost * self.router.normaliser},
            "always_largest": {
                "normalised": 1.0,
                "raw": self.router.normaliser,
                "estimated": True,
                "from": f"mean of always-largest on {self.router.measured_on}",
            },
            "endpoint_requests": self.spent.requests,
            "endpoint_requests_unreported": self.spent.unreported,
        }

    async def _begin(self) -> Game:
        """Count the prompt at every endpoint, and set up the game."""
        counts = await self._counts()
        if all(isinstance(count, Failure) for count in counts):
            raise self._no_model(*(count.reason for count in counts if isinstance(count, Failure)))
        self.prompt_tokens = tuple(0 if isinstance(count, Failure) else count for count in counts)
        names = self.pool.names
        self._recalled = [
            RecalledGenerator(name, k, count) for k, (name, count) in enumerate(zip(names, counts, strict=True))
        ]
        source = LiveSource(
            {"test": [Problem("served", "test", 0, self.asked.question, "")]},
            self._recalled,
            pool=self.pool,
            prompt=self.prompt,
            rule=self.rule,
            grading=None,
            shared_prefix=self.shared,
        )
        return self.router.game(source, self.asked.budget, self.asked.hard_budget)

    async def _counts(self) -> list[int | Failure]:
        counting = [endpoint for endpoint in self.endpoints if endpoint.config.counts_like is None]
        results = await asyncio.gather(*(endpoint.count(self._prompt, self.spent) for endpoint in counting))
        told = {endpoint.name: result for endpoint, result in zip(counting, results, strict=True)}
        return [told[endpoint.config.counts_like or endpoint.name] for endpoint in self.endpoints]

    async def _through(self, play: Callable[[], None], writer: int | None) -> None:
        """Run the rules until nothing is wanted any more; ``writer`` is the model whose text is the next step's."""
        while True:
            try:
                play()
                return
            except Wanted as wanted:
                self._recalled[wanted.model].tell(wanted.request, await self._answer(wanted, wanted.model == writer))

    async def _answer(self, wanted: Wanted, shows: bool) -> Completion | Failure:
        request, endpoint = wanted.request, self.endpoints[wanted.model]
        if (left := self._tokens_left()) is not None:
            request = replace(request, max_tokens=max(min(request.max_tokens, left - (self._step_tokens or 0)), 1))
        base = request.prefix[len(self.rule.prefix(self._texts)) :] if shows else ""
        handed = self._handed if shows and not base else None
        if handed is not None:  # the client has read it: whoever goes on goes on from there
            request, base = replace(request, prefix=request.prefix + handed.text), handed.text
        written = Written()

        def show(text: str) -> None:
            self._show_step(settled_text(base + text, self.rule, last=self._last))

        result = await endpoint.write(
            request,
            prompt=self._prompt,
            sampling=self.asked.sampling,
            spent=self.spent,
            written=written,
            show=show if shows and self.show is not None else None,
        )
        if isinstance(result, Failure):
            if shows and written.text:
                show(written.text)
            self._failed(wanted.model, result, written if shows else None)
            return result
        if base and handed is None and wanted.request.max_tokens == 1:  # only looked at: it belongs to the next step
            return result
        self._finishes[wanted.model] = result.finish
        if shows:
            self._step_tokens = None if self._step_tokens is None else self._step_tokens + result.tokens
        return result if handed is None else _continued(handed, result)

    def _failed(self, model: int, failure: Failure, written: Written | None) -> None:
        told: dict[str, Any] = {"model": self.pool.names[model], "step": len(self.steps), "reason": failure.reason}
        if written is not None and self._shown:
            tokens = self._step_tokens
            if written.text:
                tokens = None if tokens is None or written.tokens is None else tokens + written.tokens
            self._step_tokens, self._handed = tokens, Written(self._shown, tokens)
            told |= {"kept_characters": len(self._shown), "kept_tokens": tokens}
        self.failures.append(told)

    def _show_step(self, text: str) -> None:
        """Show what is new of the step under way."""
        if len(text) <= len(self._shown):
            return
        if not text.startswith(self._shown):
            raise RuntimeError("text that was shown already does not stand in the step")
        new = text[len(self._shown) :]
        if not self._shown and self._texts:
            new = self.rule.delimiter + new
        self._shown = text
        self.text += new
        if self.first_text is None:
            self.first_text = time.monotonic() - self.began
        if self.show is not None:
            self.show(new)

    def _step_ends(self, text: str) -> None:
        self._show_step(text)
        self._texts.append(text)
        self._shown, self._step_tokens, self._handed = "", 0, None

    def _tokens_left(self) -> int | None:
        if self.asked.max_tokens is None:
            return None
        return max(self.asked.max_tokens - sum(step.tokens for step in self.steps), 0)

    def _no_model(self, *reasons: str) -> NoModelError:
        waits = [endpoint.circuit.seconds_left for endpoint in self.endpoints]
        return NoModelError([reason for reason in reasons if reason], max(min(waits), 1.0))


def _continued(handed: Written, rest: Completion) -> Completion:
    """One run of what a broken model had shown and what another wrote after it.

    Figures are those of the second model's tokens. Tokens of the first count where it told them one by one; else they
    are not made up, and nobody can tell which tokens the text consists of.
    """
    text = handed.text + rest.text
    if handed.tokens is None or not rest.has_logprobs:
        return replace(
            rest,
            text=text,
            tokens=rest.tokens + (handed.tokens or 0),
            pieces=(),
            logprob=np.zeros(0),
            top=np.zeros((0, 0)),
        )
    count = handed.tokens
    return replace(
        rest,
        text=text,
        tokens=rest.tokens + count,
        pieces=(handed.text, *[""] * (count - 1), *rest.pieces),
        logprob=np.concatenate([np.full(count, np.nan), rest.logprob]),
        top=np.concatenate([np.full((count, rest.top.shape[1]), np.nan), rest.top]),
    )
