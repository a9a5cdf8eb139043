from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_stepwise_routing.leaderboard.encoding import decisions_from_text, decisions_to_text, pack, unpack


@given(st.lists(st.lists(st.integers(0, 11), max_size=6), min_size=1, max_size=20))
def test_text_gives_back_the_decisions(rows):
    decisions = np.full((len(rows), 6), -1, dtype=np.int8)
    for row, actions in zip(decisions, rows, strict=True):
        row[: len(actions)] = actions
    assert np.array_equal(decisions_from_text(decisions_to_text(decisions), 6, 12), decisions)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_packed_sweeps_give_back_the_decisions(points, problems, horizon, seed):
    decisions = np.random.default_rng(seed).integers(-1, 3, size=(points, problems, horizon)).astype(np.int8)
    assert np.array_equal(unpack(pack(decisions), decisions.shape), decisions)


@pytest.mark.parametrize(("text", "message"), [("0101", "4 decisions; allowed: at most 3"), ("02", "digits of 01")])
def test_texts_that_are_no_decisions(text, message):
    with pytest.raises(ValueError, match=message):
        decisions_from_text([text], horizon=3, models=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no base64!", "cannot be read"),
        (base64.b64encode(b"no zlib").decode(), "cannot be read"),
        (pack(np.zeros((1, 2, 2), np.int8)), "another number"),
        (pack(np.zeros((1, 2, 3), np.int8))[:-4], "another number|cannot be read"),
    ],
)
def test_packed_text_of_the_wrong_kind(text, message):
    with pytest.raises(ValueError, match=message):
        unpack(text, (1, 2, 3))


def test_a_bomb_is_not_unpacked_beyond_what_it_should_hold():
    bomb = base64.b64encode(zlib.compress(bytes(10**7), 9)).decode()
    with pytest.raises(ValueError, match="another number"):
        unpack(bomb, (1, 2, 3))
    with pytest.raises(ValueError, match="allowed: at most"):
        unpack(bomb, (500, 10_000, 100))
