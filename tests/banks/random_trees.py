"""Hypothesis strategy for trees in the JSON Lines form, with everything that the form allows."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import strategies as st

from gym_stepwise_routing.banks.bank_tables import RAW_FIGURES

FIGURES = {
    "logprob": st.floats(-1e30, 0.0),
    "entropy": st.floats(0.0, 1e30),
    "margin": st.floats(0.0, 1.0),
    "top1": st.floats(0.0, 1.0),
}
TEXT = st.text(max_size=8)


@st.composite
def _step(draw: st.DrawFn, parent: int, depth: int, model: int) -> dict[str, Any]:
    node: dict[str, Any] = {"parent": parent, "depth": depth, "model": model, "tokens": draw(st.integers(1, 50))}
    if draw(st.booleans()):
        node["text"] = draw(TEXT)
    if draw(st.booleans()):
        node["first_step_tokens"] = draw(st.integers(1, node["tokens"]))
    for name in RAW_FIGURES if draw(st.booleans()) else draw(st.sets(st.sampled_from(RAW_FIGURES), max_size=2)):
        node[name] = draw(FIGURES[name.split("_")[0]])
    if draw(st.booleans()):
        node["verifier_score"] = draw(st.floats(0, 1))
    return node


def _ending(draw: st.DrawFn) -> dict[str, Any]:
    return {"terminal": True, "final_answer": draw(st.none() | TEXT), "correct": draw(st.booleans())}


@st.composite
def _nodes(draw: st.DrawFn, models: int, horizon: int) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = [{"id": 0, "parent": None, "depth": 0}]
    front = [0]
    while front:
        parent = front.pop()
        depth = nodes[parent]["depth"] + 1
        recorded = draw(st.sets(st.integers(0, models - 1), min_size=1))
        siblings: list[dict[str, Any]] = []
        for model in sorted(recorded):
            node = draw(_step(parent, depth, model)) | {"id": len(nodes)}
            twins = [other for other in siblings if "text" in other and "same_as" not in other]
            twin = draw(st.sampled_from(twins)) if twins and draw(st.booleans()) else None
            ended = "terminal" in twin if twin else depth == horizon or draw(st.booleans())
            if twin:
                node |= {"text": twin["text"], "same_as": twin["id"]}
            if ended:
                node |= _ending(draw)
            elif not twin:
                front.append(node["id"])
            nodes.append(node)
            siblings.append(node)
    numbers = draw(st.permutations(range(0, 3 * len(nodes), 3)))
    for node in nodes:
        for key in ("id", "parent", "same_as"):
            if node.get(key) is not None:
                node[key] = numbers[node[key]]
    return draw(st.permutations(nodes))


@st.composite
def trees(draw: st.DrawFn, models: int, horizon: int) -> list[dict[str, Any]]:
    """One to three trees of one bank."""
    several = []
    for index in range(draw(st.integers(1, 3))):
        tokens = st.integers(1, 999)
        problem = {
            "dataset": "toy",
            "split": draw(st.sampled_from(["train", "test"])),
            "index": index,
            "question_sha256": hashlib.sha256(str(index).encode()).hexdigest(),
            "answer": draw(TEXT),
            "prompt_tokens": draw(tokens | st.lists(tokens, min_size=models, max_size=models)),
        }
        several.append({"problem": problem, "nodes": draw(_nodes(models, horizon))})
    return several
