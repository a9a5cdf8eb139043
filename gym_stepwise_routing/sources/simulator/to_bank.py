"""A simulated bank: trees drawn from a simulator, in the same form as recorded ones, and marked as simulated."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank, Recipe
from gym_stepwise_routing.banks.jsonl import import_jsonl
from gym_stepwise_routing.banks.manifest import Dataset, Decoding, Grader, Prompt, StepRule
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.sources.contract import SourceState
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import CONFIDENCE, SPLITS

__all__ = ["MAX_NODES", "export_bank"]

MAX_NODES = 2_000_000
"""Most nodes of an exported bank."""
_RIGHT, _WRONG = "right", "wrong"


def export_bank(
    source: SimulatorSource, target: Path, *, depth: int = 5, seed: int = 0, name: str = "", overwrite: bool = False
) -> Bank:
    """Draw the tree of every problem of a simulator and write them as a bank whose manifest says ``simulated: true``.

    At the last depth the model that acts writes all the rest of the trace, as in the bundled bank: its tokens are added
    up, its confidence figures are those of the first of these steps, its score is the least of them.

    Args:
        source: the simulator; all problems of its three splits are drawn.
        target: folder to make.
        depth: horizon of the bank.
        seed: of the trees.
        name: name of the bank; ``simulated-<preset>`` if empty.
        overwrite: replace an existing folder.

    Raises:
        ValueError: a depth out of range, or trees of more than ``MAX_NODES`` nodes.
        BankError: ``target`` exists.
    """
    if not 1 <= depth <= source.horizon:
        raise ValueError(f"depth={depth!r}; allowed: 1 to {source.horizon}, the simulator's horizon")
    models = len(source.pool)
    nodes = 3 * source.size * sum(models**level for level in range(depth + 1))
    if nodes > MAX_NODES:
        raise ValueError(
            f"depth={depth}, problems={source.size} a split: up to {nodes:,} nodes; allowed: {MAX_NODES:,}, hence a "
            "smaller depth or fewer problems"
        )
    title = name or f"simulated-{source.name}"
    with tempfile.TemporaryDirectory() as folder:
        trees = Path(folder) / "trees.jsonl"
        with trees.open("w", encoding="utf-8") as file:
            for tree in _trees(source, depth, seed):
                file.write(json.dumps(tree, allow_nan=False) + "\n")
        return import_jsonl(trees, _recipe(source, title, depth, seed), target, overwrite=overwrite)


def _recipe(source: SimulatorSource, name: str, depth: int, seed: int) -> Recipe:
    parameters = source.parameters
    return Recipe(
        name=name,
        description=f"SIMULATED trees of preset {source.name}, no step of a language model. {parameters.description}",
        simulated=True,
        models=parameters.models,
        verifier=parameters.verifier,
        prompt=Prompt(
            template_sha256=hashlib.sha256(b"").hexdigest(), template="", shared_prefix_tokens=parameters.prompt.shared
        ),
        decoding=Decoding(
            temperature=0.0, max_tokens=1, stop=(), top_logprobs=1, form="completion", engine="simulator, no decoding"
        ),
        step_rule=StepRule(
            separator="", note="Simulated steps. At the horizon the model that acts writes all the rest of the trace."
        ),
        horizon=depth,
        recorded_mode="route",
        grader=Grader(name="simulated outcome", version="1"),
        datasets={"simulated": Dataset(question_field="", source=f"simulator preset {source.name}", licence="MIT")},
        split_rule=SplitRule(salt=name, shares={split: {split: 1.0} for split in SPLITS}),
        command=f"stepwise-routing simulate --preset {source.name} --bank FOLDER --problems {source.size} "
        f"--depth {depth} --seed {seed}",
        licence="MIT",
    )


def _trees(source: SimulatorSource, depth: int, seed: int) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    for split in SPLITS:
        problems = source.problems(split)
        nodes: list[list[dict[str, Any]]] = [[{"id": 0, "parent": None, "depth": 0}] for _ in problems]
        states, tree, parent = source.start(problems, rng), np.arange(len(problems)), np.zeros(len(problems), np.int64)
        for level in range(1, depth + 1):
            rows = np.repeat(np.arange(len(states)), len(source.pool))
            models = np.tile(np.arange(len(source.pool)), len(states))
            after, first, score = _written(source, states.take(rows), models, rng, all_the_rest=level == depth)
            tree, parent = tree[rows], parent[rows]
            numbers = np.zeros(len(after), dtype=np.int64)
            for row, (place, above) in enumerate(zip(tree.tolist(), parent.tolist(), strict=True)):
                numbers[row] = len(nodes[place])
                nodes[place].append(_node(int(numbers[row]), above, level, after, first, score, row))
            going = np.flatnonzero(~after.terminal)
            states, tree, parent = after.take(going), tree[going], numbers[going]
        known = source.describe(problems)
        for row, problem in enumerate(source.problem_ids(problems)):
            yield {
                "problem": {
                    "dataset": "simulated",
                    "split": split,
                    "index": int(problems[row]),
                    "question_sha256": hashlib.sha256(problem.encode()).hexdigest(),
                    "answer": _RIGHT,
                    "prompt_tokens": known.prompt_tokens[row].tolist(),
                },
                "nodes": nodes[row],
            }


def _written(
    source: SimulatorSource,
    states: SourceState,
    models: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    all_the_rest: bool,
) -> tuple[SourceState, SourceState, NDArray[np.float32]]:
    """The traces after a step, the state after its first unit, and its score; a step may be all the rest."""
    first = after = source.step(states, models, rng)
    tokens, score = first.tokens.copy(), first.score.copy()
    while all_the_rest and not after.terminal.all():
        going = np.flatnonzero(~after.terminal)
        more = source.step(after.take(going), models[going], rng)
        tokens[going] += more.tokens
        score[going] = np.minimum(score[going], more.score)
        after = after.put(going, more)
    return replace(after, tokens=tokens), first, score


def _node(
    number: int,
    parent: int,
    depth: int,
    after: SourceState,
    first: SourceState,
    score: NDArray[np.float32],
    row: int,
) -> dict[str, Any]:
    """A step as the JSON Lines form has it."""
    length = int(first.tokens[row])
    node: dict[str, Any] = {"id": number, "parent": parent, "depth": depth, "model": int(after.model[row])}
    node["tokens"] = int(after.tokens[row])
    if node["tokens"] != length:
        node["first_step_tokens"] = length
    if np.isfinite(first.confidence[row]).all():
        figures = dict(zip(CONFIDENCE, first.confidence[row].astype(float).round(6).tolist(), strict=True))
        node["logprob_sum"] = round(figures.pop("logprob_mean") * length, 6)
        node |= figures
    if np.isfinite(score[row]):
        node["verifier_score"] = round(float(score[row]), 6)
    if after.terminal[row]:
        right = bool(after.correct[row])
        node |= {"terminal": True, "final_answer": _RIGHT if right else _WRONG, "correct": right}
    return node
