"""Bad simulators are refused, with an error that names the number, its value and what is allowed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.sources.simulator import SimulatorSource, load_preset
from gym_stepwise_routing.sources.simulator.parameters import ConfidenceModel, Prompt, StepTokens
from gym_stepwise_routing.sources.simulator.presets import Preset, read_preset

MATH = load_preset("math-qwen2.5").parameters


def changed(tuples, path, value):
    """Nested tuples with one entry replaced."""
    head, *rest = path
    new = changed(tuples[head], rest, value) if rest else value
    return (*tuples[:head], new, *tuples[head + 1 :])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": MATH.models[:1]}, "at least 2 models"),
        ({"models": (MATH.models[0], MATH.models[0])}, "distinct names"),
        ({"horizon": 0}, r"horizon=0; allowed: an integer from 1 to 1000"),
        ({"horizon": 30.0}, r"horizon=30.0; allowed: an integer from 1 to 1000"),
        ({"recovery": [0.1, 0.2]}, r"recovery=\[0.1, 0.2\]; allowed: a tuple"),
        ({"error": changed(MATH.error, (0, 0), [0.1, 0.2])}, r"error\[0\]\[0\]=\[0.1, 0.2\]; allowed: a tuple"),
        ({"coupling": True}, r"coupling=True; allowed: 0 to 1"),
        ({"horizon": 29}, r"stop\[0\] has 30 entries; allowed: 29"),
        ({"level_shares": (0.5, 0.6)}, r"level_shares=.*adds up to 1.1; allowed: 1"),
        ({"level_shares": (1.0,)}, r"error\[0\] has 2 entries; allowed: 1"),
        ({"error": changed(MATH.error, (0, 0, 1), 1.2)}, r"error\[0\]\[0\]\[1\]=1.2; allowed: 0 to 1"),
        ({"error": changed(MATH.error, (0, 0), (0.1,) * 31)}, "more than horizon=30 entries"),
        ({"error": MATH.error[:1]}, "error has 1 entries; allowed: 2"),
        ({"repair": changed(MATH.repair, (1, 0), -0.1)}, r"repair\[1\]\[0\]=-0.1; allowed: 0 to 1"),
        ({"recovery": (0.1, float("nan"))}, r"recovery\[1\]=nan; allowed: 0 to 1"),
        ({"recovery": (0.1,)}, "recovery has 1 entries; allowed: 2"),
        ({"coupling": 1.01}, r"coupling=1.01; allowed: 0 to 1"),
        (
            {"stop": changed(MATH.stop, (1, 29), 0.3)},
            r"stop\[1\]\[29\]=0.3: model '.*7B-Instruct' may never stop",
        ),
        ({"stop": changed(MATH.stop, (1, 3), 2.0)}, r"stop\[1\]\[3\]=2.0; allowed: 0 to 1"),
        ({"verifier": None}, "scores and verifier: allowed are both or neither"),
        ({"scores": None}, "scores and verifier: allowed are both or neither"),
        (
            {"scores": replace(MATH.scores, scored=("Qwen2.5-1.5B-Instruct", "GPT-5"))},
            r"scores.scored='GPT-5' is not known; allowed: 'Qwen2.5-1.5B-Instruct', 'Qwen2.5-7B-Instruct'",
        ),
        ({"prompt": Prompt(tokens=(10,), shared=(5,))}, "prompt.tokens has 1 entries; allowed: 2"),
    ],
)
def test_bad_parameters(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(MATH, **changes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(MATH.step_tokens, mean=(50.0, 0.0)), r"step_tokens.mean\[1\]=0.0"),
        (lambda: replace(MATH.step_tokens, spread=-1.0), "step_tokens.spread=-1.0"),
        (lambda: replace(MATH.step_tokens, status_ratio=(1.0, 1.0)), "step_tokens.status_ratio has 2 entries"),
        (lambda: replace(MATH.step_tokens, status_ratio=(2.0, 1.0, 1.0)), r"status_ratio\[0\]=2.0; allowed: 1 to 1"),
        (lambda: Prompt(tokens=(10, 10), shared=(5, 11)), r"prompt.shared\[1\]=11; allowed: 0 to 10"),
        (lambda: replace(MATH.scores, near_zero=(0.6, 0.0, 0.0)), r"near_zero\[0\] \+ scores.near_one\[0\]"),
        (lambda: replace(MATH.scores, near_one=(0.1, 0.1)), "scores.near_one has 2 entries; allowed: 3"),
        (lambda: replace(MATH.scores, decay=0.0), "scores.decay=0.0"),
        (lambda: replace(MATH.scores, groups=(0.5, 0.9)), "scores.groups=.*the last of them 1"),
        (lambda: replace(MATH.scores, groups=(0.9, 0.5, 1.0)), "scores.groups=.*ascending"),
        (lambda: replace(MATH.scores, groups=(0.91, 0.92, 1.0)), "no score bin lies between 0.91 and 0.92"),
        (lambda: replace(MATH.scores, groups=()), r"scores.groups=\(\)"),
        (lambda: replace(MATH.scores, scored=()), r"scores.scored=\(\); allowed: one or more names"),
        (lambda: replace(MATH.scores, scored=("a", "a")), r"scores.scored=\('a', 'a'\); allowed: .* each once"),
        (lambda: ConfidenceModel(measured="x", shares=(((0.5, 0.6),) * 3,)), "adds up to 1.1"),
        (lambda: ConfidenceModel(measured="x", shares=(((1.0,),) * 2,)), r"confidence.shares\[0\] has 2 entries"),
    ],
)
def test_bad_parts(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_shows_only_against_the_measurements():
    with pytest.raises(ValueError, match=r"confidence.measured='mine'"):
        SimulatorSource(replace(MATH, confidence=replace(MATH.confidence, measured="mine")))
    with pytest.raises(ValueError, match=r"scores.measured='aime'.*'math-train', 'omni'"):
        SimulatorSource(replace(MATH, scores=replace(MATH.scores, measured="aime")))
    few = tuple(tuple((0.5, 0.5) for _ in range(3)) for _ in range(2))
    with pytest.raises(ValueError, match=r"confidence.shares has 2 bins; allowed: 8"):
        SimulatorSource(replace(MATH, confidence=replace(MATH.confidence, shares=few)))
    long = StepTokens(mean=(50.0, 50.0), spread=0.1, status_ratio=(1.0, 1.9, 1.0), level_ratio=(1.0, 1.0))
    with pytest.raises(ValueError, match=r"1.90 times as long as a correct one is not reached"):
        SimulatorSource(replace(MATH, step_tokens=long))


def test_a_simulator_of_ones_own():
    cheap = Model("cheap", parameters=1e8)
    mine = replace(
        MATH, name="mine", models=(cheap, MATH.models[1]), scores=replace(MATH.scores, scored=(MATH.models[1].name,))
    )
    source = SimulatorSource(mine)
    assert source.name == "mine"
    assert source.process.scored.tolist() == [False, True]


def preset_file(tmp_path, change):
    from gym_stepwise_routing.storage.strict_json import to_json

    content = to_json(load_preset("gsm8k-like"))
    change(content)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["parameters"].pop("stop"), "key 'parameters.stop' is missing"),
        (lambda c: c["parameters"].update(hazard=1), "unknown key 'parameters.hazard'"),
        (lambda c: c["parameters"].update(coupling="high"), "'parameters.coupling' is 'high'; allowed: a number"),
        (lambda c: c["parameters"].update(coupling=3), "coupling=3.0; allowed: 0 to 1"),
        (lambda c: c["origins"].pop("stop"), r"origins: missing \['stop'\]"),
        (lambda c: c["origins"].update(colour={"basis": "fitted", "text": "x"}), r"unknown \['colour'\]"),
        (lambda c: c["origins"]["stop"].update(basis="guess"), "'guess'; allowed: one of 'measured', 'fitted'"),
    ],
)
def test_bad_preset_files(tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_preset(preset_file(tmp_path, change))
    assert "mine.json" in str(raised.value)


def test_a_good_preset_file_and_none(tmp_path):
    assert read_preset(preset_file(tmp_path, lambda c: None)) == load_preset("gsm8k-like")
    assert isinstance(load_preset("omni-like"), Preset)
    with pytest.raises(ValueError, match=r"no.json: the file is missing"):
        read_preset(tmp_path / "no.json")
