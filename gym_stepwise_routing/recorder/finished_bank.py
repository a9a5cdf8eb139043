"""A finished, or half-finished, recording as a bank."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks import Bank, Recipe
from gym_stepwise_routing.banks.jsonl import QuestionCounts, import_jsonl
from gym_stepwise_routing.banks.manifest import Asked, Dataset, Decoding, Grader, Prompt, StepRule
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import Caching, Latency, Model, Price
from gym_stepwise_routing.errors import RecordingError
from gym_stepwise_routing.grading.judge import JUDGEMENTS, read_judgements
from gym_stepwise_routing.recorder.drawn_samples import check_samples
from gym_stepwise_routing.recorder.endings import count_endings
from gym_stepwise_routing.recorder.problem_selection import UNSPLIT
from gym_stepwise_routing.recorder.recording_manifest import MANIFEST, read_recording, recorded_commands
from gym_stepwise_routing.recorder.store import read_trees
from gym_stepwise_routing.storage.atomic import replaced
from gym_stepwise_routing.storage.strict_json import to_json
from gym_stepwise_routing.types import Split

__all__ = ["bank_from_recording", "merge_trees", "split_rule_of", "step_rule_note"]

_SHARES: dict[str, Mapping[Split, float]] = {
    "train": {"train": 0.6, "calibration": 0.4},
    "calibration": {"calibration": 1.0},
    UNSPLIT: {"train": 0.5, "calibration": 0.25, "test": 0.25},
}
"""Official training problems are for training and calibration; every other official split is for testing only. A file
of one's own may be for calibration alone, or be split by the hashes of its questions."""


def merge_trees(folder: Path, only: Set[str] | None = None) -> Path:
    """The trees of a recording in one file, ``trees.jsonl``, ordered by dataset, split and index.

    Args:
        folder: folder of the recording.
        only: ids of the problems whose trees are wanted; None: all.

    A last line that a kill has cut short, or that is being written, is passed over.

    Raises:
        RecordingError: there is no tree, or a problem was recorded twice.
    """
    trees = [tree for part in sorted(folder.glob("trees-*.jsonl")) for tree in read_trees(part, whole_lines=True)]
    if not trees:
        raise RecordingError(f"{folder}: no recorded tree")
    if only is not None:
        trees = [tree for tree in trees if "/".join(map(str, _key(tree))) in only]
    keyed = {_key(tree): tree for tree in trees}
    if len(keyed) != len(trees):
        raise RecordingError(f"{folder}: {len(trees) - len(keyed)} problems were recorded twice")
    path = folder / "trees.jsonl"
    # A lone surrogate, which only a damaged file has, is told with its line when the trees are read.
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogatepass") as stream:
        for key in sorted(keyed):
            stream.write(json.dumps(keyed[key], ensure_ascii=False) + "\n")
    return path


def bank_from_recording(
    folder: Path, *, name: str, counts: QuestionCounts | None = None, only: Set[str] | None = None
) -> Bank:
    """Build ``folder/bank`` from what has been recorded so far.

    Args:
        folder: folder of the recording.
        name: name of the bank.
        counts: counts over the question texts, where these are at hand.
        only: ids of the problems whose trees are wanted; None: all.

    Raises:
        RecordingError: no manifest or no tree.
        BankError: the trees do not make a bank.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise RecordingError(f"{path}: the file is missing, so this is no recording")
    manifest = read_recording(path)
    trees = merge_trees(folder, only)
    splits = sorted({tree["problem"]["split"] for tree in read_trees(trees)})
    with _as_recorded(path):
        recipe = _recipe(name, splits, manifest["fixed"], manifest["notes"], _asked(folder))
        to_json(recipe)  # checks the types
    names = [model.name for model in recipe.models]
    with _as_recorded(trees):
        endings = count_endings(read_trees(trees), names)
        check_samples(read_trees(trees), names, manifest["fixed"].get("samples", 1))
    recipe = replace(recipe, endings=endings)
    return import_jsonl(trees, recipe, folder / "bank", counts=counts, overwrite=True)


@contextmanager
def _as_recorded(path: Path) -> Iterator[None]:
    """What is not as a recording writes it becomes one error, which names the file."""
    try:
        yield
    except RecordingError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise RecordingError(f"{path}: not as a recording writes it ({fault:.200})") from None


def split_rule_of(name: str, splits: Iterable[str]) -> SplitRule:
    """The split rule of a bank of this name with problems of these official splits."""
    return SplitRule(salt=name, shares={split: _SHARES.get(split, {"test": 1.0}) for split in splits})


def _asked(folder: Path) -> Asked | None:
    """What a judge was asked in the recording."""
    told = read_judgements(folder / JUDGEMENTS)
    if not told:
        return None
    return Asked(
        calls=len(told),
        unread=sum(reply.correct is None for reply in told),
        prompt_tokens=sum(reply.prompt_tokens for reply in told),
        completion_tokens=sum(reply.completion_tokens for reply in told),
    )


def _recipe(
    name: str, splits: Sequence[str], fixed: Mapping[str, Any], notes: Mapping[str, Any], asked: Asked | None
) -> Recipe:
    rule, generators = fixed["rule"], fixed["generators"]
    models = tuple(_model(*pair) for pair in zip(fixed["models"], notes["prices"], strict=True))
    datasets = {key: Dataset(**entry) for key, entry in fixed["datasets"].items()}
    settings = [dict(info["settings"]) for info in generators]
    chat = any(s.get("chat") == "True" or s.get("continuation", "raw") != "raw" for s in settings)
    return Recipe(
        name=name,
        description=f"{', '.join(datasets)} ({', '.join(splits)}) with {', '.join(model.name for model in models)}.",
        simulated=False,
        models=models,
        prompt=Prompt(
            template_sha256=fixed["prompt"]["sha256"],
            template=fixed["prompt"]["text"],
            shared_prefix_tokens=tuple(fixed["shared_prefix_tokens"]),
        ),
        decoding=Decoding(
            temperature=float(settings[0].get("temperature", 0.0)),
            max_tokens=rule["max_tokens"],
            stop=(*rule["stop"], *(f"\n{label}" for label in rule.get("labels", ()))),
            top_logprobs=min(info["top_logprobs"] for info in generators),
            form="chat" if chat else "completion",
            engine="; ".join(f"{info['model']}: {_engine(info)}" for info in generators),
        ),
        step_rule=StepRule(separator=rule["delimiter"], note=step_rule_note(rule)),
        horizon=rule["horizon"],
        recorded_mode=fixed["mode"],
        grader=Grader(name=fixed["grader"], version="1", asked=asked),
        datasets=datasets,
        split_rule=split_rule_of(name, splits),
        command="\n".join(recorded_commands(notes)),
        licence=notes["licence"],
        samples=fixed.get("samples"),
    )


def _engine(info: Mapping[str, Any]) -> str:
    """Software, number format and batch: what decides how ties fall."""
    settings = dict(info["settings"])
    if "dtype" not in settings or "batch" not in settings:
        return f"{info['backend']}, number format and batch unknown"
    return f"{info['backend']}, {settings['dtype']}, at most {settings['batch']} at a time"


def step_rule_note(rule: Mapping[str, Any]) -> str:
    """A step rule, as JSON values, in words."""
    unit = "One logical line of Python, indented in columns." if rule.get("python") else "One line."
    parts = [unit if rule["delimiter"] == "\n" else "Text up to a blank line."]
    if rule["min_characters"] > 1:
        parts.append(f"Steps shorter than {rule['min_characters']} characters are merged into the next.")
    if rule["merge_headings"]:
        parts.append("Headings are merged into the next step.")
    if rule["answer"] is not None:
        parts.append(f"A trace ends after a match of {rule['answer']!r}.")
    if rule["repeat_limit"]:
        parts.append(f"A trace ends when the same step stands {rule['repeat_limit']} times.")
    parts.append("At the horizon the model that acts writes all the rest, with the figures of its first unit.")
    return " ".join(parts)


def _model(entry: Mapping[str, Any], price: Mapping[str, Any] | None) -> Model:
    latency, caching = entry["latency"], entry.get("caching")
    return Model(
        name=entry["name"],
        parameters=entry["parameters"],
        active_parameters=entry.get("active_parameters"),
        price=None if price is None else Price(**price),
        latency=None if latency is None else Latency(**latency),
        weights_sha256=entry["weights_sha256"],
        licence=entry["licence"],
        caching=None if caching is None else Caching(**caching),
    )


def _key(tree: Mapping[str, Any]) -> tuple[str, str, int]:
    problem = tree["problem"]
    return problem["dataset"], problem["split"], problem["index"]
