"""Problem texts, which no bank stores: read from a local file or the ``datasets`` library, and checked by SHA-256.

What is hashed is the UTF-8 text of the question field, exactly as it stands in the official file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.manifest import Dataset
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
        (46, 8, 3, 2)
    """
    return len(text), len(text.split()), max(1, len(_SENTENCE_END.findall(text))), len(_NUMBER.findall(text))


class Questions:
    """Question texts by dataset, official split and index.

    A split is read when its first question is asked for: from its local file if there is one, else with the
    ``datasets`` library.

    Args:
        datasets: the datasets of the bank or recipe.
        files: local JSON Lines files in the official form, by ``dataset/split``, such as ``gsm8k/train``.

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
        where = self._files.get(key, f"dataset {self._datasets[dataset].hub}, split {split}")
        if index >= len(texts):
            raise BankError(f"{where}: has {len(texts)} rows; problem {key}/{index} is not among them")
        if (found := hashlib.sha256(texts[index].encode()).hexdigest()) != sha256:
            raise BankError(f"{where}: row {index} has sha256 {found}, problem {key}/{index} has {sha256}")
        return texts[index]

    def counts(self, dataset: str, split: str, index: int, sha256: str) -> tuple[int, int, int, int]:
        """:func:`question_counts` of one question; raises as :meth:`text` does."""
        return question_counts(self.text(dataset, split, index, sha256))

    def _read(self, dataset: str, split: str) -> list[str]:
        entry, key = self._datasets[dataset], f"{dataset}/{split}"
        if file := self._files.get(key):
            return _read_file(file, entry.question_field)
        try:
            import datasets
        except ImportError:
            raise BankError(
                f"the texts of {key} are not at hand: banks store none. Give the official file ({entry.source}) as "
                f"{key}=FILE, or install the library that fetches it: pip install 'gym-stepwise-routing[llm]'"
            ) from None
        try:
            return list(datasets.load_dataset(entry.hub, entry.config, split=split)[entry.question_field])
        # The library has no common base class: connection, cache, name and format problems are all different.
        except Exception as error:
            raise BankError(
                f"the texts of {key} could not be had through the datasets library ({type(error).__name__}: "
                f"{error!s:.200}). Give the official file ({entry.source}) as {key}=FILE"
            ) from error


def _read_file(file: Path, field: str) -> list[str]:
    texts = []
    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row: Any = json.loads(line)
                if not isinstance(row, dict) or not isinstance(row.get(field), str):
                    raise BankError(f"{file}: line {number}: no text in field {field!r}")
                texts.append(row[field])
    except FileNotFoundError:
        raise BankError(f"{file}: the file is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BankError(f"{file}: line {number}: not JSON ({error})") from None
    return texts


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
