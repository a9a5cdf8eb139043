"""The studies run from end to end, with a few training steps, and write what the documentation links to."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from bank_files import few_problems

from gym_stepwise_routing.agents import training
from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.evaluation.evaluate import threshold_grid
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.policy_network import Dense, PolicyNetwork
from studies import billing
from studies.agents import all_budgets, certified, exact, guarantee, learning, peers, search, simulator, sweeps


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Few enough problems that the shape of a page is all that they decide."""
    return str(few_problems(tmp_path_factory.mktemp("bank"), train=24, calibration=20, test=40))


@pytest.fixture(autouse=True)
def a_few_steps(monkeypatch, few_steps):
    quick = few_steps(budgets=2)
    for module in (exact, peers, search, simulator):
        monkeypatch.setattr(module, "hyperparameters", quick)
    for module in (sweeps, learning):
        monkeypatch.setattr(module, "THRESHOLDS", np.linspace(0, 1, 9))
    monkeypatch.setattr(sweeps, "BUDGETS", (0.2, 0.5, 0.8))


def page(folder, name, *options):
    text = (folder / f"{name}.md").read_text()
    command = text.split("`")[1]
    assert all(f" {option}" in command for option in options), command
    assert f"Written by `python -m studies.agents.{name.split('-')[0]}" in text
    assert "nan" not in text
    return text, json.loads((folder / f"{name}.json").read_text())["results"]


def test_exact(tmp_path, bank, monkeypatch):
    monkeypatch.setattr(exact, "ABLATIONS", {"exact, 4 units": ("exact", {"candidates": [[4, 0.3, 0.01]]})})
    monkeypatch.setattr(exact, "THRESHOLDS", 5)
    exact.main(
        out=tmp_path,
        bank=bank,
        cost_unit="large_tokens",
        seeds=3,
        resamples=1000,
        agents=",".join(exact.AGENTS),
        changed=True,
    )
    text, numbers = page(tmp_path, "exact-few-problems-changed", "--seeds 3", "--resamples 1000", "--changed")
    assert list(numbers) == list(sweeps.MODES)
    for mode, found in numbers.items():
        assert {line["router"] for line in found["compared"]} == {*exact.AGENTS, *exact.PEERS}
        for line in found["compared"]:
            assert set(line["against"]) == set(exact.PEERS) - {line["router"]}
            assert line["unseen"][1] <= line["unseen"][0] <= line["unseen"][2]
        # the same comparison the other way round
        one, other = ({line["router"]: line for line in found["compared"]}[name] for name in exact.PEERS)
        assert one["against"]["fitted Q"][0] == pytest.approx(-other["against"]["query classifier"][0])
        assert [line["router"] for line in found["changed"]] == ["exact, 4 units"]
        assert f"Mode {mode}" in text


def test_sweeps_of_fewer_thresholds_are_as_long_and_give_the_same_curves():
    game = Game(split="train", mode="escalate")
    features = len(game.spec.features)
    flat = PolicyNetwork([Dense(np.zeros((2, features)), np.zeros(2), "none")])
    steep = PolicyNetwork([Dense(np.random.default_rng(0).normal(size=(2, features)), np.zeros(2), "none")])
    found = [sweeps.swept("exact", network, game, threshold_grid(network, game)) for network in (flat, steep)]
    assert len(found[0].right) == 3  # the two constants, and the one score
    together = sweeps.stack(found)
    assert together.right.shape == (2, 103, len(game.problems))
    assert (together.cost[0, 2:] == found[0].cost[2]).all()
    anchors = sweeps.anchors_of(game)
    one = sweeps.SweepOutcomes(right=together.right[0], cost=together.cost[0])
    assert sweeps.apgr(one, anchors) == sweeps.apgr(found[0], anchors)


def test_constants_pay_for_no_drafts(bank):
    found = {mode: sweeps.anchors_of(sweeps.games_of(bank, mode, "flops")["test"]) for mode in sweeps.MODES}
    assert found["route"].cost_large.mean() > found["route"].cost_small.mean()
    for mode in ("escalate", "regenerate"):
        for name in ("right_small", "cost_small", "right_large", "cost_large"):
            np.testing.assert_allclose(getattr(found[mode], name), getattr(found["route"], name), rtol=1e-12)


@pytest.mark.parametrize("unit", ["flops", "large_tokens"])
def test_constants_are_those_of_every_comparison(bank, unit):
    """An arena measures cost by always-largest on the split itself, a study by that on train: else they are equal."""
    for mode in sweeps.MODES:
        games, arena = sweeps.games_of(bank, mode, unit), Arena(bank, mode=mode, cost_unit=unit)
        for split in ("calibration", "test"):
            found, known = sweeps.anchors_of(games[split]), arena.reference(split).outcomes
            scale = arena.game(split, ("progress",)).normaliser / games[split].normaliser
            np.testing.assert_array_equal(found.right_large, known.right_large)
            for name in ("cost_small", "cost_large"):
                np.testing.assert_allclose(getattr(found, name), getattr(known, name) * scale, rtol=1e-12)


def mixing(game):
    """Always-largest on more and more of the problems, always-smallest on the rest, nobody drafting for either."""
    ends = sweeps.anchors_of(replaced(game, "route"))
    n = len(ends.right_small)
    rank = np.random.default_rng(0).permutation(n)
    large = rank < np.arange(n + 1)[:, None]
    right = np.where(large, ends.right_large, ends.right_small)
    return sweeps.SweepOutcomes(right=right, cost=np.where(large, ends.cost_large, ends.cost_small))


def replaced(game, mode):
    return Game(replace(game.config, mode=mode, normaliser=game.normaliser))


def test_studies_of_drafting_modes_measure_by_constants_without_drafts(bank, monkeypatch):
    """APGR of one and the same curve is the same in every mode, in FLOPs too, where drafts cost."""

    def measured(mode):
        opened, unit = exact.Bank.open(bank), "flops"
        games = sweeps.games_of(opened, mode, unit)
        curve = mixing(games["test"])
        found = peers.compare(mode, {"a": curve}, {"b": curve}, games["test"], 1000)
        (apgr,) = (line.value for line in found if line.metric == "apgr")
        anchors = {split: sweeps.anchors_of(game) for split, game in games.items()}
        by_split = {split: {"a": mixing(game)} for split, game in games.items()}
        lines = learning.compare(mode, "test", by_split, anchors, 3, 1000)
        monkeypatch.setattr(search, "train", lambda *_, **__: None)
        monkeypatch.setattr(search, "scored", lambda *_, **__: None)
        monkeypatch.setattr(search, "swept", lambda _, __, game: mixing(game))
        held, seen = search.validate("exact", opened, mode, unit, training.hyperparameters("exact"), 2)
        return [apgr, lines[0].apgr, lines[0].in_sample, held, seen]

    plain = measured("route")
    assert all(0.3 < value < 0.7 for value in plain)
    for mode in ("escalate", "regenerate"):
        assert measured(mode) == pytest.approx(plain, rel=1e-9)


def test_billing(tmp_path, bank):
    pytest.importorskip("genai_prices")
    billing.main(bank=bank, out=tmp_path)
    bills = json.loads((tmp_path / "billing-few-problems.json").read_text())["results"]
    assert len(bills) == len(billing.PAIRS) * len(billing.CACHINGS) * 3
    for bill in bills:
        assert (bill["ratio"] == 1.0) == (bill["caching"] == "ideal")
        assert (bill["cached"] > 0) == (bill["caching"] == "ideal")  # no prompt has 1,024 tokens
    largest = {bill["caching"]: bill["dollars"] for bill in bills if bill["router"].startswith("always-largest")}
    assert largest["ideal"] < largest["none"] == pytest.approx(largest["blocks of 128, from 1,024 tokens"])


def test_learning(tmp_path, bank, monkeypatch):
    monkeypatch.setattr(learning, "CURVES", (("exact", "regenerate"),))
    learning.main(out=tmp_path, bank=bank, cost_unit="large_tokens", seeds=3, resamples=1000)
    text, numbers = page(tmp_path, "learning-few-problems", "--seeds 3", "--resamples 1000")
    assert (tmp_path / "learning-few-problems.png").is_file()
    trained = {line["router"] for line in numbers["lines"] if line["trained"]}
    assert trained == set(learning.TRAINED)
    assert all(line["seeds"] == 3 for line in numbers["lines"] if line["trained"])
    best = [line for line in numbers["lines"] if line["difference"] is None]
    assert len(best) == 6  # three modes, two sets of problems
    rules = [line for line in numbers["lines"] if not line["trained"] and line["difference"] is not None]
    assert {line["router"].removesuffix(" (best rule)") for line in numbers["lines"]} >= set(sweeps.PEERS)
    curve = [point for point in numbers["analysis"] if point["what"] == "exact, regenerate: train problems"]
    assert [point["value"] for point in curve] == ["3", "6", "12", "24"]
    assert all(line["difference"] <= 1e-12 for line in rules)
    assert "SIMULATED" not in text


def test_all_budgets(tmp_path, bank):
    all_budgets.main(out=tmp_path, bank=bank, seeds=3, resamples=1000)
    _, numbers = page(tmp_path, "all_budgets-few-problems", "--seeds 3")
    assert len(numbers["points"]) == 2 * 2 * len(all_budgets.BUDGETS)
    assert (tmp_path / "all_budgets-few-problems.png").is_file()


def test_guarantee(tmp_path, bank, monkeypatch):
    monkeypatch.setattr(guarantee, "SIZES", (100, 500))
    guarantee.main(out=tmp_path, bank=bank, repetitions=1000, delta=0.1)
    _, numbers = page(tmp_path, "guarantee-few-problems", "--repetitions 1000")
    kept = [line for line in numbers if line["world"] == "same" and line["method"] in ("exact", "ltt")]
    assert len(kept) == 2 * len(guarantee.ALPHAS) * len(guarantee.SIZES)
    assert all(line["violation_low"] <= 0.1 for line in kept)


def test_search(tmp_path, bank):
    names = "shipped,16 units"
    search.main(agent="all_budgets", out=tmp_path, bank=bank, folds=2, only=names, cost_unit="flops")
    _, numbers = page(
        tmp_path, "search-all_budgets-few-problems", "--agent all_budgets", "--folds 2", f'--only "{names}"'
    )
    assert list(numbers) == names.split(",")
    for wrong in ({"agent": "qr"}, {"agent": "ppo", "only": "9 units"}):
        with pytest.raises(ValueError, match="is not known; allowed"):
            search.main(**{"out": tmp_path, "bank": bank, "folds": 2, "only": "", "cost_unit": "flops"} | wrong)


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_has_candidates_that_differ_in_one_thing(agent):
    tried = search.candidates(agent)
    shipped = asdict(tried.pop("shipped"))
    assert len(tried) >= 4
    assert not [name for name in tried if "," in name]  # --only names several with commas
    for settings in map(asdict, tried.values()):
        differs = [name for name in shipped if settings[name] != shipped[name]]
        assert differs in (["total_timesteps"], ["algorithm"])
    widths = [s.algorithm.get("policy_kwargs", s.algorithm) for s in tried.values()]
    assert len({str(w.get("net_arch", w.get("candidates"))) for w in widths}) >= 3


@pytest.mark.parametrize("agent", simulator.AGENTS)
def test_simulator(agent, tmp_path, monkeypatch):
    monkeypatch.setattr(simulator, "PLAYS", 1)
    monkeypatch.setattr(simulator, "PROBLEMS", 1000)
    monkeypatch.setattr(simulator, "BUDGETS", (0.3, 0.7))
    simulator.main(agent=agent, preset="gsm8k-like", out=tmp_path, seeds=1, tolerance=0.02)
    text, numbers = page(tmp_path, f"simulator-gsm8k-like-{agent}", f"--agent {agent} --seeds 1 --tolerance 0.02")
    assert "SIMULATED" in text
    # No router beats the planner's upper bound, but for sampling: 1,000 episodes have a standard error of .016.
    assert all(run["regret"] > -0.064 for run in numbers["runs"])


@pytest.mark.slow
def test_simulator_in_several_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(simulator, "PLAYS", 1)
    monkeypatch.setattr(simulator, "PROBLEMS", 200)
    monkeypatch.setattr(simulator, "BUDGETS", (0.5,))
    figures = []
    for jobs in (1, 2):
        simulator.main(agent="all_budgets", preset="gsm8k-like", out=tmp_path, seeds=2, tolerance=0.02, jobs=jobs)
        _, numbers = page(tmp_path, "simulator-gsm8k-like-all_budgets", "--seeds 2")
        figures.append([{**run, "seconds": None} for run in numbers["runs"]])
    assert figures[0] == figures[1]
    assert [run["seed"] for run in figures[0]] == [0, 1]


@pytest.mark.slow
def test_peers(tmp_path, bank, monkeypatch):
    monkeypatch.setattr(peers, "PRICES", (0.25, 0.8))
    peers.main(bank=bank, out=tmp_path, cost_unit="large_tokens", seeds=3, resamples=1000)
    text, numbers = page(tmp_path, "peers-few-problems", "--seeds 3")
    assert "SIMULATED" not in text
    by_mode = {mode: {line["peer"] for line in numbers if line["mode"] == mode} for mode in peers.MODES}
    assert by_mode["route"] == by_mode["escalate"] == {peers.SWEPT, peers.STILL}
    assert by_mode["regenerate"] == {peers.SWEPT, peers.STILL, *peers.VERIFIED}
    for line in numbers:
        assert line["difference"] == pytest.approx(line["value"] - line["peer_value"], abs=1e-9)
        assert line["low"] <= line["difference"] <= line["high"]


def test_certified(tmp_path, bank):
    certified.main(out=tmp_path, bank=bank, cost_unit="large_tokens", seeds=3, share=0.8, delta=0.1, agents="exact")
    text, numbers = page(tmp_path, "certified-few-problems", "--seeds 3", "--share 0.8", "--agents exact")
    assert len(numbers) == len(sweeps.MODES) * 3
    assert all(len(line["by_items"]) == len(certified.TIMES) for line in numbers)
    assert "hindsight" in text


def test_a_certificate_by_hand():
    """59 items without an error are what it takes for 5 % at delta 0.05: 0.95 ** 59 < 0.05 < 0.95 ** 58."""
    assert certified.allowed_errors(58, 0.05, 0.05) == -1
    assert certified.allowed_errors(59, 0.05, 0.05) == 0
    lost = np.array([0, 0, 1, 0, 9])
    assert certified.certified(lost, 59, 1, 0.05, 0.05) == 1  # the sequence ends at the first that fails
    assert certified.certified(lost, 59, 4, 0.05, 0.05) == 3
    assert certified.certified(lost, 58, 1, 0.05, 0.05) == -1
