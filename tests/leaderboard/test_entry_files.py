from __future__ import annotations

import threading

import pytest
from typer.testing import CliRunner

from gym_stepwise_routing.cli.app import app
from gym_stepwise_routing.leaderboard.entry_files import (
    entry_path,
    files_of,
    put_entries,
    put_submission,
    read_entries,
    read_entry,
    rows_path,
)
from gym_stepwise_routing.leaderboard.faults import EntryRejectedError
from gym_stepwise_routing.leaderboard.site import build_site
from gym_stepwise_routing.storage.locks import sole_writer

RUN = CliRunner()


@pytest.fixture
def other(honest):
    about = honest.about.model_copy(update={"title": "Another"})
    return honest.model_copy(update={"name": "another", "about": about})


@pytest.fixture
def rows(honest, other, tmp_path):
    path = rows_path(tmp_path / "entries", honest.played.track)
    path.parent.mkdir()
    put_entries(path, {entry.name: entry for entry in (honest, other)})
    return path


def test_rows_share_a_file_and_change_one_by_one(rows, honest, other):
    assert read_entries(rows) == (other, honest)  # by name
    assert len(rows.read_text().splitlines()) == 2
    assert read_entry(rows, "honest") == honest
    changed = other.model_copy(update={"kind": "reference"})
    put_entries(rows, {"another": changed})
    assert read_entries(rows) == (changed, honest)
    put_entries(rows, {"another": None, "never-there": None})
    assert read_entries(rows) == (honest,)
    assert read_entry(rows) == honest
    put_entries(rows, {"honest": None})
    assert not rows.exists()


def test_submissions_lie_beside_the_rows(rows, honest):
    folder, mine = rows.parent, honest.model_copy(update={"name": "mine"})
    mine.write(entry_path(folder, mine))
    assert files_of(folder, honest.played.track) == [rows, folder / honest.played.track / "mine.json"]
    assert read_entry(entry_path(folder, mine)) == mine
    assert files_of(folder, "elsewhere") == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[0], lines[0]], "schema: name 'another' occurs twice"),
        (lambda lines: [lines[0], lines[1].replace('"honest"', '"Honest"', 1)], r"line 2: key 'name': String should"),
        (lambda lines: [lines[0], ""], "line 2: key 'the file': Invalid JSON"),
        (lambda lines: [lines[0].replace('"bank-regenerate"', '"bank-route"', 1)], r"place: .* belongs in bank-route"),
    ],
)
def test_broken_files_of_rows(change, said, rows):
    lines = change(rows.read_text().splitlines())
    rows.write_text("".join(f"{line}\n" for line in lines))
    before = rows.read_bytes()
    with pytest.raises(EntryRejectedError, match=said):
        read_entries(rows)
    with pytest.raises(EntryRejectedError):
        put_entries(rows, {"more": None})
    assert rows.read_bytes() == before


@pytest.mark.parametrize("linked", ["the file", "its folder", "the file of rows"])
def test_links_are_refused(linked, rows, honest, tmp_path):
    """An entry of one track, linked into the folder of another, would stand on that one's board."""
    folder, track = tmp_path / "submissions", honest.played.track
    path = entry_path(folder, honest)
    honest.write(path)
    if linked == "the file":
        place = folder / "bank-route" / "honest.json"
        place.parent.mkdir()
        place.symlink_to(path)
    elif linked == "its folder":
        (folder / "bank-route").symlink_to(folder / track)
        place = folder / "bank-route" / "honest.json"
    else:
        place = rows_path(folder, "bank-route")
        place.symlink_to(rows)
    with pytest.raises(EntryRejectedError, match=r"place: .*bank-route.* is a link"):
        read_entries(place)
    assert read_entries(path) == (honest,)


def test_the_site_takes_a_name_once(rows, honest, tracks, tmp_path):
    honest.write(entry_path(rows.parent, honest))
    with pytest.raises(ValueError, match=r"place: an entry 'honest' is in .*bank-regenerate.jsonl as well"):
        build_site(tmp_path / "out", entries=rows.parent, artefacts=tmp_path, tracks=tracks, report=lambda line: None)
    assert not (tmp_path / "out").exists()


def test_the_command_verifies_line_by_line(repository):
    file = repository / "leaderboard" / "entries" / "gsm8k-closed-models.jsonl"
    words = ["verify", str(file), "--artefacts", str(repository / "leaderboard" / "artefacts")]
    done = RUN.invoke(app, [*words, "--name", "always-largest", "--name", "oracle"])
    assert done.exit_code == 0, done.output
    assert f"verified {file}:always-largest (" in done.output
    assert f"verified {file}:oracle (" in done.output
    assert done.output.count("verified ") == 2
    unknown = RUN.invoke(app, [*words, "--name", "orakel"])
    assert unknown.exit_code == 2
    assert "name='orakel' is in none of these files; allowed: always-largest" in unknown.output


def test_a_submission_that_came_meanwhile_is_not_lost(honest, tmp_path):
    """Both find the place free before they play; the second is told when it would write."""
    other = honest.model_copy(update={"about": honest.about.model_copy(update={"authors": "somebody else"})})
    path = put_submission(tmp_path, honest)
    with pytest.raises(ValueError, match=r"honest.json is there already; allowed: another --name, or --overwrite"):
        put_submission(tmp_path, other)
    assert read_entry(path) == honest
    with sole_writer(path), pytest.raises(ValueError, match=r"honest.json: another process is writing it"):
        put_submission(tmp_path, other, overwrite=True)
    put_submission(tmp_path, other, overwrite=True)
    assert read_entry(path) == other
    assert [file.name for file in path.parent.iterdir()] == ["honest.json"]


def test_rows_that_are_written_at_once_are_all_kept(rows, honest):
    """One reads while the other writes: without a lock the slower one would put back what it has read."""
    before, threads = len(read_entries(rows)), []
    for number in range(8):
        more = honest.model_copy(update={"name": f"more-{number}"})
        threads.append(threading.Thread(target=put_entries, args=(rows, {more.name: more})))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_entries(rows)) == before + 8


def test_a_site_takes_the_place_of_a_site_and_of_nothing_else(rows, tracks, tmp_path):
    def build(out):
        build_site(out, entries=rows.parent, artefacts=tmp_path, tracks=tracks, report=lambda line: None)

    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    build(out)
    (out / "left-over").write_text("of an earlier site")
    build(out)
    assert not (out / "left-over").exists()
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    (tmp_path / "file").write_text("mine")
    for place in ("link", "file"):
        with pytest.raises(ValueError, match="is a link or a file; allowed: a folder"):
            build(tmp_path / place)
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
