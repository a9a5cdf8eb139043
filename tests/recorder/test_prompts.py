"""Bundled prompts and prompts of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_stepwise_routing.generators.prompts import PROMPTS, PromptTemplate, default_prompt, load_prompt
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.grading import Grading
from gym_stepwise_routing.grading.mathematics import BOXED_LINE
from gym_stepwise_routing.grading.numeric import STATED_NUMBER
from gym_stepwise_routing.grading.table import STATED_ITEMS
from gym_stepwise_routing.recorder.step_rules import step_rule


def test_gsm8k_prompt_is_that_of_the_published_traces(shared_dir: Path) -> None:
    assert load_prompt("gsm8k-4shot").text == (shared_dir / "traces" / "prompt.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PROMPTS)
def test_the_question_stands_once_before_the_answer(name: str) -> None:
    prompt = load_prompt(name)
    filled = prompt.fill("  How many? ")
    assert filled.startswith(prompt.head)
    assert filled.count("How many?\n") == 1
    assert filled.endswith((":\n", ":\n```python\n"))


@pytest.mark.parametrize(("name", "answer"), [("gsm8k-4shot", STATED_NUMBER), ("math-4shot", BOXED_LINE)])
def test_every_example_ends_with_an_answer_that_the_step_rule_knows(name: str, answer: str) -> None:
    examples = load_prompt(name).head.split("\n\n")[:4]
    rule = StepRule(answer=answer)
    assert len(examples) == 4
    assert all(rule.end_of_answer(example) == len(example) for example in examples)


def test_every_table_of_the_examples_has_a_shape_and_every_answer_ends_its_trace() -> None:
    examples = load_prompt("table-3shot").head.removesuffix("Table:\n").split("\n\nTable:\n")
    rule = StepRule(answer=STATED_ITEMS)
    assert len(examples) == 3
    for example in examples:
        table, _, answer = example.partition("\n\n")
        assert len({line.count(" | ") for line in table.removeprefix("Table:\n").splitlines()}) == 1
        steps = answer.strip().partition("\nAnswer:\n")[2]
        assert rule.end_of_answer(steps) == len(steps)
        assert 2 <= len(steps.splitlines()) <= 5


@pytest.mark.parametrize(
    ("grading", "step", "labels"),
    [
        ("numeric", "newline", ("Question:", "Human:")),
        ("math", "newline", ("Problem:", "Human:")),
        ("math", "blank-line", ("Problem:", "Human:")),
        ("code", None, ("Task:", "Human:")),
        ("table", None, ("Table:", "Human:")),
    ],
)
def test_prompt_and_rule_follow_the_grading(grading: Grading, step: str | None, labels: tuple[str, ...]) -> None:
    prompt = load_prompt(default_prompt(grading))
    rule = step_rule(prompt, grading, step=step)
    assert (rule.stop, rule.labels) == (("```",) if grading == "code" else (), labels)
    assert rule.answer == {"math": BOXED_LINE, "numeric": STATED_NUMBER, "code": None, "table": STATED_ITEMS}[grading]
    assert rule.python == (grading == "code")


def test_a_prompts_own_label_of_a_question_is_a_stop_string() -> None:
    rule = step_rule(PromptTemplate("mine", "Task: 1 + 1\n2\n\nTask: {question}\n"), "math", step="blank-line")
    assert rule.labels == ("Task:", "Human:")
    assert rule.engine_stops == ("\nTask:", "\nHuman:")


def test_a_blank_line_ends_a_trace_only_where_it_is_asked_for() -> None:
    prompt = load_prompt("gsm8k-4shot")
    assert step_rule(prompt, "numeric", blank_line_ends=True).stop == ("\n\n",)
    with pytest.raises(ValueError, match="none that stands in delimiter"):
        step_rule(prompt, "numeric", step="blank-line", blank_line_ends=True)


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
