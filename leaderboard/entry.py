"""Entries: what a submission states. Everything in it can be computed again from the decisions and the bank."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from gym_stepwise_routing.leaderboard.schema import (
    ENTRY_VERSION,
    Address,
    CostUnit,
    FileModel,
    Name,
    Sha256,
    Strict,
    Text,
)
from gym_stepwise_routing.leaderboard.track import PLAIN, View
from gym_stepwise_routing.leaderboard.visible import check_title

__all__ = [
    "About",
    "Artefact",
    "CurveFigures",
    "Entry",
    "Estimate",
    "Figures",
    "Json",
    "Kind",
    "Made",
    "Played",
    "RouterRef",
    "Run",
    "Selection",
    "SweepRecord",
    "UnitFigures",
]

Kind = Literal["router", "reference", "bound"]
"""``router``: decisions are functions of the observation. ``reference``: a yardstick of the board, which may be random.
``bound``: it knows how every branch ends, as no router can."""

Json = str | int | float | bool | None | list["str | int | float | bool | None"]

ImportPath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)*:[A-Za-z_]\w*$", max_length=200)
]
RelativePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_-][\w.-]*(/[A-Za-z0-9_-][\w.-]*)*$", max_length=300)
]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]+$", max_length=1000)]
Value = float | Literal["unreached"]


def _day(value: str) -> str:
    """A day that has been; tomorrow is allowed, because it is today elsewhere."""
    if datetime.date.fromisoformat(value) > datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1):
        raise ValueError(f"{value} is yet to come; allowed: the day on which the entry was made")
    return value


class About(Strict):
    """What readers should know.

    Attributes:
        title: what the board calls the router.
        authors: who made it.
        description: how it decides, in a sentence or two.
        paper: where it is described.
        code: where its code is.
    """

    title: Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(check_title)]
    authors: Text
    description: Text
    paper: Address | None = None
    code: Address | None = None


class Artefact(Strict):
    """Files that a router is loaded from.

    Attributes:
        path: file or folder, relative to the folder of artefacts.
        policy: name of the policy in an ``.npz`` file of several, such as those of the board's own rows on a track.
        files: SHA-256 of each file, by its path relative to ``path``; a single file is named ``.``. Of a policy in a
            file of several: of its arrays, and of the text that says how it was made (``policy_files``).
    """

    path: RelativePath
    policy: Name | None = None
    files: dict[str, Sha256] = Field(min_length=1, max_length=100)


class RouterRef(Strict):
    """How to get the router.

    Attributes:
        factory: ``module:callable`` that makes it.
        kwargs: keyword arguments of the call.
        artefact: files that the callable gets as ``path``.
        code_sha256: hash of the factory's module, if it comes neither with this package nor from an installed one.
    """

    factory: ImportPath
    kwargs: dict[str, Json] = Field(default_factory=dict)
    artefact: Artefact | None = None
    code_sha256: Sha256 | None = None

    @field_validator("kwargs")
    @classmethod
    def _no_files(cls, kwargs: dict[str, Json]) -> dict[str, Json]:
        """Files come as the artefact, whose place, hashes and provenance are checked, by no other way."""
        for name in ("path", "policy"):
            if name in kwargs:
                raise ValueError(f"{name}={kwargs[name]!r}; allowed: other names, files are named by the artefact")
        return kwargs


class Selection(Strict):
    """How the threshold was chosen, by the board, on the calibration split.

    Attributes:
        rule: ``budget``: the most accurate threshold whose mean cost is at most ``value``, in units of always-largest.
            ``accuracy``: the cheapest threshold that is at least ``value`` times as accurate as always-largest.
        value: see ``rule``.
    """

    rule: Literal["budget", "accuracy"]
    value: float = Field(gt=0, le=10)


class SweepRecord(Strict):
    """The router at every threshold of a grid, which was made on the train split.

    Attributes:
        thresholds: ascending, from always-largest to always-smallest.
        decisions: packed ``int8[T, n, H]``, see ``encoding``.
    """

    thresholds: tuple[float, ...] = Field(min_length=2, max_length=100)
    decisions: Annotated[str, StringConstraints(max_length=2**22)]


class Run(Strict):
    """One trained router (or the only one), played on every problem of the track.

    Attributes:
        router: how to get it.
        seed: seed of its training, or of a random reference row.
        threshold: threshold that ``selection`` chose; None if the router decides by itself.
        decisions: one string a problem, all problems of the track's split in its order.
        ledger: tokens and calls by model and kind, summed over the problems.
        sweep: the router along its thresholds, if it has scores.
    """

    router: RouterRef
    seed: int = Field(ge=0)
    threshold: float | None = Field(default=None, ge=0)
    decisions: tuple[Digits, ...] = Field(max_length=100_000)
    ledger: dict[str, dict[str, int]]
    sweep: SweepRecord | None = None


class Estimate(Strict):
    """A figure and its bootstrap interval; ``unreached`` is a cost that no point of the sweep reaches.

    Attributes:
        value: the figure on the problems of the track; with several runs, their mean.
        low: lower limit.
        high: upper limit.
        undefined: resamples in which the figure is undefined, which the limits leave out.
    """

    value: Value
    low: Value
    high: Value
    undefined: int = Field(default=0, ge=0)


class CurveFigures(Strict):
    """Figures of the whole sweep, see ``evaluation.metrics``. None where undefined.

    Attributes:
        apgr: area under the performance gap recovered; mixing the constants at random gives 0.5.
        aiq: area under the concave envelope, an accuracy.
        cpt80: least cost share that recovers 80 % of the gap, the threshold picked on this very split.
        cpt95: the same for 95 %.
    """

    apgr: Estimate | None
    aiq: Estimate | None
    cpt80: Estimate | None
    cpt95: Estimate | None


class UnitFigures(Strict):
    """Figures that depend on the cost unit.

    Attributes:
        raw_cost: mean cost of a problem in the unit.
        cost: the same as a multiple of the track's normaliser.
        gain: accuracy above what mixing the constant models at random attains at the same mean cost.
        curve: figures of the sweep, if there is one.
    """

    raw_cost: float = Field(ge=0)
    cost: Estimate
    gain: Estimate
    curve: CurveFigures | None = None


class Figures(Strict):
    """Every figure that the board shows of an entry.

    Attributes:
        problems: number of problems.
        runs: number of runs.
        resamples: bootstrap resamples behind the intervals.
        level: nominal coverage of the intervals.
        accuracy: share of right answers.
        harm: share of problems that always-largest gets right and the router wrong.
        steps: mean number of decisions.
        units: what depends on the cost unit.
    """

    problems: int
    runs: int
    resamples: int
    level: float
    accuracy: Estimate
    harm: Estimate
    steps: float
    units: dict[CostUnit, UnitFigures]


class Played(Strict):
    """What an entry was obtained on. Each hash is checked by itself, so that a refusal says what differs."""

    track: Name
    track_fingerprint: Sha256
    source_sha256: Sha256
    split_sha256: Sha256
    prices_sha256: Sha256
    view: View = PLAIN


class Made(Strict):
    """When and with what an entry was made: ``versions`` by package, ``date`` ISO 8601."""

    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_day)]
    versions: dict[str, str]


class Entry(FileModel):
    """One router's result on a track.

    Attributes:
        schema_version: version of this schema.
        name: name of the entry, and of its file and page.
        kind: router, reference or bound.
        about: what readers should know.
        played: what it was played on.
        made: when and with what.
        selection: how its thresholds were chosen; None if the router decides by itself.
        runs: one a training seed.
        figures: everything that follows from the runs.
    """

    schema_version: Literal[2] = ENTRY_VERSION
    name: Name
    kind: Kind
    about: About
    played: Played
    made: Made
    selection: Selection | None = None
    runs: tuple[Run, ...] = Field(min_length=1, max_length=20)
    figures: Figures
