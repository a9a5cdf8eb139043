"""The manifest of a bank, ``bank.json``: what was recorded, with which models, from which problems, and its hashes.

A *recipe* is the part that a person writes down (models, prompt, decoding, licences, split rule); a *manifest* is a
recipe plus what the importer found out (row counts, hashes). The recipe of a bundled bank lies in ``data/recipes``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from gym_stepwise_routing.banks.accounts import Asked, Endings, Served
from gym_stepwise_routing.banks.splits import SplitRule
from gym_stepwise_routing.costs.models import Model, ModelPool
from gym_stepwise_routing.errors import BankError
from gym_stepwise_routing.storage.strict_json import ABSENT_IF_NONE, canonical_json, decode, read_json, to_json
from gym_stepwise_routing.types import MAX_HORIZON, MODES, Mode

__all__ = [
    "BANK_FILES",
    "FORMAT_VERSION",
    "MANIFEST",
    "Asked",
    "Dataset",
    "Decoding",
    "Endings",
    "FileEntry",
    "Grader",
    "Manifest",
    "Prompt",
    "Recipe",
    "Served",
    "StepRule",
]

FORMAT_VERSION = 1
MANIFEST = "bank.json"
BANK_FILES = ("problems.parquet", "nodes.parquet", "texts.parquet")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _check_sha256(parameter: str, value: str) -> None:
    if not _SHA256.fullmatch(value):
        raise ValueError(f"{parameter}={value!r}; allowed: 64 lower-case hexadecimal digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The prompt in front of every trace.

    Args:
        template_sha256: hash of the template's UTF-8 text.
        template: the text itself, with ``{question}`` where the question goes; None if it may not be given away.
        shared_prefix_tokens: per model, how many prompt tokens are the same for every problem (the few-shot head).
    """

    template_sha256: str
    template: str | None
    shared_prefix_tokens: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_sha256("prompt.template_sha256", self.template_sha256)
        if self.template is not None and hashlib.sha256(self.template.encode()).hexdigest() != self.template_sha256:
            raise ValueError("prompt.template does not have the sha256 that prompt.template_sha256 gives")
        if any(tokens < 0 for tokens in self.shared_prefix_tokens):
            raise ValueError(f"prompt.shared_prefix_tokens={self.shared_prefix_tokens!r}; allowed: integers >= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How the steps were decoded.

    Args:
        temperature: 0 is greedy.
        max_tokens: most tokens of one generation.
        stop: strings at which a generation ends.
        top_logprobs: log-probabilities recorded per token; the confidence figures come from them.
        form: raw completion, or chat template.
        engine: software, its version, and the arithmetic.
    """

    temperature: float
    max_tokens: int
    stop: tuple[str, ...]
    top_logprobs: int
    form: Literal["completion", "chat"]
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRule:
    """Where a step ends: at ``separator``, with ``note`` for what that does not say."""

    separator: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grader:
    """What decided whether a final answer is right.

    Args:
        name: what it is, and in which version.
        version: version of this entry.
        asked: what a judge was asked, where another model decided; None: no model did.
    """

    name: str
    version: str
    asked: Asked | None = field(default=None, metadata=ABSENT_IF_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Source and licence of the problems of one dataset; the texts themselves are never part of a bank.

    Args:
        question_field: field of the official file that holds the question; ``question_sha256`` hashes its UTF-8 text.
        source: where the problems come from, for people.
        licence: SPDX identifier, as stated by the source.
        max_table_characters: problems with longer tables were left out; None: none were for their tables.
    """

    question_field: str
    source: str
    licence: str
    max_table_characters: int | None = field(default=None, metadata=ABSENT_IF_NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """Hash (SHA-256, hexadecimal), size and number of rows of one file of a bank."""

    sha256: str
    bytes: int
    rows: int

    def __post_init__(self) -> None:
        _check_sha256("sha256", self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a person states about a bank.

    Args:
        name: name of the bank.
        description: one or two sentences for ``stepwise-routing bank info``.
        simulated: True if any figure comes from a random process instead of a language model.
        models: the pool, smallest first.
        verifier: the model that scored the steps, if one did.
        prompt: the prompt.
        decoding: how steps were decoded.
        step_rule: where a step ends.
        horizon: most steps of a trace.
        recorded_mode: the action semantics whose traces are all in the bank (``route`` and ``regenerate`` cover
            all: they need every model's next step at every prefix; ``escalate`` covers ``restart``, for which each
            model's whole run from the start is enough). With ``served``: the mode that was served.
        grader: what graded the answers.
        datasets: where the problems come from, by the name in ``gym_stepwise_routing.datasets`` or a name of one's own.
        split_rule: which problem belongs to which split.
        command: the command that builds the bank from its recording.
        licence: SPDX identifier of the recording itself.
        served: where the traces come from, if from a log; then few of the mode's traces are in the bank.
        endings: how the traces ended, by model; None: nobody counted.
        samples: steps drawn of each model at each prefix; None: one, and decoding is greedy. The pool then has a model
            for each sample, ``NAME#1`` to ``NAME#N`` one after the other, and is played as a random source of the
            models: each step is one of the samples, all alike likely.
        environment: what answered the steps, where they are actions; the nodes then have the columns of
            :data:`gym_stepwise_routing.banks.bank_tables.ANSWERS`. None: steps are text that nobody answers.
    """

    name: str
    description: str
    simulated: bool
    models: tuple[Model, ...]
    verifier: Model | None = None
    prompt: Prompt
    decoding: Decoding
    step_rule: StepRule
    horizon: int
    recorded_mode: Mode
    grader: Grader
    datasets: Mapping[str, Dataset]
    split_rule: SplitRule
    command: str
    licence: str
    served: Served | None = field(default=None, metadata=ABSENT_IF_NONE)
    endings: Mapping[str, Endings] | None = field(default=None, metadata=ABSENT_IF_NONE)
    environment: str | None = field(default=None, metadata=ABSENT_IF_NONE)
    samples: int | None = field(default=None, metadata=ABSENT_IF_NONE)

    def __post_init__(self) -> None:
        pool = self.pool
        if len(self.prompt.shared_prefix_tokens) != len(pool):
            raise ValueError(
                f"prompt.shared_prefix_tokens={list(self.prompt.shared_prefix_tokens)!r}; allowed: one for each of the "
                f"{len(pool)} models"
            )
        if self.samples is not None and (self.samples < 2 or len(pool) % self.samples or self.verifier is not None):
            raise ValueError(f"samples={self.samples!r}; allowed: 2 or more, as many of each model, and no verifier")
        if not 1 <= self.horizon <= MAX_HORIZON:
            raise ValueError(f"horizon={self.horizon!r}; allowed: 1 to {MAX_HORIZON}")

    @property
    def pool(self) -> ModelPool:
        """The models as a pool."""
        return ModelPool(self.models, self.verifier)

    @property
    def played(self) -> ModelPool:
        """The models that a router chooses from: the pool, with one model for all of its samples."""
        if self.samples is None:
            return self.pool
        return ModelPool([replace(m, name=m.name.rpartition("#")[0]) for m in self.models[:: self.samples]])

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that the bank can be played in: those whose every trace was recorded, or that was served."""
        if self.served is not None:
            return (self.recorded_mode,)
        return {"escalate": ("escalate", "restart"), "restart": ("restart",)}.get(self.recorded_mode, MODES)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Recipe in a JSON file.

        Raises:
            BankError: missing file, or unknown, missing or wrong key; the message names file and key.
        """
        path = Path(path)
        recipe: Recipe = decode(Recipe, read_json(path, BankError), path, error=BankError)
        return recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Recipe):
    """A recipe plus what the importer found out.

    Args:
        format_version: version of the bank format.
        created_with: versions of this package and of pyarrow.
        files: the Parquet files of the bank, by name.
        content_sha256: hash over everything else in the manifest, hence over every byte of the bank.
    """

    format_version: int
    created_with: str
    files: Mapping[str, FileEntry]
    content_sha256: str

    def __post_init__(self) -> None:
        Recipe.__post_init__(self)
        if self.format_version != FORMAT_VERSION:
            raise ValueError(f"format_version={self.format_version!r}; allowed: {FORMAT_VERSION}")
        if set(self.files) != set(BANK_FILES):
            raise ValueError(f"files={sorted(self.files)!r}; allowed: exactly {', '.join(BANK_FILES)}")

    @property
    def recipe(self) -> Recipe:
        """The part that a person stated."""
        return Recipe(**{entry.name: getattr(self, entry.name) for entry in fields(Recipe)})

    @classmethod
    def seal(cls, recipe: Recipe, *, created_with: str, files: Mapping[str, FileEntry]) -> Manifest:
        """Manifest of a recipe and the files that were written, with its content hash."""
        stated = {entry.name: getattr(recipe, entry.name) for entry in fields(Recipe)}
        open_manifest = cls(
            **stated, format_version=FORMAT_VERSION, created_with=created_with, files=files, content_sha256=""
        )
        stated |= {"format_version": FORMAT_VERSION, "created_with": created_with, "files": files}
        return cls(**stated, content_sha256=open_manifest.computed_sha256())

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Manifest in ``path`` (a ``bank.json``), its content hash checked.

        Raises:
            BankError: missing file; unknown, missing or wrong key; changed content. The message names file and key.
        """
        path = Path(path)
        manifest: Manifest = decode(Manifest, read_json(path, BankError), path, error=BankError)
        if manifest.computed_sha256() != manifest.content_sha256:
            raise BankError(
                f"{path}: content_sha256 is {manifest.content_sha256!r}, but the manifest hashes to "
                f"{manifest.computed_sha256()!r}: it was changed after it was written"
            )
        return manifest

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``bank.json``."""
        plain: dict[str, Any] = to_json(self)
        return plain

    def computed_sha256(self) -> str:
        """Hash over the manifest without ``content_sha256``, as canonical JSON."""
        plain = self.as_json()
        del plain["content_sha256"]
        return hashlib.sha256(canonical_json(plain)).hexdigest()
