"""Grading by another model: asked once for each answer, and every reply kept with what it cost."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.grading.grader import GRADERS, Grade, Grader
from gym_stepwise_routing.grading.plain import STATED, stated_words
from gym_stepwise_routing.grading.thoughts import without_thoughts
from gym_stepwise_routing.storage.strict_json import parse_json

__all__ = ["JUDGE", "JUDGEMENTS", "Judge", "Judgement", "judge_grader", "read_judgements"]

JUDGE = "judge"
"""Beginning of a grading by a model: ``judge:MODEL,url=ADDRESS[,key=KEY]``."""
JUDGEMENTS = "judge.jsonl"
"""File of a recording's folder with the replies."""
_OPTIONS = ("url", "key")
_VERDICT = re.compile(r"\b(incorrect|correct)\b", re.IGNORECASE)
_QUESTION = """\
Is the proposed answer to the question right? It is right if it says the same as the reference answer.
Reply with one word, correct or incorrect.

Question: How many legs has a dog?
Reference answer: 4
Proposed answer: It has four.
Verdict: correct

Question: What colour is snow?
Reference answer: white
Proposed answer: black
Verdict: incorrect

Question: {question}
Reference answer: {reference}
Proposed answer: {answer}
Verdict:"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One reply of a judge.

    Attributes:
        key: sha256 of what was asked.
        problem: id of the problem.
        answer: the answer that was judged.
        reply: what the judge said.
        correct: how it was read; None: it says neither, and the answer counts as wrong.
        prompt_tokens: tokens that it read.
        completion_tokens: tokens that it wrote.
    """

    key: str
    problem: str
    answer: str
    reply: str
    correct: bool | None
    prompt_tokens: int
    completion_tokens: int


class Judge:
    """Asks a model of an OpenAI-compatible server whether an answer is right.

    What was asked once is not asked again, neither in this process nor, with :meth:`keep`, in a later one.

    Args:
        model: name of the model on the server.
        url: address up to ``/v1``; None: what the client's own environment variables say.
        key: key; None: the client's own environment variable, for a local server any text.

    Raises:
        ImportError: the ``openai`` package is missing.
        ValueError: there is no key.
    """

    def __init__(self, model: str, *, url: str | None = None, key: str | None = None) -> None:
        try:
            import openai
        except ImportError as error:
            raise ImportError("the judge needs the openai client: pip install 'gym-stepwise-routing[llm]'") from error
        self.model = model
        self._error = openai.OpenAIError
        try:
            self._client: Any = openai.OpenAI(base_url=url, api_key=key or ("none" if url else None), max_retries=4)
        except openai.OpenAIError as error:
            raise ValueError(f"grading='judge:{model}': {error}; allowed: key=..., or OPENAI_API_KEY") from None
        self._known: dict[str, Judgement] = {}
        self._file: Path | None = None

    def keep(self, path: Path) -> None:
        """Take the replies of a file, and append those to come; each is one JSON object on a line."""
        self._file = path
        self._known |= {told.key: told for told in read_judgements(path)}

    def __call__(self, text: str, problem: Problem) -> Grade:
        """Grade a whole trace: what it states as its answer, or else all of it.

        A reply that says neither correct nor incorrect counts as wrong; it is kept as such, and told.

        Raises:
            RuntimeError: the judge does not answer, or counts no tokens.
        """
        answer = stated_words(text) or text.strip()
        if not answer:
            return Grade(None, False)
        asked = _QUESTION.format(question=problem.question, reference=problem.answer, answer=answer)
        key = hashlib.sha256(f"{self.model}\n{asked}".encode(errors="surrogatepass")).hexdigest()
        if key not in self._known:
            self._known[key] = told = self._ask(key, asked, problem, answer)
            if self._file is not None:
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(told), ensure_ascii=False) + "\n")
        return Grade(answer, self._known[key].correct is True)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, key: str, asked: str, problem: Problem, answer: str) -> Judgement:
        try:
            told = self._client.chat.completions.create(
                model=self.model, messages=[{"role": "user", "content": asked}], temperature=0.0
            )
        except self._error as error:
            raise RuntimeError(f"judge {self.model}: {problem.id} cannot be graded: {error}") from None
        reply = (told.choices[0].message.content or "") if told.choices else ""
        if told.usage is None:
            raise RuntimeError(f"judge {self.model}: {problem.id}: it counts no tokens")
        verdict = _VERDICT.search(without_thoughts(reply))
        right = None if verdict is None else verdict[1].lower() == "correct"
        usage = told.usage
        return Judgement(key, problem.id, answer, reply, right, usage.prompt_tokens, usage.completion_tokens)


def read_judgements(path: Path) -> list[Judgement]:
    """The replies in a file, none where there is no file; a last line that a kill cut short is passed over.

    Raises:
        ValueError: a line that is no reply.
    """
    if not path.is_file():
        return []
    names = {field.name for field in fields(Judgement)}
    told = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(keepends=True), start=1):
        if line.endswith("\n"):
            values = parse_json(line, f"{path}: line {number}")
            if not isinstance(values, dict) or set(values) != names:
                raise ValueError(f"{path}: line {number} is no reply of a judge")
            told.append(Judgement(**values))
    return told


def judge_grader(grading: str) -> Grader:
    """The grader of ``judge:MODEL,url=ADDRESS[,key=KEY]``.

    Raises:
        ValueError: another form, or an unknown option.
    """
    model, *options = grading.removeprefix(f"{JUDGE}:").split(",")
    stated = dict(option.partition("=")[::2] for option in options)
    if not model or set(stated) - set(_OPTIONS):
        raise ValueError(f"grading={grading!r}; allowed: judge:MODEL,url=ADDRESS[,key=KEY]")
    place = stated.get("url") or "the server of the environment"
    return Grader(
        name=f"{JUDGE}:{model}",
        title=f"{model} is asked whether the answer is right: a model's opinion",
        make=lambda: Judge(model, url=stated.get("url"), key=stated.get("key")),
        version=lambda: f"JUDGED by {model} at {place}, asked in the words of version 1",
        prompt="",
        answer=STATED,
        reads=lambda problem: bool(problem.answer.strip()),
        allowed="an answer of one word or more",
        needs="openai",
    )


GRADERS.describe(JUDGE, judge_grader)
