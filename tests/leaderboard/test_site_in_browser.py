"""The site in a real browser, from a file path: sorting, switching, filtering, hovering, the trace viewer."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

from gym_stepwise_routing.leaderboard.board_rows import read_rows
from gym_stepwise_routing.leaderboard.entry_files import entry_path
from gym_stepwise_routing.leaderboard.site import build_site
from gym_stepwise_routing.leaderboard.submit import make_entry
from gym_stepwise_routing.leaderboard.track import open_track

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium, or set CHROMIUM")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
]
SHOWN = ("always-smallest", "always-largest", "oracle", "first-1-large", "first-2-large", "confidence-p-min")
TRACK = "bank-regenerate"
SQL = "intercode-sql-gpt-calls"
CODE = "mbpp-route"


def entries_of(track, names, folder):
    for row in read_rows():
        if row.name in names:
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
    return folder


@pytest.fixture(scope="module")
def site(track, tracks, tmp_path_factory):
    folder, out = tmp_path_factory.mktemp("entries"), tmp_path_factory.mktemp("out") / "site"
    entries_of(track, SHOWN, folder)
    build_site(out, entries=folder, artefacts=folder, tracks=tracks, report=lambda line: None)
    return out


@pytest.fixture(scope="module")
def sql_site(tmp_path_factory):
    folder, out = tmp_path_factory.mktemp("sql"), tmp_path_factory.mktemp("out") / "site"
    entries_of(open_track(SQL), ("always-smallest", "always-largest", "last-6-large"), folder)
    build_site(out, entries=folder, artefacts=folder, only=[SQL], rerun=False, report=lambda line: None)
    return out


@pytest.fixture(scope="module")
def code_site(tmp_path_factory):
    folder, out = tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("out") / "site"
    entries_of(open_track(CODE), ("always-smallest", "always-largest"), folder)
    build_site(out, entries=folder, artefacts=folder, only=[CODE], rerun=False, report=lambda line: None)
    return out


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as api:
        running = api.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    """A page; any console error, page error or request to a network fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    faults = []
    opened.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else faults.append(request.url)
    )
    yield opened
    context.close()
    assert not faults


def column(page, number):
    return page.locator(f"#table tbody tr > :nth-child({number})").all_inner_texts()


def test_columns_sort_both_ways(page, site):
    page.goto(f"file://{site}/{TRACK}/index.html")
    assert len(column(page, 3)) == len(SHOWN)
    for name, place in (("Accuracy, %", 5), ("Cost", 6)):
        button = page.get_by_role("button", name=name)
        button.click()
        first = [float(text.split()[0]) for text in column(page, place)]
        button.click()
        second = [float(text.split()[0]) for text in column(page, place)]
        assert first == sorted(first, reverse=first[0] > first[-1])
        assert second == first[::-1] or sorted(second) == sorted(first)
        assert (first[0] > first[-1]) != (second[0] > second[-1])
    assert page.locator("th[aria-sort]").count() == 1


def test_the_cost_unit_switches_table_picture_and_verdict(page, site):
    page.goto(f"file://{site}/{TRACK}/index.html")
    costs, axis = column(page, 6), page.locator("#chart svg").get_attribute("aria-label")
    page.get_by_role("radio", name="FLOPs").check()
    assert column(page, 6) != costs
    assert page.locator("#chart svg").get_attribute("aria-label") != axis
    assert "In FLOPs" in page.locator("#verdict").inner_text()


def test_filters(page, site):
    page.goto(f"file://{site}/{TRACK}/index.html")
    page.locator("#filter").fill("steps large")
    assert len(column(page, 3)) == page.locator("#chart .point").count() == 1
    page.locator("#filter").fill("no such thing")
    assert page.locator("#empty").is_visible()
    page.locator("#filter").fill("")
    page.get_by_label("bounds").uncheck()
    assert len(column(page, 3)) == len(SHOWN) - 1


def test_points_explain_themselves_to_pointer_and_keyboard(page, site):
    page.goto(f"file://{site}/{TRACK}/index.html")
    point = page.locator('.point[data-name="first-2-large"]')
    point.hover()
    assert "First 2 steps large" in page.locator(".tip").inner_text()
    page.mouse.move(0, 0)
    assert page.locator(".tip").is_hidden()
    point.focus()
    assert "gain" in page.locator(".tip").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/first-2-large.html")
    assert page.locator("h1").inner_text() == "First 2 steps large"


def test_ticking_a_row_draws_its_sweep(page, site):
    page.goto(f"file://{site}/{TRACK}/index.html")
    box = page.get_by_label("colour Confidence: least likely token in the picture")
    assert page.locator("#chart .sweep").count() == 1
    box.uncheck()
    assert page.locator("#chart .sweep").count() == 0
    box.check()
    assert page.locator("#chart .sweep").count() == 1


def test_oracle_and_constants_have_lines(page, site):
    page.goto(f"file://{site}/{TRACK}/index.html")
    assert page.locator("#chart path.oracle").count() == 1
    assert page.locator("#chart path.hull").count() == 1


def test_the_viewer_shows_trees_paths_and_texts(page, site):
    page.goto(f"file://{site}/{TRACK}/traces.html#router=always-largest")
    page.wait_for_selector("#tree .node")
    assert page.locator("#router").input_value() == "always-largest"
    assert page.locator("#paths tbody tr").count() == len(SHOWN)
    steps = page.locator("#steps li").count()
    assert steps == page.locator("#tree .edge.on").count() >= 1
    status = page.locator("#status").inner_text()
    page.locator("#next").click()
    page.wait_for_function("before => document.getElementById('status').textContent !== before", arg=status)
    page.get_by_role("button", name="Always smallest").click()
    page.wait_for_function("() => location.hash.includes('router=always-smallest')")
    assert set("".join(page.locator("tr[aria-current] .digits").all_inner_texts())) == {"0"}
    node = page.locator("#tree .node").last
    node.focus()
    page.keyboard.press("Enter")
    assert page.locator("#pathtitle").inner_text().startswith("Path ")
    assert all(page.locator("#steps p").first.inner_text())


@pytest.mark.parametrize("width", [1200, 390])
def test_the_viewer_tells_turns_on_a_database_by_its_answers(page, sql_site, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"file://{sql_site}/{SQL}/traces.html#router=last-6-large&problem=intercode-sql/pets_1/23")
    steps = page.locator("#steps li")
    playwright.expect(steps).to_have_count(4 + 6)
    assert [steps.nth(number).locator("p").first.inner_text()[:7] for number in (0, 3, 4, 9)] == [
        "Turn 1:",
        "Turn 4:",
        "Turn 1:",
        "Turn 6:",
    ]
    assert [number for number in range(10) if "afresh" in steps.nth(number).inner_text()] == [4]
    assert "no text recorded" not in page.locator("#steps").inner_text()
    assert "begins the task afresh" in page.locator("#notes").inner_text()
    assert "least likely token" not in page.locator("#notes").inner_text()  # nobody recorded it
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1200, 390])
def test_the_viewer_shows_code_as_code_and_no_reference(page, code_site, width):
    """The reference of a program is its tests; what stands in its place is the name of a function."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"file://{code_site}/{CODE}/traces.html")
    page.locator("#which").select_option("wrong")
    assert "monospace" in page.locator("#steps li p").first.evaluate("e => getComputedStyle(e).fontFamily")
    answer = page.locator("#steps li").last.locator("p").last.inner_text()
    assert re.fullmatch(r"✗ program [0-9a-f]{4}", answer)
    assert any(line.startswith("    ") for line in page.locator("#steps li p:first-child").all_text_contents())
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_viewer_finds_problems_by_outcome(page, site):
    page.goto(f"file://{site}/{TRACK}/traces.html#router=first-2-large")
    page.wait_for_selector("#tree .node")
    total = page.locator("#problem option").count()
    page.locator("#which").select_option("right")
    right = page.locator("#problem option").count()
    page.locator("#which").select_option("wrong")
    assert 0 < right < total
    assert page.locator("#problem option").count() == total - right


def test_light_and_dark(page, site):
    page.goto(f"file://{site}/index.html")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.evaluate(ground) != light
    page.emulate_media(color_scheme="dark")
    page.locator("#theme").click()
    assert page.evaluate(ground) == light


@pytest.mark.parametrize(
    "name", ["index.html", f"{TRACK}/index.html", f"{TRACK}/entries/oracle.html", f"{TRACK}/traces.html"]
)
def test_pages_fit_a_phone(page, site, name):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"file://{site}/{name}")
    page.wait_for_timeout(300)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", ["index.html", f"{TRACK}/index.html", f"{TRACK}/traces.html"])
def test_every_control_can_be_reached_with_the_keyboard(page, site, name):
    page.goto(f"file://{site}/{name}")
    page.wait_for_timeout(300)
    controls = page.locator("button:visible:enabled, select:visible, input:visible, a:visible, .point").count()
    place = "() => [...document.querySelectorAll('*')].indexOf(document.activeElement)"
    reached = set()
    for _ in range(controls + 40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(place))
    assert len(reached) >= controls - 4  # radio buttons of one group are one stop


def test_the_viewer_follows_its_address(page, site):
    page.goto(f"file://{site}/{TRACK}/traces.html#router=always-largest")
    page.wait_for_selector("#tree .node")
    page.evaluate("() => { location.hash = 'router=always-smallest'; }")
    page.wait_for_function("() => document.getElementById('pathtitle').textContent.includes('Always smallest')")
    assert page.locator("#router").input_value() == "always-smallest"


def test_the_keyboard_stays_where_it_was_in_the_viewer(page, site):
    page.goto(f"file://{site}/{TRACK}/traces.html#router=always-largest")
    page.wait_for_selector("#tree .node")
    page.get_by_role("button", name="Always smallest").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => location.hash.includes('router=always-smallest')")
    page.wait_for_function("() => document.activeElement.textContent === 'Always smallest'")
    assert page.locator('#tree .node[tabindex="0"]').count() == 1
    page.locator('#tree .node[tabindex="0"]').focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.dataset.decisions") == "0"
    assert page.locator('#tree .node[tabindex="0"]').count() == 1
    page.keyboard.press("ArrowDown")
    assert page.evaluate("() => document.activeElement.dataset.decisions") == "1"


def test_winners_keep_their_names_on_a_phone(page, site):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"file://{site}/{TRACK}/index.html")
    names = set(page.locator("#chart .label").all_text_contents())
    rows = json.loads((site / TRACK / "board.json").read_text(encoding="utf-8"))["rows"]
    routers = [row["title"] for row in rows if row["kind"] == "router"]
    assert routers
    assert set(routers[:3]) <= names


def test_a_tap_beside_a_point_means_the_nearest(browser, site):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"file://{site}/{TRACK}/index.html")
    point = page.locator('#chart .point[data-name="confidence-p-min"]')
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] - 9)
    page.wait_for_selector("#table tr.selected")
    assert page.locator("#table tr.selected").get_attribute("data-name") in {"confidence-p-min", "first-2-large"}
    assert page.locator(".tip").is_visible()
    context.close()


def test_the_first_tap_selects_and_the_second_opens(browser, site):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"file://{site}/{TRACK}/index.html")
    for place in ('#table tr[data-name="first-2-large"] th a', '.point[data-name="first-2-large"]'):
        page.goto(f"file://{site}/{TRACK}/index.html")
        page.locator(place).tap()
        page.wait_for_timeout(200)
        assert page.url.endswith("/index.html")
        assert page.locator('tr.selected[data-name="first-2-large"]').count() == 1
        assert page.locator("tr.tied").count() == page.locator(".approx:visible").count()
        page.locator(place).tap()
        page.wait_for_url("**/entries/first-2-large.html")
    context.close()


def test_text_in_the_colours_of_models_can_be_read(page, site):
    """WCAG AA asks for 4.5; decisions and model names are text in these colours."""
    page.goto(f"file://{site}/index.html")
    contrast = """(name) => {
      const light = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
      const of = (key) => light(getComputedStyle(document.documentElement).getPropertyValue(key).trim());
      const [a, b] = [of(name), of("--panel")].sort((p, q) => q - p);
      return (a + 0.05) / (b + 0.05);
    }"""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert min(page.evaluate(contrast, f"--m{i}") for i in range(7)) >= 4.5, scheme
