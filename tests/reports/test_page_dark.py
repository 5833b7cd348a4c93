"""The HTML report for a reader who prefers dark pages: page and figures change their inks, images and paper do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sigmascope.reports import html
from sigmascope.reports.attribution import as_html
from sigmascope.reports.figures import grounds, style
from sigmascope.reports.report import Report

from .test_attribution import SUBJECT, made
from .test_page import Opened

pytestmark = pytest.mark.browser
PALE = "rgb(244, 250, 255)"
"""Plotly's own chosen button: the page's CSS, `grounds.stylesheet`, finds it by this very colour."""

SEEN = """() => {
  const look = (where, what) => getComputedStyle(document.querySelector(where))[what];
  return {
    ground: look("body", "backgroundColor"), ink: look("body", "color"), chip: look(".chip", "backgroundColor"),
    axis: look("#figure-overview .xtitle, #figure-overview .annotation-text", "fill"),
    curve: look("#figure-noise-levels .lines path.js-line", "stroke"),
    verdict: look("b.worse", "color"),
    filters: [...document.querySelectorAll("*")].filter(one => getComputedStyle(one).filter !== "none").length,
    buttons: [...document.querySelectorAll("#figure-pairs .updatemenu-item-rect")]
      .map(one => getComputedStyle(one).fill),
    images: [...document.querySelectorAll(".imagelayer .im image")].map(one => one.href.baseVal),
  };
}"""

INKS = """() => [...new Set([...document.querySelectorAll(".js-plotly-plot svg *:not(.updatemenu-item-rect)")]
    .flatMap(one => [getComputedStyle(one).fill, getComputedStyle(one).stroke]))]"""
"""Of all that figures hold, shown or not, but for the buttons, which have rules of their own."""


@pytest.fixture(scope="module")
def written(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html.page(report), encoding="utf-8")
    return path


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def exchanged(light: list[str], dark: list[str]) -> bool:
    """Whether no ink of a light page is left on the dark one, and each of those that were there is its counterpart."""
    before, after = set(light), set(dark)
    known = {rgb(one): rgb(other) for one, other in grounds.DARK.items()}
    return before & set(known) != set() and not after & set(known) and {known.get(one, one) for one in before} <= after


def as_on(theme: style.Theme, seen: dict[str, Any], report: Report) -> None:
    own = report.colours(theme)
    assert seen["ground"] == rgb(style.ground(theme))
    assert seen["ink"] == seen["axis"] == rgb(style.ink(theme))
    assert seen["chip"] in {rgb(one) for one in own.values()}
    assert seen["curve"] in {rgb(one) for one in own.values()}
    assert seen["verdict"] == rgb(style.verdict("worse", theme))
    assert seen["filters"] == 0


def test_the_page_follows_its_reader_and_paper_stays_light(browser: Any, written: Path, report: Report) -> None:
    opened = Opened(browser, written, 1280, 720)
    page = opened.page
    light = page.evaluate(SEEN)
    as_on("light", light, report)
    assert light["images"]
    inks = page.evaluate(INKS)
    assert {rgb(one) for one in (style.ink("light"), style.quiet("light"), *report.colours().values())} <= set(inks)
    assert light["buttons"][0] == PALE

    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(SEEN)
    as_on("dark", dark, report)
    assert dark["images"] == light["images"]
    assert exchanged(inks, page.evaluate(INKS))
    assert len(set(dark["buttons"])) == 2, "the chosen one is another"
    for fill in dark["buttons"]:
        assert max(int(part) for part in fill.removeprefix("rgb(").removesuffix(")").split(",")) < 128

    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    as_on("light", page.evaluate(SEEN), report)
    page.emulate_media(media="screen", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    as_on("dark", page.evaluate(SEEN), report)

    page.reload()
    as_on("dark", page.evaluate(SEEN), report)
    page.emulate_media(color_scheme="light")
    assert page.evaluate(SEEN) == light
    opened.all_is_well()


def test_on_a_dark_phone_panels_stand_under_one_another(browser: Any, written: Path, report: Report) -> None:
    opened = Opened(browser, written, 390, 844)
    page = opened.page
    places = """["overview", "noise-levels"].map(name => document.getElementById(`figure-${name}`).layout).map(
        one => [one.height, ...Object.keys(one).filter(name => /axis/.test(name)).map(name => one[name].domain)]
    )"""
    before = page.evaluate(places)
    page.emulate_media(color_scheme="dark")
    page.reload()
    as_on("dark", page.evaluate(SEEN), report)
    assert page.evaluate(places) == before
    opened.all_is_well()


def test_an_attribution_follows_its_reader_too(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "attribution.html"
    path.write_text(as_html(made((0.01, 0.81, 0.18), 0.03), SUBJECT), encoding="utf-8")
    opened = Opened(browser, path, 1280, 720)
    page = opened.page
    seen = """() => [["body", "backgroundColor"], [".x2title", "fill"]].map(
        ([where, what]) => getComputedStyle(document.querySelector(where))[what])"""
    assert page.evaluate(seen) == [rgb(style.ground("light")), rgb(style.ink("light"))]
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(seen) == [rgb(style.ground("dark")), rgb(style.ink("dark"))]
    opened.all_is_well()
    small = Opened(browser, path, 390, 844)
    small.all_is_well()
