"""A whole recording session: load the models, seal the manifest, record what is missing, build the bank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.questions import question_counts
from gym_stepwise_routing.datasets.problem import Problem, problem_id
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.generators.generator import Generator, GeneratorInfo, shared_prefix_tokens
from gym_stepwise_routing.generators.specs import GeneratorSpec, pool_model
from gym_stepwise_routing.recorder.finished_bank import bank_from_recording
from gym_stepwise_routing.recorder.grow import RecordingStats
from gym_stepwise_routing.recorder.problem_selection import Selection, interleaved
from gym_stepwise_routing.recorder.recording import record
from gym_stepwise_routing.recorder.recording_manifest import MANIFEST, recording_manifest, seal_manifest
from gym_stepwise_routing.recorder.selection_checks import check_contexts, check_selections
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore, read_trees
from gym_stepwise_routing.storage.locks import sole_writer

__all__ = ["DescribedModel", "RecordingSession", "describe_models"]


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """What the manifest needs of a loaded model, wherever it was loaded.

    Attributes:
        name: name in the pool.
        info: what is needed to repeat the run.
        shared_prefix: prompt tokens that all problems share.
    """

    name: str
    info: GeneratorInfo
    shared_prefix: int


def describe_models(generators: Sequence[Generator], settings: RecordingSettings) -> list[DescribedModel]:
    """Ask loaded models what the manifest needs."""
    head = settings.prompt.head
    return [DescribedModel(g.name, g.info(), shared_prefix_tokens(g, head)) for g in generators]


@dataclass(frozen=True, slots=True)
class RecordingSession:
    """What is recorded, with what, and where to.

    Args:
        specs: the model pool, smallest first.
        selections: the problems; all are graded alike.
        settings: see there.
        out: folder of the recording; one that holds the same recording is continued.
        command: the command line that repeats the recording.
        licence: SPDX identifier of the recorded traces.
        drop_duplicates: trees in the folder of problems that are not selected, whose questions are, are left out of the
            bank.

    Raises:
        ValueError: fewer than two models or two of one name, or problems that no bank can be built of
            (:func:`gym_stepwise_routing.recorder.selection_checks.check_selections`).
    """

    specs: tuple[GeneratorSpec, ...]
    selections: tuple[Selection, ...]
    settings: RecordingSettings
    out: Path
    command: str
    licence: str
    drop_duplicates: bool = False

    def __post_init__(self) -> None:
        if len(self.specs) < 2:
            raise ValueError(f"models={[spec.model for spec in self.specs]!r}; allowed: at least 2, smallest first")
        names = [spec.pool_name for spec in self.specs]
        if len(set(names)) < len(names):
            raise ValueError(f"models have the names {names!r}; allowed: different ones, with name=... after a comma")
        check_selections(self.selections, self.settings.grading)

    @property
    def names(self) -> list[str]:
        """Names of what writes in the trees: the models, or the samples of each."""
        names, samples = [spec.pool_name for spec in self.specs], self.settings.samples
        return names if samples == 1 else [f"{name}#{n}" for name in names for n in range(1, samples + 1)]

    def missing(self) -> list[Problem]:
        """The problems that have no tree in the folder yet, in the order in which they are recorded.

        All files of trees count, as they do for the bank; a line that a kill cut short does not.
        """
        done = set(map(problem_id, self._problems_on_disk()))
        return [problem for problem in interleaved(self.selections) if problem.id not in done]

    def check_selected(self) -> None:
        """Check that no problem was recorded in the folder that the bank could not be built with.

        Raises:
            BankError: the folder holds problems that are not among the session's.
        """
        known = {problem.sha256: problem for selection in self.selections for problem in selection.problems}
        for problem in self._problems_on_disk():
            there = problem_id(problem)
            here = known.get(problem["question_sha256"])
            if here is None:
                raise BankError(
                    f"{self.out}: {there} is recorded there but not selected here; allowed: the datasets and rows of "
                    "the command before, and more"
                )
            if here.split != problem["split"] and not self.drop_duplicates:
                raise BankError(
                    f"{self.out}: the question of {here.id} is recorded there as {there}; allowed: the same split "
                    "(a file without @SPLIT is split by hash), or --drop-duplicates"
                )

    def seal(self, models: Sequence[DescribedModel]) -> None:
        """Write the manifest, or check that the recording in the folder was made in the same way."""
        manifest = recording_manifest(
            settings=self.settings,
            models=[pool_model(spec, model.name, model.info) for spec, model in zip(self.specs, models, strict=True)],
            generators=[model.info for model in models],
            shared_prefix=[model.shared_prefix for model in models],
            datasets={selection.name: selection.dataset for selection in self.selections},
            command=self.command,
            licence=self.licence,
        )
        seal_manifest(self.out, manifest)

    def run(self, *, on_tree: Callable[[RecordingStats, dict[str, Any]], None] | None = None) -> RecordingStats:
        """Record in this process; raises as :func:`gym_stepwise_routing.recorder.recording.record` does."""
        with self.alone():
            self.check_selected()
            generators = [spec.build() for spec in self.specs]
            try:
                check_contexts(self.selections, generators, self.settings)
                models = describe_models(generators, self.settings)
                self.seal(models)
                shared = [model.shared_prefix for model in models]
                store = TreeStore(self.out / "trees-0.jsonl")
                try:
                    return record(
                        self.missing(), generators, store, self.settings, shared_prefix=shared, on_tree=on_tree
                    )
                finally:
                    store.close()
            finally:
                for generator in generators:
                    generator.close()

    def alone(self) -> AbstractContextManager[None]:
        """Be the only recording that writes to the folder, its manifest and all its files of trees.

        Raises:
            BankError: another one does.
        """
        return sole_writer(self.out / MANIFEST, error=BankError)

    def bank(self, name: str) -> Bank:
        """Build the bank of all that has been recorded in the folder, with counts over the question texts.

        Raises:
            BankError: the folder holds problems that are not among the session's.
        """
        self.check_selected()
        known = {problem.sha256: problem for selection in self.selections for problem in selection.problems}

        def counts(dataset: str, split: str, index: int, sha256: str) -> tuple[int, int, int, int]:
            return question_counts(known[sha256].question)

        selected = {problem.id for problem in known.values()} if self.drop_duplicates else None
        return bank_from_recording(self.out, name=name, counts=counts, only=selected)

    def _problems_on_disk(self) -> Iterator[dict[str, Any]]:
        for part in sorted(self.out.glob("trees-*.jsonl")):
            for tree in read_trees(part, whole_lines=True):
                yield tree["problem"]
