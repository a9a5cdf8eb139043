"""One registry a kind: names, order, and what bad input says."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from gym_stepwise_routing.cli.list_command import KINDS
from gym_stepwise_routing.registry import Registry, registry


@dataclass(frozen=True)
class Colour:
    name: str
    wave: int = 0


RED, BLUE, GREEN = Colour("red", 700), Colour("Blue", 450), Colour("green", 550)
MANY = [GREEN, RED]


@pytest.fixture
def installed(monkeypatch):
    def install(**values: str) -> None:
        points = [EntryPoint(name, value, "colours") for name, value in values.items()]
        monkeypatch.setattr(registry, "_installed", lambda group: points)

    return install


def test_names_are_in_the_order_of_the_key_and_then_of_the_alphabet():
    colours = Registry("colour", Colour, builtin=lambda: [RED, BLUE, GREEN])
    assert colours.names() == ("Blue", "green", "red")
    assert [c.name for c in Registry("colour", Colour, builtin=lambda: MANY, order=lambda c: -c.wave).values()] == [
        "red",
        "green",
    ]
    assert len(colours) == 3
    assert "red" in colours
    assert ["red"] not in colours
    assert colours.items()[2] == ("red", RED)


def test_an_unknown_name_says_which_there_are():
    colours = Registry("colour", Colour, builtin=lambda: [RED])
    with pytest.raises(ValueError, match="colour='pink' is not known; allowed: 'red'"):
        colours.get("pink")


def test_a_taken_name_and_another_class_are_refused():
    colours = Registry("colour", Colour)
    assert colours.register(colours.register(RED)) is RED
    with pytest.raises(ValueError, match="colour='red' is taken; allowed: another name"):
        colours.register(Colour("red", 1))
    with pytest.raises(ValueError, match="colour='red'; allowed: a Colour"):
        colours.register("red")


def test_other_packages_add_objects_one_or_several(installed):
    installed(one=f"{__name__}:BLUE", many=f"{__name__}:MANY")
    assert Registry("colour", Colour, group="colours").names() == ("Blue", "green", "red")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("no_such_package_here:thing", "ModuleNotFoundError: No module named 'no_such_package_here'"),
        (f"{__name__}:nothing", "AttributeError"),
        (f"{__name__}:__name__", "allowed: a Colour"),
        (f"{__name__}:RED", "colour='red' is taken; allowed: another name"),
    ],
)
def test_a_bad_entry_point_is_left_out_with_one_warning(installed, value, fault):
    installed(bad=value, good=f"{__name__}:BLUE")
    colours = Registry("colour", Colour, group="colours", builtin=lambda: [Colour("red")])
    with pytest.warns(UserWarning, match="is left out") as told:
        assert colours.names() == ("Blue", "red")
    (message,) = (str(warning.message) for warning in told)
    assert f"its colour 'bad' ({value}) is left out" in message
    assert fault in message
    assert colours.get("red") == Colour("red")


def test_builtins_that_fail_are_asked_for_again():
    answers = iter([ImportError("not yet"), None])

    def builtin():
        if error := next(answers):
            raise error
        return [RED]

    colours = Registry("colour", Colour, builtin=builtin)
    with pytest.raises(ImportError, match="not yet"):
        colours.names()
    assert colours.names() == ("red",)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_is_listed_has_a_name_and_a_description(kind):
    found, describe = KINDS[kind]
    assert len(found) > 1
    for name, item in found.items():
        assert found.get(name) is item
        assert describe(item)
