"""What a prefix cache serves, by hand: blocks, smallest prompts, and what a server tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gym_stepwise_routing.baselines import AlwaysLargest
from gym_stepwise_routing.costs.charging import charge_draft_step, charge_step, open_account
from gym_stepwise_routing.costs.ledger import CACHED, CALLS, KEPT, PREFILL
from gym_stepwise_routing.costs.models import IDEAL_CACHING, Caching, Model, ModelPool, Price
from gym_stepwise_routing.costs.units import cost_of
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.planning.cost_tables import StepCosts
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.cached import cached_by
from gym_stepwise_routing.sources.contract import ProblemBatch
from gym_stepwise_routing.storage.strict_json import decode, to_json

API = Caching(block=128, smallest=1024)


def opened(prompt, shared, *cachings):
    pool = ModelPool([Model(f"model {i}", caching=caching) for i, caching in enumerate(cachings)])
    counts = [np.array([[tokens] * len(pool)]) for tokens in (prompt, shared)]
    return open_account(ProblemBatch(*counts, np.zeros((1, 4), dtype=np.float32)), pool)


def step(account, model, tokens, **told):
    return charge_step(account, np.array([model]), np.array([tokens]), probed=None, scored=None, **told)


def read(account, model):
    return account.ledger[0, model, [CALLS, PREFILL, CACHED]].tolist()


def test_whole_blocks_of_what_was_read_are_served():
    account = step(opened(1100, 60, None, API), 1, 40)
    assert read(account, 1) == [1, 1100, 0]  # 60 shared tokens are no block
    account = step(account, 1, 40)  # 1,140 tokens, all read before, of which 8 blocks
    assert read(account, 1) == [2, 1100 + 116, 1024]


def test_short_prompts_are_served_nothing():
    account = opened(1000, 900, None, API)
    for calls, context in enumerate((1000, 1020, 1040), start=1):
        account = step(account, 1, 20)
        assert read(account, 1)[0] == calls
        assert account.context[0, 1] == context + 20
    # 1,000 and 1,020 are too short; of 1,040 the 1,040 read before are served in 8 blocks
    assert read(account, 1) == [3, 1000 + 1020 + 16, 1024]


def test_each_model_has_its_own_cache_and_ideal_is_every_token():
    ideal, api = opened(1100, 60, None, API), opened(1100, 60, API, IDEAL_CACHING)
    for _ in range(2):
        ideal, api = step(ideal, 0, 40), step(api, 1, 40)
    assert read(ideal, 0) == read(api, 1) == [2, 1040, 60 + 1140]


def test_what_the_server_says_counts_where_its_caching_says_so():
    told = np.array([700])
    reported = opened(1100, 60, None, replace(API, reported=True))
    assert read(step(reported, 1, 40, served=told), 1) == [1, 400, 700]
    assert read(step(reported, 1, 40, served=np.array([-1])), 1) == [1, 1100, 0]
    assert read(step(reported, 1, 40, served=np.array([9999])), 1) == [1, 0, 1100]  # no more than was asked
    assert read(step(opened(1100, 60, None, API), 1, 40, served=told), 1) == [1, 1100, 0]


def test_drafts_and_rewrites_are_served_by_their_own_servers():
    kind = replace(API, reported=True)
    account = charge_draft_step(
        opened(1100, 0, kind, kind),
        np.array([1]),
        np.array([40]),
        np.array([30]),
        drafted=np.array([True]),
        scored=None,
        served=np.array([256]),
        drafts_served=np.array([512]),
    )
    assert read(account, 0) == [1, 588, 512]
    assert read(account, 1) == [1, 844, 256]


def test_a_bank_is_played_as_another_cache_would_bill_it():
    source = resolve("gsm8k-qwen2.5-coder")
    ideal, none = (play(AlwaysLargest(), Game(s, split="test")) for s in (source, cached_by(source, API)))
    largest = -1
    for kind in (CALLS, KEPT):
        assert (ideal.ledger[:, largest, kind] == none.ledger[:, largest, kind]).all()
    both = [ledger[:, largest, [PREFILL, CACHED]] for ledger in (ideal.ledger, none.ledger)]
    assert (both[0].sum(axis=1) == both[1].sum(axis=1)).all()
    assert both[0][:, 1].sum() > 0
    assert both[1][:, 1].sum() == 0  # no prompt of this bank has 1,024 tokens
    assert cached_by(source, IDEAL_CACHING).pool == source.pool


def test_the_provider_bills_what_the_ledger_says_request_by_request():
    genai_prices = pytest.importorskip("genai_prices")
    listed = genai_prices.Usage
    price = Price(input=2.5, cached_input=1.25, output=10.0, date="2026-01-01", source="made up")
    pool = ModelPool([Model("small", price=price), Model("gpt-4o", price=price, caching=API)])
    account = open_account(ProblemBatch(*[np.array([[n, n]]) for n in (1100, 0)], np.zeros((1, 4), np.float32)), pool)
    dollars = 0.0
    for _ in range(4):
        before = account
        account = step(account, 1, 60)
        fresh, cached = (account.ledger - before.ledger)[0, 1, [PREFILL, CACHED]].tolist()
        usage = listed(input_tokens=fresh + cached, cache_read_tokens=cached, output_tokens=60)
        dollars += float(genai_prices.calc_price(usage, "gpt-4o", provider_id="openai").total_price)
    assert read(account, 1)[2] == 1152 + 1152 + 1280  # of 1,160, 1,220 and 1,280 tokens that were read before
    priced = ModelPool([pool[0], replace(pool[1], price=api_price("openai", "gpt-4o"))])
    assert float(cost_of(account.ledger, "dollars", priced)[0]) == pytest.approx(dollars, rel=1e-9)


def test_ideal_caching_is_not_written_so_that_hashes_of_older_files_stay():
    assert Model("m", caching=IDEAL_CACHING) == Model("m")
    assert "caching" not in to_json(Model("m"))
    model = Model("m", caching=API)
    assert decode(Model, to_json(model), "a test") == model


@pytest.mark.parametrize(("name", "value"), [("block", 0), ("smallest", -1), ("block", 1.5)])
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"Caching: {name}={value}; allowed: an integer >= "):
        Caching(**{name: value})


def test_the_planner_refuses_what_it_does_not_know():
    with pytest.raises(NotApplicableError, match="allowed: ideal caching"):
        StepCosts.of(cached_by(resolve("gsm8k-like"), API), "flops")
