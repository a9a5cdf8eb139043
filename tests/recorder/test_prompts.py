"""Bundled prompts and prompts of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_stepwise_routing.generators.steps import BOXED_LINE, STATED_NUMBER, StepRule
from gym_stepwise_routing.recorder.prompts import PROMPTS, PromptTemplate, load_prompt


def test_gsm8k_prompt_is_that_of_the_published_traces(shared_dir: Path) -> None:
    assert load_prompt("gsm8k-4shot").text == (shared_dir / "traces" / "prompt.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROMPTS)
def test_the_question_stands_once_before_the_answer(name: str) -> None:
    prompt = load_prompt(name)
    filled = prompt.fill("  How many? ")
    assert filled.startswith(prompt.head)
    assert filled.count("How many?\n") == 1
    assert filled.endswith(":\n")


@pytest.mark.parametrize(("name", "answer"), [("gsm8k-4shot", STATED_NUMBER), ("math-4shot", BOXED_LINE)])
def test_every_example_ends_with_an_answer_that_the_step_rule_knows(name: str, answer: str) -> None:
    examples = load_prompt(name).head.split("\n\n")[:4]
    rule = StepRule(answer=answer)
    assert len(examples) == 4
    assert all(rule.end_of_answer(example) == len(example) for example in examples)


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("Q {question} A", encoding="utf-8")
    assert load_prompt(str(path)) == PromptTemplate("mine.txt", "Q {question} A")


def test_unknown_prompts_are_named() -> None:
    with pytest.raises(ValueError, match=r"prompt='poem'.*gsm8k-4shot"):
        load_prompt("poem")


@pytest.mark.parametrize("text", ["no field", "{question} {question}"])
def test_a_template_needs_exactly_one_question(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: once"):
        PromptTemplate("x", text)
