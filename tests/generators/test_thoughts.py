"""Reasoning models: thoughts are steps that are counted, and state no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_servers import Answer, Server
from generator_fakes import completion

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.generators import Completion, Request, StepRule, generate
from gym_stepwise_routing.generators.openai_answers import completion_of
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.specs import GeneratorSpec
from gym_stepwise_routing.generators.steps import read_steps
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.grading.thoughts import in_thought, without_thoughts
from gym_stepwise_routing.recorder.endings import count_endings, ending_warnings
from gym_stepwise_routing.recorder.step_rules import step_rule
from gym_stepwise_routing.recorder.tree import RoutingTree

THOUGHT = "First guess: The answer is 5.\nNo, that is wrong."
TOLD = ["First guess: The answer is 5.", "\n", "No, that is wrong.", "</think>", "\n\n", "The answer is 6."]


def told(message: dict[str, Any], tokens: list[str] | None = None, **usage: Any) -> dict[str, Any]:
    """An answer in the form of vLLM with a reasoning parser (docs: features/reasoning_outputs)."""
    choice: dict[str, Any] = {"message": {"role": "assistant"} | message, "finish_reason": "stop"}
    if tokens is not None:
        top = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -3.0}]
        rows = [{"token": token, "logprob": -0.1, "top_logprobs": top} for token in tokens]
        choice["logprobs"] = {"content": rows}
    counts = {"prompt_tokens": 9, "completion_tokens": 40 if tokens is None else len(tokens)} | usage
    return {"model": "r", "choices": [choice], "usage": counts}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_thought_told_apart_stands_before_the_answer(field: str) -> None:
    """vLLM and DeepSeek say reasoning_content (vllm issue 24459), OpenRouter and newer vLLM say reasoning."""
    run = completion_of(told({field: THOUGHT, "content": "The answer is 6."}), 2)
    assert run.text == f"<think>\n{THOUGHT}\n</think>\n\nThe answer is 6."
    assert (run.tokens, run.pieces) == (40, ())


def test_the_tokens_of_a_thought_are_those_that_were_told() -> None:
    run = completion_of(told({"reasoning_content": THOUGHT, "content": "The answer is 6."}, TOLD), 2)
    assert run.text == "<think>\n" + "".join(TOLD)
    assert (run.tokens, len(run.pieces), len(run.logprob)) == (6, 6, 6)
    steps = read_steps(run, StepRule(stop=(), horizon=9), [])
    assert [step.text for step in steps] == ["<think>", TOLD[0], "No, that is wrong.</think>", "The answer is 6."]
    assert sum(step.tokens for step in steps) == 6
    assert [step.ending for step in steps][-1] == "answer"


def test_a_thought_whose_beginning_is_in_the_template_is_begun_again() -> None:
    """vLLM without a parser, DeepSeek-R1-Distill (vllm issue 13125): an end of a thought, and no beginning."""
    run = completion_of(told({"content": "Hm.\n</think>\n\nThe answer is 6."}), 2)
    assert run.text == "<think>\nHm.\n</think>\n\nThe answer is 6."


def test_a_thought_that_goes_on_is_not_begun_again() -> None:
    run = completion_of(told({"reasoning_content": "More.", "content": None}), 2, prefix="<think>\nHm.\n")
    assert run.text == "More."


def test_an_answer_in_a_thought_ends_nothing_and_is_no_answer() -> None:
    text = "<think>\nThe answer is 5.\nNo.\n</think>\nThe answer is 6."
    rule = StepRule(stop=(), horizon=9)
    steps = read_steps(completion(text), rule, [])
    assert [step.text for step in steps] == text.split("\n")
    assert (steps[1].ending, steps[-1].ending) == ("", "answer")
    assert rule.end_of_answer("The answer is 5.", before="<think>\nHm.\n") is None
    assert rule.end_of_answer("The answer is 6.", before="<think>\nHm.\n</think>\n") == 16


def test_a_thought_without_an_end_is_graded_as_no_answer() -> None:
    assert without_thoughts("a<think>b</think>c<think>The answer is 5.") == "ac"
    assert (in_thought("<think>a"), in_thought("<think>a</think>")) == (True, False)
    tree = RoutingTree(
        Problem("toy", "test", 0, "?", "5"), 2, "restart", StepRule(stop=()), GRADERS.get("numeric").make()
    )
    run = next(tree.ready())
    tree.add(run, read_steps(completion("<think>\nThe answer is 5."), tree.rule, []))
    grade = tree.nodes[-1].grade
    assert grade is not None
    assert (grade.answer, grade.correct) == (None, False)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 36}}, 40),
        # xAI: total_tokens counts thoughts apart (docs.x.ai, reasoning)
        ({"completion_tokens_details": {"reasoning_tokens": 36}, "total_tokens": 85}, 76),
    ],
)
def test_hidden_thoughts_are_charged(usage: dict[str, Any], tokens: int) -> None:
    assert completion_of(told({"content": "The answer is 6."}, **usage), 2).tokens == tokens


def test_a_run_of_hidden_thoughts_alone_is_an_empty_text_that_is_paid_for() -> None:
    usage = {"completion_tokens_details": {"reasoning_tokens": 40}}
    run = completion_of(told({"content": None}, **usage), 2)
    assert (run.text, run.tokens) == ("", 40)
    with pytest.raises(ValueError, match="no text, and 40 tokens counted"):
        completion_of(told({"content": None}), 2)


def test_steps_with_more_tokens_than_text_are_flagged() -> None:
    node = {"id": 1, "parent": 0, "depth": 1, "model": 0, "text": "6", "tokens": 40}
    node |= {"terminal": True, "final_answer": "6", "correct": True, "ending": "stop"}
    endings = count_endings([{"nodes": [node] * 20}], ["thinker", "plain"])
    assert (endings["thinker"].hidden, endings["plain"].hidden) == (20, None)
    assert any("thinker: 20 steps have more tokens than text" in warning for warning in ending_warnings(endings))


def test_template_arguments_and_a_system_message_go_to_the_server(serve: Callable[[Answer], Server]) -> None:
    server = serve(lambda path, body: (200, told({"content": "ok"})))
    text = f"openai:r,url={server.url},key=none,continuation=ask,template.enable_thinking=false,template.effort=2"
    spec = GeneratorSpec.parse(text)
    generator = spec.with_chat(type(spec.form)(system="Be brief."), chat=False).build()
    (run,) = generate(generator, [Request("Hi?", "", 8)])
    generator.close()
    assert isinstance(run, Completion)
    body = server.requests[-1][1]
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "effort": 2}
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    settings = dict(generator.info().settings)
    assert (settings["system"], settings["template.enable_thinking"]) == ("Be brief.", "False")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openai:r,template.a=1", "template.a=1 with a prompt that is no conversation; allowed: with chat=true"),
        ("openai:r,continuation=ask,template.=1", r"template argument ''; allowed: template.NAME=VALUE"),
    ],
)
def test_arguments_without_a_template_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneratorSpec.parse(text)


def test_a_prompt_that_opens_a_thought_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prompt 'p' ends in <think>; allowed: one that leaves <think>"):
        step_rule(PromptTemplate("p", "Q: {question}\n<think>\n"), "numeric")


def test_figures_of_a_thought_begin_with_its_first_token() -> None:
    run = completion_of(told({"reasoning_content": THOUGHT, "content": "The answer is 6."}, TOLD), 2)
    assert np.isfinite(run.top).all()


def test_a_streamed_thought_stands_where_a_whole_one_does() -> None:
    wire = pytest.importorskip("gym_stepwise_routing.serving.wire")
    deltas: list[dict[str, Any]] = [{"reasoning_content": "Hm."}, {"reasoning_content": " So."}]
    deltas += [{"content": "The answer"}, {"content": " is 6."}]
    gathered = wire.GatheredAnswer()
    shown = []
    for delta in deltas:
        gathered.add({"choices": [{"delta": delta, "finish_reason": None}]})
        shown.append(gathered.news)
    gathered.add(
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 12}}
    )
    run = completion_of(gathered.answer(), 0)
    whole = completion_of(told({"reasoning_content": "Hm. So.", "content": "The answer is 6."}), 0)
    assert run.text == whole.text
    assert all(run.text.startswith(part) for part in shown)
