"""MBPP and HumanEval: tasks whose answers are programs, with the tests that grade them."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["human_eval_row", "mbpp_row", "mbpp_split"]

_MBPP_SPLITS = ((10, "prompt"), (510, "test"), (600, "validation"), (974, "train"))
"""Last ``task_id`` of each split, as its authors give them."""


def mbpp_split(row: Mapping[str, Any]) -> str:
    """Split of a row of the one file that holds all 974.

    Raises:
        ValueError: a ``task_id`` outside 1 to 974.
    """
    number = row.get("task_id")
    if not isinstance(number, int) or not 1 <= number <= _MBPP_SPLITS[-1][0]:
        raise ValueError(f"task_id={number!r}; allowed: 1 to {_MBPP_SPLITS[-1][0]}")
    return next(split for last, split in _MBPP_SPLITS if number <= last)


def mbpp_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the question as its authors ask it (text, then the tests) and the name of the function to write.

    ``test_setup_code`` runs after the solution and before the tests: it makes objects of classes that the solution
    defines (tasks 367 and 927).

    Raises:
        ValueError: a row without tests, or none of whose tests calls a function that its solution defines.
    """
    tests = row.get("test_list")
    if not tests:
        raise ValueError(f"task {row.get('task_id')!r} has no tests; allowed: a test_list of one or more")
    asked = "\n".join((str(row["text"]), "Your code should pass these tests:", *tests))
    programs = [row["test_setup_code"], *tests] if row.get("test_setup_code") else list(tests)
    function = _tested_function(str(row["code"]), tests, row.get("task_id"))
    return {"question": asked, "function": function, "code": row["code"], "tests": programs}


def human_eval_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its tests as one program. An answer may be the body, or the whole function once more."""
    check = f"{row['test']}\ncheck({row['entry_point']})\n"
    return dict(row) | {"solution": row["prompt"] + row["canonical_solution"], "tests": check, "before": row["prompt"]}


def _tested_function(solution: str, tests: list[str], task: Any) -> str:
    """The function of the solution that the first test calls."""
    with warnings.catch_warnings(category=SyntaxWarning, action="ignore"):  # some solutions have "\\w"
        warnings.simplefilter("ignore", DeprecationWarning)  # its class before CPython 3.12
        tree, test = ast.parse(solution), ast.parse(tests[0])
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    called = [
        node.func.id
        for node in ast.walk(test)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined
    ]
    if not called:
        raise ValueError(f"task {task!r}: its first test calls no function of the solution; allowed: one of {defined}")
    return called[0]
