"""Trained and calibrated routers on the Hugging Face hub, as arrays. ``router_files.load_router`` pulls them."""

from __future__ import annotations

import json
from pathlib import Path

from gym_stepwise_routing.calibration.certificate import CalibratedRouter
from gym_stepwise_routing.calibration.router_files import ROUTER_FILES, SEAL, game_of, load_router
from gym_stepwise_routing.routers.base import Router
from gym_stepwise_routing.storage.hugging_face import REPOSITORY, SCHEME, Reference, push, seal

__all__ = ["model_card", "push_router"]


def push_router(folder: str | Path, reference: str, *, private: bool = False) -> Reference:
    """Put a router on the hub, as a model repository with a card.

    Args:
        folder: the folder of a run or of a calibrated router. The files that hold pickles stay where they are.
        reference: ``owner/name``, or with ``@branch`` a branch that exists.
        private: of a repository that is made.

    Returns:
        What loads this very content again: with commit and content hash.

    Raises:
        ValueError: no reference; no such folder, or a router that is a pickle.
        HubError: no access, no such branch, or no network.
    """
    asked = Reference.parse(reference)
    folder = Path(folder)
    router = load_router(folder) if folder.is_dir() else None
    if router is None or game_of(router) is None:
        raise ValueError(f"router={str(folder)!r}; allowed: the folder of a run, or of a calibrated router")
    there = [name for name in ROUTER_FILES if (folder / name).is_file()]
    content = seal(folder, there)
    made: dict[str, Path | bytes] = {name: folder / name for name in there}
    made[SEAL] = json.dumps({"content_sha256": content}).encode()
    made["README.md"] = model_card(router, asked.repo, content).encode()
    commit = push(made, asked, "model", message=f"Router {router.name}, content {content[:12]}", private=private)
    return Reference(asked.repo, commit, content[:12])


def model_card(router: Router, repo: str, content: str) -> str:
    """The card of a router, Markdown with a YAML header.

    Args:
        router: a trained or calibrated router.
        repo: ``owner/name`` of the repository.
        content: its content hash.
    """
    from huggingface_hub import ModelCardData

    game = game_of(router)
    if game is None:
        raise ValueError(f"router={router.name!r} does not say its game; allowed: a run, or a calibrated router")
    header = ModelCardData(
        library_name="gym-stepwise-routing", tags=["gym-stepwise-routing", "llm-routing", "reinforcement-learning"]
    )
    promise = "No promise: it was not calibrated."
    if isinstance(router, CalibratedRouter):
        promise = f"Promise of its threshold: {router.certificate.promise}"
    return "\n".join(
        [
            f"---\n{header.to_yaml()}\n---",
            f"# {router.name}\n",
            f"A router of [gym-stepwise-routing]({REPOSITORY}): it picks the language model that writes the next "
            "reasoning step. Arrays and JSON; loading it runs no code of its author.\n",
            "```python",
            "from gym_stepwise_routing.calibration.router_files import load_router\n",
            f'router = load_router("{SCHEME}{repo}")',
            "```\n",
            f"- source: {game.source}{' (simulated)' * game.simulated}, content `{game.source_hash or 'none'}`",
            f"- mode {game.mode}, costs in {game.cost_unit}, observation {', '.join(game.observation)}",
            f"- models, smallest first: {', '.join(game.models)}",
            f"- content hash: `{content}`\n",
            f"{promise}\n",
        ]
    )
