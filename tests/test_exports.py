"""The names that the package itself exports: each is what its module has, and none is loaded before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module

import pytest

import gym_stepwise_routing
from gym_stepwise_routing import EXPORTS


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_an_export_is_what_its_module_has(name):
    assert getattr(gym_stepwise_routing, name) is getattr(import_module(EXPORTS[name]), name)
    assert name in dir(gym_stepwise_routing)


def test_all_and_type_checkers_know_the_exports(repository):
    tree = ast.parse((repository / "gym_stepwise_routing/__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in block.body for alias in node.names}
    assert told == EXPORTS
    assert set(EXPORTS) < set(gym_stepwise_routing.__all__)
    assert all(hasattr(gym_stepwise_routing, name) for name in gym_stepwise_routing.__all__)


def test_an_export_is_loaded_when_it_is_asked_for():
    code = (
        "import sys, gym_stepwise_routing as g; before = 'gym_stepwise_routing.evaluation' in sys.modules; g.evaluate; "
        "print(before, 'gym_stepwise_routing.evaluation' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == [
        "False",
        "True",
    ]


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'evaluates'; allowed: .*evaluate"):
        gym_stepwise_routing.evaluates  # noqa: B018


@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [("stable_baselines3", "RoutingVecEnv", "agents"), ("yaml", "train", "agents"), ("scipy", "calibrate", "agents")],
)
def test_a_missing_extra_is_named(missing, name, extra):
    code = f"import sys; sys.modules[{missing!r}] = None; from gym_stepwise_routing import {name}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.splitlines()[-1].startswith("ImportError: ")
    assert f"gym-stepwise-routing[{extra}]" in result.stderr.splitlines()[-1]
