"""Schedules: which model writes which step, and the recorded bank's known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bank_files import published
from fake_sources import TreeSource

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, EveryOther, FirstKLarge, LastKLarge, RandomMix
from gym_stepwise_routing.costs.ledger import KEPT
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.sources.recorded import BankSource

KNOWN = {  # accuracy, small tokens, large tokens, steps: table at the end of the published recording's README, n = 252
    "small": (AlwaysSmallest(), "0.202 87.2 0.0 4.02"),
    "large": (AlwaysLargest(), "0.560 0.0 87.1 4.13"),
    "first1large": (FirstKLarge(1), "0.290 67.6 21.1 4.12"),
    "first2large": (FirstKLarge(2), "0.417 44.6 42.8 4.09"),
    "first3large": (FirstKLarge(3), "0.452 25.7 61.2 4.12"),
    "first4large": (FirstKLarge(4), "0.516 13.9 74.2 4.13"),
    "small1thenL": (LastKLarge(4), "0.321 22.1 65.2 4.06"),
    "small2thenL": (LastKLarge(3), "0.286 42.8 48.8 4.07"),
    "small3thenL": (LastKLarge(2), "0.230 60.6 31.1 4.00"),
    "small4thenL": (LastKLarge(1), "0.214 72.9 21.5 4.02"),
}


@pytest.fixture(scope="module")
def recording(shared_dir, tmp_path_factory):
    return BankSource(published(shared_dir, tmp_path_factory.mktemp("published")))


def played(router, source) -> list[np.ndarray]:
    """Right answers, tokens of both models and steps on all problems."""
    parts = [evaluate(router, source, split) for split in ("train", "calibration", "test")]
    columns = [[part.right, part.ledger[:, 0, KEPT], part.ledger[:, 1, KEPT], part.steps] for part in parts]
    return [np.concatenate(column) for column in zip(*columns, strict=True)]


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers_of_the_published_recording(name, recording):
    router, expected = KNOWN[name]
    right, small, large, steps = played(router, recording)
    assert len(right) == 252
    assert f"{right.mean():.3f} {small.mean():.1f} {large.mean():.1f} {steps.mean():.2f}" == expected


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        (AlwaysSmallest(), "0.193 90.6 0.0 4.12"),
        (AlwaysLargest(), "0.527 0.0 90.5 4.24"),
        (FirstKLarge(2), "0.380 49.4 42.3 4.21"),
        (LastKLarge(2), "0.230 60.9 34.7 4.12"),
    ],
)
def test_the_bundled_bank_is_as_its_page_says(router, expected, repository):
    """On the 400 test problems; the page that puts the simulator beside them has the same."""
    result = evaluate(router, split="test")
    kept = result.ledger[:, :, KEPT].mean(axis=0)
    page = repository / "docs/results/simulator/gsm8k-like-against-gsm8k-qwen2.5-coder-test.md"
    (line,) = [line for line in page.read_text().splitlines() if line.startswith(f"| {result.router} | route")]
    cells = [cell.split(" ")[0] for cell in line.strip("| ").split(" | ")]
    assert " ".join(cells[place] for place in (2, 5, 7, 9)) == expected
    assert f"{kept[0]:.1f} {kept[1]:.1f} {result.steps.mean():.2f}" == expected.partition(" ")[2]
    assert result.accuracy == pytest.approx(float(expected.split()[0]), abs=0.0005 + 1e-9)


@pytest.mark.parametrize(
    ("p", "accuracy", "large_tokens"), [(0.25, 0.270, 23.4), (0.5, 0.365, 44.8), (0.75, 0.440, 70.1)]
)
def test_random_mixes_agree_with_the_recording_within_chance(p, accuracy, large_tokens, recording):
    """One draw against ten of ours: the tolerance is four standard errors of that one draw."""
    runs = [played(RandomMix(p, seed=seed), recording) for seed in range(10)]
    right, tokens = np.mean([run[0] for run in runs], axis=0), np.array([run[2] for run in runs])
    assert right.mean() == pytest.approx(accuracy, abs=4 * np.sqrt((right * (1 - right)).sum()) / 252)
    assert tokens.mean() == pytest.approx(large_tokens, abs=4 * tokens.std() / np.sqrt(252))


def large_steps(router, horizon: int) -> list[bool]:
    """Whether the router picks the largest of three models at each step."""
    spec = replace(Game(TreeSource(models=3), observation=["progress"]).spec, horizon=horizon)
    router.bind(spec)
    observation = np.zeros((horizon, len(spec.features)), dtype=np.float32)
    observation[:, 0] = np.arange(horizon) / horizon
    actions, _ = router.predict(observation)
    assert set(actions.tolist()) <= {0, 2}
    return (actions == 2).tolist()


@pytest.mark.parametrize("horizon", [3, 7, 30])
@pytest.mark.parametrize("k", [0, 1, 2, 99])
def test_which_steps_are_large(horizon, k):
    steps = range(horizon)
    assert large_steps(FirstKLarge(k), horizon) == [step < k for step in steps]
    assert large_steps(LastKLarge(k), horizon) == [step >= horizon - k for step in steps]
    assert large_steps(EveryOther(k), horizon) == [step % (k + 1) == 0 for step in steps]


def test_bad_schedules():
    with pytest.raises(ValueError, match="k=-1; allowed: an integer >= 0"):
        FirstKLarge(-1)
    with pytest.raises(NotApplicableError, match="feature 'depth' is not observed"):
        LastKLarge(1).bind(Game(TreeSource(), observation=["ledger"]).spec)


def test_names():
    assert [router.name for router in (FirstKLarge(2), LastKLarge(1), EveryOther(3))] == [
        "first-2-large",
        "last-1-large",
        "one-large-3-small",
    ]
