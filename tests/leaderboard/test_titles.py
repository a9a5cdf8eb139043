from __future__ import annotations

import pytest

from gym_stepwise_routing.leaderboard.board_rows import read_rows
from gym_stepwise_routing.leaderboard.entry_files import entry_path
from gym_stepwise_routing.leaderboard.site import build_site
from gym_stepwise_routing.leaderboard.visible import check_title, check_visible, likeness


@pytest.mark.parametrize(
    "title",
    [
        "",
        " ",
        "\u200b",
        "\u2800\u2800",
        "\u3164",
        "a\u200bb",
        "a\nb",
        " a",
        "a ",
        "--",
        "\u202eab",
        "a\ufeff",
        "\u00ada",
        "a\x1b[1m",
    ],
)
def test_titles_that_show_nothing_or_hide_something(title):
    with pytest.raises(ValueError, match="allowed"):
        check_title(title)


@pytest.mark.parametrize(
    "title", ["A router", "PPO (ours, \u03bb = 0.5)", "\u8def\u7531\u5668", "Stra\u00dfe \u2265 3", "v2"]
)
def test_titles_of_all_languages(title):
    assert check_title(title) == check_visible(title) == title


@pytest.mark.parametrize(
    "copy",
    [
        "ppo for all budgets",
        "PPO  for all-budgets!",
        "\u0420\u0420\u041e for all budgets",
        "\uff30PO for all budgets",
        "PP0 for aII budgets",
        "PPO f\u00f6r all budgets",
    ],
)
def test_titles_that_look_alike(copy):
    assert likeness(copy) == likeness("PPO for all budgets")


def test_the_rows_of_the_board_look_like_nothing_else():
    titles = [row.about.title for row in read_rows()]
    assert len(set(map(likeness, titles))) == len(titles) > 30


def test_a_title_is_on_a_board_once(honest, tracks, tmp_path):
    """The first by name keeps it; the other one, an honest copy in all else, is refused."""
    about = honest.about.model_copy(update={"title": f"{honest.about.title}."})
    for entry in (honest, honest.model_copy(update={"name": "second", "about": about})):
        entry.write(entry_path(tmp_path / "entries", entry))
    with pytest.raises(
        ValueError, match=r"second\.json is rejected: title: title='A router\.' is that of 'honest', too"
    ):
        build_site(tmp_path / "out", entries=tmp_path / "entries", artefacts=tmp_path, tracks=tracks, report=print)
