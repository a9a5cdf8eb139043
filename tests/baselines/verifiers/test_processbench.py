"""ProcessBench's score on answers counted by hand, and its files."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("transformers", reason="the module needs the llm extra")

from gym_stepwise_routing.baselines.verifiers.processbench import (
    ProcessScore,
    Solution,
    best_threshold,
    cross_fitted,
    first_below,
    majority,
    process_f1,
    read_processbench,
)

SOLUTIONS = [
    Solution("p", ("a", "b", "c"), 1),
    Solution("p", ("a", "b"), 1),
    Solution("p", ("a", "b"), 0),
    Solution("p", ("a",), -1),
]


def test_f1_is_the_harmonic_mean_of_both_accuracies():
    score = process_f1(np.array([1, 0, 1, -1]), SOLUTIONS)
    assert score == ProcessScore(1 / 3, 1.0)
    assert score.f1 == pytest.approx(0.5)
    assert process_f1(np.array([1, 1, 0, 0]), SOLUTIONS).f1 == 0
    with pytest.raises(ValueError, match="3 guesses for 4 solutions"):
        process_f1(np.zeros(3, dtype=int), SOLUTIONS)
    with pytest.raises(ValueError, match="1 guesses for 1 solutions, 1 of them with an error"):
        process_f1(np.zeros(1, dtype=int), SOLUTIONS[:1])


def test_the_first_low_score_is_the_guess():
    scores = [np.array([0.9, 0.2, 0.1]), np.array([0.9, 0.8])]
    np.testing.assert_array_equal(first_below(scores, 0.5), [1, -1])
    np.testing.assert_array_equal(first_below(scores, 0.95), [0, 0])


def test_the_best_threshold_separates_what_can_be():
    scores = [np.array([0.9, 0.2, 0.9]), np.array([0.8, 0.3]), np.array([0.1, 0.9]), np.array([0.7])]
    threshold = best_threshold(scores, SOLUTIONS)
    assert process_f1(first_below(scores, threshold), SOLUTIONS).f1 == 1


def test_guesses_that_do_not_read():
    found = majority(SOLUTIONS, SOLUTIONS)
    assert found["no error"] == ProcessScore(0.0, 1.0)
    assert found["no error"].f1 == 0
    # guessing step 1 for a share s: F1 of (2/3 s, 1 - s)
    shares = np.linspace(0, 1, 101)
    best = max(2 * (2 / 3 * s) * (1 - s) / (2 / 3 * s + 1 - s) for s in shares[1:])
    assert found["most common"].f1 == pytest.approx(best)


def test_labels_stop_at_the_first_error():
    labels = SOLUTIONS[0].labels()
    assert [label for _, label in labels] == [1.0, 0.0]
    assert labels[1][0].before == "p\na"
    assert labels[1][0].step == "b"
    assert [label for _, label in SOLUTIONS[3].labels()] == [1.0]


def test_the_files(shared_dir):
    solutions = read_processbench(shared_dir / "data/processbench/gsm8k.json")
    assert len(solutions) == 400
    assert sum(solution.first_error == -1 for solution in solutions) == 193
    assert all(solution.first_error < len(solution.steps) for solution in solutions)


def test_cross_fitting_judges_by_other_problems():
    class Reader:
        """Knows a step by its text, once it has seen that text labelled."""

        def fit(self, steps, labels, weight):
            self.known = {step.step: label for step, label in zip(steps, labels, strict=True)}

        def predict(self, steps):
            return np.array([self.known.get(step.step, 0.5) for step in steps])

    common = [Solution(f"problem {i}", ("fine", "broken"), 1) for i in range(20)]
    common += [Solution(f"other {i}", ("fine", "fine"), -1) for i in range(20)]
    assert cross_fitted(common, Reader()).f1 == 1
    rare = [Solution(f"problem {i}", (f"fine {i}", f"broken {i}"), 1 if i % 2 else -1) for i in range(40)]
    assert cross_fitted(rare, Reader()).f1 == 0
