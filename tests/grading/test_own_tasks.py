"""Graders for tasks of one's own: the same words, a choice, a judge, a function."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_servers import Answer, Server

from gym_stepwise_routing.datasets import Problem
from gym_stepwise_routing.grading import GRADERS, Grade
from gym_stepwise_routing.grading.judge import Judge, read_judgements


def problem(answer: str, index: int = 0) -> Problem:
    return Problem("own", "test", index, f"Question {index}?", answer)


@pytest.mark.parametrize(
    ("text", "reference", "answer", "correct"),
    [
        ("It is far.\nThe answer is New Delhi.", "new delhi", "New Delhi.", True),
        ('**Answer:** "Rome"', "Rome", '"Rome"', True),
        ("The answer is Rome or Paris.", "Rome", "Rome or Paris.", False),
        ("Rome", "Rome", None, False),
        ("The answer is \uff32ome", "Rome", "\uff32ome", True),
    ],
)
def test_exact(text: str, reference: str, answer: str | None, correct: bool) -> None:
    assert GRADERS.get("exact").make()(text, problem(reference)) == Grade(answer, correct)


@pytest.mark.parametrize(
    ("text", "answer", "correct"),
    [
        ("The answer is (B).", "B", True),
        ("Answer: b: blue", "B", True),
        ("The answer is A", "A", False),
        ("The answer is blue.", None, False),
        ("B", None, False),
    ],
)
def test_choice(text: str, answer: str | None, correct: bool) -> None:
    assert GRADERS.get("choice").make()(text, problem("(B) blue")) == Grade(answer, correct)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is A or B.", None),
        ("The answer is (B) and (C).", None),
        ("The answer is B, C.", None),
        ("The answer is A/B", None),
        ("The answer is a city.", None),
        ("The answer is I think B.", None),
        ("The answer is not B.", None),
        ("The answer is A because it is blue.", "A"),
        ("The answer is B. A bird can fly.", "B"),
        ("The answer is B: a bird", "B"),
        ("The answer is B, a bird.", "B"),
        ("The answer is option B.", "B"),
        (r"The answer is $\boxed{\text{B}}$", "B"),
        ("The answer is B is right", "B"),
    ],
)
def test_two_letters_and_words_are_no_choice(text: str, answer: str | None) -> None:
    assert GRADERS.get("choice").make()(text, problem("(B) blue")).answer == answer


@pytest.mark.parametrize("answer", ["A city", "I think so", "A or B", "Paris"])
def test_a_reference_that_begins_with_a_word_of_one_letter_is_no_choice(answer: str) -> None:
    assert not GRADERS.get("choice").reads(problem(answer))


@pytest.mark.parametrize("text", ['The answer is "Paris."', "The answer is **Paris**.", "The answer is 'Paris'."])
def test_marks_around_words_do_not_count(text: str) -> None:
    assert GRADERS.get("exact").make()(text, problem("Paris")).correct


@pytest.mark.parametrize(
    "begun",
    ["The answer to this question is", "The answer to the question of the capital is:", "The correct answer is"],
)
def test_words_may_say_what_they_answer(begun: str) -> None:
    """SmolLM2-135M in its chat template writes the first of them."""
    for name, reference in (("exact", "Rome"), ("choice", "B")):
        text = f"Think.\n{begun} {reference}.\nMore."
        assert GRADERS.get(name).make()(text, problem(reference)).correct
        found = re.search(str(GRADERS.get(name).answer), text)
        assert found is not None
        assert found[0] == f"{begun} {reference}."


def test_a_reference_that_is_no_choice_is_found_before_the_first_call() -> None:
    grader = GRADERS.get("choice")
    assert (grader.reads(problem("C")), grader.reads(problem("both"))) == (True, False)


def replies(reply: str) -> Answer:
    def answer(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        told = {"message": {"role": "assistant", "content": reply}, "finish_reason": "stop", "index": 0}
        usage = {"prompt_tokens": 50, "completion_tokens": 2, "total_tokens": 52}
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "j",
            "choices": [told],
            "usage": usage,
        }

    return answer


def test_a_judge_is_asked_once_for_each_answer_and_its_replies_are_kept(
    serve: Callable[[Answer], Server], tmp_path: Path
) -> None:
    pytest.importorskip("openai")
    server = serve(replies("Incorrect."))
    judge = GRADERS.get(f"judge:j,url={server.url}").make()
    assert isinstance(judge, Judge)
    judge.keep(tmp_path / "judge.jsonl")
    first = judge("The answer is Lyon.", problem("Paris"))
    assert first == judge("Well. The answer is Lyon.", problem("Paris")) == Grade("Lyon.", False)
    assert judge("", problem("Paris")) == Grade(None, False)
    assert len(server.requests) == 1
    asked = server.requests[0][1]["messages"][0]["content"]
    assert all(part in asked for part in ("Question 0?", "Reference answer: Paris", "Proposed answer: Lyon."))
    (kept,) = read_judgements(tmp_path / "judge.jsonl")
    assert (kept.reply, kept.correct, kept.prompt_tokens, kept.completion_tokens) == ("Incorrect.", False, 50, 2)
    later = GRADERS.get(f"judge:j,url={server.url}").make()
    assert isinstance(later, Judge)
    later.keep(tmp_path / "judge.jsonl")
    assert later("The answer is Lyon.", problem("Paris")).correct is False
    assert len(server.requests) == 1
    judge.close()
    later.close()


def test_a_judge_may_think_before_its_verdict(serve: Callable[[Answer], Server]) -> None:
    pytest.importorskip("openai")
    server = serve(replies("<think>incorrect? no</think>Correct"))
    judge = Judge("j", url=server.url)
    assert judge("Paris", problem("Paris")) == Grade("Paris", True)
    judge.close()


def test_a_reply_that_says_neither_counts_as_wrong_and_is_kept_as_such(
    serve: Callable[[Answer], Server], tmp_path: Path
) -> None:
    pytest.importorskip("openai")
    judge = Judge("j", url=serve(replies("Perhaps")).url)
    judge.keep(tmp_path / "judge.jsonl")
    assert judge("Paris", problem("Paris")) == Grade("Paris", False)
    assert [(told.reply, told.correct) for told in read_judgements(tmp_path / "judge.jsonl")] == [("Perhaps", None)]
    judge.close()


def test_a_judge_that_is_down_stops_the_grading(serve: Callable[[Answer], Server]) -> None:
    pytest.importorskip("openai")
    judge = Judge("j", url=serve(lambda path, body: (400, {"error": {"message": "no"}})).url)
    with pytest.raises(RuntimeError, match=r"judge j: own/test/0 cannot be graded: .*400"):
        judge("Paris", problem("Paris"))
    judge.close()


def test_a_judge_is_marked_as_one() -> None:
    assert GRADERS.get("judge:j,url=http://x/v1").version().startswith("JUDGED by j at http://x/v1")
    with pytest.raises(ValueError, match=r"allowed: judge:MODEL,url=ADDRESS\[,key=KEY\]"):
        GRADERS.get("judge:j,temperature=1")


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    row = {"key": "k", "problem": "p", "answer": "a", "reply": "correct", "correct": True}
    row |= {"prompt_tokens": 1, "completion_tokens": 1}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row)[:20], encoding="utf-8")
    assert [told.key for told in read_judgements(path)] == ["k"]
    path.write_text('{"key": "k"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 is no reply of a judge"):
        read_judgements(path)


def test_a_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def ends(text, problem):\n    return text.endswith(problem.answer)\ndef odd(text, problem):\n    return 3\n"
    (tmp_path / "own_graders_of_a_test.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    grader = GRADERS.get("own_graders_of_a_test:ends")
    assert grader.make()("So\nParis", problem("Paris")) == Grade("Paris", True)
    assert grader.version().startswith("own_graders_of_a_test:ends, source ")
    with pytest.raises(ValueError, match=r"gave 3 for own/test/0; allowed: a Grade, True or False"):
        GRADERS.get("own_graders_of_a_test:odd").make()("x", problem("Paris"))
    with pytest.raises(ValueError, match=r"grading='own_graders_of_a_test:none'.*allowed: module:function"):
        GRADERS.check("own_graders_of_a_test:none")
    sys.modules.pop("own_graders_of_a_test")
