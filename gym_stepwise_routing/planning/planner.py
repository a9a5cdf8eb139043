"""Optima of a simulated game at any multiplier and any budget: the door to the planner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from gym_stepwise_routing.costs.units import DEFAULT_UNIT, CostUnit
from gym_stepwise_routing.errors import NotApplicableError, check_choice
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.planning.belief import belief_kernel
from gym_stepwise_routing.planning.cost_tables import StepCosts
from gym_stepwise_routing.planning.evidence import Evidence
from gym_stepwise_routing.planning.full_state import full_state_kernel
from gym_stepwise_routing.planning.knowledge import BeliefKnowledge, FullKnowledge, Knowledge
from gym_stepwise_routing.planning.lattice import Bound, Lattice
from gym_stepwise_routing.planning.measure import measure_solution
from gym_stepwise_routing.planning.optimal_frontier import CHEAPEST, Frontier, Mixture, trace_frontier
from gym_stepwise_routing.planning.play import Played, Turn, play_solution, turns
from gym_stepwise_routing.planning.program import Program, Solution
from gym_stepwise_routing.sources.simulator.parameters import SimulatorParameters
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import MODES, Block, Mode

__all__ = ["INFORMATION", "Information", "Planner", "shown_information"]

Information = Literal["full", "length", "confidence", "score", "both"]
INFORMATION: tuple[Information, ...] = get_args(Information)
Progress = Callable[[int, int], None]
_BATCH = 100_000
_MEASURED = 500
_SPACING, _WIDE_SPACING = 2, 48


def shown_information(source: SimulatorSource, blocks: Sequence[Block]) -> Information:
    """What an observation of these blocks tells a router of a simulator's steps: their lengths, and what else it shows.

    Args:
        source: the simulator; figures that it does not have are not shown.
        blocks: of the observation.
    """
    confidence = "confidence" in blocks and source.process.confidence.shape[2] > 0
    if "verifier" in blocks:
        return "both" if confidence else "score"
    return "confidence" if confidence else "length"


class Planner:
    """The optimum of a simulated game.

    Args:
        source: a simulator, its preset's name or its parameters.
        mode: what an action means.
        cost_unit: unit of the cost; costs are normalised so that always-largest costs 1.
        information: what the router knows. ``full``: the hidden state (difficulty, and whether trace and draft are
            right). Otherwise what it observes: the lengths of the steps, and also their ``confidence``, verifier
            ``score``, or ``both``. Scores are paid for.
        resolution: of the grid of beliefs.
        spacing: of the lattice of unread tokens, in tokens. None: 2 for two models and full information, else 48
            (the work grows with the points of the lattice to the power of the number of models minus one).
        bound: of the value, as far as unread tokens go (see :mod:`.lattice`). The grid of beliefs bounds from above.

    Raises:
        ValueError: an argument is out of range.
        NotApplicableError: the simulator lacks what the router is to see, cached tokens have a price, or the verifier,
            which has one, scores only some of the steps that it is asked about: what it reads late is not planned.
    """

    def __init__(
        self,
        source: SimulatorSource | SimulatorParameters | str,
        *,
        mode: Mode = "route",
        cost_unit: CostUnit = DEFAULT_UNIT,
        information: Information = "full",
        resolution: int = 12,
        spacing: int | None = None,
        bound: Bound = "upper",
    ) -> None:
        check_choice("mode", mode, MODES)
        check_choice("information", information, INFORMATION)
        self.source = source if isinstance(source, SimulatorSource) else SimulatorSource(source)
        self.mode: Mode = mode
        self.information: Information = information
        process = self.source.process
        if spacing is None:
            spacing = _SPACING if len(self.source.pool) == 2 and information == "full" else _WIDE_SPACING
        self._spacing = spacing
        self.costs = StepCosts.of(self.source, cost_unit)
        reading = bool(self.costs.prefill.any()) and mode != "restart"  # where nothing is ever left unread
        scoring = information in ("score", "both")
        judged = process.scored[:1] if mode == "regenerate" else process.scored
        if scoring and not judged.all() and (self.costs.verify or self.costs.verify_call):
            names = [model for model, scored in zip(self.source.pool.names, process.scored, strict=True) if scored]
            raise NotApplicableError(
                f"information={information!r}: the verifier of {self.source.name!r} is paid, and scores only steps of "
                f"{names}; allowed: of all models (regenerate: of the smallest), or a unit in which scores are free"
            )
        if information == "full":
            kernel = full_state_kernel(process, mode)
            self._knowledge: Knowledge = FullKnowledge(process)
        else:
            evidence = Evidence(self.source, confidence=information in ("confidence", "both"), score=scoring)
            kernel, moves = belief_kernel(evidence, mode, resolution, by_length=reading)
            self._knowledge = BeliefKnowledge(moves)
        self.program = Program(
            kernel=kernel,
            costs=self.costs,
            lattice=Lattice.of(process, self.costs.prompt, spacing=spacing, bound=bound, tracked=reading),
            stop=process.stop,
            escalate=mode == "escalate",
            scoring=scoring,
        )
        blocks: tuple[Block, ...] = ("verifier",) if scoring else ("progress",)
        self._rules = Rules(self.source, mode=mode, observation=blocks, cost_unit=cost_unit)

    def solve(self, multiplier: float) -> Solution:
        """The optimum at a price of ``multiplier`` (in accuracy) for one unit of normalised cost.

        Raises:
            ValueError: a negative or infinite multiplier.
        """
        return self.program.solve(multiplier)

    def turns(self, multiplier: float, rules: Rules, *, episodes: int, seed: int | tuple[int, ...]) -> Iterator[Turn]:
        """The optimal router's decisions at a multiplier, step by step.

        Args:
            multiplier: see :meth:`solve`.
            rules: of a game with the planner's source, mode and cost unit; its observation may show more or less.
            episodes: how many, >= 1.
            seed: of the episodes.

        Raises:
            ValueError: a bad multiplier, or no episodes.
        """
        solution = self.program.solve(multiplier, keep_choices=True)
        return turns(self.program, solution, self._knowledge, rules, episodes=episodes, seed=seed)

    def play(self, multiplier: float, *, episodes: int = _BATCH, seed: int = 0) -> Played:
        """Play the optimal router at a multiplier: what it reaches bounds the optimum from below.

        Raises:
            ValueError: a bad multiplier, or fewer than two episodes.
        """
        solution = self.program.solve(multiplier, keep_choices=True)
        return _in_batches(
            lambda size, number: play_solution(
                self.program, solution, self._knowledge, self._rules, episodes=size, seed=(seed, number)
            ),
            episodes,
            _BATCH,
        )

    def measure(self, multiplier: float, *, episodes: int = _MEASURED, seed: int = 0) -> Played:
        """What :meth:`play` reaches in the mean, from few episodes (see :mod:`.measure`).

        Raises:
            ValueError: a bad multiplier, or fewer than two episodes.
            NotApplicableError: full information, mode *restart*, or somebody pays for reading.
        """
        knowledge = self._knowledge
        if not isinstance(knowledge, BeliefKnowledge) or not self.measurable:
            raise NotApplicableError(
                f"information={self.information!r}, cost_unit={self.costs.unit!r}, mode={self.mode!r} cannot be "
                "measured; allowed: beliefs in units where nobody pays for reading, in modes other than 'restart'"
            )
        solution = self.program.solve(multiplier, keep_choices=True)
        return _in_batches(
            lambda size, number: measure_solution(
                self.program, solution, knowledge, self._rules, episodes=size, seed=(seed, number)
            ),
            episodes,
            _MEASURED,
        )

    @property
    def measurable(self) -> bool:
        """Whether :meth:`measure` applies."""
        return self.information != "full" and self.program.lattice.size == 1 and self.mode != "restart"

    def play_mixture(self, mixture: Mixture, *, episodes: int = _BATCH, seed: int = 0) -> Played:
        """Play the optimal router at a budget, :meth:`Frontier.at_budget`: a coin at the start of every episode.

        Args:
            mixture: two optima of this planner, and the share of episodes of the dearer one.
            episodes: how many, >= 2.
            seed: of the coin and of the episodes.

        Raises:
            ValueError: fewer than two episodes.
        """
        if episodes < 2:
            raise ValueError(f"episodes={episodes!r}; allowed: an integer >= 2")
        dear = int(np.random.default_rng((seed, 0)).binomial(episodes, mixture.share))
        parts = []
        for number, (solution, count) in enumerate(((mixture.cheap, episodes - dear), (mixture.dear, dear))):
            if count:
                played = self.play(solution.multiplier, episodes=max(count, 2), seed=2 * seed + number)
                parts.append(Played(played.right[:count], played.cost[:count]))
        return _joined(parts)

    def frontier(self, tolerance: float = 5e-4) -> Frontier:
        """The frontier, as solved.

        Raises:
            ValueError: a tolerance that is not positive.
        """
        return trace_frontier(self.solve, tolerance)

    def bounded_frontier(
        self, *, tolerance: float = 5e-4, episodes: int | None = None, seed: int = 0, progress: Progress | None = None
    ) -> Frontier:
        """The frontier between an upper bound and what a router has been shown to reach.

        The lower bound is exact with full information: the other bound of the lattice. For beliefs, what the routers
        reach is measured, or played where somebody pays for reading; it is uncertain by :attr:`Frontier.error`.

        Args:
            tolerance: of the upper bound's corners, in accuracy.
            episodes: of each router; None: 500 if it is measured, 100,000 if it is played. Not used with full
                information.
            seed: of the episodes.
            progress: called with the number of routers played and how many there are.

        Raises:
            ValueError: a tolerance that is not positive, or fewer than two episodes.
        """
        upper = self.frontier(tolerance)
        if self.information == "full":
            lower = Planner(
                self.source,
                mode=self.mode,
                cost_unit=self.costs.unit,
                spacing=self._spacing,
                bound="lower",
            )
            return replace(upper, played=lower.frontier(tolerance).played)
        reach, enough = (self.measure, _MEASURED) if self.measurable else (self.play, _BATCH)
        count = enough if episodes is None else episodes
        plays = []
        for number, solution in enumerate(upper.solutions):
            plays.append(reach(solution.multiplier, episodes=count, seed=seed + number))
            if progress is not None:
                progress(number + 1, len(upper.solutions))
        errors = [
            play.value_error(solution.multiplier)
            for play, solution in zip(plays, upper.solutions, strict=True)
            if solution.multiplier < CHEAPEST
        ]
        return replace(
            upper, played=np.array([[p.accuracy, p.mean_cost] for p in plays]), error=max(errors, default=0.0)
        )


def _in_batches(part: Callable[[int, int], Played], episodes: int, most: int) -> Played:
    """``part(size, number of the first episode)``, batch by batch.

    Raises:
        ValueError: fewer than two episodes.
    """
    if episodes < 2:
        raise ValueError(f"episodes={episodes!r}; allowed: an integer >= 2")
    return _joined([part(min(most, episodes - start), start) for start in range(0, episodes, most)])


def _joined(parts: Sequence[Played]) -> Played:
    return Played(np.concatenate([p.right for p in parts]), np.concatenate([p.cost for p in parts]))
