"""Which runs a tree asks for, and how equal prefixes become one node."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import Ending, Step
from gym_stepwise_routing.grading import Grade
from gym_stepwise_routing.recorder.tree import RoutingTree, Run
from gym_stepwise_routing.types import MODES, Mode

PROBLEM = Problem("toy", "test", 0, "How many?", "4")


def grade(text: str, problem: Problem) -> Grade:
    return Grade(text[-1], text.endswith(problem.answer))


def step(text: str, ending: Ending = "") -> Step:
    return Step(text, 2, 2, None, ending)


def tree_of(mode: Mode = "route", models: int = 2, horizon: int = 5) -> RoutingTree:
    return RoutingTree(PROBLEM, models, mode, StepRule(horizon=horizon), grade)


def grow(tree: RoutingTree, lines: int = 3) -> list[Run]:
    """Let model m write lines "m.<depth>" until the trace has ``lines`` steps; returns the runs in order."""
    runs = []
    while not tree.complete:
        batch = list(tree.ready())
        assert batch, "a tree that is not complete always has a run to do"
        for run in batch:
            depth = tree.nodes[run.node].depth
            count = max(lines - depth, 1)
            steps = [step(f"{run.model}.{depth + i + 1}", "stop" if i == count - 1 else "") for i in range(count)]
            tree.add(run, steps)
        runs += batch
    return runs


def test_route_records_every_sequence_of_models() -> None:
    tree = tree_of()
    grow(tree, lines=3)
    assert len(tree.nodes) == 1 + 2 + 4 + 8


def test_each_prefix_is_generated_once() -> None:
    runs = grow(tree_of(), lines=4)
    assert len(runs) == len(set(runs)) == 2 + 2 + 4 + 8


@pytest.mark.parametrize(("horizon", "nodes"), [(3, 9), (6, 27), (12, 90)])
def test_escalate_is_quadratic_in_nodes_and_linear_in_runs(horizon: int, nodes: int) -> None:
    tree = tree_of("escalate", horizon=horizon)
    runs = grow(tree, lines=horizon)
    assert len(runs) == horizon + 1
    assert len(tree.nodes) - 1 == nodes


def test_escalate_never_goes_back_to_a_smaller_model() -> None:
    tree = tree_of("escalate", models=3)
    grow(tree, lines=4)
    for node in tree.nodes[1:]:
        writer = tree.nodes[node.parent or 0].model
        assert writer is None or (node.model or 0) >= writer


def test_regenerate_needs_the_draft_and_the_rewrite_everywhere() -> None:
    tree = tree_of("regenerate")
    grow(tree, lines=3)
    assert all(set(n.children) == {0, 1} for n in tree.nodes if n.step is None or not n.step.ending)


def test_equal_steps_share_their_children() -> None:
    tree = tree_of()
    small, large = tree.ready()
    tree.add(small, [step("same"), step("s2", "stop")])
    assert list(tree.ready()) == []  # the large model's switch at "same" waits for the large run from the root
    tree.add(large, [step("same"), step("l2", "stop")])
    assert list(tree.ready()) == []
    assert tree.complete
    texts: list[dict[str, Any]] = tree.record(7)["nodes"]
    twin = next(node for node in texts if "same_as" in node)
    assert (twin["model"], twin["same_as"], twin["parent"]) == (1, 1, 0)
    assert tree.nodes[1].children == {0: 2, 1: 4}


def test_ended_steps_are_not_merged() -> None:
    tree = tree_of()
    for run in list(tree.ready()):
        tree.add(run, [step("4", "answer")])
    assert tree.complete
    assert not any("same_as" in node for node in tree.record(7)["nodes"])


def test_switch_goes_ahead_where_the_steps_differ() -> None:
    tree = tree_of()
    small, large = tree.ready()
    tree.add(small, [step("a"), step("b", "stop")])
    tree.add(large, [step("x", "stop")])
    assert list(tree.ready()) == [Run(1, 1)]


def test_record_has_the_interchange_form() -> None:
    tree = tree_of(horizon=2)
    grow(tree, lines=2)
    record = tree.record([7, 8])
    assert record["problem"] == PROBLEM.reference() | {"prompt_tokens": [7, 8]}
    assert record["nodes"][0] == {"id": 0, "parent": None, "depth": 0}
    assert record["nodes"][2] == {
        "id": 2,
        "parent": 1,
        "depth": 2,
        "model": 0,
        "text": "0.2",
        "tokens": 2,
        "first_step_tokens": 2,
        "terminal": True,
        "final_answer": "2",
        "correct": False,
        "ending": "stop",
    }


def test_graded_text_is_the_whole_trace() -> None:
    seen: list[str] = []

    def keep(text: str, problem: Problem) -> Grade:
        seen.append(text)
        return Grade(None, False)

    tree = RoutingTree(PROBLEM, 2, "route", StepRule(), keep)
    small, large = tree.ready()
    tree.add(small, [step("a"), step("b", "stop")])
    tree.add(large, [step("c", "stop")])
    assert seen == ["a\nb", "c"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("models", [2, 3])
def test_node_numbers_do_not_depend_on_which_run_comes_back_first(mode: Mode, models: int) -> None:
    """Models that often write the same step, so that who wrote it first would decide what repeats what."""

    def grown(seed: int) -> dict[str, Any]:
        rng, tree, under_way = random.Random(seed), tree_of(mode, models, horizon=4), list[Run]()
        while not tree.complete:
            under_way += tree.ready()
            if not under_way:  # what was still wanted has been written by other runs
                break
            run = under_way.pop(rng.randrange(len(under_way)))
            texts, steps = tree.texts(run.node), list[Step]()
            while not steps or not steps[-1].ending:
                said = f"model {run.model}" if len(texts) % 2 else "same"
                texts.append(said)
                steps.append(step(said, "stop" if len(texts) == 4 else ""))
            tree.add(run, steps)
        return tree.record(7)

    records = [grown(seed) for seed in range(20)]
    assert all(record == records[0] for record in records)
    nodes = records[0]["nodes"]
    assert [node["id"] for node in nodes] == list(range(len(nodes)))
    twins = [node for node in nodes if "same_as" in node]
    assert twins
    assert all(nodes[twin["same_as"]]["model"] < twin["model"] for twin in twins)
    assert not {node["parent"] for node in nodes[1:]} & {twin["id"] for twin in twins}


def test_a_run_cannot_be_entered_twice() -> None:
    tree = tree_of()
    small, _ = tree.ready()
    tree.add(small, [step("a", "stop")])
    with pytest.raises(ValueError, match="not yet entered"):
        tree.add(small, [step("a", "stop")])


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode='both'"):
        tree_of("both")  # type: ignore[arg-type]


def test_restart_needs_one_run_of_each_model() -> None:
    tree = tree_of("restart", models=3)
    runs = grow(tree, lines=4)
    assert runs == [Run(0, model) for model in range(3)]
    assert len(tree.nodes) == 1 + 3 * 4
    assert [set(node.children) - {node.model} for node in tree.nodes[1:]] == [set()] * 12
