"""Every page of the built site in Chromium: no console error, nothing wider than a phone, no serious fault of access.

Looks at ``docs/_build/html`` (``make docs``), or at the folders that ``SITES`` names, separated by colons: also the
board and the demo.
"""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

BUILT = Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"
SITES = [Path(name).resolve() for name in os.environ.get("SITES", str(BUILT)).split(":")]
PAGES = sorted(path for site in SITES for path in site.rglob("*.html"))
WIDTHS = (390, 1280)
MOST_BYTES = 200_000
pytestmark = pytest.mark.skipif(not PAGES, reason="needs a built site: make docs")


def called(path):
    return next(path.relative_to(site).as_posix() for site in SITES if path.is_relative_to(site))


@pytest.fixture(scope="module")
def page(browser):
    opened = browser.new_page()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def axe():
    return pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()


@pytest.mark.parametrize("path", PAGES, ids=called)
def test_a_page_fits_a_phone_and_says_nothing_to_the_console(page, path):
    faults = []

    def heard(message):
        if message.type == "error":
            faults.append(message.text)

    page.on("console", heard)
    try:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                if width == WIDTHS[0] and scheme == "light":
                    page.goto(path.as_uri())
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width + 1, f"{wide} px wide at {width} px, {scheme}"
    finally:
        page.remove_listener("console", heard)
    assert faults == []


@pytest.mark.parametrize("path", PAGES, ids=called)
def test_axe_finds_no_serious_fault(page, axe, path):
    page.set_viewport_size({"width": 1280, "height": 900})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        found = axe.run(page).response["violations"]
        serious = {f["id"]: f["nodes"][0]["html"][:120] for f in found if f["impact"] in ("serious", "critical")}
        assert serious == {}, scheme


def weight(path):
    """Bytes that a browser fetches for a page, its styles, scripts and pictures; text travels compressed."""
    text = path.read_text(encoding="utf-8")
    tags = re.findall(r"<(?:link|script|img|source)\b[^>]*>", text)
    names = re.findall(r'(?:href|src|srcset)="([^":#?]+\.(?:css|js|png|svg|gif))', "\n".join(tags))
    loaded = {(path.parent / name).resolve() for name in names}
    contents = [(file.suffix, file.read_bytes()) for file in {path, *loaded} if file.is_file()]
    return sum(len(data) if suffix in (".png", ".gif") else len(gzip.compress(data)) for suffix, data in contents)


@pytest.mark.skipif("SITES" in os.environ, reason="a limit of the documentation's own pages")
@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "search.html"], ids=called)
def test_a_page_is_quick_to_load(path):
    assert weight(path) <= MOST_BYTES
