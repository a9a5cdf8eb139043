"""Policies that are made to keep a budget on the train split, and what they then do on test."""

from __future__ import annotations

from dataclasses import dataclass

from gym_stepwise_routing.agents.limits import budget_to_show, mean_outcome, tilt_to_limit, tilted
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.policy_network import PolicyNetwork

__all__ = ["Run", "outcome_at"]


@dataclass(frozen=True, slots=True)
class Run:
    """One policy at one budget; ``regret`` is the accuracy missing to the optimum at the policy's own mean cost.

    ``seconds`` is the duration of its training, 0 for a policy that was trained for an earlier budget.
    """

    agent: str
    seed: int
    budget: float
    accuracy: float
    cost: float
    regret: float
    seconds: float


def outcome_at(
    network: PolicyNetwork, practice: Game, test: Game, budget: float, *, shown: bool, plays: int = 1
) -> tuple[float, float]:
    """Accuracy and mean cost on ``test``.

    Args:
        network: the policy.
        practice: the game on which the budget is kept.
        test: the game that is measured.
        budget: mean cost to keep.
        shown: the policy sees its budget, and the one to show is chosen; else its odds are tilted.
        plays: times that each game is played, for random sources.
    """
    if shown:
        return mean_outcome(network, test, budget=budget_to_show(network, practice, budget, plays=plays), plays=plays)
    return mean_outcome(tilted(network, tilt_to_limit(network, practice, budget, plays=plays)), test, plays=plays)
