"""Problem texts, which no bank stores: read from a local file or the ``datasets`` library, and checked by SHA-256.

What is hashed is the UTF-8 text of the question field, exactly as it stands in the official file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.manifest import Dataset
from gym_stepwise_routing.datasets import DATASETS, load_problems, load_questions, question_sha256
from gym_stepwise_routing.errors import BankError

__all__ = ["Questions", "join_questions", "question_counts"]

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"')\]]|$)")


def question_counts(text: str) -> tuple[int, int, int, int]:
    """Counts over a question text, in the order of ``sources.base.QUESTION``.

    Returns:
        Characters; words (between blanks); sentences (runs of ``.!?`` before a blank, a quote or the end, at least 1);
        numbers (digits, with any inner commas and points).

    Example:
        >>> question_counts("Ann has 1,200 eggs. Each costs $0.5. How much?")
        (46, 9, 3, 2)
    """
    return len(text), len(text.split()), max(1, len(_SENTENCE_END.findall(text))), len(_NUMBER.findall(text))


class Questions:
    """Question texts by dataset, official split and index.

    A split is read when its first question is asked for: from its local file if there is one, else with the
    ``datasets`` library.

    Args:
        datasets: the datasets of the bank or recipe.
        files: local files in the official form, by ``dataset/split``, such as ``gsm8k/train``.

    Raises:
        BankError: a file for an unknown dataset.
    """

    def __init__(self, datasets: Mapping[str, Dataset], files: Mapping[str, Path] | None = None) -> None:
        self._datasets = datasets
        self._files = {} if files is None else dict(files)
        self._splits: dict[str, list[str]] = {}
        for key, file in self._files.items():
            dataset, slash, split = key.partition("/")
            if dataset not in datasets or not slash or not split:
                allowed = ", ".join(f"{name}/SPLIT" for name in datasets)
                raise BankError(f"{file}: given for {key!r}; allowed: {allowed}")

    def text(self, dataset: str, split: str, index: int, sha256: str) -> str:
        """One question.

        Raises:
            BankError: the texts are not at hand, have no such row, or the row's text has another hash.
        """
        key = f"{dataset}/{split}"
        if key not in self._splits:
            self._splits[key] = self._read(dataset, split)
        texts = self._splits[key]
        where = self._files.get(key, f"{key} of the datasets library")
        if index >= len(texts):
            raise BankError(f"{where}: has {len(texts)} rows; problem {key}/{index} is not among them")
        if (found := question_sha256(texts[index])) != sha256:
            raise BankError(f"{where}: row {index} has sha256 {found}, problem {key}/{index} has {sha256}")
        return texts[index]

    def counts(self, dataset: str, split: str, index: int, sha256: str) -> tuple[int, int, int, int]:
        """:func:`question_counts` of one question; raises as :meth:`text` does."""
        return question_counts(self.text(dataset, split, index, sha256))

    def _read(self, dataset: str, split: str) -> list[str]:
        entry, key = self._datasets[dataset], f"{dataset}/{split}"
        advice = f"Give the official file ({entry.source}) as {key}=FILE"
        if file := self._files.get(key):
            try:
                return load_questions(file, dataset, split, question=entry.question_field)
            except (ValueError, OSError) as error:
                raise BankError(str(error)) from None
        if dataset not in DATASETS:
            raise BankError(f"the texts of {key} are not at hand: no library has this dataset. {advice}")
        try:
            return [problem.question for problem in load_problems(dataset, split)]
        except ImportError:
            raise BankError(
                f"the texts of {key} are not at hand: banks store none. {advice}, or install the library that fetches "
                "it: pip install 'gym-stepwise-routing[llm]'"
            ) from None
        # The library has no common base class: connection, cache, name and format problems are all different.
        except Exception as error:
            reason = f"{type(error).__name__}: {error!s:.200}"
            raise BankError(f"the texts of {key} could not be fetched ({reason}). {advice}") from error


def join_questions(bank: Bank, files: Mapping[str, Path] | None = None) -> list[str]:
    """Question text of every problem of a bank, in the bank's order, each checked against the recorded SHA-256.

    Args:
        bank: the bank.
        files: local files in the official form, by ``dataset/split``; splits that are not named come from the
            ``datasets`` library.

    Raises:
        BankError: texts that are not at hand (the message says how to get them), or a text with another hash.
    """
    questions = Questions(bank.manifest.datasets, files)
    return [questions.text(*reference) for reference in bank.problems.references()]
