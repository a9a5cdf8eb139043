"""What is kept between builds: nothing unchanged is verified again, and whatever a verdict rests on makes it anew."""

from __future__ import annotations

import json
import shutil

import pytest

from gym_stepwise_routing.leaderboard import build_cache
from gym_stepwise_routing.leaderboard.board_rows import find_rows
from gym_stepwise_routing.leaderboard.entry import About, RouterRef
from gym_stepwise_routing.leaderboard.entry_files import entry_path
from gym_stepwise_routing.leaderboard.site import build_site
from gym_stepwise_routing.leaderboard.submit import make_entry

BASELINES = "gym_stepwise_routing.baselines"


@pytest.fixture(scope="module")
def written(track, tmp_path_factory):
    folder = tmp_path_factory.mktemp("entries")
    for k in (1, 2):
        about = About(title=f"every {k}", authors="Ada", description="Takes turns.")
        ref = RouterRef(factory=f"{BASELINES}:EveryOther", kwargs={"k": k})
        entry = make_entry(track, f"every-{k}", [ref], about, artefacts=folder)
        entry.write(entry_path(folder, entry))
    return folder


@pytest.fixture
def entries(written, tmp_path):
    return shutil.copytree(written, tmp_path / "entries")


@pytest.fixture
def builder(entries, tracks, tmp_path):
    """Builds the site; what it says of the track."""

    def build(out="site", **options):
        lines = []
        arguments = {"artefacts": tmp_path / "artefacts", "tracks": tracks, "cache": tmp_path / "cache"} | options
        build_site(tmp_path / out, entries=entries, only=["bank-regenerate"], report=lines.append, **arguments)
        return lines[0].partition(": ")[2]

    return build


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unchanged_board_is_neither_verified_nor_drawn_again(builder, tmp_path, monkeypatch):
    assert builder("first") == "2 entries verified"
    monkeypatch.setattr("gym_stepwise_routing.leaderboard.site.site_builder.verify_entry", None)
    monkeypatch.setattr("gym_stepwise_routing.leaderboard.site.site_builder.make_board", None)
    assert builder("second") == "unchanged"
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert len(contents(tmp_path / "first")) > 5


def test_of_a_changed_board_only_what_changed_is_verified(builder, entries, tmp_path):
    builder("first")
    path = entries / "bank-regenerate" / "every-2.json"
    path.write_text(path.read_text().replace("Takes turns.", "Takes other turns."))
    assert builder("second") == "2 entries verified, 1 of them earlier"
    assert builder("third", cache=None) == "2 entries verified"
    assert contents(tmp_path / "second") == contents(tmp_path / "third") != contents(tmp_path / "first")


@pytest.mark.parametrize("figure", ["accuracy", "steps"])
def test_a_forged_figure_is_rejected_beside_a_full_cache(builder, entries, figure):
    builder()
    path = entries / "bank-regenerate" / "every-2.json"
    content = json.loads(path.read_text())
    value = content["figures"][figure]
    content["figures"][figure] = {**value, "value": 0.99} if isinstance(value, dict) else value + 1
    path.write_text(json.dumps(content))
    for _ in range(2):  # a rejection is not kept
        with pytest.raises(ValueError, match="every-2"):
            builder("second")


def test_other_code_other_options_and_other_rows_miss(builder, tmp_path, monkeypatch):
    builder()
    assert builder(rerun=False) == "2 entries verified"
    rows = tmp_path / "rows.json"
    rows.write_text(find_rows().read_text() + "\n")
    assert builder(rows=rows) == "2 entries verified"
    monkeypatch.setattr(build_cache, "code_hash", lambda: "other code")
    assert builder() == "2 entries verified"


def test_another_track_of_the_same_name_misses(builder, tracks, tmp_path):
    builder()
    other = tmp_path / "tracks"
    shutil.copytree(tracks, other)
    path = other / "bank-regenerate.json"
    path.write_text(path.read_text().replace("a part of", "a piece of"))
    told = builder(tracks=other)  # a text for readers: the verdicts hold, the pages do not
    assert told == "2 entries verified, 2 of them earlier"
    assert "a piece of" in (tmp_path / "site" / "index.html").read_text()


def test_the_code_hash_covers_code_and_banks_and_not_the_boards_data(tmp_path, monkeypatch):
    monkeypatch.setattr(build_cache, "_CODE", tmp_path)
    for name in ("data/bank/nodes.parquet", "leaderboard/verify.py", "leaderboard/entries/x.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a")

    def hashed():
        build_cache.code_hash.cache_clear()
        return build_cache.code_hash()

    try:
        first = hashed()
        (tmp_path / "leaderboard/entries/x.json").write_text("b")
        assert hashed() == first
        (tmp_path / "data/bank/nodes.parquet").write_text("b")
        second = hashed()
        (tmp_path / "leaderboard/verify.py").write_text("b")
        assert len({first, second, hashed()}) == 3
    finally:
        build_cache.code_hash.cache_clear()


def test_an_artefact_is_part_of_the_key(tmp_path, track, tracks, entries):
    artefacts = tmp_path / "artefacts"
    artefacts.mkdir()
    (artefacts / "weights.npz").write_bytes(b"a")

    def key():
        kept = build_cache.BuildCache(tmp_path / "cache", entries, artefacts, tracks, None, True, False)
        return kept._pages_path(track.name)

    first = key()
    (artefacts / "weights.npz").write_bytes(b"b")
    assert key() != first


def test_what_is_damaged_is_made_anew(builder, tmp_path):
    builder("first")
    for path in (tmp_path / "cache" / "verdicts").iterdir():
        path.write_bytes(path.read_bytes()[:-10])
    shutil.rmtree(tmp_path / "cache" / "pages")
    assert builder("second") == "2 entries verified"
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


@pytest.mark.parametrize("place", ["entries", "artefacts"])
def test_no_cache_among_entries_or_artefacts(builder, tmp_path, place):
    with pytest.raises(ValueError, match=f"cache='.*' is in {place}="):
        builder(cache=tmp_path / place / "cache")


def test_an_unknown_track_is_named(entries, tracks, tmp_path):
    with pytest.raises(ValueError, match="track='gsm9k'"):
        build_site(tmp_path / "out", entries=entries, artefacts=entries, tracks=tracks, only=["gsm9k"], report=print)


def test_code_that_no_key_covers_is_verified_each_time(builder, entries, track, tmp_path, monkeypatch):
    """A router's own module may change without its entry."""
    entry = next(iter((entries / track.name).glob("*.json")))
    monkeypatch.setattr(build_cache, "is_harmless", lambda ref: ref.kwargs != {"k": 2})
    assert entry.is_file()
    builder(trust=True)
    assert builder(trust=True) == "2 entries verified, 1 of them earlier"
