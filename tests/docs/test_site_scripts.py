"""The site's own scripts in Chromium: the calculator computes what the package does, versions lead to each other."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gym_stepwise_routing.evaluation.pool_value import pool_value

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def calculator(browser):
    form = re.search(r"(?s)<form.*?</form>", (DOCS / "howto" / "pool.md").read_text(encoding="utf-8"))[0]
    script = (DOCS / "_static" / "pool.js").read_text(encoding="utf-8")
    page = browser.new_page()
    page.set_content(f"<html><body>{form}<script>{script}</script></body></html>")

    def told(**figures):
        for name, value in figures.items():
            page.fill(f"[name={name}]", str(value))
        return page.locator("output").text_content()

    yield told
    page.close()


@pytest.mark.parametrize(
    "figures",
    [
        {"small": 65, "large": 86, "both": 59, "small_cost": 0.3, "large_cost": 10, "keep": 95},
        {"small": 19.25, "large": 52.75, "both": 17.5, "small_cost": 0, "large_cost": 1, "keep": 100},
        {"small": 80, "large": 70, "both": 60, "small_cost": 2, "large_cost": 4, "keep": 90},
    ],
)
def test_the_calculator_says_what_the_package_computes(calculator, figures):
    shares = [figures[name] / 100 for name in ("small", "large", "both")]
    cost = figures["small_cost"] / figures["large_cost"]
    value = pool_value(*shares, small_cost=cost, keep=figures["keep"] / 100)
    told = [float(number) for number in re.findall(r"[\d.]+(?= %)", calculator(**figures))]
    asked = (value.saving, value.wanted, value.accuracy, value.cost)
    assert told == pytest.approx([100 * share for share in asked], abs=0.051)


@pytest.mark.parametrize(
    ("figures", "fault"),
    [
        ({"small": 120}, "between 0 and 100 %"),
        ({"large": ""}, "between 0 and 100 %"),
        ({"small": 40, "large": 80, "both": 50}, "both are right on 20 to 40 %"),
        ({"large_cost": 0}, "costs more than 0"),
    ],
)
def test_the_calculator_says_what_cannot_be(calculator, figures, fault):
    assert fault in calculator(**figures)


@pytest.fixture
def published(tmp_path, docs_module):
    """Address of a site with a release in it."""
    versions = docs_module("versions")
    script = (DOCS / "_static" / "versions.js").read_text(encoding="utf-8")
    for folder in ("", "v0.9.0"):
        (tmp_path / folder / "page").mkdir(parents=True)
        for name, root in (("index.html", "./"), ("page/index.html", "../")):
            html = f'<html data-content_root="{root}"><div class="versions">0.9</div><script>{script}</script></html>'
            (tmp_path / folder / name).write_text(html)
    versions.write_versions(tmp_path)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(("page", "here", "other"), [("/page/", 0, "/v0.9.0/"), ("/v0.9.0/page/", 1, "/")])
def test_a_page_offers_the_other_version(browser, published, page, here, other):
    opened = browser.new_page()
    opened.goto(f"{published}{page}index.html")
    choice = opened.locator(".versions select")
    assert choice.evaluate("select => select.selectedIndex") == here
    with opened.expect_navigation():
        choice.select_option(index=1 - here)
    assert opened.url == f"{published}{other}"
    opened.close()
