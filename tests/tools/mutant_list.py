"""Faults that :mod:`mutants` puts into the code."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        group: which part of the code it is about.
        name: what is wrong then.
        old: text that stands exactly once in the code.
        new: text that takes its place.
        tests: names of test files, found anywhere below ``tests``.
        only: expression for pytest's ``-k``, where the files have slow tests as well.
    """

    group: str
    name: str
    old: str
    new: str
    tests: tuple[str, ...]
    only: str = ""


MUTANTS = (
    Mutant(
        "game",
        "normaliser-counts-episodes-as-problems",
        "return total / len(chosen)",
        "return total / len(problems)",
        ("test_game.py",),
    ),
    Mutant(
        "game",
        "escalate-leaves-every-writer",
        "(self._models >= play.trace.model[:, None])",
        "(self._models > play.trace.model[:, None])",
        ("test_rules.py",),
        "batched_rules",
    ),
    Mutant(
        "game",
        "masked-action-becomes-a-smaller-model",
        "(np.arange(models) >= actions[:, None])",
        "(np.arange(models) <= actions[:, None])",
        ("test_evaluate.py",),
    ),
    Mutant("game", "ended-episodes-go-on", "(children < 0) | idle", "(children < 0)", ("test_evaluate.py",)),
    Mutant(
        "game",
        "stuck-if-any-action-is-masked",
        "np.logical_not(mask.any(axis=1))",
        "np.logical_not(mask.all(axis=1))",
        ("test_tables.py",),
    ),
    Mutant(
        "game",
        "answer-beyond-the-budget-terminates",
        "terminated = stands.terminal & (cut ^ True)",
        "terminated = stands.terminal & True",
        ("test_episodes.py", "test_vector_equals_scalar.py"),
        "bundled_bank or budget",
    ),
    Mutant(
        "game",
        "budget-met-exactly-is-exceeded",
        "over = stands.cost > budget",
        "over = stands.cost >= budget",
        ("test_episodes.py",),
    ),
    Mutant(
        "game",
        "budget-shown-never-shrinks",
        "np.where(given, budget - cost, 0.0)",
        "np.where(given, budget, 0.0)",
        ("test_episodes.py", "test_vector_equals_scalar.py"),
        "bundled_bank or budget",
    ),
    Mutant(
        "game",
        "a-step-beyond-the-horizon",
        "(play.trace.depth < self.source.horizon)",
        "(play.trace.depth <= self.source.horizon)",
        ("test_rules.py",),
        "horizon",
    ),
    Mutant(
        "game",
        "at-the-horizon-the-last-step-is-not-shown",
        "ended = trace.terminal | (trace.depth >= self.source.horizon)",
        "ended = trace.terminal",
        ("test_rules.py",),
        "horizon",
    ),
    Mutant(
        "costs",
        "cached-context-is-charged-as-read",
        "+= self.context[rows, models] - cached",
        "+= self.context[rows, models]",
        ("test_accounting.py",),
    ),
    Mutant(
        "costs",
        "discarded-drafts-are-free",
        "DISCARDED] += drafts[thrown]",
        "DISCARDED] += 0",
        ("test_accounting.py",),
    ),
    Mutant(
        "costs",
        "probe-is-charged-to-its-own-writer",
        "np.flatnonzero(probed & (models != 0))",
        "np.flatnonzero(probed)",
        ("test_accounting.py",),
    ),
    Mutant(
        "costs",
        "rewritten-step-counts-as-read-by-the-verifier",
        "np.flatnonzero(scored & (models == 0))",
        "np.flatnonzero(scored)",
        ("test_accounting.py",),
    ),
    Mutant(
        "costs",
        "cached-tokens-at-full-price",
        "weights[CACHED] = model.price.cached_input",
        "weights[CACHED] = model.price.input",
        ("test_costs.py",),
    ),
    Mutant(
        "costs",
        "large-tokens-of-the-verifier",
        "weights[len(pool) - 1, list(DECODED)] = 1.0",
        "weights[-1, list(DECODED)] = 1.0",
        ("test_accounting.py",),
    ),
    Mutant(
        "costs",
        "pools-are-equal-without-their-verifiers",
        "isinstance(other, ModelPool) and self.rows == other.rows",
        "isinstance(other, ModelPool) and self.models == other.models",
        ("test_pool.py",),
    ),
    Mutant(
        "evaluation",
        "interval-of-half-the-confidence",
        "tail = (1.0 - level) / 2.0",
        "tail = 1.0 - level",
        ("test_bootstrap.py",),
    ),
    Mutant(
        "evaluation",
        "the-last-problem-is-never-drawn",
        "rng.integers(0, n, size=(size, n))",
        "rng.integers(0, n - 1, size=(size, n))",
        ("test_bootstrap.py",),
    ),
    Mutant(
        "evaluation",
        "points-and-seeds-mixed-up",
        ".reshape(2, seeds, points, -1).swapaxes(1, 2)",
        ".reshape(2, points, seeds, -1)",
        ("test_bootstrap.py",),
    ),
    Mutant(
        "evaluation",
        "always-largest-reaches-any-target",
        "(recovered >= x - TOLERANCE) & (shares < 1.0)",
        "(recovered >= x - TOLERANCE) & (shares <= 1.0)",
        ("test_metrics.py",),
    ),
    Mutant(
        "evaluation",
        "thresholds-along-the-wrong-axis",
        "np.repeat(grid, len(game.problems))",
        "np.tile(grid, len(game.problems))",
        ("test_evaluate.py",),
    ),
    Mutant(
        "calibration",
        "p-value-forgets-one-error",
        "stats.binom.cdf(counts, items, alpha)",
        "stats.binom.cdf(counts - 1, items, alpha)",
        ("test_calibration_bounds.py",),
    ),
    Mutant(
        "calibration",
        "every-start-at-the-full-level",
        "(values[start:] <= delta / len(starts))",
        "(values[start:] <= delta)",
        ("test_calibration_selection.py",),
    ),
    Mutant(
        "calibration",
        "conformal-bound-without-the-new-item",
        "(total + upper) / (losses.shape[1] + 1)",
        "total / losses.shape[1]",
        ("test_calibration_selection.py",),
    ),
    Mutant(
        "calibration",
        "unsolved-problems-count-as-kept-or-lost",
        "return wrong[:, solved]",
        "return wrong",
        ("test_calibrate.py",),
        "not three_models",
    ),
    Mutant(
        "calibration",
        "thresholds-chosen-on-test-problems",
        'np.intersect1d(game.problems, game.source.problems("test"))',
        'np.intersect1d(game.problems, game.source.problems("train"))',
        ("test_calibrate.py",),
        "not three_models",
    ),
    Mutant(
        "calibration",
        "share-kept-for-share-lost",
        "return 1 - self.share",
        "return self.share",
        ("test_calibrate.py",),
        "not three_models",
    ),
    Mutant(
        "leaderboard",
        "stated-figures-within-a-tenth",
        "rel_tol=_TOLERANCE, abs_tol=_TOLERANCE",
        "rel_tol=_TOLERANCE, abs_tol=0.1",
        ("test_forged_entries.py",),
        "forged_files",
    ),
    Mutant(
        "leaderboard",
        "stated-tokens-are-not-compared",
        "if stated.ledger != recorded:",
        "if stated.ledger.keys() != recorded.keys():",
        ("test_forged_entries.py",),
        "forged_files",
    ),
    Mutant(
        "leaderboard",
        "policies-trained-on-the-test-split",
        'if trained_on.split != "train":',
        'if trained_on.split == "calibration":',
        ("test_forged_entries.py",),
        "calibrated_policy",
    ),
    Mutant(
        "leaderboard",
        "renamed-problems-compared-in-plain-order",
        "changed_problems(decisions, played.decisions[order])",
        "changed_problems(decisions, played.decisions)",
        ("test_blindness.py",),
        "not fitted",
    ),
    Mutant(
        "leaderboard",
        "gain-on-the-test-problems-alone-passes",
        "if here[worst] - there[worst] <= MOST_APART",
        "if there[worst] - here[worst] <= MOST_APART",
        ("test_blindness.py",),
        "not fitted",
    ),
    Mutant(
        "leaderboard",
        "thresholds-chosen-on-the-tracks-own-split",
        'game = game_of(track, view, split="calibration")\n    outcome = sweep',
        "game = game_of(track, view)\n    outcome = sweep",
        ("test_playing.py",),
    ),
    Mutant(
        "leaderboard",
        "a-threshold-at-a-common-figure-is-a-table",
        "min(int(up.sum()), int(down.sum()))",
        "max(int(up.sum()), int(down.sum()))",
        ("test_blindness.py",),
        "common_figure",
    ),
)
