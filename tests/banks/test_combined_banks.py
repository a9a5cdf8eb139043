"""Banks made of banks, and what a bank says by itself: merged, sampled, summarised, its card and its trees."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gym_stepwise_routing.banks import BANKS, Bank
from gym_stepwise_routing.banks.combine import merge_banks, sample_bank
from gym_stepwise_routing.banks.jsonl import export_jsonl, import_jsonl
from gym_stepwise_routing.banks.summary import best_chance, summarise
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.reporting.bank_card import bank_card
from gym_stepwise_routing.types import SPLITS

NAME = "gsm8k-mixtral-gpt4"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return sample_bank(Bank.open(NAME), 60, tmp_path_factory.mktemp("sample") / "bank", name="some", seed=3)


def test_a_sample_keeps_splits_and_counts(sample: Bank) -> None:
    whole = Bank.open(NAME)
    assert len(sample.problems) == 60
    for split in SPLITS:
        mine = {sample.problem_ids[problem] for problem in sample.split_problems(split)}
        all_of_it = [whole.problem_ids[problem] for problem in whole.split_problems(split)]
        assert mine <= set(all_of_it)
        assert abs(len(mine) - 60 * len(all_of_it) / len(whole.problems)) <= 1
    there = [whole.problem_ids.index(identity) for identity in sample.problem_ids]
    np.testing.assert_array_equal(sample.problems.question, whole.problems.question[there])


def test_merging_the_parts_gives_the_whole(sample: Bank, tmp_path: Path) -> None:
    lines = tmp_path / "trees.jsonl"
    export_jsonl(sample, lines)
    rows = lines.read_text(encoding="utf-8").splitlines(keepends=True)
    parts = []
    for number, part in enumerate((rows[:25], rows[25:])):
        (tmp_path / f"{number}.jsonl").write_text("".join(part), encoding="utf-8")
        recipe = replace(sample.manifest.recipe, name=f"part{number}")
        parts.append(import_jsonl(tmp_path / f"{number}.jsonl", recipe, tmp_path / f"part{number}"))
    merged = merge_banks(parts, tmp_path / "merged", name="merged")
    assert sorted(merged.problem_ids) == sorted(sample.problem_ids)
    assert summarise(merged) == summarise(sample)
    with pytest.raises(BankError, match=r"of bank 'part0' is in bank 'part0' too|allowed: each question once"):
        merge_banks([parts[0], sample], tmp_path / "twice", name="twice")


def test_banks_of_other_models_are_not_merged(tmp_path: Path) -> None:
    with pytest.raises(BankError, match=r"differ in (grader|models); allowed: banks that were recorded alike"):
        merge_banks([Bank.open(NAME), Bank.open("gsm8k-qwen2.5-coder")], tmp_path / "m", name="m")


def test_a_sample_of_all_or_none_is_refused(tmp_path: Path) -> None:
    for problems in (0, 10_000_000):
        with pytest.raises(BankError, match="allowed: 1 to"):
            sample_bank(Bank.open(NAME), problems, tmp_path / "s", name="s")


def test_the_summary_of_the_gsm8k_bank_says_what_its_page_says() -> None:
    bank = Bank.open("gsm8k-qwen2.5-coder")
    test = next(split for split in summarise(bank) if split.split == "test")
    assert [alone.right for alone in test.alone] == [77, 211]  # docs/banks.md
    assert (test.problems, test.any_alone, test.reachable) == (400, 218, 265)
    best = best_chance(bank)
    assert set(np.unique(best)) == {0.0, 1.0}
    assert (best[bank.terminal] == bank.correct[bank.terminal]).all()


@pytest.mark.parametrize("name", list(BANKS))
def test_every_bundled_bank_has_a_card(name: str) -> None:
    bank = Bank.open(name)
    card = bank_card(bank)
    for heading in ("## Models", "## Endings", "## Each model alone, and the oracle", "## Examples"):
        assert heading in card
    for split in summarise(bank):
        best = max(alone.right for alone in split.alone)
        assert best <= split.any_alone <= split.reachable <= split.problems
        assert f"{split.reachable:,g} ({split.reachable / split.problems:.1%})" in card
    read = any(bank.read("texts.parquet")["text"].to_pylist())
    assert ("no text was recorded" in card) is not read
    assert ("  1. `" in card) is read


def test_a_tree_is_shown_with_its_models_grades_and_tokens() -> None:
    console = pytest.importorskip("rich.console").Console(
        width=400, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    from gym_stepwise_routing.cli.bank_show import tree_of

    bank = Bank.open("gsm8k-qwen2.5-coder")
    console.print(tree_of(bank, "gsm8k/test/0", question="How many?"))
    shown = console.export_text(styles=True)
    plain = pytest.importorskip("rich.text").Text.from_ansi(shown).plain
    root = int(bank.problems.root[bank.problem_ids.index("gsm8k/test/0")])
    assert all((bank.text(int(child)) or "")[:40] in plain for child in bank.child[root])
    assert "How many?" in plain
    assert "right: 18" in plain
    assert plain.count("tokens") > 10
    assert "38;5;27" in shown  # dodger_blue2, of the smaller model
    with pytest.raises(BankError, match=r"problem='gsm8k/test/9999' is not in bank"):
        tree_of(bank, "gsm8k/test/9999")
