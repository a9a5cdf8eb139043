"""Agents where the optimum is known by hand, SIMULATED: ``python -m studies.agents.known_optimum``.

Every problem has two steps and looks the same. The larger model costs half a trace at each step, and raises the chance
of a right answer by one amount at the first step and by a smaller one at the second. The best policy at a cost is a
knapsack: the first step, as often as the cost allows, then the second. Agents learn from recorded trees of drawn
answers, with their settings for banks, and draw their actions; accuracy and cost are exact expectations.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from gym_stepwise_routing.agents.agent import AGENTS as KINDS
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.banks import Bank, Recipe
from gym_stepwise_routing.banks.jsonl import import_jsonl
from gym_stepwise_routing.banks.manifest import Dataset, Decoding, Grader, Prompt, StepRule
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, write_page
from gym_stepwise_routing.routers.policy_network import PolicyNetwork
from gym_stepwise_routing.types import Split
from studies.agents.kept_budgets import Run, outcome_at
from studies.options import AGENT_PAGES, OutOption, SeedsOption, command_of

__all__ = ["BUDGETS", "main", "optimum", "write_bank"]

COMMAND = "python -m studies.agents.known_optimum"
BASE, GAINS = 0.2, (0.5, 0.2)
"""Chance of a right answer by the smaller model alone, and what the larger one adds at each step."""
BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
AGENTS = ("exact", "all_budgets", "lagrangian_ppo")
EACH = ("lagrangian_ppo",)
"""Agents that are trained for each budget; the others once, for all."""
PROBLEMS: dict[Split, int] = {"train": 640, "test": 2000}
UNIT: CostUnit = "large_tokens"
_TOKENS = 10
_RIGHT, _WRONG = "right", "wrong"


def optimum(cost: float) -> float:
    """Accuracy of the best policy whose mean cost is at most ``cost``, in [0, 1]."""
    shares = np.clip(2 * cost - np.arange(len(GAINS)), 0.0, 1.0)
    return float(BASE + shares @ np.array(GAINS))


def write_bank(folder: Path, seed: int) -> Bank:
    """A bank of such problems: answers of train are drawn, those of test are as many right ones as expected.

    Args:
        folder: folder to make.
        seed: of what is drawn.
    """
    with tempfile.TemporaryDirectory() as scratch:
        trees = Path(scratch) / "trees.jsonl"
        with trees.open("w", encoding="utf-8") as file:
            for split, count in PROBLEMS.items():
                luck = (np.arange(count) + 0.5) / count
                if split == "train":
                    luck = np.random.default_rng(seed).random(count)
                for tree in _trees(split, luck):
                    file.write(json.dumps(tree, allow_nan=False) + "\n")
        return import_jsonl(trees, _recipe(seed), folder)


def _trees(split: str, luck: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    for index, own in enumerate(luck.tolist()):
        nodes: list[dict[str, Any]] = [{"id": 0, "parent": None, "depth": 0}]
        for first in (0, 1):
            parent = len(nodes)
            nodes.append({"id": parent, "parent": 0, "depth": 1, "model": first, "tokens": _TOKENS})
            for second in (0, 1):
                right = own < BASE + first * GAINS[0] + second * GAINS[1]
                end = {"terminal": True, "final_answer": _RIGHT if right else _WRONG, "correct": right}
                node = {"id": len(nodes), "parent": parent, "depth": 2, "model": second, "tokens": _TOKENS}
                nodes.append(node | end)
        name = hashlib.sha256(f"{split} {index}".encode()).hexdigest()
        yield {
            "problem": {
                "dataset": "two steps",
                "split": split,
                "index": index,
                "question_sha256": name,
                "answer": _RIGHT,
                "prompt_tokens": 1,
            },
            "nodes": nodes,
        }


def _recipe(seed: int) -> Recipe:
    return Recipe(
        name="two-steps",
        description="SIMULATED: two steps, each of which the larger model does better.",
        simulated=True,
        models=(Model("small", parameters=1.0), Model("large", parameters=2.0)),
        prompt=Prompt(
            template_sha256=hashlib.sha256(b"").hexdigest(), template="", shared_prefix_tokens=(0,) * len(GAINS)
        ),
        decoding=Decoding(temperature=0.0, max_tokens=1, stop=(), top_logprobs=1, form="completion", engine="none"),
        step_rule=StepRule(separator="", note="Simulated steps."),
        horizon=len(GAINS),
        recorded_mode="route",
        grader=Grader(name="simulated outcome", version="1"),
        datasets={"two steps": Dataset(question_field="", source="this study", licence="MIT")},
        split_rule=SplitRule(salt="two steps", shares={split: {split: 1.0} for split in PROBLEMS}),
        command=f"{COMMAND}, trees of seed {seed}",
        licence="MIT",
    )


def runs(agent: str, bank: Bank, seed: int) -> list[Run]:
    """One seed of an agent at every budget, each kept on train in the agent's own way."""
    config = GameConfig(bank, cost_unit=UNIT)
    practice = Game(config)
    test = Game(config, split="test", normaliser=practice.normaliser)
    kind = KINDS.get(agent)
    found: list[Run] = []
    network: PolicyNetwork | None = None
    for budget in BUDGETS:
        seconds = 0.0
        if network is None or agent in EACH:
            limits: dict[str, Any] = {"limit": budget, "constraint": "cost_limit"} if agent in EACH else {}
            begin = time.perf_counter()
            network = scored(train(agent, seed=seed, game=config, **limits), name=agent)
            seconds = time.perf_counter() - begin
        accuracy, cost = outcome_at(network, practice, test, budget, shown=kind.budgets)
        found.append(Run(agent, seed, budget, accuracy, cost, optimum(cost) - accuracy, seconds))
    return found


def main(out: OutOption = AGENT_PAGES, seeds: SeedsOption = 5) -> None:
    """Train every agent on every seed's trees and compare with the optimum."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    found: list[Run] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            bank = write_bank(Path(folder) / "bank", seed)
            for agent in AGENTS:
                found += runs(agent, bank, seed)
    write_page(_page(found, seeds, command_of(COMMAND, main, seeds=seeds)), out, "known_optimum")


def _page(found: list[Run], seeds: int, command: str) -> Page:
    rows = []
    for agent in AGENTS:
        for budget in BUDGETS:
            here = [run for run in found if (run.agent, run.budget) == (agent, budget)]
            regret, cost = (np.array([getattr(run, name) for run in here]) for name in ("regret", "cost"))
            rows.append(
                (
                    agent,
                    f"{budget:g}",
                    f"{optimum(budget):.3f}",
                    f"{np.mean([run.accuracy for run in here]):.3f}",
                    f"{cost.mean():.3f}",
                    f"{regret.mean():.4f} ({regret.min():.4f} to {regret.max():.4f})",
                )
            )
    return Page(
        title="Regret where the optimum is known by hand",
        command=command,
        setting=(
            "SIMULATED: two steps, mode route, cost: tokens of the larger model, 1 is always-largest. The smaller "
            f"model alone is right with a chance of {BASE:g}; the larger one adds {GAINS[0]:g} at the first step and "
            f"{GAINS[1]:g} at the second.",
            f"{seeds} seeds, each of training and of the answers of {PROBLEMS['train']} train problems; settings as "
            "shipped for banks. Accuracy and cost are expectations. Budgets are met on the train problems: exact and "
            "lagrangian_ppo by a tilt, all_budgets by choosing the budget to show. lagrangian_ppo is trained for each "
            "budget, the others once.",
            "Regret: accuracy below the optimum at the policy's own mean cost.",
        ),
        tables=(
            Table(
                "Regret", ("agent", "budget", "optimum", "accuracy", "cost", "regret (range over seeds)"), tuple(rows)
            ),
        ),
        numbers=found,
        simulated=True,
    )


if __name__ == "__main__":
    typer.run(main)
