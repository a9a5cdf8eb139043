"""Banks on the Hugging Face hub: a bank and its dataset card in one repository. Pulling is :meth:`Bank.open`'s."""

from __future__ import annotations

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.banks.manifest import BANK_FILES, MANIFEST
from gym_stepwise_routing.storage.hugging_face import REPOSITORY, SCHEME, Reference, push
from gym_stepwise_routing.types import SPLITS

__all__ = ["dataset_card", "push_bank"]


def push_bank(bank: Bank, reference: str, *, private: bool = False) -> Reference:
    """Put a bank on the hub, as a dataset repository with a card; every file is read and checked first.

    Args:
        bank: the bank.
        reference: ``owner/name``, or with ``@branch`` a branch that exists.
        private: of a repository that is made.

    Returns:
        What opens this very content again: with commit and content hash.

    Raises:
        ValueError: no reference.
        BankError: a file was changed.
        HubError: no access, no such branch, or no network.
    """
    asked = Reference.parse(reference)
    for name in BANK_FILES:
        bank.read(name)
    files = {name: bank.path / name for name in (MANIFEST, *BANK_FILES)}
    commit = push(
        files | {"README.md": dataset_card(bank, asked.repo).encode()},
        asked,
        "dataset",
        message=f"Bank {bank.name}, content {bank.hash[:12]}",
        private=private,
    )
    return Reference(asked.repo, commit, bank.hash[:12])


def dataset_card(bank: Bank, repo: str) -> str:
    """The card of a bank, Markdown with a YAML header.

    Args:
        bank: the bank.
        repo: ``owner/name`` of the repository.
    """
    from huggingface_hub import DatasetCardData

    manifest = bank.manifest
    header = DatasetCardData(
        license="other",
        license_name=manifest.licence,
        pretty_name=manifest.name,
        tags=["gym-stepwise-routing", "llm-routing", "simulated" if manifest.simulated else "recorded"],
        configs=[
            {"config_name": "problems", "data_files": "problems.parquet", "default": True},
            {"config_name": "nodes", "data_files": "nodes.parquet"},
            {"config_name": "texts", "data_files": "texts.parquet"},
        ],
    )
    splits = ", ".join(f"{split} {len(bank.split_problems(split))}" for split in SPLITS)
    origin = (
        "**Simulated:** no language model wrote these traces." if manifest.simulated else "Recorded from real models."
    )
    rows = [
        f"| {model.name} | {'unknown' if model.parameters is None else f'{model.parameters:.3g}'} |"
        for model in bank.pool.rows
    ]
    problems = [f"- {name}: {entry.source}; licence {entry.licence}" for name, entry in manifest.datasets.items()]
    return "\n".join(
        [
            f"---\n{header.to_yaml()}\n---",
            f"# {manifest.name}\n",
            f"{manifest.description}\n",
            f"{origin} A bank of [gym-stepwise-routing]({REPOSITORY}): recorded routing "
            "trees, on which any router of reasoning steps can be played exactly.\n",
            "```python",
            "import gymnasium as gym",
            "import gym_stepwise_routing\n",
            f'env = gym.make("StepwiseRouting-v0", source="{SCHEME}{repo}", mode="{manifest.modes[0]}")',
            "```\n",
            f"- problems: {len(bank.problems)} ({splits}); nodes: {len(bank.nodes)}; horizon: {manifest.horizon} steps",
            f"- modes: {', '.join(manifest.modes)}; grader: {manifest.grader.name}, version {manifest.grader.version}",
            f"- licence of the traces: {manifest.licence}",
            f"- content hash: `{bank.hash}`",
            f"- written by: {manifest.created_with}\n",
            "| model, smallest first | parameters |\n| --- | --- |",
            *rows,
            "\nWhere the problems come from (question texts are not stored):\n",
            *problems,
            "",
        ]
    )
