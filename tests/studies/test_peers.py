"""What papers report, judged: each verdict from outcomes made for it; pages that hold every verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from bank_files import few_bank
from fake_sources import TreeSource
from typer import Typer
from typer.testing import CliRunner

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.baselines.schedules import EveryOther
from gym_stepwise_routing.baselines.verifiers.score_files import write_scores
from gym_stepwise_routing.comparison import Arena, Rule, compare, roster
from gym_stepwise_routing.comparison.contenders import Listed
from gym_stepwise_routing.comparison.run import run_comparison, select
from gym_stepwise_routing.costs.charging import Verifier
from gym_stepwise_routing.evaluation.curves import Anchors, Curves
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from studies.baselines import pages
from studies.baselines.claims import CLAIMS, METRICS, SAVED_AT_98, Claim
from studies.baselines.pages import SETTINGS, Extras, Setting, _saved, command, main, write_comparison
from studies.baselines.peers import findings
from studies.baselines.peers_page import write_peers


@pytest.fixture(scope="module")
def result():
    names = ("single", "zero", "p_min", "entropy_first", "entropy_mean", "FrugalGPT", "TRIM-Thr", "state only")
    arena = Arena(TreeSource(10, problems=120), mode="regenerate", cost_unit="large_tokens")
    return compare(arena, select(names), Rule(), resamples=200)


def shaped(result, name, right, cost, **more):
    """The result with other outcomes of one family."""
    outcomes = SweepOutcomes(right=right, cost=cost)
    more |= {
        "costs": cost.mean(axis=1),
        "accuracies": right.mean(axis=1),
        "settings": ["a", "b"][: len(right)],
        "outcomes": outcomes,
    }
    rows = [replace(row, **more) if row.name == name else row for row in result.rows]
    return replace(result, rows=rows)


def blend(result, share, gain):
    """Outcomes on the chord between the constants at a share of it, and a gain in accuracy."""
    ends = result.reference.outcomes
    right = (1 - share) * np.asarray(ends.right_small) + share * np.asarray(ends.right_large)
    cost = (1 - share) * np.asarray(ends.cost_small) + share * np.asarray(ends.cost_large)
    return np.clip(right + gain, 0, 1)[None], cost[None]


def noisy(result):
    """Midway in cost, right where the one or the other constant is: on the chord but for luck."""
    ends = result.reference.outcomes
    _, cost = blend(result, 0.5, 0.0)
    odd = np.arange(cost.shape[1]) % 2 == 1
    return np.where(odd, ends.right_large, ends.right_small)[None], cost


def verdict(result, claim):
    (found,) = findings(result, [claim])
    return found.verdict


def test_every_claim_names_families_of_the_roster():
    names = {family.name for family in roster()}
    for claim in CLAIMS:
        assert {claim.family, *claim.rivals, *([claim.signal] if claim.signal else [])} <= names
    assert len({claim.peer for claim in CLAIMS}) == len(CLAIMS)


@pytest.mark.parametrize("gain", [0.3, -0.3, 0.0])
def test_orderings_against_the_zero_router(result, gain):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",))
    expected = "holds" if gain > 0 else "does not hold"
    assert verdict(shaped(result, "confidence p_min", *blend(result, 0.5, gain)), claim) == expected
    assert verdict(shaped(result, "confidence p_min", *noisy(result)), claim) == "not decided"


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [(0.3, 0.1, "holds"), (0.1, 0.3, "does not hold"), (0.3, -0.3, "holds"), (-0.2, -0.3, "undefined")],
)
def test_orderings_between_routers(result, own, other, expected):
    claim = Claim("x", "0", "better", "confidence p_min", ("confidence entropy_mean",))
    both = shaped(result, "confidence p_min", *blend(result, 0.5, own))
    assert verdict(shaped(both, "confidence entropy_mean", *blend(result, 0.5, other)), claim) == expected


def test_as_good_as_is_less_than_better_but_not_nothing(result):
    claim = Claim("x", "0", "as good", "confidence p_min", ("confidence entropy_mean",), margin=0.02)
    good = shaped(result, "confidence p_min", *blend(result, 0.5, 0.3))
    assert verdict(shaped(good, "confidence entropy_mean", *blend(result, 0.5, 0.3)), claim) == "holds"
    # two routers that are both no better than mixing are as good as each other, which says nothing of either
    idle = shaped(result, "confidence p_min", *blend(result, 0.5, 0.0))
    (found,) = findings(shaped(idle, "confidence entropy_mean", *blend(result, 0.5, 0.0)), [claim])
    assert found.verdict == "undefined"
    assert found.why == "not above the zero router: confidence p_min, confidence entropy_mean"


def test_verdicts_do_not_depend_on_how_many_settings_a_family_has(result):
    """Points below the envelope, between two good ones, would lower APGR."""
    claim = Claim("x", "0", "better", "confidence p_min", ("confidence entropy_mean",))
    good = [blend(result, share, 0.3) for share in (0.2, 0.8)]
    sparse, dense = good, [*good, *(blend(result, share, -0.2) for share in (0.3, 0.4, 0.5, 0.6, 0.7))]
    texts = []
    for points in (sparse, dense):
        outcomes = (np.concatenate([right for right, _ in points]), np.concatenate([cost for _, cost in points]))
        (found,) = findings(shaped(result, "confidence p_min", *outcomes), [claim])
        texts.append(found.figures)
    assert texts[0] == texts[1]
    assert list(texts[0]) == ["AIQ minus that of confidence entropy_mean"]


def test_a_router_that_always_does_the_same_has_no_ordering(result):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",))
    same = shaped(result, "confidence p_min", *blend(result, 0.5, 0.3), constant=True)
    (found,) = findings(same, [claim])
    assert (found.verdict, found.why) == ("undefined", "each setting takes one and the same decision throughout")


def test_a_dear_router_is_not_called_constant(result):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",))
    (found,) = findings(shaped(result, "confidence p_min", *blend(result, 1.5, 0.0)), [claim])
    assert found.verdict == "does not hold"
    assert found.why == "no setting costs less than always-largest"


def test_only_decisions_make_a_router_constant(result):
    constant = {row.name for row in result.rows if row.constant}
    assert constant == {"single models"}
    arena = Arena(TreeSource(10, problems=30), mode="regenerate")
    assert Listed(arena, [AlwaysSmallest(), AlwaysLargest()], ("progress",)).constant("test")
    assert not Listed(arena, [AlwaysSmallest(), EveryOther(1)], ("progress",)).constant("test")


def test_claims_about_later_decisions_need_later_decisions(result):
    claim = Claim("x", "0", "as good", "confidence p_min", ("zero router",), horizon=2, below="nothing comes later")
    assert verdict(result, claim) != "not applicable"
    (found,) = findings(replace(result, horizon=1), [claim])
    assert (found.verdict, found.why) == ("not applicable", "nothing comes later")
    assert [each.horizon for each in CLAIMS if each.peer == "SACPO"] == [2]


def test_trim_pomdp_is_held_against_what_its_paper_names():
    rivals = {claim.peer: (claim.rivals, claim.margin) for claim in CLAIMS if claim.family == "TRIM-POMDP"}
    assert sorted(rivals.values()) == [(("TRIM-Agg",), 0.02), (("TRIM-Thr",), 0.0)]
    assert "process reward" in {claim.family for claim in CLAIMS}


@pytest.mark.parametrize(("share", "gain", "expected"), [(0.5, 0.5, "holds"), (1.0, 0.0, "does not hold")])
def test_points_must_save_something_and_lose_nothing(result, share, gain, expected):
    claim = Claim("x", "0", "as right, cheaper", "confidence p_min", figure="point")
    assert verdict(shaped(result, "confidence p_min", *blend(result, share, gain)), claim) == expected


def test_a_point_among_several_settings_is_that_of_the_paper(result):
    """Which is not the one that comes first: that rewrites every draft."""
    claim = Claim("x", "0", "as right, cheaper", "confidence p_min", figure="point")
    dear, cheap = blend(result, 1.0, 0.0), blend(result, 0.5, 0.5)
    several = shaped(result, "confidence p_min", *(np.concatenate(pair) for pair in zip(dear, cheap, strict=True)))
    named = [replace(row, settings=["threshold 0", "spec-reason-7"]) for row in several.rows]
    assert verdict(replace(several, rows=named), claim) == "holds"
    with pytest.raises(ValueError, match="spec-reason-7"):
        verdict(several, claim)


def test_the_papers_rating_is_among_the_settings_of_spec_reason(tmp_path):
    bank, path = Bank.open(few_bank()), tmp_path / "rating.parquet"
    drafts = (bank.depth > 0) & (bank.model == 0)
    rater = Verifier(f"{bank.pool.names[-1]} (rating)", parameters=1e9, prompt_tokens=40, decoded_tokens=1)
    write_scores(path, bank, rater, np.where(drafts, np.arange(len(drafts)) % 10 / 9, np.nan))
    common = {"mode": "regenerate", "cost_unit": "large_tokens", "only": ["SpecReason"], "resamples": 200}
    played = run_comparison(bank, scores=[path], **common)
    (row,) = [row for row in played.rows if row.name == "SpecReason"]
    assert "spec-reason-7" in row.settings


def test_who_could_not_play_says_why(result):
    claim = Claim("x", "0", "better", "TRIM-Thr", ("zero router",))
    (found,) = findings(result, [claim])
    assert found.verdict == "not applicable"
    assert "no verifier scores" in found.why


def test_claims_are_judged_in_their_modes(result):
    claim = Claim("x", "0", "better", "confidence p_min", ("zero router",), modes=("route",))
    assert findings(result, [claim]) == ()


def test_pages_hold_every_row_and_survive_a_second_run(result, tmp_path):
    setting = Setting("small", "fake-tree", "regenerate", "large_tokens")
    for _ in range(2):
        write_comparison(result, setting, tmp_path, 1.0)
        write_peers(tmp_path, "c")
    page = (tmp_path / "small.md").read_text()
    assert page.startswith("# SIMULATED: baselines on fake-tree")
    for row in result.rows:
        assert row.name in page
    data = json.loads((tmp_path / "small.json").read_text(), parse_constant=pytest.fail)["results"]
    assert [row["name"] for row in data["rows"]] == [row.name for row in result.rows]
    assert (tmp_path / "small.json").stat().st_size < 100_000
    assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")
    peers = (tmp_path / "peers.md").read_text()
    for finding in findings(result):
        assert f"## {finding.claim.peer}" in peers
    assert "no verifier scores" in peers
    assert "[small](small.md) SIMULATED, n = 40" in peers


def test_pages_print_the_command_that_writes_them(result, tmp_path, monkeypatch):
    extras = Extras(("a/test=t.jsonl",), "encoder", (tmp_path / "scores.parquet", tmp_path / "rating.parquet"))
    start = "python -m studies.baselines.pages "
    assert command(SETTINGS[0], Extras()) == f"{start}--only {SETTINGS[0].name}"
    other = Setting("mine", "banks/mine", "escalate", "large_tokens")
    expected = f"{start}--bank banks/mine --mode escalate --cost-unit large_tokens --name mine"
    assert command(other, Extras()) == expected
    assert command(other, extras) == (
        f"{expected} --questions a/test=t.jsonl --encoder encoder --scores scores.parquet --scores rating.parquet"
    )
    asked = {}

    def run(source, **options):
        asked.update(options, source=source)
        return result

    monkeypatch.setattr(pages, "run_comparison", run)
    app = Typer()
    app.command()(main)
    arguments = [*command(other, extras).removeprefix(start).split(), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert (asked["source"], asked["mode"], asked["cost_unit"]) == ("banks/mine", "escalate", "large_tokens")
    assert asked["encoder"] == "encoder"
    assert [str(path) for path in asked["scores"]] == ["scores.parquet", "rating.parquet"]
    assert {split: str(path) for split, path in asked["questions"].items()} == {"a/test": "t.jsonl"}
    assert f"Written by `{command(other, extras)}`" in (tmp_path / "mine.md").read_text()
    assert json.loads((tmp_path / "mine.json").read_text())["command"] == command(other, extras)
    refused = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["--encoder", "x", "--out", str(tmp_path)])
    assert refused.exit_code == 2
    assert "allowed: with --bank, or one --only" in refused.output


def test_what_is_saved_is_paired(result):
    """Cheaper on every problem by a little, while problems differ much: only the paired difference tells."""
    ends = result.reference.outcomes
    cost = np.asarray(ends.cost_large) - 0.01
    (chosen,) = [row.chosen for row in result.rows if row.name == "confidence p_min"]
    one = replace(chosen or result.rows[0].chosen, setting="a")
    shape = shaped(result, "confidence p_min", np.asarray(ends.right_large)[None], cost[None], chosen=one)
    table = _saved(shape)
    (line,) = [line for line in table.rows if line[0] == "confidence p_min"]
    assert line == ("confidence p_min", "a", "+0.000 [+0.000, +0.000]", "+0.010 [+0.010, +0.010]")
    assert "oracle" not in {line[0] for line in table.rows}


def test_the_margin_is_printed(result, tmp_path):
    write_comparison(result, Setting("small", "fake-tree", "regenerate", "large_tokens"), tmp_path, 1.0)
    (tmp_path / "billing.json").write_text(json.dumps({"results": [1]}))  # a page of something else
    write_peers(tmp_path, "c")
    header = (tmp_path / "peers.md").read_text().partition("| peer |")[0]
    for name in ("RSD", "SpecReason", "SACPO", "TRIM-POMDP, on par with TRIM-Agg", "0.02"):
        assert name in header


def test_the_command_refuses_pages_that_it_does_not_know(tmp_path):
    app = Typer()
    app.command()(main)
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["--only", "nosuch", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "gsm8k-route" in done.output
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_prices_are_in_units_of_what_the_mode_charges():
    source = TreeSource(0, problems=120, verifier=True)
    plain = Arena(source, mode="route", cost_unit="flops").exchange_rate()
    drafting = Arena(source, mode="regenerate", cost_unit="flops").exchange_rate()
    judged = Arena(source, mode="regenerate", cost_unit="flops").exchange_rate(("progress", "verifier"))
    assert judged < drafting < plain


def test_cost_saved_at_98_percent_is_never_below_nothing():
    anchors = Anchors(cost_small=0.1, accuracy_small=0.2, cost_large=1.0, accuracy_large=0.5)
    costs = np.array([0.6, 0.2])
    reached = Curves(costs=costs, accuracies=np.array([0.495, 0.3]), anchors=anchors)
    missed = Curves(costs=costs, accuracies=np.array([0.4, 0.3]), anchors=anchors)
    assert METRICS[SAVED_AT_98](reached) == pytest.approx(0.4)
    assert METRICS[SAVED_AT_98](missed) == 0


def test_what_stands_in_is_told_with_the_verdict():
    source = TreeSource(10, problems=120)
    claims = [claim for claim in CLAIMS if claim.family == "two-part risk"]
    assert {claim.figure for claim in claims} == {"Acc@60%", SAVED_AT_98}
    for source.token_classes in (True, False):
        arena = Arena(source, mode="regenerate", cost_unit="large_tokens")
        played = compare(arena, select(("single", "entropy_mean", "entropy_max", "two-part")), Rule(), resamples=200)
        for found in findings(played, claims):
            assert found.figures
            assert ("stand in" in found.why) == (not source.token_classes)
