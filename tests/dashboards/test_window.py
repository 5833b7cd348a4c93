"""The dashboard in a window of 390 pixels: figures fit it and panels are stacked; a wide window pays nothing for it.

And in one whose theme changes: what a stylesheet doesn't reach is drawn again, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sigmascope.dashboards.main import PAGES
from sigmascope.reports.figures.narrow import TILE

from .test_browser import PATIENCE_MS, serving

WIDTH = 390
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[str]:
    """The dashboard of the synthetic store."""
    with serving(store) as address:
        yield address


class Window:
    """One of the browser's, what it sends to the server and what it complains of."""

    def __init__(self, browser: Any, width: int, agent: str | None = None) -> None:
        size = {"width": width, "height": 844}
        self.context = browser.new_context(viewport=size, user_agent=agent, has_touch=agent is not None)
        self.page = self.context.new_page()
        self.sent: list[bytes] = []
        self.complaints: list[str] = []
        self.page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("websocket", lambda socket: socket.on("framesent", lambda one: self.sent.append(one)))

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.settled()

    def settled(self) -> None:
        """A figure stands, the script has ended, and nothing more is asked for."""
        self.page.locator(".stMain .js-plotly-plot .main-svg").first.wait_for(timeout=PATIENCE_MS)
        sent = -1
        while sent != len(self.sent):
            sent = len(self.sent)
            self.page.locator(".stApp[data-test-script-state='notRunning']").wait_for(timeout=PATIENCE_MS)
            self.page.wait_for_timeout(700)
        assert self.page.locator(".stException").count() == 0

    def close(self) -> None:
        self.context.close()
        unasked = [one for one in self.complaints if "404" not in one]  # Streamlit's own first question of a deep link
        assert unasked == []


@pytest.fixture
def phone(browser: Any) -> Iterator[Window]:
    window = Window(browser, WIDTH, PHONE)
    yield window
    window.close()


@pytest.mark.parametrize("path", [path for path in PAGES if path != "gates"])
def test_no_figure_is_wider_than_the_screen(phone: Window, served: str, path: str) -> None:
    phone.open(f"{served}/" if path == "overview" else f"{served}/{path}")
    _all_fits(phone)


def test_no_history_is_wider_than_the_screen(phone: Window, nightly: Path) -> None:
    with serving(nightly) as address:
        phone.open(f"{address}/gates")
        _all_fits(phone)
        phone.page.goto("about:blank")  # or it would complain that the server is gone


def _all_fits(phone: Window) -> None:
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out to the right"
    figures = phone.page.evaluate(
        """[...document.querySelectorAll(".js-plotly-plot")].map(one => {
          const box = one.closest("[class*='-scrolls']"), found = one.getBoundingClientRect();
          return {right: (box ?? one).getBoundingClientRect().right, width: found.width, scrolls: !!box,
                  reach: box ? box.scrollWidth - box.clientWidth : 0};
        })"""
    )
    assert figures
    assert all(one["right"] <= WIDTH for one in figures)
    assert all(one["width"] > 7 * TILE and one["reach"] > 0 for one in figures if one["scrolls"]), "a finger moves it"
    assert phone.page.get_by_text("Swipe sideways").count() == sum(one["scrolls"] for one in figures), "and is told so"


def test_panels_are_stacked(phone: Window, served: str) -> None:
    phone.open(f"{served}/parameterizations")
    panels = phone.page.evaluate(
        """[...document.querySelectorAll(".st-key-parameterizations-figure .draglayer .nsewdrag")].map(one => {
          const box = one.getBoundingClientRect();
          return [box.left, box.top, box.bottom];
        })"""
    )
    assert len(panels) == 3
    lefts, tops, bottoms = zip(*panels, strict=True)
    assert max(lefts) - min(lefts) < 30
    assert all(top > bottom for top, bottom in zip(tops[1:], bottoms, strict=False))


def test_a_tap_on_a_curve_shows_its_images(phone: Window, served: str) -> None:
    """A finger's, which Plotly by itself takes for a double click: a choice and its end."""
    phone.open(f"{served}/noise-levels")
    strip = ".st-key-worst-figure"
    assert phone.page.locator(strip).bounding_box()["y"] > 844, "they are out of sight"
    box = phone.page.locator(".subplot.x2y2 .scatterlayer .trace").last.locator(".point").last.bounding_box()
    phone.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    phone.page.wait_for_url("**level=40.0*", timeout=PATIENCE_MS)
    phone.settled()
    phone.page.wait_for_function(
        f"document.querySelector('{strip}').getBoundingClientRect().top < innerHeight", timeout=PATIENCE_MS
    )


def test_a_finger_on_a_figure_scrolls_the_page(phone: Window, served: str) -> None:
    phone.open(f"{served}/noise-levels")
    finger = phone.context.new_cdp_session(phone.page)
    for step in range(12):
        kind = "touchMove" if step else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": 200, "y": 500 - 20 * step}]})
        phone.page.wait_for_timeout(20)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    phone.page.wait_for_function("document.querySelector('.stMain').scrollTop > 100", timeout=PATIENCE_MS)


@pytest.mark.parametrize(
    ("width", "agent", "runs"),
    [(1280, None, 1), (WIDTH, PHONE, 1), (WIDTH, None, 2)],
    ids=["a wide window", "a phone", "a window made narrow"],
)
def test_who_pays_for_it(browser: Any, served: str, width: int, agent: str | None, runs: int) -> None:
    """A browser that the server takes for what it is has nothing to say; only another one asks a second time."""
    window = Window(browser, width, agent)
    window.open(f"{served}/noise-levels")
    assert len(window.sent) == runs
    stacked = window.page.locator(".st-key-noise-levels-figure").bounding_box()["width"] < WIDTH
    assert stacked == (width == WIDTH)
    ask = window.page.locator(".st-key-window").evaluate("one => getComputedStyle(one).position")
    assert ask == "absolute", "no gap where nothing is to be seen"
    assert window.page.url.endswith("/noise-levels"), "the second time asks for the same page"
    window.close()


def test_a_window_that_is_turned_is_drawn_again(browser: Any, served: str) -> None:
    window = Window(browser, 1280)
    window.open(f"{served}/parameterizations")
    figure = window.page.locator(".st-key-parameterizations-figure")
    wide = figure.bounding_box()["height"]
    window.page.set_viewport_size({"width": WIDTH, "height": 844})
    window.settled()
    assert figure.bounding_box()["height"] > 1.8 * wide
    window.page.set_viewport_size({"width": 1280, "height": 844})
    window.settled()
    assert figure.bounding_box()["height"] == wide
    window.close()


def test_a_change_of_theme_asks_once(browser: Any, served: str) -> None:
    window = Window(browser, 1280)
    window.open(f"{served}/compare")
    for theme in ("dark", "light"):
        asked = len(window.sent)
        window.page.emulate_media(color_scheme=theme)
        window.page.wait_for_timeout(1000)
        window.settled()
        assert len(window.sent) == asked + 1
    window.close()
