"""A bank: recorded routing trees, in memory as arrays. The one door to the files on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gym_stepwise_routing.banks.arrays import Nodes, Problems, RowError, node_columns
from gym_stepwise_routing.banks.bank_tables import MappedTable, bank_schemas, check_file, open_table
from gym_stepwise_routing.banks.checks import check_nodes, check_problems
from gym_stepwise_routing.banks.manifest import BANK_FILES, MANIFEST, Manifest
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.errors import BankError, check_choice
from gym_stepwise_routing.registry import Registry
from gym_stepwise_routing.storage import hugging_face
from gym_stepwise_routing.storage.former_names import check_former
from gym_stepwise_routing.types import SPLITS, TOKEN_CLASS_FIGURES, Split

__all__ = ["BANKS", "Bank", "BundledBank"]

_BATCH = 1 << 15
"""Rows of the nodes that are decoded at a time: what is decoded stays in a cache, and takes little memory."""


def _parts(file: MappedTable, columns: list[str]) -> Iterator[pa.Table]:
    for batch in file.iter_batches(_BATCH, columns=columns, use_threads=False):
        yield pa.Table.from_batches([batch])
        file.forget()


def _data_directory() -> Path:
    return Path(str(resources.files("gym_stepwise_routing"))) / "data"


@dataclass(frozen=True, slots=True)
class BundledBank:
    """A bank that comes with the package.

    Attributes:
        path: its folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """Its name: that of the folder."""
        return self.path.name

    @property
    def manifest(self) -> Manifest:
        """What is stated of it."""
        return Manifest.load(self.path / MANIFEST)


BANKS: Registry[BundledBank] = Registry(
    "bank",
    BundledBank,
    builtin=lambda: [BundledBank(path.parent) for path in _data_directory().glob(f"*/{MANIFEST}")],
)
"""The banks that come with the package."""


def _locate(path_or_name: str | Path) -> Path:
    """Directory of a bank. A string that names a bundled bank is that bank, whatever folder lies about."""
    if isinstance(path_or_name, str) and hugging_face.is_reference(path_or_name):
        return hugging_face.pull(
            hugging_face.Reference.parse(path_or_name), "dataset", [MANIFEST, *BANK_FILES], needed=[MANIFEST]
        )
    if isinstance(path_or_name, str) and path_or_name in BANKS:
        return BANKS.get(path_or_name).path
    try:
        check_former("bank", path_or_name)
    except ValueError as error:
        raise BankError(str(error)) from None
    path = Path(path_or_name)
    if str(path_or_name) and path.is_dir():  # the path '' would be the working directory
        return path
    raise BankError(
        f"bank={str(path_or_name)!r} is neither a directory nor a bundled bank; bundled: {', '.join(BANKS)}"
    )


@dataclass(frozen=True, eq=False, repr=False)
class Bank:
    """Recorded routing trees of ``P`` problems, ``N`` nodes and ``K`` models. All arrays are read-only.

    Example:
        >>> bank = Bank.open("gsm8k-qwen2.5-coder")
        >>> root = bank.problems.root[bank.split_problems("test")[0]]
        >>> draft = bank.child[root, 0]  # the trace after the smallest model's first step
        >>> bank.text(draft)
        'The number of eggs Janet eats every morning is 16 * 3 = 48 eggs.'

    Attributes:
        path: directory that it was read from.
        manifest: what was recorded, how, and with which models.
        problems: the problems, see :class:`gym_stepwise_routing.banks.arrays.Problems`.
        nodes: the nodes, see :class:`gym_stepwise_routing.banks.arrays.Nodes`; the most used of its arrays are
            attributes of the bank as well.
        verify: whether files are checked against their hashes when they are read.
    """

    path: Path
    manifest: Manifest
    problems: Problems
    nodes: Nodes
    verify: bool = True

    @classmethod
    def open(cls, path_or_name: str | Path, *, verify: bool = True) -> Self:
        """Read a bank.

        Args:
            path_or_name: name of a bundled bank, directory of a bank, or ``"hf://owner/name[@revision][#hash]"`` for
                one on the Hugging Face hub (extra ``hub``). A ``Path``, or ``"./name"``, is never a name.
            verify: check sizes, hashes and structure. Without it only the manifest, the columns and the row counts are
                checked: for a bank that this process has just written.

        Raises:
            BankError: no such bank, or one fault found; the message names the file and the fault.
            HubError: the hub does not give it, or its content hash is another than the reference says.
        """
        path = _locate(path_or_name)
        manifest = Manifest.load(path / MANIFEST)
        if isinstance(path_or_name, str) and hugging_face.is_reference(path_or_name):
            hugging_face.Reference.parse(path_or_name).check(manifest.content_sha256)
        models = len(manifest.models)
        answered = manifest.environment is not None
        schemas = bank_schemas(models, answered=answered)

        def table(name: str) -> Any:
            return open_table(path / name, manifest.files[name], schemas[name], verify=verify)

        texts = path / "texts.parquet"
        check_file(texts, manifest.files[texts.name], verify=verify)
        try:
            # no threads: they would be left behind, and a child that is forked later could hang in its next read
            with table("problems.parquet") as file:
                problems = Problems.of(file.read(use_threads=False), models)
            with table("nodes.parquet") as file:
                classed = TOKEN_CLASS_FIGURES[0] in file.schema_arrow.names
                columns = node_columns(models, answered=answered, classed=classed)
                parts = _parts(file, columns)
                nodes = Nodes.of(parts, file.metadata.num_rows, models, answered=answered, classed=classed)
            pa.default_memory_pool().release_unused()  # what decoding took, before the checks need memory of their own
            if manifest.files[texts.name].rows != len(nodes):
                raise BankError(f"{texts}: {manifest.files[texts.name].rows} rows; allowed: {len(nodes)}, one a node")
            if verify:
                check_problems(problems, manifest.split_rule, manifest.prompt.shared_prefix_tokens)
                check_nodes(nodes, problems, manifest.horizon, partial=manifest.served is not None)
        except RowError as error:
            raise BankError(f"{path / error.table}.parquet: row {error.row}: {error.fault}") from None
        return cls(path=path, manifest=manifest, problems=problems, nodes=nodes, verify=verify)

    def read(self, name: str) -> pa.Table:
        """One of the files on disk, all columns and as recorded, checked against its hash.

        Args:
            name: a key of ``manifest.files``.

        Raises:
            ValueError: no such file in a bank.
            BankError: the file is missing or changed.
        """
        check_choice("name", name, self.manifest.files)
        answered = self.manifest.environment is not None
        schema = bank_schemas(len(self.manifest.models), answered=answered)[name]
        with open_table(self.path / name, self.manifest.files[name], schema, verify=self.verify) as file:
            return file.read(use_threads=False)

    @property
    def name(self) -> str:
        """Name of the bank."""
        return self.manifest.name

    @property
    def hash(self) -> str:
        """SHA-256 over the manifest and the hashes of the files, hence over the whole content."""
        return self.manifest.content_sha256

    @cached_property
    def pool(self) -> ModelPool:
        """The models, smallest first."""
        return self.manifest.pool

    @property
    def child(self) -> NDArray[np.int32]:
        """``int32[N, K]``: node after each model's next step, -1 where that was not recorded."""
        return self.nodes.child

    @property
    def tokens(self) -> NDArray[np.int32]:
        """``int32[N]``: tokens of the last step."""
        return self.nodes.tokens

    @property
    def model(self) -> NDArray[np.int32]:
        """``int32[N]``: model that wrote the last step, -1 at a root."""
        return self.nodes.model

    @property
    def depth(self) -> NDArray[np.int32]:
        """``int32[N]``: steps so far."""
        return self.nodes.depth

    @property
    def terminal(self) -> NDArray[np.bool_]:
        """``bool[N]``: the trace has ended."""
        return self.nodes.terminal

    @property
    def correct(self) -> NDArray[np.bool_]:
        """``bool[N]``: the final answer is right; False where the trace has not ended."""
        return self.nodes.correct

    @property
    def confidence(self) -> NDArray[np.float32]:
        """``float32[N, 9]`` in the order of ``sources.base.CONFIDENCE``, NaN where missing."""
        return self.nodes.confidence

    @property
    def score(self) -> NDArray[np.float32]:
        """``float32[N]``: verifier score, NaN where missing."""
        return self.nodes.score

    @cached_property
    def problem_ids(self) -> tuple[str, ...]:
        """Public id of each problem, such as ``gsm8k/test/17``."""
        return tuple(self.problems.ids())

    @cached_property
    def _splits(self) -> dict[str, NDArray[np.int64]]:
        stored = np.asarray(self.problems.split.to_pylist())
        return {split: np.flatnonzero(stored == split) for split in SPLITS}

    def split_problems(self, split: Split) -> NDArray[np.int64]:
        """Problems of a split, ``int64[n]``, ascending.

        Raises:
            ValueError: unknown split.
        """
        check_choice("split", split, SPLITS)
        return self._splits[split]

    def split_hash(self, split: Split) -> str:
        """SHA-256 over the sorted ids of the split's problems and the content hash: what a result was obtained on."""
        ids = sorted(self.problem_ids[problem] for problem in self.split_problems(split))
        return hashlib.sha256("\n".join([self.hash, *ids]).encode()).hexdigest()

    @cached_property
    def _texts(self) -> pa.Table:
        # Most uses never look at a text, so that file, checked when the bank was opened, is decoded when somebody does.
        return self.read("texts.parquet")

    def text(self, row: int) -> str | None:
        """Text of the step that ends in node ``row``; None at a root, or where it was not recorded.

        Raises:
            BankError: ``texts.parquet`` is missing or changed.
        """
        return self._cell("text", row)

    def final_answer(self, row: int) -> str | None:
        """Answer that was read from the trace of node ``row``; None if it has not ended, or ended without one."""
        return self._cell("final_answer", row)

    def ending(self, row: int) -> str | None:
        """Why the trace of node ``row`` ended; None if it has not, or where nobody kept it."""
        return self._cell("ending", row) if "ending" in self._texts.column_names else None

    def _cell(self, column: str, row: int) -> str | None:
        cell: str | None = self._texts[column][int(row)].as_py()
        return cell

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Nothing in a bank can change, and gymnasium.make deep-copies its arguments.
        return self

    def __repr__(self) -> str:
        return f"Bank({self.name!r}, {len(self.problems)} problems, {len(self.nodes)} nodes, {self.pool})"
