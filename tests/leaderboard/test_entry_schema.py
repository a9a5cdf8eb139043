from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from gym_stepwise_routing.leaderboard.entry import About, Artefact, Entry, RouterRef
from gym_stepwise_routing.leaderboard.schema import FileModel


def test_an_entry_survives_its_file(honest, tmp_path):
    path = tmp_path / "deep" / "honest.json"
    honest.write(path)
    assert Entry.read(path) == honest
    assert [p.name for p in path.parent.iterdir()] == ["honest.json"]


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "ftp://x", 'https://x" onclick="y'])
def test_links_are_web_addresses(address):
    with pytest.raises(ValidationError, match="https://"):
        About(title="t", authors="a", description="d", paper=address)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "a//b", ".hidden", "a b"])
def test_artefacts_stay_in_their_folder(path):
    with pytest.raises(ValidationError, match="path"):
        Artefact(path=path, files={".": "0" * 64})


@pytest.mark.parametrize("factory", ["os.system", "os:path.join", "a b:c", ":x", "m:", "m:__import__('os')"])
def test_factories_are_import_paths(factory):
    with pytest.raises(ValidationError, match="factory"):
        RouterRef(factory=factory)


@pytest.mark.parametrize("name", ["Upper", "a/b", "..", "", "-a", "a" * 65, "a_b"])
def test_names_are_fit_for_files(honest, name):
    with pytest.raises(ValidationError, match="name"):
        Entry.model_validate({**honest.model_dump(), "name": name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.update(bonus=1), "bonus.*not permitted"),
        (lambda e: e.pop("figures"), "figures.*required"),
        (lambda e: e.update(schema_version=1), "schema_version"),
        (lambda e: e["figures"].update(steps="4"), "figures.steps"),
        (lambda e: e["figures"].update(steps=float("nan")), "figures.steps"),
    ],
)
def test_other_files_are_refused_with_the_key(honest, tmp_path, change, message):
    content = json.loads(honest.model_dump_json())
    change(content)
    path = tmp_path / "entry.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        Entry.read(path)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        FileModel.read(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json.*Invalid JSON"):
        Entry.read(tmp_path / "broken.json")
