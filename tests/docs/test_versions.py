"""A published site offers its versions, wherever a page of it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def versions(docs_module):
    return docs_module("versions")


@pytest.fixture
def site(tmp_path):
    for folder in ("", "v0.9.0", "v0.10.0", "vendor", "board"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "index.html").write_text("<html></html>")
    (tmp_path / "v0.11.0").mkdir()  # a release without a site
    return tmp_path


def test_releases_are_folders_of_tags_with_a_site_newest_first(versions, site):
    assert versions.releases(site) == ["v0.10.0", "v0.9.0"]


@pytest.mark.parametrize("here", ["", "v0.9.0", "v0.10.0"])
def test_every_version_leads_to_every_other(versions, site, here):
    versions.write_versions(site)
    told = json.loads((site / here / "versions.json").read_text())
    assert [entry["name"] for entry in told] == ["development", "v0.10.0", "v0.9.0"]
    assert [entry["name"] for entry in told if entry["here"]] == [here or "development"]
    reached = {(site / here / entry["path"] / "index.html").resolve() for entry in told}
    assert reached == {site / "index.html", site / "v0.9.0" / "index.html", site / "v0.10.0" / "index.html"}


def test_a_folder_without_a_site_is_refused(versions, tmp_path):
    with pytest.raises(ValueError, match=r"has no index.html; allowed: the folder of a built site"):
        versions.write_versions(tmp_path)
