"""Ledgers worked out by hand: prompt of 100 tokens for every row, the first 60 of which all prompts share."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import fake_pool

from gym_stepwise_routing.costs.charging import Account, Verifier, charge_draft_step, charge_step, open_account
from gym_stepwise_routing.costs.ledger import KINDS, as_table
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units import COST_UNITS, cost_of
from gym_stepwise_routing.sources.contract import ProblemBatch


def opened(*, verifier: bool = False, reader: Verifier | None = None) -> Account:
    problem = ProblemBatch(np.array([[100, 100]]), np.array([[60, 60]]), np.zeros((1, 4), dtype=np.float32))
    pool = fake_pool(2, verifier=verifier)
    return open_account(problem, pool if reader is None else ModelPool(pool.models, reader))


def step(account: Account, model: int, tokens: int, *, probed: bool = False, scored: bool | None = None) -> Account:
    return charge_step(
        account,
        np.array([model]),
        np.array([tokens]),
        probed=np.array([probed]),
        scored=None if scored is None else np.array([scored]),
    )


def redraft(
    account: Account, model: int, tokens: int, draft: int, *, drafted: bool = True, scored: bool | None = None
) -> Account:
    return charge_draft_step(
        account,
        np.array([model]),
        np.array([tokens]),
        np.array([draft]),
        drafted=np.array([drafted]),
        scored=None if scored is None else np.array([scored]),
    )


def spent(account: Account) -> list[dict[str, int]]:
    """What each row spent, zeros left out."""
    table = [dict(zip(KINDS, row, strict=True)) for row in account.ledger[0].tolist()]
    return [{kind: count for kind, count in row.items() if count} for row in table]


def test_the_verifier_reads_the_prompt_as_the_largest_model_that_counted_it_does():
    """A live model that cannot count has 0 tokens of prompt, and the verifier's reading would begin below nothing."""
    none = np.zeros((3, 4), dtype=np.float32)
    problems = ProblemBatch(np.array([[90, 100], [90, 0], [0, 0]]), np.array([[50, 60], [50, 0], [0, 0]]), none)
    account = open_account(problems, fake_pool(2, verifier=True))
    assert account.context.tolist() == [[90, 100, 100], [90, 0, 90], [0, 0, 0]]
    assert account.cached.tolist() == [[50, 60, 60], [50, 0, 50], [0, 0, 0]]


def test_route_charges_what_the_other_model_wrote_and_caches_the_own():
    account = step(opened(), 0, 10)  # 0 reads 40, finds 60
    assert spent(account) == [{"calls": 1, "prefill": 40, "cached": 60, "kept": 10}, {}]
    account = step(account, 0, 5)  # nothing new to read: 110 cached
    assert spent(account)[0] == {"calls": 2, "prefill": 40, "cached": 170, "kept": 15}
    account = step(account, 1, 7)  # 1 has only the shared prefix: reads 115 - 60
    assert spent(account)[1] == {"calls": 1, "prefill": 55, "cached": 60, "kept": 7}
    account = step(account, 0, 3)  # back to 0: reads the 7 that 1 wrote, finds 115
    assert spent(account) == [
        {"calls": 3, "prefill": 47, "cached": 285, "kept": 18},
        {"calls": 1, "prefill": 55, "cached": 60, "kept": 7},
    ]


def test_escalation_once_is_cheaper_than_alternating():
    """The same tokens by the same models; only the order differs (escalate: 0, 0, 1, 1)."""
    orders = {}
    for order in ((0, 0, 1, 1), (0, 1, 0, 1)):
        account = opened()
        for model in order:
            account = step(account, model, 10)
        orders[order] = [row["prefill"] for row in spent(account)]
    assert orders[0, 0, 1, 1] == [40, 60]
    assert orders[0, 1, 0, 1] == [40 + 10, 50 + 10]


def test_a_probe_is_charged_unless_the_smallest_model_writes():
    probed_and_used = step(opened(), 0, 10, probed=True)
    assert spent(probed_and_used) == spent(step(opened(), 0, 10))
    wasted = step(opened(), 1, 10, probed=True)
    assert spent(wasted) == [
        {"calls": 1, "prefill": 40, "cached": 60, "probe": 1},
        {"calls": 1, "prefill": 40, "cached": 60, "kept": 10},
    ]
    # the probe left the prompt in the small model's cache, not its own token
    assert spent(step(wasted, 0, 4))[0] == {"calls": 2, "prefill": 50, "cached": 160, "probe": 1, "kept": 4}


def test_regenerate_charges_drafts_kept_and_discarded():
    account = redraft(opened(), 0, 10, 10)
    assert spent(account) == [{"calls": 1, "prefill": 40, "cached": 60, "kept": 10}, {}]
    account = redraft(account, 1, 8, 12)  # 0 drafts 12 for nothing, 1 writes 8 without having read them
    assert spent(account) == [
        {"calls": 2, "prefill": 40, "cached": 170, "kept": 10, "discarded": 12},
        {"calls": 1, "prefill": 50, "cached": 60, "kept": 8},
    ]
    account = redraft(account, 0, 6, 6)  # a thrown draft leaves no cache: 0 reads the 8
    assert spent(account)[0] == {"calls": 3, "prefill": 48, "cached": 280, "kept": 16, "discarded": 12}


def test_regenerate_without_a_draft_charges_the_writer_alone():
    account = redraft(opened(), 1, 8, 0, drafted=False)
    assert spent(account) == [{}, {"calls": 1, "prefill": 40, "cached": 60, "kept": 8}]


def test_a_verifier_reads_each_step_once():
    account = step(opened(verifier=True), 0, 10, scored=False)  # nothing to score before the first step
    assert spent(account)[2] == {}
    account = step(account, 1, 5, scored=True)  # reads the prompt (less the shared 60) and the 10
    assert spent(account)[2] == {"calls": 1, "cached": 60, "verifier": 50}
    account = step(account, 1, 5, scored=True)  # reads the 5, finds 110
    assert spent(account)[2] == {"calls": 2, "cached": 170, "verifier": 55}


def test_a_verifier_reads_every_draft_and_forgets_the_discarded():
    account = redraft(opened(verifier=True), 0, 10, 10, scored=True)  # 40 of the prompt and the draft
    assert spent(account)[2] == {"calls": 1, "cached": 60, "verifier": 50}
    account = redraft(account, 1, 8, 12, scored=True)  # the draft of 12; the 8 that replace it are not read yet
    assert spent(account)[2] == {"calls": 2, "cached": 170, "verifier": 62}
    account = redraft(account, 0, 6, 6, scored=True)  # the 8 and the draft of 6
    assert spent(account)[2] == {"calls": 3, "cached": 280, "verifier": 76}


def test_what_a_verifier_does_not_score_it_reads_with_the_next_step_that_it_scores():
    account = step(step(opened(verifier=True), 1, 10, scored=False), 1, 5, scored=False)
    assert spent(account)[2] == {}
    account = step(account, 0, 5, scored=True)  # 40 of the prompt, the 10 and the 5
    assert spent(account)[2] == {"calls": 1, "cached": 60, "verifier": 55}
    account = redraft(opened(verifier=True), 0, 10, 10, scored=False)  # kept, and not read
    assert spent(account)[2] == {}
    account = redraft(account, 0, 6, 6, scored=True)
    assert spent(account)[2] == {"calls": 1, "cached": 60, "verifier": 40 + 10 + 6}


def test_a_rater_reads_its_question_and_decodes_a_digit_for_every_draft():
    """The question of 40 stands behind the draft: no cache serves it."""
    reader = Verifier("rater", parameters=1.0, prompt_tokens=40, decoded_tokens=1)
    account = redraft(opened(reader=reader), 0, 10, 10, scored=True)  # 40 of the prompt, the draft, the question
    assert spent(account)[2] == {"calls": 1, "cached": 60, "verifier": 90, "probe": 1}
    account = redraft(account, 1, 8, 12, scored=True)  # the draft of 12 and the question
    assert spent(account)[2] == {"calls": 2, "cached": 170, "verifier": 142, "probe": 2}
    account = step(step(opened(reader=reader), 0, 10, scored=False), 1, 5, scored=True)
    assert spent(account)[2] == {"calls": 1, "cached": 60, "verifier": 90, "probe": 1}


def test_an_encoder_reads_the_whole_trace_for_every_score():
    """All but the head of 60 that every prompt shares, which is not part of what it reads."""
    reader = Verifier("encoder", parameters=1.0, prefix_cache=False)
    account = redraft(opened(reader=reader), 0, 10, 10, scored=True)
    assert spent(account)[2] == {"calls": 1, "verifier": 40 + 10}
    account = redraft(account, 1, 8, 12, scored=True)
    assert spent(account)[2] == {"calls": 2, "verifier": 50 + (50 + 12)}
    account = redraft(account, 0, 6, 6, scored=True)
    assert spent(account)[2] == {"calls": 3, "verifier": 112 + (58 + 6)}
    account = step(step(opened(reader=reader), 0, 10, scored=False), 1, 5, scored=True)
    assert spent(step(account, 1, 5, scored=True))[2] == {"calls": 2, "verifier": 50 + 55}


def test_batches_keep_how_the_verifier_reads():
    reader = Verifier("encoder", parameters=1.0, prompt_tokens=3, prefix_cache=False)
    account = opened(reader=reader).take(np.array([0, 0]))
    assert account.asked.tolist() == [[3, 0], [3, 0]]
    assert account.forgets.tolist() == [True, True]
    with pytest.raises(ValueError, match="prompt_tokens=-1, decoded_tokens=0; allowed: integers >= 0"):
        Verifier("x", prompt_tokens=-1)
    with pytest.raises(ValueError, match="parameters=-1"):
        Verifier("x", parameters=-1.0)


def test_a_digit_is_paid_as_output():
    pool = fake_pool(2, verifier=True)
    dear = Verifier("dear", parameters=1.0, price=pool.verifier.price, latency=pool.verifier.latency, decoded_tokens=1)
    account = redraft(opened(reader=dear), 0, 10, 10, scored=True)
    silent = redraft(opened(verifier=True), 0, 10, 10, scored=True)
    more = [cost_of(account.ledger, unit, pool)[0] - cost_of(silent.ledger, unit, pool)[0] for unit in COST_UNITS]
    assert dict(zip(COST_UNITS, more, strict=True)) == pytest.approx(
        {"flops": 2e9 * 5.5, "large_tokens": 0, "dollars": 38.5e-6, "latency": 0.055, "large_calls": 0}, rel=1e-9
    )


def test_accounts_are_never_changed_in_place():
    before = opened(verifier=True)
    step(before, 1, 5, probed=True, scored=True)
    redraft(before, 1, 5, 4, scored=True)
    assert spent(before) == [{}, {}, {}]
    assert before.context.tolist() == [[100, 100, 100]]
    assert before.cached.tolist() == [[60, 60, 60]]


def test_each_cost_unit_of_a_ledger_by_hand():
    """fake_pool: sizes 1, 3 and (verifier) 5.5; see fake_sources for the figures that follow from a size."""
    pool = fake_pool(2, verifier=True)
    account = redraft(redraft(opened(verifier=True), 0, 10, 10, scored=True), 1, 8, 12, scored=True)
    small, large, prm = as_table(account.ledger[0], pool).values()
    assert (small["calls"], small["prefill"], small["cached"], small["kept"], small["discarded"]) == (
        2,
        40,
        170,
        10,
        12,
    )
    assert (large["calls"], large["prefill"], large["cached"], large["kept"]) == (1, 50, 60, 8)
    assert (prm["calls"], prm["cached"], prm["verifier"]) == (2, 170, 62)
    expected = {
        "large_tokens": 8,
        "large_calls": 1,
        "flops": 2e9 * (1 * (40 + 22) + 3 * (50 + 8) + 5.5 * 62),
        "dollars": 1e-6 * ((2 * 40 + 0.5 * 170 + 7 * 22) + (6 * 50 + 1.5 * 60 + 21 * 8) + (11 * 62 + 2.75 * 170)),
        "latency": (0.2 + 40e-4 + 22e-2) + (0.3 + 50 * 3e-4 + 8 * 3e-2) + (2 * 0.55 + 62 * 5.5e-4),
    }
    for unit, cost in expected.items():
        assert cost_of(account.ledger, unit, pool)[0] == pytest.approx(cost, rel=1e-12), unit
