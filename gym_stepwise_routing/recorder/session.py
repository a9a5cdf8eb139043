"""A whole recording session: load the models, seal the manifest, record what is missing, build the bank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.banks.questions import question_counts
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.generators.base import Generator, shared_prefix_tokens
from gym_stepwise_routing.generators.specs import GeneratorSpec, pool_model
from gym_stepwise_routing.recorder.grow import RecordingStats
from gym_stepwise_routing.recorder.manifest import recording_manifest, seal_manifest
from gym_stepwise_routing.recorder.record import record
from gym_stepwise_routing.recorder.selection import Selection, interleaved
from gym_stepwise_routing.recorder.settings import RecordingSettings
from gym_stepwise_routing.recorder.store import TreeStore, read_trees
from gym_stepwise_routing.recorder.to_bank import bank_from_recording

__all__ = ["RecordingSession"]


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

    Raises:
        ValueError: fewer than two models, no problems, or selections that are graded in different ways.
    """

    specs: tuple[GeneratorSpec, ...]
    selections: tuple[Selection, ...]
    settings: RecordingSettings
    out: Path
    command: str
    licence: str

    def __post_init__(self) -> None:
        if len(self.specs) < 2:
            raise ValueError(f"models={[spec.model for spec in self.specs]!r}; allowed: at least 2, smallest first")
        gradings = {selection.grading for selection in self.selections}
        if gradings != {self.settings.grading}:
            raise ValueError(f"grading of the datasets is {sorted(gradings)}; allowed: one, {self.settings.grading!r}")

    def missing(self) -> int:
        """How many of the problems have no tree yet."""
        done = self._recorded()
        return sum(problem.id not in done for problem in interleaved(self.selections))

    def seal(self, generators: Sequence[Generator]) -> None:
        """Write the manifest, or check that the recording in the folder was made in the same way."""
        infos = [generator.info() for generator in generators]
        manifest = recording_manifest(
            settings=self.settings,
            models=[
                pool_model(spec, generator.name, info)
                for spec, generator, info in zip(self.specs, generators, infos, strict=True)
            ],
            generators=infos,
            shared_prefix=[shared_prefix_tokens(generator, self.settings.prompt.head) for generator in generators],
            datasets={selection.name: selection.dataset for selection in self.selections},
            command=self.command,
            licence=self.licence,
        )
        seal_manifest(self.out, manifest)

    def run(self, *, on_tree: Callable[[RecordingStats, dict[str, Any]], None] | None = None) -> RecordingStats:
        """Record in this process; raises as :func:`gym_stepwise_routing.recorder.record.record` does."""
        generators = [spec.build() for spec in self.specs]
        try:
            self.seal(generators)
            store = TreeStore(self.out / "trees-0.jsonl")
            try:
                done = self._recorded()
                problems = [problem for problem in interleaved(self.selections) if problem.id not in done]
                return record(problems, generators, store, self.settings, on_tree=on_tree)
            finally:
                store.close()
        finally:
            for generator in generators:
                generator.close()

    def bank(self, name: str) -> Bank:
        """Build the bank of all that has been recorded in the folder, with counts over the question texts.

        Raises:
            BankError: the folder holds problems that are not among the session's.
        """
        known = {problem.sha256: problem for selection in self.selections for problem in selection.problems}

        def counts(dataset: str, split: str, index: int, sha256: str) -> tuple[int, int, int, int]:
            if sha256 not in known:
                raise BankError(f"{self.out}: {dataset}/{split}/{index} is recorded there but not selected here")
            return question_counts(known[sha256].question)

        return bank_from_recording(self.out, name=name, counts=counts)

    def _recorded(self) -> set[str]:
        """Ids of all complete trees in the folder; a line that a kill cut short does not count."""
        found = set()
        for part in sorted(self.out.glob("trees-*.jsonl")):
            for tree in read_trees(part, whole_lines=True):
                problem = tree["problem"]
                found.add(f"{problem['dataset']}/{problem['split']}/{problem['index']}")
        return found
