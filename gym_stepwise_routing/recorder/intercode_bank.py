"""Banks of InterCode's SQL trajectories for mode *restart*: figures, lengths and flags, no text of others.

Each model's run begins with the question alone and never sees another model's, so handing a task over is exact: the
larger model's recorded run is what it would have written. A step is a turn. An episode ends at reward 1, because
InterCode stops there.

Tokens are **counted, not billed**: the recorded commands and answers by cl100k_base, which is the tokenizer of gpt-3.5
and gpt-4 alone. What a model wrote around its command was not published and is missing. Prompts are rebuilt by the
released protocol (``experiments`` of princeton-nlp/intercode at ``COMMIT``): the fixed parts of its templates are the
constants of :data:`PROTOCOLS`. Which template a file was made with is read off the release's scripts and comments.

Rebuild with ``python -m gym_stepwise_routing.recorder.intercode_bank TRAJECTORIES TASKS OUT``, with ``bpe-openai`` and
``genai-prices``; ``TASKS`` is ``data/sql/spider/ic_spider_dev.json`` of that commit, which names the databases.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.jsonl import import_jsonl
from gym_stepwise_routing.banks.manifest import Dataset, Decoding, Grader, Prompt, Recipe, StepRule
from gym_stepwise_routing.banks.questions import question_counts
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.recorder.intercode import LIMIT, Run, Turn, read_runs, row_ends
from gym_stepwise_routing.recorder.published import listed_price, token_counter
from gym_stepwise_routing.types import Split

__all__ = ["BANKS", "MODELS", "PROTOCOLS", "Protocol", "Trajectories", "contexts", "recipe", "split_databases", "trees"]

COMMIT = "c3e46d827cfc9d4c704ec078f7abf9f41e3191d8"
_TEMPLATES = "ad2c21efca47c5a8b324fcd7e16cfd908a37b74f1983108c6bc275b12b619bf0"  # sha256 of its prompts.py
PRICED = "2026-11-29"
"""Day on which the prices were read."""
_SALT = "intercode-sql"
_SHARES: Mapping[Split, float] = {"train": 0.4, "calibration": 0.3, "test": 0.3}
_ROWS = 50  # of an answer that a model was shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a prompt grows from turn to turn; numbers are tokens of cl100k_base.

    Attributes:
        opening: instructions and whatever else of the first prompt is the same for every task.
        answered: fixed part of the message that holds an answer and its reward.
        history: fixed part that comes with the first answer.
        asks_again: that message repeats the question.
        window: messages after the first two that are kept; None: all.
        message: tokens that mark a message.
        clip: characters of an answer that is no table.
    """

    opening: int
    answered: int
    history: int = 0
    asks_again: bool = False
    window: int | None = None
    message: int = 0
    clip: int = 1000


_CHAT = Protocol(opening=496 + 12 + 2 * 4 + 3, answered=37, asks_again=True, window=5, message=4)
PROTOCOLS: Mapping[str, Protocol] = {
    "vicuna": Protocol(opening=220 + 12 + 2 * 4 + 3, answered=37, asks_again=True, window=5, message=4),
    "starchat": Protocol(opening=72 + 25 + 2 * 4 + 3, answered=43, window=5, message=4),
    "chat-bison-001": Protocol(opening=220 + 12 + 2 * 4 + 3, answered=37, asks_again=True, message=4),
    "text-bison-001": Protocol(opening=182 + 23, answered=11, history=38),
    "text-davinci-003": Protocol(opening=182 + 23, answered=11, history=38, clip=500),
    "gpt-3.5": _CHAT,
    "gpt-4": _CHAT,
}
"""The models and their protocols, the order of a pool: by the share of all tasks that each solves, least first.

Templates v2, v4, v2, v1, v1, game_sql and game_sql.
"""
MODELS = tuple(PROTOCOLS)
_PRICED_AS = {"text-davinci-003": "text-davinci-003", "gpt-3.5": "gpt-3.5-turbo", "gpt-4": "gpt-4"}
BANKS: Mapping[str, tuple[str, ...]] = {
    "intercode-sql-gpt": ("gpt-3.5", "gpt-4"),
    "intercode-sql-openai": ("text-davinci-003", "gpt-3.5", "gpt-4"),
    "intercode-sql-seven": MODELS,
}
"""The pools."""


@dataclass(frozen=True, slots=True)
class Trajectories:
    """The runs of all models, and the database of each task.

    Attributes:
        runs: by model, then by task.
        databases: by task.
    """

    runs: Mapping[str, Mapping[int, Run]]
    databases: Mapping[int, str]

    @classmethod
    def read(cls, folder: Path, databases: Mapping[int, str]) -> Trajectories:
        """Read the released files: plain in a folder of each model, as they were released, or ``.json.gz`` in one.

        Raises:
            ValueError: a model without a file, a run that is not as the protocol has it, two models with another
                question for one task, or a task without a database; the message names it.
        """
        runs = {model: read_runs(_released(folder, model)) for model in MODELS}
        queries: dict[int, str] = {}
        for model, tasks in runs.items():
            for task, run in tasks.items():
                if queries.setdefault(task, run.query) != run.query:
                    raise ValueError(f"{folder}: task {task}: the question of {model} differs from that of {MODELS[0]}")
        if missing := sorted(queries.keys() - databases.keys()):
            raise ValueError(f"{folder}: task {missing[0]}: its database is not known; allowed: {len(databases)} tasks")
        return cls(runs, databases)

    @property
    def left_out(self) -> Mapping[int, tuple[str, ...]]:
        """Tasks that are in no bank, and the models that have no run of them."""
        known = sorted(set().union(*self.runs.values()))
        absent = {task: tuple(model for model in MODELS if task not in self.runs[model]) for task in known}
        return {task: models for task, models in absent.items() if models}

    @property
    def tasks(self) -> list[int]:
        """Tasks that every model has, ascending."""
        return sorted(set(self.runs[MODELS[0]]).intersection(*self.runs.values()))


def _released(folder: Path, model: str) -> Path:
    """The file of a model."""
    name = f"ic_sql_multiturn_{model}_{LIMIT}_turns.json"
    places = (folder / model / name, folder / f"{name}.gz")
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ValueError(f"{folder}: no file of {model}; allowed: {places[0]} or {places[1]}")
    return found


def read_databases(path: Path) -> Mapping[int, str]:
    """Database of each task, from InterCode's task file."""
    return {number: task["db"] for number, task in enumerate(json.loads(path.read_text(encoding="utf-8")))}


def split_databases(databases: Sequence[str]) -> Mapping[str, Split]:
    """Split of each database, so that no schema is in two splits.

    Args:
        databases: of each task. In the order of ``sha256(salt + name)``, each goes to the split that lacks most tasks
            of its share (40 % training, 30 % calibration, 30 % test).
    """
    order = sorted(set(databases), key=lambda name: hashlib.sha256((_SALT + name).encode()).hexdigest())
    lacks = {split: share * len(databases) for split, share in _SHARES.items()}
    splits: dict[str, Split] = {}
    for name in order:
        splits[name] = max(lacks, key=lambda split: lacks[split])
        lacks[splits[name]] -= databases.count(name)
    return splits


def contexts(run: Run, protocol: Protocol, count: Callable[[str], int]) -> list[int]:
    """Input tokens of the call of each turn."""
    question = count(run.query)
    messages: list[int] = []
    found = []
    for number, turn in enumerate(run.turns):
        kept = messages if protocol.window is None else messages[-protocol.window :]
        found.append(protocol.opening + question + sum(kept) + (protocol.history if number else 0))
        if turn.answer is not None:
            again = question if protocol.asks_again else 0
            told = count(_shown(turn.answer, protocol.clip)) + count(str(turn.reward)) + protocol.answered + again
            messages += [count(turn.action) + protocol.message, told + protocol.message]
    return found


def _shown(answer: str, clip: int) -> str:
    """The answer as a model was shown it."""
    ends = row_ends(answer)
    if ends is None:
        return answer[:clip]
    if not ends:
        return "No output"
    return answer if len(ends) <= _ROWS else answer[: ends[_ROWS - 1]] + "]"


def trees(found: Trajectories, models: Sequence[str], count: Callable[[str], int]) -> Iterator[dict[str, Any]]:
    """Trees in the JSON Lines form: a root, and one run of each model.

    Args:
        found: the runs.
        models: the pool.
        count: counts tokens.
    """
    for task in found.tasks:
        runs = [found.runs[model][task] for model in models]
        nodes: list[dict[str, Any]] = [{"id": 0, "parent": None, "depth": 0}]
        for number, (model, run) in enumerate(zip(models, runs, strict=True)):
            inputs = contexts(run, PROTOCOLS[model], count)
            for depth, turn in enumerate(run.turns, start=1):
                earlier = {other.action for other in run.turns[: depth - 1]}
                node: dict[str, Any] = {
                    "id": len(nodes),
                    "parent": len(nodes) - 1 if depth > 1 else 0,
                    "depth": depth,
                    "model": number,
                }
                node |= {"tokens": max(count(turn.action), 1), "context_tokens": inputs[depth - 1]}
                node |= _feedback(turn, earlier)
                if depth == len(run.turns):
                    node |= {"terminal": True, "final_answer": None, "correct": run.right}
                nodes.append(node)
        question = runs[0].query
        yield {
            "problem": {
                "dataset": _SALT,
                "split": found.databases[task],
                "index": task,
                "question_sha256": hashlib.sha256(question.encode()).hexdigest(),
                "answer": "",  # graded by the rows that it gives
                "prompt_tokens": [PROTOCOLS[model].opening + count(question) for model in models],
            },
            "nodes": nodes,
        }


def _feedback(turn: Turn, earlier: set[str]) -> dict[str, Any]:
    if turn.answer is None:  # blocked: nothing was written, and nothing answered
        return {}
    told: dict[str, Any] = {"answer_error": not turn.valid, "answer_repeat": turn.action in earlier}
    ends = row_ends(turn.answer) if turn.valid else None
    return told if ends is None else told | {"answer_rows": len(ends)}


def recipe(name: str, databases: Sequence[str]) -> Recipe:
    """The recipe of a bank of ``BANKS``.

    Args:
        name: name of the bank.
        databases: of each task that is in it.
    """
    models = BANKS[name]
    return Recipe(
        name=name,
        description=f"InterCode's SQL trajectories of {len(models)} models, Spider's dev set, at most {LIMIT} turns: "
        "independent whole runs, for mode restart. Tokens counted by cl100k_base, not billed; no texts.",
        simulated=False,
        models=tuple(
            Model(m, price=listed_price("openai", _PRICED_AS[m], PRICED) if m in _PRICED_AS else None) for m in models
        ),
        prompt=Prompt(
            template_sha256=_TEMPLATES,
            template=None,
            shared_prefix_tokens=tuple(PROTOCOLS[model].opening for model in models),
        ),
        decoding=Decoding(
            temperature=0.0,
            max_tokens=512,
            stop=(),
            top_logprobs=0,
            form="chat",
            engine=f"as released by princeton-nlp/intercode at {COMMIT}, experiments/eval_n_turn.py; template_sha256 "
            "is that of experiments/utils/prompts.py",
        ),
        step_rule=StepRule(separator="", note="A turn: one command, and the database's answer."),
        horizon=LIMIT,
        recorded_mode="restart",
        grader=Grader(
            name="InterCode's reward (rows in common, scaled by their order); 1 is right", version=COMMIT[:8]
        ),
        datasets={
            _SALT: Dataset(
                question_field="query",
                source="data/sql/spider/ic_spider_dev.json of github.com/princeton-nlp/intercode: Spider's dev set; "
                "the split is the database",
                licence="CC-BY-SA-4.0",
            )
        },
        split_rule=SplitRule(salt=_SALT, shares={db: {split: 1.0} for db, split in split_databases(databases).items()}),
        command="python -m gym_stepwise_routing.recorder.intercode_bank TRAJECTORIES ic_spider_dev.json OUT",
        licence="MIT",
        environment="MySQL with Spider's databases, through InterCode",
    )


def write(folder: Path, databases: Mapping[int, str], out: Path) -> tuple[list[Bank], Trajectories]:
    """Write every bank of ``BANKS`` into ``out``.

    Raises:
        ImportError: the tokenizer or the price table is not installed.
        ValueError: runs that are not as the protocol has them, or a bank that is there already.
    """
    found, count = Trajectories.read(folder, databases), token_counter("cl100k_base")
    tasks = found.tasks
    questions = {task: found.runs[MODELS[0]][task].query for task in tasks}

    def counts(dataset: str, split: str, index: int, sha256: str) -> Sequence[int]:
        return question_counts(questions[index])

    made = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, models in BANKS.items():
            lines = Path(scratch) / f"{name}.jsonl"
            lines.write_text("".join(json.dumps(tree) + "\n" for tree in trees(found, models, count)), encoding="utf-8")
            stated = recipe(name, [databases[task] for task in tasks])
            made.append(import_jsonl(lines, stated, out / name, counts=counts))
    return made, found


def main() -> None:
    """Command line: folder with the trajectories, InterCode's task file, folder to write."""
    parser = argparse.ArgumentParser(description="InterCode's SQL trajectories as banks for mode restart.")
    for name in ("trajectories", "tasks", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    made, found = write(given.trajectories, read_databases(given.tasks), given.out)
    for bank in made:
        print(f"{bank.path}: {len(bank.problems)} tasks, {len(bank.nodes)} nodes, content hash {bank.hash}")
    for task, models in found.left_out.items():
        print(f"left out: task {task}, which {', '.join(models)} lacks")


if __name__ == "__main__":
    main()
