"""Confidence figures against hand-computed ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gym_stepwise_routing.generators.token_confidence import token_confidence


def test_entropy_has_one_bucket_for_the_rest() -> None:
    figures = token_confidence(np.log([0.5]), np.log([[0.5, 0.25]]))
    assert figures.entropy[0] == pytest.approx(0.5 * math.log(2) + 2 * 0.25 * math.log(4))
    assert figures.margin[0] == pytest.approx(0.25)
    assert figures.top1[0] == pytest.approx(0.5)


def test_unknown_places_belong_to_the_rest() -> None:
    full = token_confidence(np.log([0.5]), np.log([[0.5, 0.25]]))
    gaps = token_confidence(np.log([0.5]), np.array([[math.log(0.5), math.log(0.25), np.nan]]))
    assert gaps.entropy[0] == pytest.approx(full.entropy[0])


def test_a_certain_token_has_no_entropy() -> None:
    figures = token_confidence(np.zeros(1), np.array([[0.0, -np.inf]]))
    assert figures.entropy[0] == 0
    assert figures.margin[0] == 1


def test_probabilities_that_add_up_to_more_than_one_by_rounding_are_harmless() -> None:
    figures = token_confidence(np.log([0.7]), np.log([[0.7, 0.3001]]))
    assert np.isfinite(figures.entropy[0])


@pytest.mark.parametrize("chosen", [0.4, 0.2])
def test_figures_at_a_tie_are_the_same_whichever_token_was_chosen(chosen: float) -> None:
    """Margin and top-1 go by value: the two tied tokens are 0 apart, and a token behind them changes neither."""
    figures = token_confidence(np.log([chosen]), np.log([[0.4, 0.4, 0.2]]))
    assert figures.margin[0] == 0
    assert figures.top1[0] == pytest.approx(0.4)
    assert figures.entropy[0] == pytest.approx(-(0.8 * math.log(0.4) + 0.2 * math.log(0.2)))
    assert figures.logprob[0] == pytest.approx(math.log(chosen))


def test_a_chosen_token_that_vllm_lists_beside_the_top_ones_moves_no_figure() -> None:
    """vLLM appends the chosen token where it is not among the k listed; the top of a tie is 0 apart."""
    from types import SimpleNamespace

    from gym_stepwise_routing.generators.vllm_engine import _top

    tied = {7: SimpleNamespace(logprob=-1.0), 3: SimpleNamespace(logprob=-1.0), 5: SimpleNamespace(logprob=-1.0)}
    np.testing.assert_array_equal(_top([tied], 2), [[-1.0, -1.0]])
    low = {3: SimpleNamespace(logprob=-3.0), 7: SimpleNamespace(logprob=-1.0), 5: SimpleNamespace(logprob=-1.5)}
    np.testing.assert_array_equal(_top([low], 2), [[-1.0, -1.5]])


def test_a_step_takes_its_own_tokens() -> None:
    chosen = np.log([0.5, 0.9, 0.2])
    top = np.log([[0.5, 0.4], [0.9, 0.05], [0.6, 0.2]])
    step = token_confidence(chosen, top).step(1, 3)
    assert step is not None
    assert step.logprob_sum == pytest.approx(math.log(0.9) + math.log(0.2))
    assert step.logprob_min == pytest.approx(math.log(0.2))
    assert step.margin_first == pytest.approx(0.85)
    assert step.margin_min == pytest.approx(0.4)
    assert step.margin_mean == pytest.approx((0.85 + 0.4) / 2)
    assert step.top1_mean == pytest.approx(0.75)
    assert step.entropy_max >= step.entropy_mean
    assert step.rounded()["top1_mean"] == 0.75


def test_no_tokens_no_figures() -> None:
    assert token_confidence(np.zeros(0), np.zeros((0, 0))).step(0, 0) is None


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="k >= 2"):
        token_confidence(np.zeros(2), np.zeros((2, 1)))
