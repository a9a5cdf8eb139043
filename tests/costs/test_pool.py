"""Model pools."""

from __future__ import annotations

import pickle

import pytest
from fake_sources import fake_pool

from gym_stepwise_routing.costs.models import Model, ModelPool


def test_a_pool_is_a_sequence_of_its_models_and_not_of_the_verifier():
    pool = fake_pool(3, verifier=True)
    assert len(pool) == 3
    assert [model.name for model in pool] == ["m0", "m1", "m2"] == list(pool.names)
    assert pool[-1].name == "m2"
    assert [model.name for model in pool[:2]] == ["m0", "m1"]
    assert [model.name for model in pool.rows] == ["m0", "m1", "m2", "prm"]
    assert repr(pool) == "ModelPool(m0, m1, m2; verifier prm)"


def test_pools_compare_by_content():
    pool = fake_pool(2, verifier=True)
    assert pool == fake_pool(2, verifier=True) == pickle.loads(pickle.dumps(pool))
    assert hash(pool) == hash(fake_pool(2, verifier=True))
    assert pool != fake_pool(2, verifier=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelPool([Model("a")]), "models=.*'a'.*allowed: at least 2 models"),
        (lambda: ModelPool([Model("a"), Model("a")]), "models=.*'a', 'a'.*allowed: distinct names"),
        (lambda: ModelPool([Model("a"), Model("")]), "allowed: a non-empty string"),
        (lambda: Model("a", parameters=0), "parameters=0.0; allowed: a finite number > 0, or None"),
        (lambda: Model("a", parameters=float("nan")), "parameters=nan; allowed"),
    ],
)
def test_bad_pools(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_whole_number_of_parameters_is_the_same_model_as_its_float():
    assert repr(Model("m", parameters=10**9)) == repr(Model("m", parameters=1e9))
