"""Formats, pages and figures: what every command and study writes its results with."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from gym_stepwise_routing.evaluation.bootstrap import Interval
from gym_stepwise_routing.reporting import Page, Table, brief_text, interval_text, span_text, write_page
from gym_stepwise_routing.reporting.figures import new_figure, save_figure
from gym_stepwise_routing.reporting.terminal import rich_table
from gym_stepwise_routing.storage.strict_json import plain


def interval(estimate, low, high):
    return Interval(estimate=estimate, low=low, high=high, n=1, resamples=1000, level=0.95)


@pytest.mark.parametrize(
    ("given", "text", "brief"),
    [
        (interval(0.5, 0.41, 0.5912), "0.500 [0.410, 0.591]", "0.500 ±0.09"),
        (interval(0.3, 0.3, math.inf), "0.300 [0.300, ∞]", "0.300 ±∞"),
        (interval(math.inf, 0.3, math.inf), "unreached", "unreached"),
        (interval(-math.inf, -math.inf, 0.2), "unaffordable", "unaffordable"),
        (None, "undefined", "undefined"),
    ],
)
def test_intervals_have_one_format(given, text, brief):
    assert interval_text(given) == text
    assert brief_text(given) == brief


def test_differences_have_signs():
    assert interval_text(interval(0.5, -0.41, 0.6), signed=True) == "+0.500 [-0.410, +0.600]"
    assert span_text(0.0, -math.inf, 0.25) == "0.000 [-∞, 0.250]"


TABLE = Table("Who", ("router", "accuracy"), [("a|b", "1")], {"rules": [("c", "2"), ("d", "3")]})


def test_markdown_escapes_and_keeps_its_columns():
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "## Who"
    assert r"a\|b" in lines[4]
    assert lines[5] == "| *rules* |  |"
    assert len({line.replace(r"\|", "").count("|") for line in lines[2:]}) == 1


def test_a_table_in_a_terminal():
    console = Console(width=80, record=True)
    console.print(rich_table(Table("[x]", ("[y]",), [("[z]",)])))
    text = console.export_text()
    assert all(mark in text for mark in ("[x]", "[z]"))


@dataclass(frozen=True)
class Number:
    value: float


@pytest.mark.parametrize("simulated", [True, False])
def test_a_page_says_what_wrote_it_and_whether_it_is_simulated(simulated, tmp_path):
    page = Page(
        title="Is it kept?",
        command="python -m x",
        setting=("one",),
        notes=("Read it so.",),
        tables=(TABLE,),
        figure="x.png",
        numbers=[Number(math.inf), {"a": np.array([1.0, math.nan])}],
        simulated=simulated,
    )
    write_page(page, tmp_path / "new", "x", html=True)
    label = "SIMULATED: " if simulated else ""
    text = (tmp_path / "new" / "x.md").read_text()
    assert text.startswith(f"# {label}Is it kept?\n\nWritten by `python -m x`.\n\n- one\n\nRead it so.\n\n")
    assert f"![{label}Is it kept?](x.png)" in text
    assert text.endswith("| d | 3 |\n")
    data = json.loads((tmp_path / "new" / "x.json").read_text(), parse_constant=pytest.fail)
    assert data["simulated"] is simulated
    assert data["results"] == [{"value": "inf"}, {"a": [1.0, None]}]
    html = (tmp_path / "new" / "x.html").read_text()
    assert f"<h1>{label}Is it kept?</h1>" in html
    assert "<td>a|b</td>" in html


def test_a_page_without_numbers_has_no_data(tmp_path):
    write_page(Page(title="t", command="c"), tmp_path, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x.md"]


def test_strict_json_says_what_is_infinite():
    assert plain({"a": np.array([1.0, np.inf]), "b": (float("nan"), -np.inf), "c": None, "d": np.int64(3)}) == {
        "a": [1.0, "inf"],
        "b": [None, "-inf"],
        "c": None,
        "d": 3,
    }


@pytest.mark.parametrize(("panels", "columns", "shape"), [(1, None, (1, 1)), (3, None, (3, 1)), (4, 3, (3, 2))])
def test_figures_have_one_size_a_panel_and_are_complete_or_absent(panels, columns, shape, tmp_path):
    figure, axes = new_figure(panels, columns=columns, title="t", simulated=True)
    assert len(axes) == panels
    assert figure.get_suptitle() == "SIMULATED: t"
    assert figure.get_size_inches() == pytest.approx([5.2 * shape[0], 4.2 * shape[1]])
    save_figure(figure, tmp_path / "x.png")
    save_figure(figure, tmp_path / "x.svg")
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "P"
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width > 500
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.png", "x.svg"]
    assert new_figure(1)[0].get_suptitle() == ""
