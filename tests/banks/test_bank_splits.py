"""The split rule: a function of the problem's hash, disjoint, with the shares that it states."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_stepwise_routing.banks.splits import SplitRule

HASHES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]
RULE = SplitRule(salt="s", shares={"test": {"test": 1.0}, "train": {"train": 0.6, "calibration": 0.4}})


def test_shares_are_kept():
    counts = Counter(RULE.assign("train", question) for question in HASHES)
    assert set(counts) == {"train", "calibration"}
    assert counts["train"] / len(HASHES) == pytest.approx(0.6, abs=0.015)  # four standard errors
    assert {RULE.assign("test", question) for question in HASHES[:500]} == {"test"}


def test_hand_computed_place():
    place = int(hashlib.sha256(("s" + HASHES[0]).encode()).hexdigest()[:16], 16) / 2**64
    assert RULE.assign("train", HASHES[0]) == ("train" if place < 0.6 else "calibration")


def test_the_order_of_the_shares_does_not_matter():
    turned = SplitRule(salt="s", shares={"train": {"calibration": 0.4, "train": 0.6}})
    assert all(turned.assign("train", question) == RULE.assign("train", question) for question in HASHES[:2000])


def test_another_salt_draws_other_splits():
    other = SplitRule(salt="other", shares=RULE.shares)
    differing = sum(other.assign("train", question) != RULE.assign("train", question) for question in HASHES[:2000])
    assert differing / 2000 == pytest.approx(2 * 0.6 * 0.4, abs=0.05)


@given(question=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64), cut=st.floats(0.01, 0.99))
def test_a_larger_share_only_adds_problems(question, cut):
    def rule(share):
        return SplitRule(salt="s", shares={"train": {"train": share, "calibration": 1 - share}})

    if rule(cut / 2).assign("train", question) == "train":
        assert rule(cut).assign("train", question) == "train"


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({}, "at least one official split"),
        ({"train": {}}, "add up to 1"),
        ({"train": {"train": 0.5}}, "add up to 1"),
        ({"train": {"train": 0.5, "calibration": 0.6}}, "add up to 1"),
        ({"train": {"train": 1.5, "calibration": -0.5}}, r"\['train'\]=1.5; allowed: \(0, 1\]"),
        ({"train": {"train": 1.0, "test": 0.0}}, r"\['test'\]=0.0; allowed: \(0, 1\]"),
        ({"train": {"dev": 1.0}}, "split='dev' is not known; allowed: 'train', 'calibration', 'test'"),
        ({"train": {"train": float("nan")}}, "allowed"),
    ],
)
def test_a_wrong_rule(shares, words):
    with pytest.raises(ValueError, match=words):
        SplitRule(salt="s", shares=shares)


def test_an_official_split_that_the_rule_does_not_name():
    with pytest.raises(ValueError, match="official split='dev' is not known; allowed: 'test', 'train'"):
        RULE.assign("dev", HASHES[0])
