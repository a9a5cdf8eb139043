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
    f1_interval,
    first_below,
    hits,
    majority,
    process_f1,
    process_score,
    read_processbench,
    transferred,
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
    with pytest.raises(ValueError, match="1 of 1 solutions have an error"):
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
    found = {name: process_score(right, SOLUTIONS) for name, right in majority(SOLUTIONS).items()}
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


class Reader:
    """Knows a step by its text, once it has seen that text labelled."""

    def fit(self, steps, labels, weight):
        self.known = {step.step: label for step, label in zip(steps, labels, strict=True)}

    def predict(self, steps):
        return np.array([self.known.get(step.step, 0.5) for step in steps])


COMMON = [Solution(f"problem {i}", ("fine", "broken"), 1) for i in range(20)]
COMMON += [Solution(f"other {i}", ("fine", "fine"), -1) for i in range(20)]


def test_cross_fitting_judges_by_other_problems():
    assert process_f1(cross_fitted(COMMON, Reader()), COMMON).f1 == 1
    rare = [Solution(f"problem {i}", (f"fine {i}", f"broken {i}"), 1 if i % 2 else -1) for i in range(40)]
    assert process_f1(cross_fitted(rare, Reader()), rare).f1 == 0


def test_intervals_hold_the_estimate_and_differences_are_paired():
    rng = np.random.default_rng(0)
    truth = np.array([solution.first_error for solution in COMMON])
    right = np.stack([hits(np.where(rng.random(40) < 0.3, 0, truth), COMMON) for _ in range(3)])
    found = f1_interval(right, COMMON, resamples=500)
    assert found.estimate == pytest.approx(np.mean([process_score(seed, COMMON).f1 for seed in right]))
    assert found.low < found.estimate < found.high
    same = f1_interval(right, COMMON, minus=right, resamples=500)
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    assert f1_interval(right, COMMON, minus=majority(COMMON)["most common"], resamples=500).estimate > 0


def test_solutions_of_one_problem_are_drawn_together():
    alone = [Solution(f"p{i}", ("a", "b"), 1 if i < 20 else -1) for i in range(40)]
    grouped = [Solution(f"p{i % 4}", ("a", "b"), 1 if i < 20 else -1) for i in range(40)]
    right = np.array([float(i % 4 < 2) for i in range(40)])
    widths = [(lambda found: found.high - found.low)(f1_interval(right, each)) for each in (alone, grouped)]
    assert widths[1] > 1.5 * widths[0]


def test_a_verifier_from_trees_never_sees_the_benchmark():
    class Bank:
        name = "trees"
        depth = np.array([0, 1, 0, 1])
        terminal = correct = np.array([False, True, False, True])
        child = np.array([[1], [-1], [3], [-1]])

        class nodes:  # noqa: N801
            problem = np.array([0, 0, 1, 1])
            parent = np.array([-1, 0, -1, 2])

            def __len__(self):
                return 4

        class problems:  # noqa: N801
            root = np.array([0, 2])

        def split_problems(self, split):
            return np.array([0, 1])

        def text(self, row):
            return "fine" if row == 1 else "broken"

    bank = Bank()
    bank.nodes = Bank.nodes()

    class Spy(Reader):
        def fit(self, steps, labels, weight):
            assert [step.before for step in steps] == ["not there"]
            super().fit(steps, labels, weight)

    questions = ["not there", "problem  3"]
    guesses = transferred(COMMON, Spy(), bank, questions)
    assert len(guesses) == len(COMMON)
