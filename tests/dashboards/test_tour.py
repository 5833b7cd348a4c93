"""The tour of docs/tour.md, walked on the demo's run: each click path leads to what the tour quotes of its page.

Slow, for it makes the demo's run, unless TOUR_RUNS names a folder that holds one. TOUR_PICTURES=docs/tour keeps a
picture of each stop, which is what `make tour` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sigmascope.fixtures
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.suite import read_suite

from .test_browser import PATIENCE_MS, page, serving

__all__ = ["page"]

TOUR = Path(__file__).parents[2] / "docs" / "tour.md"


def _open(title: str) -> Callable[[Any], None]:
    return lambda page: page.get_by_role("link", name=title, exact=True).first.click()


def _tab(title: str) -> Callable[[Any], None]:
    return lambda page: page.get_by_role("tab", name=title, exact=True).click()


def _peak(page: Any) -> None:
    """The highest point of the middle panel: the last curve's, digits-regressed, at its 11th level."""
    page.locator(".subplot.x2y2 .scatterlayer .trace").last.locator(".point").nth(10).click(force=True)


PATHS: dict[str, list[Callable[[Any], None]]] = {
    "which": [],
    "where": [_open("See it")],
    "images": [_open("Noise levels"), _peak],
    "model-or-sampler": [_open("Samplers"), _tab("Model or sampler?")],
    "cheapest": [_open("Samplers")],
}
"""From the first page to each stop, in the tour's order, as its headings name them."""


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard of the demo's run."""
    runs = Path(os.environ.get("TOUR_RUNS") or tmp_path_factory.mktemp("demo"))
    if not any(runs.glob("*/run.json")):
        suite = Path(sigmascope.fixtures.__file__).with_name("demo.toml")
        execute(prepare(read_suite(suite), suite.parent), runs)
    with serving(runs) as address:
        yield address


def stops() -> dict[str, list[str]]:
    """What the tour quotes at each stop: the lines that begin with ">" between two anchors."""
    parts = re.split(r'<a id="([\w-]+)"></a>', TOUR.read_text(encoding="utf-8"))
    return {
        name: [line.removeprefix("> ").strip() for line in text.splitlines() if line.startswith("> ")]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_tour_has_these_stops() -> None:
    assert list(stops()) == list(PATHS)
    assert all(stops().values()), "each stop quotes its page"
    pictures = re.findall(r"\]\((tour/[\w-]+\.png)\)", TOUR.read_text(encoding="utf-8"))
    assert pictures == [f"tour/{name}.png" for name in PATHS]
    assert all((TOUR.parent / picture).is_file() for picture in pictures)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS)
def test_a_stop_shows_what_the_tour_quotes(page: Any, toured: str, name: str) -> None:
    page.goto(toured)
    for click in [lambda page: None, *PATHS[name]]:
        click(page)
        page.wait_for_timeout(1000)  # until the script has begun
        page.locator(".stApp[data-test-script-state='notRunning']").wait_for(timeout=PATIENCE_MS)
        page.locator(".stMain .js-plotly-plot .main-svg").first.wait_for(timeout=PATIENCE_MS)
    assert page.locator(".stException").count() == 0
    shown = " ".join(page.locator(".stMain").evaluate("part => part.textContent").split())
    for quote in stops()[name]:
        assert quote in shown
    if folder := os.environ.get("TOUR_PICTURES"):
        page.mouse.move(640, 715)  # off the figures: no hover, no camera
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / f"{name}.png")
