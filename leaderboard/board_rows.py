"""The board's own rows, as data: ``leaderboard/rows.json`` of the repository, which is not installed."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gym_stepwise_routing.leaderboard.entry import About, Entry, Kind, RouterRef, Selection
from gym_stepwise_routing.leaderboard.loading import FITTED, TRAINED
from gym_stepwise_routing.leaderboard.schema import FileModel, Name, Strict
from gym_stepwise_routing.leaderboard.track import PLAIN, Track, View

__all__ = ["ROWS", "Row", "Rows", "Training", "find_rows", "is_row", "read_rows", "routers_on", "row_named"]

ROWS = Path(__file__).parent / "rows.json"
"""Where the file lies if the package is run from a checkout."""


class Training(Strict):
    """How the agent of a row is trained on the train split of a track.

    Attributes:
        agent: name of the agent, see :data:`gym_stepwise_routing.agents.agent.AGENTS`.
        seeds: training seeds, one run each.
        limit: of a constrained agent, the highest mean cost, where always-largest costs 1.
        penalty: of the other agents, the price of cost in the reward; as shipped if None.
    """

    agent: str
    seeds: tuple[int, ...] = Field(min_length=1)
    limit: float | None = Field(default=None, ge=0)
    penalty: float | None = Field(default=None, ge=0)


class Row(Strict):
    """One row of the board, on every track that it applies to.

    Attributes:
        name: name of its entries.
        kind: see :class:`gym_stepwise_routing.leaderboard.entry.Entry`.
        about: what readers should know.
        tracks: names of the tracks, or ``*`` for all that it applies to.
        not_on: names of tracks where it applies, but tells nothing, such as a rule about steps where there is only one.
        view: what the router is shown.
        selection: how thresholds are chosen.
        routers: the router, or one a seed.
        training: instead of ``routers``: how to train it.
    """

    name: Name
    kind: Kind
    about: About
    tracks: tuple[str, ...] = ("*",)
    not_on: tuple[str, ...] = ()
    view: View = PLAIN
    selection: Selection | None = None
    routers: tuple[RouterRef, ...] = ()
    training: Training | None = None

    def is_for(self, track: str) -> bool:
        """Whether it is to be tried on a track."""
        return bool({"*", track} & set(self.tracks)) and track not in self.not_on


class Rows(FileModel):
    """The content of ``rows.json``."""

    rows: tuple[Row, ...]


def find_rows() -> Path | None:
    """The file of the rows: beside the code, or else that of the checkout in the working directory. None without one.

    In this order, so that who verifies another checkout from his own judges it by his own rows.
    """
    return next((path for path in (ROWS, Path("leaderboard") / ROWS.name) if path.is_file()), None)


def read_rows(path: Path | None = None) -> tuple[Row, ...]:
    """The rows.

    Args:
        path: the file; where :func:`find_rows` finds it if None.

    Raises:
        ValueError: no file; one that does not follow the schema, two rows of one name, or a row with neither or both
            of routers and training.
    """
    path = find_rows() if path is None else path
    if path is None:
        raise ValueError(
            f"leaderboard/{ROWS.name} is not here ({Path.cwd()}) and does not come with the installed package; "
            "allowed: a checkout of the repository as working directory, or --rows FILE"
        )
    rows = Rows.read(path).rows
    names = [row.name for row in rows]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: names {sorted(n for n in set(names) if names.count(n) > 1)} occur twice")
    for row in rows:
        if bool(row.routers) == (row.training is not None):
            raise ValueError(f"{path}: row {row.name!r}; allowed: either routers or training")
    return rows


def row_named(name: str, path: Path | None = None) -> Row | None:
    """The row of the board with this name; ``path`` and errors as for :func:`read_rows`."""
    return next((row for row in read_rows(path) if row.name == name), None)


def is_row(entry: Entry, row: Row, track: Track) -> bool:
    """Whether an entry is that row of the board itself: all that a person decides about it is the same."""
    same = (entry.name, entry.kind, entry.about, entry.played.view, entry.selection)
    if same != (row.name, row.kind, row.about, row.view, row.selection) or not row.is_for(entry.played.track):
        return False
    routers = tuple(run.router for run in entry.runs)
    if row.training is None:
        return tuple(map(_without_fit, routers)) == routers_on(row, track)
    found = tuple(
        (ref.factory, ref.artefact and (ref.artefact.path, ref.artefact.policy), run.seed)
        for ref, run in zip(routers, entry.runs, strict=True)
    )
    policies = f"{track.name}.npz"
    return found == tuple((TRAINED, (policies, f"{row.name}-{seed}"), seed) for seed in row.training.seeds)


def routers_on(row: Row, track: Track) -> tuple[RouterRef, ...]:
    """The routers of a row on a track.

    A fitted baseline is told where it is fitted. On recorded trees a fit takes nothing from its seed, so it is one run;
    on a simulator the seed draws the traces that it is fitted on.
    """
    placed = tuple(_placed(ref, track.name, row.view) for ref in row.routers)
    fitted = all(ref.factory == FITTED for ref in placed)
    return placed[:1] if fitted and not track.simulated else placed


def _placed(ref: RouterRef, track: str, view: View) -> RouterRef:
    if ref.factory != FITTED:
        return ref
    return ref.model_copy(update={"kwargs": {**ref.kwargs, "track": track, "observation": [*view.observation]}})


def _without_fit(ref: RouterRef) -> RouterRef:
    return ref.model_copy(update={"artefact": None}) if ref.factory == FITTED else ref
