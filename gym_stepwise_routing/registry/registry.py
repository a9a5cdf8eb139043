"""A registry: objects of one kind by their names, those of this package first, then those of packages installed."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from gym_stepwise_routing.errors import check_choice

__all__ = ["Named", "Registry", "registering"]


class Named(Protocol):
    """What has a name that it is asked for by."""

    @property
    def name(self) -> str:
        """The name."""
        ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Objects of one kind by name. Iterating gives names, in the order of ``order``, then of the names.

    Other packages add objects by entry points, each of which names an object of the kind, or several in a list or
    tuple. One that cannot be imported, is something else or has a name that is taken is left out with a warning;
    everything else works.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Colour:
        ...     name: str
        >>> colours = Registry("colour", Colour)
        >>> red = colours.register(Colour("red"))
        >>> list(colours), colours.get("red") is red
        (['red'], True)
        >>> colours.get("blue")
        Traceback (most recent call last):
        ValueError: colour='blue' is not known; allowed: 'red'

    Args:
        kind: what one of them is called in messages.
        of: class of the objects.
        group: group of entry points by which other packages register theirs; '' if they cannot.
        builtin: gives the objects of this package when they are first asked for, or imports what registers them; see
            :func:`registering`.
        order: sort key of the objects, for kinds that have an order of their own.
    """

    def __init__(
        self,
        kind: str,
        of: type[T],
        *,
        group: str = "",
        builtin: Callable[[], Iterable[T]] = tuple,
        order: Callable[[T], Any] = lambda _: 0,
    ) -> None:
        self.kind = kind
        self._of, self._group, self._builtin, self._order = of, group, builtin, order
        self._objects: dict[str, T] = {}
        self._filled = False

    def filled_by(self, builtin: Callable[[], Iterable[T]]) -> None:
        """Say what ``builtin`` is where the objects lie in a layer above that of the registry."""
        self._builtin, self._filled = builtin, False

    def register(self, item: T) -> T:
        """Add an object, and give it back; the same object may be added again.

        Raises:
            ValueError: something of another class, or a name that is taken.
        """
        if not isinstance(item, self._of):
            raise ValueError(f"{self.kind}={item!r}; allowed: a {self._of.__name__}")
        if self._objects.setdefault(item.name, item) is not item:
            raise ValueError(f"{self.kind}={item.name!r} is taken; allowed: another name")
        places = sorted(self._objects.values(), key=lambda each: (self._order(each), each.name.casefold()))
        self._objects = {each.name: each for each in places}
        return item

    def get(self, name: str) -> T:
        """The object of a name.

        Raises:
            ValueError: unknown name; the message lists the known ones.
        """
        return self._known()[self.check(name)]

    def check(self, name: str) -> str:
        """The name, if it is known; raises as :meth:`get`."""
        check_choice(self.kind, name, self._known())
        return name

    __getitem__ = get

    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(self)

    def values(self) -> tuple[T, ...]:
        """All objects."""
        return tuple(self._known().values())

    def items(self) -> tuple[tuple[str, T], ...]:
        """All names, each with its object."""
        return tuple(self._known().items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._known()

    def _known(self) -> dict[str, T]:
        if not self._filled:
            self._filled = True  # first: what is imported here may ask for names
            try:
                for item in self._builtin():
                    self.register(item)
            except BaseException:
                self._filled = False
                raise
            for point in sorted(_installed(self._group), key=lambda point: point.name):
                self._enter(point)
        return self._objects

    def _enter(self, point: EntryPoint) -> None:
        try:
            found = point.load()
            for item in found if isinstance(found, list | tuple) else [found]:
                self.register(item)
        except Exception as error:  # whatever foreign code raises
            package = point.dist.name if point.dist is not None else "an unknown package"
            which = f"{package}: its {self.kind} {point.name!r} ({point.value})"
            warnings.warn(f"{which} is left out: {type(error).__name__}: {error}", stacklevel=2)


@cache
def _installed(group: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group)) if group else ()


def registering(package: str) -> Callable[[], tuple[()]]:
    """For ``builtin``: import every module of a package (not what is in packages inside it), which then register."""

    def load() -> tuple[()]:
        for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            import_module(module.name)
        return ()

    return load
