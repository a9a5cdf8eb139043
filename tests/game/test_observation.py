"""The observation: names, ranges, missing values. Its numbers are held against a plain account in test_rules."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fake_sources import TreeSource

from gym_stepwise_routing.envs.stepwise_routing import StepwiseRoutingEnv
from gym_stepwise_routing.game.observation import check_blocks, describe_features
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.types import BLOCKS, DEFAULT_BLOCKS, MODES


def test_the_documented_table_is_the_observation():
    """First and last number, and first and last name, of every block in the class docstring's table."""
    features = describe_features(2, BLOCKS)
    documentation = StepwiseRoutingEnv.__doc__
    for block in BLOCKS:
        numbers = [number for number, feature in enumerate(features) if feature.block == block]
        (row,) = [line for line in documentation.splitlines() if f"| `{block}` " in line and "-" in line[:20]]
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        assert cells[0] == f"{numbers[0]}-{numbers[-1]}"
        names = cells[2].split(", ")
        assert names[0] == features[numbers[0]].name
        assert re.sub("_k$", "_1", names[-1]) == features[numbers[-1]].name
        assert float(cells[3]) == min(features[number].low for number in numbers)
        assert float(cells[4]) == pytest.approx(max(features[number].high for number in numbers), abs=0.05)


def test_names_are_distinct_and_blocks_keep_their_canonical_order():
    names = [feature.name for feature in describe_features(4, BLOCKS)]
    assert len(set(names)) == len(names)
    assert check_blocks(["question", "progress"]) == ("progress", "question")
    assert check_blocks(list(DEFAULT_BLOCKS)) == DEFAULT_BLOCKS
    assert not {"probe", "verifier"} & set(DEFAULT_BLOCKS)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("progress", "observation='progress'; allowed: a sequence of blocks"),
        (None, "observation=None; allowed: a sequence of blocks"),
        ((), r"observation=\(\); allowed: one or more different blocks"),
        (("progress", "progress"), "allowed: one or more different blocks"),
        (("progres",), "observation block='progres' is not known; allowed: 'progress', 'confidence'"),
    ],
)
def test_bad_blocks(blocks, message):
    with pytest.raises(ValueError, match=message):
        check_blocks(blocks)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gaps", [0.0, 0.3, 1.0])
def test_everything_lies_in_the_box_and_missing_values_are_zero(mode, gaps):
    source = TreeSource(5, models=3, horizon=4, verifier=True, gaps=gaps)
    rules = Rules(source, mode=mode, observation=BLOCKS, cost_unit="flops")
    low, high = (np.array([getattr(f, end) for f in rules.features], dtype=np.float32) for end in ("low", "high"))
    names = [feature.name for feature in rules.features]
    rng = np.random.default_rng(0)
    play = rules.start(np.arange(6), rng)
    while len(play):
        observed = rules.observe(play, normaliser=1e12)
        assert observed.dtype == np.float32
        assert ((observed >= low) & (observed <= high)).all()
        if gaps == 1:
            for known, figure in (
                ("confidence_known", "p_mean"),
                ("probe_known", "probe_entropy"),
                ("score_known", "score"),
            ):
                assert (observed[:, [names.index(known), names.index(figure)]] == 0).all()
        rows, actions = np.nonzero(rules.masks(play))
        play = rules.step(play.take(rows), actions, rng) if len(rows) else play.take(rows)


def test_meanings_are_spelt_out_and_say_which_end_is_the_worst():
    features = {f.name: f.meaning for f in describe_features(2, ("confidence", "aggregates"))}
    assert len(set(features.values())) == len(features) - 1  # two shares of known figures
    assert "exp of the mean log-probability" in features["p_mean"]
    assert features["worst_entropy_mean"].startswith("greatest entropy_mean")
    for name in ("p_mean", "p_min", "margin_first"):
        assert features[f"worst_{name}"].startswith(f"least {name}")
