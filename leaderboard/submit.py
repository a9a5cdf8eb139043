"""Router to entry: play it on the track, and write down what it did."""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

from gym_stepwise_routing.costs.ledger import as_table
from gym_stepwise_routing.evaluation.evaluate import Evaluation
from gym_stepwise_routing.leaderboard.encoding import decisions_to_text, pack
from gym_stepwise_routing.leaderboard.entry import (
    About,
    Entry,
    Kind,
    Made,
    Played,
    RouterRef,
    Run,
    Selection,
    SweepRecord,
)
from gym_stepwise_routing.leaderboard.entry_figures import compute_figures, play_constants
from gym_stepwise_routing.leaderboard.loading import load_router, with_code
from gym_stepwise_routing.leaderboard.playing import ORACLE, PlayedRouter, play_bound, play_router
from gym_stepwise_routing.leaderboard.track import PLAIN, Track, View, source_of

__all__ = ["ledger_totals", "make_entry", "play_ref"]

_PACKAGES = {"numpy": "numpy", "torch": "torch", "stable_baselines3": "stable-baselines3", "sb3_contrib": "sb3-contrib"}


def make_entry(
    track: Track,
    name: str,
    routers: Sequence[RouterRef],
    about: About,
    *,
    artefacts: Path,
    kind: Kind = "router",
    seeds: Sequence[int] | None = None,
    view: View = PLAIN,
    selection: Selection | None = None,
    trust: bool = False,
) -> Entry:
    """Play routers on a track and write down what they did.

    Args:
        track: the track.
        name: name of the entry.
        routers: the router; several if it was trained with several seeds.
        about: what readers should know.
        artefacts: folder that artefact paths are relative to.
        kind: ``router``; the others are for rows of the board itself.
        seeds: training seeds, one a router; 0, 1, ... if None.
        view: what the routers are shown.
        selection: how thresholds are chosen; None if the routers decide by themselves.
        trust: whether code of unknown origin may run.

    Raises:
        ValueError: an argument out of range; see also :func:`load_router` and :func:`play_router`.
    """
    numbers = tuple(range(len(routers))) if seeds is None else tuple(seeds)
    if not routers or len(numbers) != len(routers):
        raise ValueError(
            f"routers={len(routers)}, seeds={len(numbers)}; allowed: one seed a router, at least one router"
        )
    refs = [with_code(ref) for ref in routers]
    played = [
        play_ref(track, ref, kind=kind, view=view, selection=selection, artefacts=artefacts, trust=trust)
        for ref in refs
    ]
    return Entry(
        name=name,
        kind=kind,
        about=about,
        played=Played(
            track=track.name,
            track_fingerprint=track.fingerprint,
            source_sha256=track.source.sha256,
            split_sha256=track.split_sha256,
            prices_sha256=track.prices_sha256,
            view=view,
        ),
        made=Made(date=datetime.datetime.now(datetime.UTC).date().isoformat(), versions=_versions()),
        selection=selection,
        runs=tuple(_run(track, *each) for each in zip(refs, numbers, played, strict=True)),
        figures=compute_figures(track, name, played, play_constants(track)),
    )


def play_ref(
    track: Track,
    ref: RouterRef,
    *,
    kind: Kind,
    view: View,
    selection: Selection | None,
    artefacts: Path,
    trust: bool,
) -> PlayedRouter:
    """Load a router and play it; a bound is computed instead.

    Raises:
        ValueError: the oracle as anything but a bound, or a bound that is not the oracle.
    """
    if (ref.factory == ORACLE) != (kind == "bound"):
        raise ValueError(f"kind={kind!r} with {ref.factory}; allowed: 'bound' with {ORACLE}, which sees the answers")
    if kind == "bound":
        return play_bound(track)
    return play_router(track, load_router(ref, artefacts, trust=trust), view=view, selection=selection)


def ledger_totals(track: Track, outcome: Evaluation) -> dict[str, dict[str, int]]:
    """Tokens and calls by model and kind, summed over the problems."""
    totals = as_table(outcome.ledger.sum(axis=0), source_of(track).pool)
    return {model: dict(row) for model, row in totals.items()}


def _run(track: Track, ref: RouterRef, seed: int, played: PlayedRouter) -> Run:
    sweep = None
    if played.points:
        decisions = pack(np.stack([point.decisions for point in played.points]))
        sweep = SweepRecord(thresholds=played.thresholds, decisions=decisions)
    return Run(
        router=ref,
        seed=seed,
        threshold=played.threshold,
        decisions=tuple(decisions_to_text(played.outcome.decisions)),
        ledger=ledger_totals(track, played.outcome),
        sweep=sweep,
    )


def _versions() -> dict[str, str]:
    """Python, this package, and what else the router may have used."""
    used = {name: metadata.version(package) for name, package in _PACKAGES.items() if name in sys.modules}
    return {
        "python": platform.python_version(),
        "gym-stepwise-routing": metadata.version("gym-stepwise-routing"),
        **used,
    }
