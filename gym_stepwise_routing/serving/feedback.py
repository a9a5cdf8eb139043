"""Feedback in a database, and the threshold that follows it. Several servers may share one database.

What is kept is what happened: which answers were given, and what was said of them, in the order in which it was said.
The threshold is computed from that, so it is the same after a restart and on every server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gym_stepwise_routing.calibration.targets import CostLimit, RelativeAccuracy, Target
from gym_stepwise_routing.evaluation.online_threshold import OnlineThreshold

__all__ = ["FeedbackStore", "Said", "ThresholdFollower", "UnknownAnswerError"]

_TABLES = MetaData()
_ANSWERS = Table(
    "answers",
    _TABLES,
    Column("id", String(64), primary_key=True),
    Column("time", Float, nullable=False),
    Column("follows", Boolean, nullable=False),  # routed at the threshold that follows feedback
)
_FEEDBACK = Table(
    "feedback",
    _TABLES,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("time", Float, nullable=False),
    Column("right", Boolean, nullable=False),
    Column("largest_right", Boolean, nullable=True),
    Column("follows", Boolean, nullable=False),
)
_TURN = (
    Table(  # one row, locked by whoever says something: numbers are then visible in the order in which they are given
        "turn",
        _TABLES,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("taken", Integer, nullable=False),
    )
)
_ATTEMPTS = 5  # to create the tables, while another server may be creating them


class UnknownAnswerError(ValueError):
    """Feedback on an answer that nobody has given."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one answer.

    Attributes:
        number: its place in the order.
        right: whether the answer was right.
        largest_right: whether always-largest's would have been; None where nobody knows.
        follows: whether the answer was routed at the threshold that follows feedback.
    """

    number: int
    right: bool
    largest_right: bool | None
    follows: bool


class FeedbackStore:
    """Answers and what was said of them.

    Args:
        url: address of the database, as SQLAlchemy spells it.

    Raises:
        ValueError: the address is none, its driver is missing, or the database cannot be reached.
    """

    def __init__(self, url: str) -> None:
        try:
            address = make_url(url)
            self._engine: Engine = create_engine(address, pool_pre_ping=True)
            if address.get_backend_name() == "sqlite":
                event.listen(self._engine, "connect", _careful)
            self._create()
        except (ArgumentError, ImportError, SQLAlchemyError) as error:
            raise ValueError(
                f"feedback.database: {type(error).__name__}; allowed: an address such as sqlite:///feedback.sqlite, "
                "of a database that can be written to, with its driver installed"
            ) from None

    def _create(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                _TABLES.create_all(self._engine)
                with self._engine.begin() as connection:
                    if connection.execute(select(_TURN.c.id)).first() is None:
                        connection.execute(insert(_TURN).values(id=1, taken=0))
                return
            except DBAPIError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.1)

    def answered(self, answers: list[tuple[str, bool]]) -> None:
        """Remember answers: id, and whether it was routed at the threshold that follows feedback.

        Raises:
            OSError: the database cannot be reached.
        """
        now = time.time()
        with _reached(), self._engine.begin() as connection:
            connection.execute(insert(_ANSWERS), [{"id": id, "time": now, "follows": f} for id, f in answers])

    def say(self, id: str, right: bool, largest_right: bool | None) -> bool:
        """Remember feedback.

        Returns:
            False if the same had been said before.

        Raises:
            UnknownAnswerError: there is no such answer.
            ValueError: something else had been said of it.
            OSError: the database cannot be reached.
        """
        with _reached(), self._engine.begin() as connection:
            connection.execute(update(_TURN).values(taken=_TURN.c.taken + 1))
            answer = connection.execute(select(_ANSWERS.c.follows).where(_ANSWERS.c.id == id)).first()
            if answer is None:
                raise UnknownAnswerError(f"id={id!r}; allowed: the id of an answer that was given here")
            values = {"id": id, "time": time.time(), "right": right, "largest_right": largest_right}
            try:
                with connection.begin_nested():
                    connection.execute(insert(_FEEDBACK).values(**values, follows=answer.follows))
            except IntegrityError:
                columns = _FEEDBACK.c
                said = connection.execute(select(columns.right, columns.largest_right).where(columns.id == id)).one()
                if tuple(said) != (right, largest_right):
                    raise ValueError(f"id={id!r}: other feedback was given before; allowed: the same again") from None
                return False
        return True

    def since(self, number: int) -> list[Said]:
        """What was said after the one with this number, in order.

        Raises:
            OSError: the database cannot be reached.
        """
        columns = _FEEDBACK.c
        asked = select(columns.number, columns.right, columns.largest_right, columns.follows)
        with _reached(), self._engine.connect() as connection:
            rows = connection.execute(asked.where(columns.number > number).order_by(columns.number)).all()
        return [Said(*row) for row in rows]

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


class ThresholdFollower:
    """The threshold that follows what was said (:class:`...evaluation.online_threshold.OnlineThreshold`).

    Args:
        store: where it is said.
        target: what to keep.
        initial: first threshold.
        step: how far one error moves it.
        decay: 0 follows for ever; in (0, 1) it settles.
        told: told each new threshold.

    Raises:
        ValueError: a cost as target, or a parameter out of range.
    """

    def __init__(
        self,
        store: FeedbackStore,
        target: Target,
        *,
        initial: float,
        step: float,
        decay: float,
        told: Callable[[float], None] = lambda threshold: None,
    ) -> None:
        if isinstance(target, CostLimit):
            raise ValueError(f"feedback.target={str(target)!r}; allowed: an accuracy (feedback says right or wrong)")
        self._store = store
        self._relative = isinstance(target, RelativeAccuracy)
        self._alpha = target.alpha
        self._online = OnlineThreshold(initial, step_size=step, decay=decay, slack=step)
        self._told = told
        self._number = 0
        self._turn = threading.Lock()
        self.catch_up()

    @property
    def threshold(self) -> float:
        """The threshold of the moment."""
        return self._online.threshold

    @property
    def updates(self) -> int:
        """Answers that have moved it."""
        return self._online.updates

    @property
    def needs_largest(self) -> bool:
        """Whether feedback has to say if always-largest would have been right."""
        return self._relative

    def catch_up(self) -> float:
        """Take in what was said since, here or at another server; each of it once, whichever threads ask.

        Raises:
            OSError: the database cannot be reached.
        """
        with self._turn:
            for said in self._store.since(self._number):
                self._number = said.number
                if said.follows and (not self._relative or said.largest_right):
                    self._online.update(float(not said.right) - self._alpha)
            self._told(self.threshold)
            return self.threshold


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        raise OSError(f"the feedback database cannot be used: {type(error).__name__}") from error


def _careful(connection: object, record: object) -> None:
    """SQLite that several threads and processes may write to, and that a crash does not damage."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
