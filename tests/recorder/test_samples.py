"""Several samples of each step: recorded, played as a random source, and summed over exactly."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generator_fakes import FakeGenerator

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.banks.summary import best_chance, summarise
from gym_stepwise_routing.baselines.constant import AlwaysModel
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.errors import NotApplicableError, RecordingError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.evaluation.sampled import expected_play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.generators import Completion, Failure, GeneratorInfo, Request, StepRule
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.sampling import Sampling
from gym_stepwise_routing.recorder.finished_bank import bank_from_recording
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.recording_manifest import recording_manifest, seal_manifest
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore
from gym_stepwise_routing.sources.recorded import BankSource

SAMPLES = 3
RULE = StepRule(stop=(), labels=("Q:",), horizon=2, max_tokens=60)
SETTINGS = RecordingSettings(
    PromptTemplate("p", "Q: {question}\n"), mode="route", rule=RULE, grading="numeric", samples=SAMPLES
)
DRAWN = Sampling(temperature=0.8, seed=1)


class Drawing(FakeGenerator):
    """Right once in a while, by its sample and what it goes on with; ``copies``: it ignores the temperature."""

    def __init__(self, name: str, rate: int, *, copies: bool = False) -> None:
        super().__init__(name, lambda prompt, prefix: "")
        self.rate, self.copies = rate, copies

    def info(self) -> GeneratorInfo:
        return replace(super().info(), settings=DRAWN.settings())

    def _run(self, request: Request) -> Completion | Failure:
        sample = 0 if self.copies else request.sample
        drawn = hashlib.sha256(f"{self.name}{sample}{request.prompt}{request.prefix}".encode()).digest()[0]
        answer = f"The answer is {1 if drawn % self.rate else 0}."
        self._write = lambda prompt, prefix: answer if prefix else f"Draft {drawn % 5}.\n{answer}"
        return super()._run(request)


def recorded(folder: Path, *, copies: bool = False, count: int = 8) -> Bank:
    generators = [Drawing("small", 2, copies=copies), Drawing("large", 4)]
    toy = Dataset(question_field="question", source="toy.jsonl", licence="MIT")
    seal_manifest(
        folder,
        recording_manifest(
            settings=SETTINGS,
            models=[Model("small", 10.0), Model("large", 30.0)],
            generators=[one.info() for one in generators],
            shared_prefix=[0, 0],
            datasets={"toy": toy},
            command="record",
            licence="MIT",
        ),
    )
    store = TreeStore(folder / "trees-0.jsonl")
    problems = [Problem("toy", "test", i, f"What is {i}?", "1") for i in range(count)]
    record(problems, generators, store, SETTINGS)
    store.close()
    return bank_from_recording(folder, name="toy")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return recorded(tmp_path_factory.mktemp("samples"))


def test_each_prefix_has_all_samples_and_the_manifest_says_so(bank: Bank) -> None:
    assert bank.manifest.samples == SAMPLES
    assert bank.manifest.decoding.temperature == 0.8
    assert bank.pool.names == ("small#1", "small#2", "small#3", "large#1", "large#2", "large#3")
    assert bank.manifest.played.names == ("small", "large")
    assert (bank.child[~bank.terminal] >= 0).all()


def test_it_plays_as_a_random_source_of_the_models(bank: Bank) -> None:
    source = BankSource(bank)
    assert (source.deterministic, len(source.pool), source.samples) == (False, 2, SAMPLES)
    rng = np.random.default_rng(0)
    state = source.start(np.zeros(6000, dtype=np.int64), rng)
    after = source.step(state, np.ones(6000, dtype=np.int64), rng)
    assert set(after.model) == {1}
    children = bank.child[bank.problems.root[0], SAMPLES:]
    counts = np.array([(after.latent["node"] == child).sum() for child in children])
    assert (abs(counts - 2000) < 5 * np.sqrt(6000 * 2 / 9)).all()


def chances(bank: Bank, problem: int, models: list[int]) -> float:
    """By hand: the chance of a right answer where ``models`` write the steps."""
    here = {int(bank.problems.root[problem]): 1.0}
    right = 0.0
    for model in models:
        reached: dict[int, float] = {}
        for node, chance in here.items():
            for child in bank.child[node, model * SAMPLES : (model + 1) * SAMPLES].tolist():
                if bank.terminal[child]:
                    right += chance / SAMPLES * bank.correct[child]
                else:
                    reached[child] = reached.get(child, 0.0) + chance / SAMPLES
        here = reached
    return right


@pytest.mark.parametrize("model", [0, 1])
def test_expectations_are_exact(bank: Bank, model: int) -> None:
    game = Game(BankSource(bank), split="test", cost_unit="flops", observation=("progress",))
    exact = expected_play(AlwaysModel(model), game)
    np.testing.assert_allclose(exact.right, [chances(bank, p, [model, model]) for p in game.problems])
    np.testing.assert_allclose(exact.right, best_chance(bank, model)[bank.problems.root[game.problems]])
    drawn = [play(AlwaysModel(model), game, seed=seed) for seed in range(200)]
    error = 5 * np.sqrt(exact.right * (1 - exact.right) / 200) + 1e-9
    assert (abs(np.mean([one.right for one in drawn], axis=0) - exact.right) <= error).all()
    costs = np.array([one.cost for one in drawn])
    assert (abs(costs.mean(axis=0) - exact.cost) <= 5 * costs.std(axis=0) / np.sqrt(200) + 1e-9).all()


def test_the_oracle_knows_chances_and_not_which_sample_comes(bank: Bank) -> None:
    best = best_chance(bank)
    root = bank.problems.root
    for model in (0, 1):
        assert (best[root] >= best_chance(bank, model)[root] - 1e-12).all()
    seen_afterwards = [bool((bank.correct & (bank.nodes.problem == problem)).any()) for problem in range(len(root))]
    assert best[root].sum() < sum(seen_afterwards)
    (told,) = summarise(bank)
    assert told.reachable == pytest.approx(best[root].sum())


def test_copies_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"small: its 3 samples are the same text at each of \d+ prefixes"):
        recorded(tmp_path, copies=True)


def test_samples_need_a_temperature(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="samples=3 with temperature=0, whose samples are copies"):
        recording_manifest(
            settings=SETTINGS,
            models=[],
            generators=[FakeGenerator("x", lambda *_: "").info()],
            shared_prefix=[],
            datasets={},
            command="",
            licence="",
        )
    with pytest.raises(ValueError, match="samples=2 with mode='escalate'; allowed: route"):
        replace(SETTINGS, samples=2, mode="escalate")


def test_a_bank_of_one_sample_has_no_expectation_to_sum() -> None:
    with pytest.raises(NotApplicableError, match="has no samples; allowed: a bank recorded with --samples"):
        expected_play(AlwaysModel(0), Game("gsm8k-qwen2.5-coder"))


def test_draws_repeat_by_seed_and_differ_by_sample() -> None:
    logprob = np.log(np.array([0.5, 0.3, 0.2]))

    def tokens(sampling: Sampling, sample: int) -> list[int]:
        rng = sampling.generator("prompt", sample)
        assert rng is not None
        return [sampling.draw(logprob, rng) for _ in range(40)]

    assert tokens(DRAWN, 0) == tokens(DRAWN, 0) != tokens(DRAWN, 1)
    assert set(tokens(replace(DRAWN, top_p=0.6), 0)) == {0, 1}
    assert set(tokens(replace(DRAWN, temperature=0.01), 0)) == {0}
    assert Sampling().generator("prompt") is None
    assert DRAWN.of_sample(2).seed == 3
