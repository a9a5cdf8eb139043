"""What the key-value caches keep."""

from __future__ import annotations

import numpy as np
import pytest

from gym_stepwise_routing.generators.prefix_cache import CachedRun, PrefixCache


def run(*ids: int) -> CachedRun:
    return CachedRun(np.array(ids, dtype=np.int64), ())


def test_the_longest_shared_prefix_is_found() -> None:
    cache = PrefixCache(100)
    cache.add(run(1, 2, 3))
    cache.add(run(1, 2, 9, 9))
    found, length = cache.longest([1, 2, 9, 9, 5])
    assert found is not None
    assert (found.ids.tolist(), length) == ([1, 2, 9, 9], 4)
    assert cache.longest([7, 7]) == (None, 0)


def test_one_token_is_always_left_to_read() -> None:
    cache = PrefixCache(100)
    cache.add(run(1, 2, 3))
    assert cache.longest([1, 2, 3])[1] == 2


def test_the_least_recently_used_run_goes_first() -> None:
    cache = PrefixCache(6)
    cache.add(run(1, 1, 1))
    cache.add(run(2, 2, 2))
    cache.longest([1, 1, 1, 5])
    cache.add(run(3, 3, 3))
    assert cache.longest([1, 1, 1, 5])[1] == 3
    assert cache.longest([2, 2, 2, 5])[1] == 0


def test_a_longer_run_replaces_its_own_prefix() -> None:
    cache = PrefixCache(5)
    cache.add(run(1, 2))
    cache.add(run(1, 2, 3))
    cache.add(run(7, 8))
    assert cache.longest([1, 2, 3, 4])[1] == 3
    assert cache.longest([7, 8, 9])[1] == 2


def test_no_capacity_keeps_nothing() -> None:
    cache = PrefixCache(0)
    cache.add(run(1, 2))
    assert cache.longest([1, 2, 3]) == (None, 0)
    with pytest.raises(ValueError, match="cache_tokens=-1"):
        PrefixCache(-1)
