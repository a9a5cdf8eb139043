"""Rows, tables and the picture."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest, RandomMix, oracle, oracle_paths
from gym_stepwise_routing.evaluation import play
from gym_stepwise_routing.evaluation.frontier import oracle_frontier
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import (
    Curve,
    Panel,
    as_json,
    draw_frontiers,
    markdown_table,
    rich_table,
    row_of,
    table_cells,
)
from gym_stepwise_routing.reporting.labels import place_labels


@pytest.fixture(scope="module")
def rows():
    game = Game(split="calibration", cost_unit="large_tokens")
    largest = play(AlwaysLargest(), game)
    return [
        row_of([play(AlwaysSmallest(), game)], largest, kind="constant"),
        row_of(
            [play(RandomMix(0.5, seed), game) for seed in range(3)], largest, kind="agent", name="a|b", note="noise"
        ),
        row_of([largest], largest, kind="constant"),
        row_of([oracle(game)], largest, kind="bound"),
    ]


def test_rows_average_over_seeds_and_normalise_every_unit(rows):
    game = Game(split="calibration", cost_unit="large_tokens")
    runs = [play(RandomMix(0.5, seed), game) for seed in range(3)]
    assert rows[1].seeds == 3
    assert rows[1].accuracy.estimate == pytest.approx(np.mean([run.accuracy for run in runs]))
    assert rows[1].costs["large_tokens"].estimate == pytest.approx(np.mean([run.mean_cost for run in runs]))
    assert all(interval.estimate == pytest.approx(1) for interval in rows[2].costs.values())


def test_the_cost_of_always_largest_relative_to_itself_is_certain(rows):
    for interval in rows[2].costs.values():
        assert (interval.low, interval.high) == (pytest.approx(1), pytest.approx(1))


def test_cost_intervals_pair_numerator_and_denominator():
    """Against a bootstrap written out."""
    game = Game(split="calibration", cost_unit="large_tokens")
    run, largest = play(RandomMix(0.5, 0), game), play(AlwaysLargest(), game)
    interval = row_of([run], largest, kind="baseline").costs["flops"]
    rng, ratios = np.random.default_rng(5), []
    for _ in range(4000):
        picks = rng.integers(len(run), size=len(run))
        ratios.append(run.costs["flops"][picks].mean() / largest.costs["flops"][picks].mean())
    assert (interval.low, interval.high) == pytest.approx(np.quantile(ratios, [0.025, 0.975]), rel=0.02)


def test_draws_of_a_seed_are_averaged_before_resampling():
    game = Game(split="calibration", cost_unit="large_tokens")
    runs, largest = [play(RandomMix(0.5, seed), game) for seed in range(6)], play(AlwaysLargest(), game)
    row, apart = row_of(runs, largest, kind="agent", draws=3), row_of(runs, largest, kind="agent")
    assert (row.seeds, apart.seeds) == (2, 6)
    assert row.accuracy.estimate == pytest.approx(apart.accuracy.estimate)
    with pytest.raises(ValueError, match="draws=4 with 6 runs; allowed: an integer >= 1 that divides their number"):
        row_of(runs, largest, kind="agent", draws=4)


def test_runs_on_other_problems_are_refused():
    largest = play(AlwaysLargest(), Game(split="test"))
    with pytest.raises(ValueError, match="on the problems of the reference"):
        row_of([play(AlwaysLargest(), Game(split="calibration"))], largest, kind="constant")


def test_markdown_escapes_and_keeps_its_columns(rows):
    lines = markdown_table(rows).splitlines()
    assert r"a\|b" in lines[3]
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    header, cells = table_cells(rows)
    assert all(len(line) == len(header) for line in cells)


def test_the_terminal_table_fits_80_columns(rows):
    console = Console(width=80, record=True)
    console.print(rich_table(rows, title="t"))
    assert "…" not in console.export_text()


def test_json_has_no_infinities():
    assert as_json({"a": [math.inf, math.nan, 1.0], "b": (2,)}) == {"a": [None, None, 1.0], "b": [2]}


def test_json_of_rows_round_trips(rows):
    assert json.loads(json.dumps(as_json(rows), allow_nan=False))[0]["router"] == "always-smallest"


def test_the_picture_is_complete_or_absent(rows, tmp_path):
    paths = oracle_paths(Game(split="calibration", cost_unit="large_tokens"))
    frontier = oracle_frontier(paths.right, paths.any)
    line = Curve(name="oracle", costs=frontier.costs, accuracies=frontier.accuracies)
    panels = [Panel(unit="large_tokens", frontier=line), Panel(unit="flops", curves=(line, line))]
    draw_frontiers(rows, panels, tmp_path / "frontier.png", title="t")
    with Image.open(tmp_path / "frontier.png") as picture:
        assert len(picture.convert("RGB").getcolors(maxcolors=2**24)) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["frontier.png"]


def test_labels_cover_neither_points_nor_one_another():
    rng = np.random.default_rng(0)
    points = [(float(x), float(y)) for x, y in rng.normal(200, 25, size=(25, 2))]
    width, height, marker, frame = 14.0, 9.0, 8.0, (0.0, 0.0, 400.0, 400.0)
    places = place_labels(points, [(width, height)] * 25, marker=marker, frame=frame)
    for number, (x, y) in enumerate(places):
        assert all(abs(x - px) >= (width + marker) / 2 or abs(y - py) >= (height + marker) / 2 for px, py in points)
        assert all(abs(x - a) >= width or abs(y - b) >= height for a, b in places[:number])
        assert width / 2 <= x <= 400 - width / 2
    (corner,) = place_labels([(398.0, 398.0)], [(width, height)], marker=marker, frame=frame)
    assert max(corner) < 398


def test_every_point_of_the_picture_has_its_number_in_the_legend(rows, tmp_path, monkeypatch):
    legends = []
    monkeypatch.setattr(Figure, "legend", lambda self, handles, labels, **style: legends.append(labels))
    draw_frontiers(rows, [Panel(unit="flops")], tmp_path / "frontier.png", title="t")
    assert legends[0][: len(rows)] == [f"{number}  {row.router}" for number, row in enumerate(rows, start=1)]
