"""Tracks: what a leaderboard ranks on.

A track is a bank (by content hash) or a simulator preset, a split, a mode and a cost unit, with the cost normalisation
and the price table frozen: scores do not move when entries join. Tracks are data, one JSON file each in ``tracks/``.
The figures in them are measured, never typed: ``stepwise-routing leaderboard refresh`` writes them anew when the bank
has changed, which makes another track of it, with another fingerprint.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units import COST_UNITS, available_units, reported_units
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.normaliser import always_largest_cost
from gym_stepwise_routing.leaderboard.faults import StaleTrackError
from gym_stepwise_routing.leaderboard.schema import (
    TRACK_VERSION,
    CostUnit,
    FileModel,
    Name,
    Sha256,
    Strict,
    Text,
    sha256_of,
)
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.storage.former_names import check_former
from gym_stepwise_routing.storage.strict_json import to_json
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Block, Mode, Split

__all__ = [
    "PLAIN",
    "TRACKS",
    "SourceRef",
    "Track",
    "TrackSpec",
    "View",
    "game_of",
    "measure",
    "open_track",
    "source_of",
    "track_names",
]

_DRAWS = "by seed, problem, depth and model"
"""How a simulator's luck comes about; results under another rule cannot be compared."""
TRACKS = Path(__file__).parent / "tracks"
"""The tracks that come with the package."""


class View(Strict):
    """What a router is shown.

    Attributes:
        observation: blocks of the observation; probes and verifier are charged.
        budget: budget that is shown to it, where always-largest costs 1; nothing happens if it is exceeded.
    """

    observation: tuple[Block, ...] = Field(default=DEFAULT_BLOCKS, min_length=1)
    budget: float | None = Field(default=None, gt=0)


PLAIN = View()
"""The default blocks, no budget."""


class TrackSpec(Strict):
    """What a person decides about a track.

    Attributes:
        name: name of the track, and of its file and page.
        title: what the page is called.
        description: a few sentences for readers.
        source: bundled bank or simulator preset.
        split: the split that is ranked on.
        mode: what an action means.
        cost_unit: the unit of the ranking, and of the costs that routers observe.
        seed: seed of a random source; it fixes the luck of every problem, so that it is the same for all routers.
        sample: number of problems that a simulator draws for each split; None for a bank, which has what was recorded.
    """

    name: Name
    title: Text
    description: Text
    source: Text
    split: Split
    mode: Mode
    cost_unit: CostUnit
    seed: int = Field(default=0, ge=0)
    sample: int | None = Field(default=None, ge=2)


class SourceRef(Strict):
    """Which source, in which state.

    Attributes:
        kind: recorded trees, or a simulator preset.
        name: its name.
        sha256: hash of its content; of a preset, of its parameters and of how it draws.
    """

    kind: Literal["bank", "simulator"]
    name: Text
    sha256: Sha256


class Track(FileModel):
    """A track as frozen in its file.

    Attributes:
        schema_version: version of this schema.
        spec: what a person decided.
        source: the source at the time of freezing.
        split_sha256: hash over the ids of the split's problems and the source's content.
        problems: number of problems.
        models: names of the pool, smallest first.
        prices_sha256: hash over everything about the models that costs depend on.
        normalisers: by cost unit, the mean cost of always-largest: normalised costs are multiples of it.
        simulated: whether the figures come from a random process instead of language models.
        fingerprint: hash over all of the above but the texts for readers.
    """

    schema_version: Literal[1] = TRACK_VERSION
    spec: TrackSpec
    source: SourceRef
    split_sha256: Sha256
    problems: int = Field(ge=2)
    models: tuple[Text, ...]
    prices_sha256: Sha256
    normalisers: dict[CostUnit, float]
    simulated: bool
    fingerprint: Sha256

    @property
    def name(self) -> str:
        """Name of the track."""
        return self.spec.name

    @property
    def units(self) -> tuple[CostUnit, ...]:
        """The cost units that entries report: the track's own one first."""
        own = self.spec.cost_unit
        return (own, *(unit for unit in COST_UNITS if unit in self.normalisers and unit != own))

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def computed_fingerprint(self) -> str:
        """Hash over what a result depends on."""
        content = self.model_dump(mode="json", exclude={"fingerprint": True, "spec": {"title", "description"}})
        return sha256_of(content)


def measure(spec: TrackSpec) -> Track:
    """Freeze a track: hashes and normalisers of its source as it is now.

    Raises:
        ValueError: an unknown source, mode or unit, or a source that has no fixed content, such as a live one.
    """
    source = _resolve(spec)
    problems = source.problems(spec.split)
    check_choice("cost_unit", spec.cost_unit, available_units(source.pool))
    check_choice("mode", spec.mode, source.modes)
    ref = _source_ref(source)
    ids = sorted(source.problem_ids(problems))
    track = Track(
        spec=spec,
        source=ref,
        split_sha256=sha256_of([ref.sha256, spec.split, ids]),
        problems=len(problems),
        models=source.pool.names,
        prices_sha256=_prices(source.pool),
        normalisers=dict(_normalisers(spec, ref.sha256, ref.kind == "bank")),
        simulated=source.simulated,
        fingerprint="0" * 64,
    )
    return track.model_copy(update={"fingerprint": track.computed_fingerprint()})


def track_names(folder: Path = TRACKS) -> tuple[str, ...]:
    """Names of the tracks in a folder."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def open_track(name: str, folder: Path = TRACKS) -> Track:
    """A track, checked against its source.

    Raises:
        ValueError: no such track, one by a former name, or one whose file was edited.
        StaleTrackError: the source has another content than the one that the track was frozen on.
    """
    check_former("track", name)
    check_choice("track", name, track_names(folder))
    path = folder / f"{name}.json"
    track = Track.read(path)
    if track.name != name:
        raise ValueError(f"{path}: spec.name={track.name!r}; allowed: the file's own name, {name!r}")
    if track.computed_fingerprint() != track.fingerprint:
        raise ValueError(f"{path}: fingerprint {track.fingerprint} does not belong to its content: it was edited")
    if changed := _difference(track, measure(track.spec)):
        raise StaleTrackError(
            f"track {name!r} was frozen on another {track.source.kind} {track.source.name!r}: {changed}. "
            "If the change is meant, freeze it anew: stepwise-routing leaderboard refresh"
        )
    return track


def source_of(track: Track, split: Split | None = None) -> StepSource:
    """The source of a track; the same object each time, so that games share what is read from disk.

    Args:
        track: the track.
        split: what it is for. A simulator's training problems are drawn anew in every episode, since with the luck of
            each fixed, a router could learn the luck; all other splits have the luck that the track's seed fixes.
    """
    return _resolved(track.spec, track.source.sha256, not track.simulated or split != "train")


def game_of(
    track: Track,
    view: View = PLAIN,
    *,
    split: Split | None = None,
    mode: Mode | None = None,
    cost_unit: CostUnit | None = None,
    source: StepSource | None = None,
    masked_action: Literal["error", "project"] = "project",
) -> Game:
    """The game of a track.

    Args:
        track: the track.
        view: what the router is shown.
        split: another split of the same source, for choosing thresholds; costs keep the track's normalisation.
        mode: another mode, for the constant models.
        cost_unit: another unit of the costs.
        source: stands in for the track's source, for example with its problems in another order.
        masked_action: ``error`` where decisions were recorded, ``project`` where a router may not know the masks.
    """
    unit = cost_unit or track.spec.cost_unit
    return Game(
        source_of(track, split) if source is None else source,
        split=split or track.spec.split,
        mode=mode or track.spec.mode,
        cost_unit=unit,
        observation=view.observation,
        budget=view.budget,
        masked_action=masked_action,
        normaliser=track.normalisers[unit],
    )


@cache
def _normalisers(spec: TrackSpec, sha256: str, keyed: bool) -> tuple[tuple[CostUnit, float], ...]:
    source = _resolved(spec, sha256, keyed)
    problems = source.problems(spec.split)
    units = reported_units(source.pool, spec.cost_unit)
    return tuple((unit, always_largest_cost(source, problems, unit)) for unit in units)


@cache
def _resolved(spec: TrackSpec, sha256: str, keyed: bool) -> StepSource:
    return _resolve(spec, keyed=keyed)


def _resolve(spec: TrackSpec, *, keyed: bool = True) -> StepSource:
    """The source as it is now; of a simulator, with the luck of every problem fixed or drawn anew."""
    source = resolve(spec.source)
    if isinstance(source, SimulatorSource):
        size = source.size if spec.sample is None else spec.sample
        return SimulatorSource(source.parameters, problems=size, key=spec.seed if keyed else None)
    if spec.sample is not None:
        raise ValueError(f"sample={spec.sample} with {source.kind} {source.name!r}; allowed: None, but for simulators")
    return source


def _source_ref(source: StepSource) -> SourceRef:
    if isinstance(source, BankSource):
        return SourceRef(kind="bank", name=source.name, sha256=source.bank.hash)
    if isinstance(source, SimulatorSource):
        # A change of the process itself shows in the normalisers.
        content = {"parameters": to_json(source.parameters), "draws": _DRAWS}
        return SourceRef(kind="simulator", name=source.name, sha256=sha256_of(content))
    raise ValueError(f"source={source.name!r} is {source.kind}; allowed: a bank or a simulator preset")


def _prices(pool: ModelPool) -> str:
    figures = ("name", "parameters", "price", "latency")
    return sha256_of([{key: to_json(model)[key] for key in figures} for model in pool.rows])


def _difference(frozen: Track, now: Track) -> str | None:
    for key in ("source", "split_sha256", "problems", "models", "prices_sha256", "simulated"):
        if getattr(frozen, key) != getattr(now, key):
            return f"{key} was {getattr(frozen, key)}, and is {getattr(now, key)}"
    # Sums may differ in the last bits between machines, so the frozen figures are compared with a tolerance.
    same = frozen.normalisers.keys() == now.normalisers.keys() and all(
        math.isclose(value, now.normalisers[unit], rel_tol=1e-9) for unit, value in frozen.normalisers.items()
    )
    return None if same else f"normalisers were {frozen.normalisers}, and are {now.normalisers}"
