from __future__ import annotations

import json
import re

import numpy as np
import pytest

from gym_stepwise_routing.leaderboard.board import make_board, rank
from gym_stepwise_routing.leaderboard.board_rows import read_rows
from gym_stepwise_routing.leaderboard.entry import About, RouterRef
from gym_stepwise_routing.leaderboard.entry_files import entry_path
from gym_stepwise_routing.leaderboard.site import build_site
from gym_stepwise_routing.leaderboard.site.site_builder import RULES
from gym_stepwise_routing.leaderboard.site.site_data import board_json, headlines, script_json
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.track import Track
from gym_stepwise_routing.leaderboard.verify import verify_entry

SHOWN = ("always-smallest", "always-largest", "oracle", "first-2-large", "confidence-p-min")


def test_ranks_are_what_the_intervals_allow():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, 10_000)
    gains = {
        "best": 0.20 + noise,  # far above all others
        "second": 0.05 + noise + rng.normal(0, 0.03, 10_000),
        "third": 0.04 + noise + rng.normal(0, 0.03, 10_000),
        "twin": 0.20 + noise,
        "reference": np.zeros(10_000),
    }
    standings = rank(gains, ["best", "second", "third", "twin"])
    assert (standings["best"].best, standings["best"].worst) == (1, 2)
    assert standings["best"].tied == ("twin",)
    assert (standings["second"].best, standings["second"].worst) == (3, 4)
    assert "third" in standings["second"].tied
    assert (standings["reference"].best, standings["reference"].worst) == (None, None)


def test_pairing_tells_apart_what_single_intervals_cannot():
    noise = np.random.default_rng(0).normal(0, 1, 10_000)
    standings = rank({"a": noise + 0.01, "b": noise}, ["a", "b"])
    assert standings["a"].best == standings["a"].worst == 1
    assert standings["b"].best == standings["b"].worst == 2


@pytest.fixture(scope="module")
def entries(track, tmp_path_factory):
    folder = tmp_path_factory.mktemp("entries")
    for row in read_rows():
        if row.name in SHOWN:
            entry = make_entry(
                track,
                row.name,
                row.routers,
                row.about,
                artefacts=folder,
                kind=row.kind,
                view=row.view,
                selection=row.selection,
            )
            entry.write(entry_path(folder, entry))
    hostile = About(
        title="</script><script>boom()</script>",
        authors="<img src=x onerror=boom()>",
        description='"><b>{{ 777*7771 }}',
    )
    ref = RouterRef(factory="gym_stepwise_routing.baselines:EveryOther", kwargs={"k": 1})
    entry = make_entry(track, "hostile", [ref], hostile, artefacts=folder)
    entry.write(entry_path(folder, entry))
    return folder


@pytest.fixture(scope="module")
def site(entries, tracks, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    build_site(out, entries=entries, artefacts=entries, tracks=tracks, report=lambda line: None)
    return out


def test_the_board_holds_every_entry_and_the_lines(entries, track, tracks):
    from gym_stepwise_routing.leaderboard.entry import Entry

    verdicts = [verify_entry(Entry.read(path), artefacts=entries, tracks=tracks) for path in entries.glob("*/*.json")]
    board = make_board(track, verdicts)
    data = json.loads(json.dumps(board_json(board), allow_nan=False))
    assert {row["name"] for row in data["rows"]} == {*SHOWN, "hostile"}
    assert [unit["name"] for unit in data["units"]] == list(track.units)
    for lines in data["lines"].values():
        assert lines["oracle"][-1][1] >= lines["hull"][-1][1]
        assert len(lines["constants"]) == 2
    gains = [row["units"]["large_tokens"]["gain"][0] for row in data["rows"]]
    assert gains == sorted(gains, reverse=True)


def test_what_was_not_run_again_stands_last(entries, track, tracks):
    """Its decisions may be anything; here the oracle's."""
    from gym_stepwise_routing.leaderboard.entry import Entry

    read = [Entry.read(path) for path in entries.glob("*/*.json")]
    verdicts = [
        verify_entry(entry, artefacts=entries, tracks=tracks, run_again=entry.kind != "bound") for entry in read
    ]
    rows = make_board(track, verdicts).rows
    assert rows[-1].entry.name == "oracle"
    gains = [row.entry.figures.units["large_tokens"].gain.value for row in rows]
    assert gains[-1] == max(gains) > gains[0]


def test_pages_need_no_network_and_stay_small(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) == 2 + len(SHOWN) + 1 + 1  # index, track, entries, traces
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert len(text.encode()) < 2_000_000
        for address in re.findall(r'(?:src|href)="([^"]*)"', text):
            if address != RULES and not address.startswith(("data:", "#")):
                assert "//" not in address
                assert (page.parent / address.partition("#")[0]).is_file(), address


def board_with(name, gain, *, problems=400, simulated=False, rerun="done"):
    row = {"name": "r", "kind": "router", "rerun": rerun, "units": {"flops": {"gain": gain}}}
    track = {"name": name, "cost_unit": "flops", "problems": problems, "simulated": simulated}
    return {"track": track, "rows": [row]}


def test_the_index_begins_with_recommended_tracks():
    boards = [
        board_with("simulated", [0.3, 0.2, 0.4], simulated=True),
        board_with("unseen", [0.9, 0.8, 1.0], rerun="not asked"),
        board_with("few", [0.2, 0.1, 0.3], problems=299),
        board_with("doubtful", [0.05, -0.01, 0.1]),
        board_with("good", [0.03, 0.01, 0.05], problems=300),
        board_with("best", [0.06, 0.01, 0.1]),
    ]
    lines = headlines(boards)["lines"]
    assert [line["track"]["name"] for line in lines] == ["best", "good", "few", "doubtful", "unseen", "simulated"]
    assert [line["recommended"] for line in lines] == [True, True, False, False, False, False]
    assert lines[4]["routers"] == []


def test_the_index_has_the_best_gain_of_each_track_with_its_interval(site, track):
    page = re.sub(r"<[^>]+>", "", (site / "index.html").read_text(encoding="utf-8"))
    rows = json.loads((site / track.name / "board.json").read_text(encoding="utf-8"))["rows"]
    best = next(row for row in rows if row["kind"] == "router")
    value, low, high = (
        f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}") for share in best["units"]["large_tokens"]["gain"]
    )
    assert f"{value} [{low}, {high}]" in page


def test_what_people_write_is_only_text(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>boom" not in text
        assert "<img" not in text
        assert ">6038067" not in text


def test_script_json_cannot_end_its_element():
    assert "<" not in script_json({"a": "</script>"})
    assert json.loads(script_json({"a": "</script>"})) == {"a": "</script>"}


def test_no_question_is_on_the_site(site, shared_dir):
    questions = {
        json.loads(line)["question"] for line in (shared_dir / "data/gsm8k/test.jsonl").read_text().splitlines()
    }
    everything = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.*") if path.is_file())
    assert "The answer is" in everything  # step texts are there
    assert not [q for q in questions if json.dumps(q)[1:-1] in everything or q in everything]


def test_the_viewers_paths_lead_to_the_recorded_outcomes(site, track: Track):
    def chunk(path):
        return json.loads(path.read_text()[path.read_text().index(",") + 1 : -2])

    trees = chunk(next((site / "trees").glob("*/0.js")))
    paths = chunk(site / track.name / "paths" / "0.js")
    assert set(paths) == {*SHOWN, "hostile"}
    for name, rows in paths.items():
        for tree, (decisions, cost, right) in zip(trees, rows, strict=True):
            node = 0
            for digit in decisions:
                node = tree["child"][node][int(digit)]
            assert tree["right"][node] == right, name
            assert tree["end"][node] is not None
            assert cost >= 0


@pytest.fixture(scope="module")
def unseen(entries, tracks, tmp_path_factory):
    """A site whose routers were not run again, with an entry that is called like a page."""
    import shutil

    folder = tmp_path_factory.mktemp("unseen") / "entries"
    shutil.copytree(entries, folder)
    entry = json.loads((folder / "bank-regenerate" / "hostile.json").read_text())
    entry = {**entry, "name": "index", "about": {**entry["about"], "title": "Like a page"}}
    (folder / "bank-regenerate" / "index.json").write_text(json.dumps(entry))
    out = folder.parent / "site"
    build_site(out, entries=folder, artefacts=folder, tracks=tracks, rerun=False, report=lambda line: None)
    return out


def test_routers_that_were_not_run_again_have_a_badge_and_no_rank(unseen, site):
    data = json.loads((unseen / "bank-regenerate" / "board.json").read_text())
    assert {row["rerun"] for row in data["rows"]} == {"not asked"}
    assert all(row["units"]["flops"]["rank"] == [None, None] for row in data["rows"])
    front, page = (
        (unseen / "index.html").read_text(),
        (unseen / "bank-regenerate/entries/first-2-large.html").read_text(),
    )
    assert "podium" not in front
    assert "none has a rank" in front
    assert "not re-run" in page
    assert "podium" in (site / "index.html").read_text()


def test_entries_overwrite_no_page(unseen, site):
    for name in ("index.html", "traces.html", "board.json"):
        assert (unseen / "bank-regenerate" / name).exists()
    assert "Accuracy against cost" in (unseen / "bank-regenerate" / "index.html").read_text()
    assert (unseen / "bank-regenerate" / "entries" / "index.html").exists()
    assert not list(site.glob("bank-regenerate/*large*"))


def test_gain_is_in_points_everywhere(site):
    page = (site / "bank-regenerate/entries/first-2-large.html").read_text()
    (gain,) = re.findall(r"<tr><th scope=.row.>Gain .*?</tr>", page, flags=re.DOTALL)
    assert "points" in gain
    assert "%" not in gain


def test_nothing_is_built_from_a_rejected_entry(entries, tracks, tmp_path):
    import shutil

    forged = tmp_path / "entries"
    shutil.copytree(entries, forged)
    path = forged / "bank-regenerate" / "hostile.json"
    path.write_text(path.read_text().replace('"steps": ', '"steps": 1'))
    with pytest.raises(ValueError, match="hostile is rejected: figures"):
        build_site(tmp_path / "out", entries=forged, artefacts=forged, tracks=tracks, report=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_other_peoples_folders_are_left_alone(entries, tracks, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="allowed: an empty folder, or an earlier site"):
        build_site(tmp_path, entries=entries, artefacts=entries, tracks=tracks, report=lambda line: None)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_no_entries(tracks, tmp_path):
    with pytest.raises(ValueError, match="has no entry"):
        build_site(tmp_path / "out", entries=tmp_path, artefacts=tmp_path, tracks=tracks, report=lambda line: None)
