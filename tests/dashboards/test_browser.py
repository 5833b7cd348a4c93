"""The dashboard and the report as a reader sees them, in Chromium: every page drawn, the regression named."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from sigmascope.dashboards.gates import LINES
from sigmascope.dashboards.launch import command
from sigmascope.dashboards.main import PAGES
from sigmascope.reports import html
from sigmascope.reports.figures import style
from sigmascope.reports.report import assemble

from ..reports import synthetic
from ..reports.test_page_dark import INKS, exchanged

PATIENCE_MS = 60_000

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[str]:
    """The dashboard of the synthetic store."""
    with serving(store) as address:
        yield address


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """The dashboard of a store on a free port of this machine; gone at the end."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(command(root, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    end = monotonic() + PATIENCE_MS / 1000
    while True:
        assert server.poll() is None, "the dashboard's server has stopped"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert monotonic() < end, "the dashboard's server does not answer"
            sleep(0.2)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A window; every complaint of its console fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    opened.close()
    assert complaints == []


def _drawn(page: Any) -> None:
    """Wait until the script has run to its end and a chart stands; there must be no exception."""
    page.locator(".stMain .js-plotly-plot .main-svg").first.wait_for(timeout=PATIENCE_MS)
    _done(page)


def _done(page: Any) -> None:
    page.locator(".stApp[data-test-script-state='notRunning']").wait_for(timeout=PATIENCE_MS)
    assert page.locator(".stException").count() == 0


def _tab(page: Any, title: str) -> Any:
    """The page's link at the top; others of that name may stand on a page."""
    return page.get_by_test_id("stTopNav").get_by_role("link", name=title, exact=True)


def _chosen(page: Any, label: str, value: str) -> None:
    """A select box shows this value."""
    page.locator(f"input[role='combobox'][aria-label='{label}'][value='{value}']").wait_for(timeout=PATIENCE_MS)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_drawn(page: Any, served: str, theme: style.Theme) -> None:
    page.emulate_media(color_scheme=theme)
    page.goto(served)
    _drawn(page)
    ground = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert ground == f"rgb({', '.join(str(channel) for channel in bytes.fromhex(style.ground(theme)[1:]))})"
    for path, (title, _) in PAGES.items():
        _tab(page, title).click()
        page.wait_for_url(served + "/" if path == "overview" else f"{served}/{path}")
        if path == "gates":  # a history of one run has no chart
            page.get_by_text("One run so far").wait_for(timeout=PATIENCE_MS)
            _done(page)
        else:
            _drawn(page)


@pytest.mark.parametrize("title", ["Overview", "Noise levels", "Samplers"])
def test_an_open_page_becomes_dark_with_its_reader(page: Any, served: str, title: str) -> None:
    page.goto(served)
    _tab(page, title).click()
    _drawn(page)
    light = page.evaluate(INKS)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")
    _done(page)
    assert exchanged(light, page.evaluate(INKS))
    page.emulate_media(color_scheme="light")
    page.wait_for_function("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'light'")
    _done(page)
    assert set(page.evaluate(INKS)) == set(light)


def test_the_noise_levels_name_the_regressed_model(page: Any, served: str) -> None:
    page.goto(served)
    _tab(page, "Noise levels").click()
    note = page.locator(".annotation-text", has_text="digits-regressed +34%")
    note.wait_for(timeout=PATIENCE_MS)
    box = note.bounding_box()
    assert box["x"] > 300
    assert box["x"] + box["width"] < 1280
    assert box["y"] + box["height"] < 720, "it is seen without scrolling"


def test_a_click_on_a_point_shows_its_images(page: Any, served: str) -> None:
    page.goto(served)
    _tab(page, "Noise levels").click()
    _drawn(page)
    _chosen(page, "Images of", "digits-regressed")
    _chosen(page, "at sigma", "0.758")
    # The last curve of the lower panel is the regressed model's, its last point the one at the largest sigma.
    page.locator(".subplot.x2y2 .scatterlayer .trace").last.locator(".point").last.click(force=True)
    page.wait_for_url("**level=40.0*", timeout=PATIENCE_MS)
    _drawn(page)
    _chosen(page, "at sigma", "40.0")
    page.locator(".st-key-worst-figure text", has_text="noisy").first.wait_for(timeout=PATIENCE_MS)


def test_a_finding_leads_to_its_curve(page: Any, served: str) -> None:
    page.goto(f"{served}/")
    _drawn(page)
    _tab(page, "Run").click()
    page.get_by_role("link", name="See it").first.click()
    page.wait_for_url("**/noise-levels*")
    _drawn(page)
    _chosen(page, "Probe", "calibration: slope")
    _chosen(page, "Images of", "digits-regressed")


def test_pairs_flip_in_place(page: Any, served: str) -> None:
    page.goto(f"{served}/")
    _drawn(page)
    _tab(page, "Compare").click()
    shown = page.locator(".st-key-pairs-figure")
    first = shown.locator("image").first.evaluate("image => image.outerHTML", timeout=PATIENCE_MS)
    shown.locator(".updatemenu-button", has_text="difference").click()
    other = "before => document.querySelector('.st-key-pairs-figure image').outerHTML !== before"
    page.wait_for_function(other, arg=first, timeout=PATIENCE_MS)


def test_a_table_and_a_picture_can_be_taken_along(page: Any, served: str) -> None:
    page.goto(f"{served}/")
    _drawn(page)
    page.get_by_role("link", name="Parameterizations", exact=True).click()
    page.get_by_test_id("stPopover").first.get_by_role("button").click(timeout=PATIENCE_MS)
    with page.expect_download(timeout=PATIENCE_MS) as taken:
        page.get_by_role("button", name="CSV").first.click()
    assert taken.value.suggested_filename == "digits-0a1b2c3d-parameterizations.csv"
    assert Path(taken.value.path()).read_text().startswith("model,parameterization,level,sigma")
    page.keyboard.press("Escape")
    chart = page.locator(".js-plotly-plot").first
    chart.hover()
    with page.expect_download(timeout=PATIENCE_MS) as taken:
        chart.locator(".modebar-btn[data-title*='ownload']").click()
    assert taken.value.suggested_filename == "parameterizations.png"
    assert Path(taken.value.path()).read_bytes().startswith(b"\x89PNG")


def test_from_a_gate_to_its_runs_and_along_the_history(page: Any, nightly: Path) -> None:
    """A click on a row shows its evidence, its link leads to the comparison, a click on a point chooses its run."""
    with serving(nightly) as address:
        page.goto(address)
        _tab(page, "Gates and history").click(timeout=PATIENCE_MS)
        _drawn(page)
        page.locator(".stHtml span", has_text="higher than model @ nightly-01").wait_for(timeout=PATIENCE_MS)
        table = page.locator(".st-key-gates-table")
        box = table.bounding_box()
        page.mouse.click(box["x"] + 16, box["y"] + 35 + 1.5 * LINES)  # the second row's box; the table is a canvas
        page.locator(".stHtml span", has_text="within 2.0% of model @ nightly-01").wait_for(timeout=PATIENCE_MS)
        page.wait_for_url("**gate=*", timeout=PATIENCE_MS)
        page.get_by_role("link", name="Compare them").click()
        page.wait_for_url("**/compare*", timeout=PATIENCE_MS)
        _chosen(page, "Run", "nightly-01")
        page.locator(".st-key-where-figure .ytick", has_text="model @ nightly-02").wait_for(timeout=PATIENCE_MS)
        _drawn(page)
        _tab(page, "Gates and history").click()
        _drawn(page)
        figure = page.locator(".st-key-history-figure")
        figure.locator(".annotation-text", has_text="→").wait_for(timeout=PATIENCE_MS)
        figure.locator(".scatterlayer .trace").first.locator(".point").nth(7).click(force=True)
        _chosen(page, "Run", "nightly-08")
        _drawn(page)
        page.get_by_role("link", name="Compare with the run before").click()
        page.wait_for_url("**/compare*", timeout=PATIENCE_MS)
        _chosen(page, "Run", "nightly-07")
        page.locator(".st-key-where-figure .ytick", has_text="model @ nightly-08").wait_for(timeout=PATIENCE_MS)
        _drawn(page)
        page.goto("about:blank")  # or it would complain that the server is gone


def test_a_deep_link_opens_what_it_names(browser: Any, served: str) -> None:
    page = browser.new_page()  # Streamlit asks /noise-levels/_stcore first and is told 404: its console is not ours
    page.goto(f"{served}/noise-levels?baseline=digits-v")
    page.locator(".ytitle, .y2title", has_text="digits-v").first.wait_for(timeout=PATIENCE_MS)
    assert page.get_by_text("Page not found").count() == 0
    page.close()


def test_a_run_in_progress_is_followed_to_its_end(page: Any, tmp_path: Path) -> None:
    folder = synthetic.write_partial(synthetic.run({"alone": "eps"}), tmp_path)
    record = json.loads((folder / "run.json").read_text())
    with serving(tmp_path) as address:
        page.goto(address)
        _tab(page, "Run").click(timeout=PATIENCE_MS)
        page.locator("b", has_text="2, 1 failed").wait_for(timeout=PATIENCE_MS)
        record["cells"].append({**record["cells"][0], "key": "further"})
        (folder / "run.json").write_text(json.dumps(record))
        page.locator("b", has_text="3, 1 failed").wait_for(timeout=PATIENCE_MS)
        whole = shutil.copytree(folder, folder.with_name(folder.name.removesuffix(".partial")))
        (whole / "run.json").write_text(json.dumps({**record, "status": "complete"}))
        shutil.rmtree(folder)
        page.locator("b", has_text="complete").wait_for(timeout=PATIENCE_MS)
        assert page.locator(".stException").count() == 0
        page.goto("about:blank")  # or it would complain that the server is gone


def test_the_report_opens_offline(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html.page(assemble([synthetic.run()])), encoding="utf-8")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.locator("#samples .main-svg").last.wait_for(timeout=PATIENCE_MS)
    assert page.locator(".annotation-text", has_text="digits-regressed +34%").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out to the right"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
