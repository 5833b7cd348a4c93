"""The HTML report in Chromium: offline, on a wide screen, on a phone, on paper, and with names that try to be more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sigmascope.reports import html
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.sections import plates

from . import hostile

PATIENCE_MS = 60_000
A4 = 695
"""Pixels between the margins, at 96 to the inch: (210 mm - 2 x 13 mm) / 25.4 x 96."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def written(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html.page(report, command="sigmascope report latest"), encoding="utf-8")
    return path


class Opened:
    """A page, what it asked the network for, and what it complained of."""

    def __init__(self, browser: Any, path: Path, width: int, height: int = 800) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": height})
        self.page.on("console", lambda one: self.complaints.append(one.text) if one.type in ("error", "warning") else 0)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message) or dialog.dismiss())
        self.page.route("**/*", self._only_files)
        self.page.goto(path.as_uri(), wait_until="load", timeout=PATIENCE_MS)

    def _only_files(self, route: Any) -> None:
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()

    def all_is_well(self) -> None:
        assert self.asked == []
        assert self.complaints == []
        assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it sticks out to the right"
        self.page.close()

    def figures(self) -> list[dict[str, Any]]:
        """Every figure that is shown: its name, and where the drawing begins and ends, by its own page."""
        return list(
            self.page.evaluate(
                """[...document.querySelectorAll(".plotly-graph-div")].filter(one => one.offsetParent).map(one => {
                  const box = one.querySelector(".main-svg").getBoundingClientRect();
                  const section = one.closest("figure").getBoundingClientRect();
                  return {name: one.id.replace("figure-", ""), left: box.left, right: box.right,
                          below: box.bottom - section.bottom};
                })"""
            )
        )


def test_it_opens_offline_and_its_contents_lead_somewhere(browser: Any, written: Path, report: Report) -> None:
    opened = Opened(browser, written, 1280, 720)
    page = opened.page
    drawn = opened.figures()
    assert [one["name"] for one in drawn] == [plate.name for plate in plates(report)]
    assert [one for one in drawn if one["right"] > 1280 or one["below"] > 1] == []
    assert "digits-regressed: denoising error 34%" in page.locator(".headline").inner_text()
    assert page.locator(".headline").bounding_box()["y"] < 200
    for link in page.locator("nav a").all():
        target = str(link.get_attribute("href"))
        page.evaluate("target => document.querySelector(target).scrollIntoView({behavior: 'instant'})", target)
        assert page.locator(f"{target} h2").is_visible()
        assert link.bounding_box()["y"] >= 0, "the list stays beside the page"
    opened.all_is_well()


def test_on_a_phone_panels_stand_under_one_another(browser: Any, written: Path) -> None:
    opened = Opened(browser, written, 390, 844)
    page = opened.page
    domains = page.evaluate(
        "['', 2, 3].map(i => document.getElementById('figure-overview').layout[`xaxis${i}`].domain.join())"
    )
    assert domains == ["0,1"] * 3
    boxes = page.evaluate(
        "[...document.querySelectorAll('#figure-overview .xaxislayer-above, #figure-overview .gridlayer')].length"
    )
    assert boxes > 0
    assert all(one["below"] <= 1 for one in opened.figures())
    assert page.locator(".listed td").first.evaluate("one => getComputedStyle(one, '::before').content") == '"model"'
    small = page.evaluate(
        "[...document.querySelectorAll('main p, main li, main td')].filter(one => one.offsetParent)"
        ".filter(one => parseFloat(getComputedStyle(one).fontSize) < 12).length"
    )
    assert small == 0
    opened.all_is_well()


def test_on_paper_nothing_is_cut(browser: Any, written: Path, report: Report) -> None:
    opened = Opened(browser, written, A4, 1000)
    page = opened.page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    drawn = opened.figures()
    assert {one["name"] for one in drawn} == {plate.name for plate in plates(report) if not plate.flips}
    assert all(one["left"] >= -1 and one["right"] <= A4 + 1 and one["below"] <= 1 for one in drawn)
    styles = page.evaluate(
        """() => ({
          modebars: [...document.querySelectorAll(".modebar-container")].filter(one => one.offsetParent).length,
          closed: document.querySelectorAll("details:not([open])").length,
          breaks: [...document.querySelectorAll("section.chapter")].map(one => getComputedStyle(one).breakBefore),
          inside: [...document.querySelectorAll("figure")].map(one => getComputedStyle(one).breakInside),
          colours: getComputedStyle(document.body).printColorAdjust,
        })"""
    )
    assert styles["modebars"] == styles["closed"] == 0
    assert len(styles["breaks"]) >= 7
    assert set(styles["breaks"]) == {"page"}
    assert set(styles["inside"]) == {"avoid"}
    assert styles["colours"] == "exact"
    paper = page.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
    assert opened.asked == opened.complaints == []
    page.close()


def test_hostile_names_are_text_in_a_browser(browser: Any, tmp_path: Path) -> None:
    """A script, an image or a link that a name brings along would run, be fetched, or stand in the page."""
    path = tmp_path / "report.html"
    joined = "\n".join(name for name in hostile.NAMES if len(name) < 1000)  # drawing the longest takes half a minute
    path.write_text(html.page(assemble([hostile.run(joined)]), command=joined), encoding="utf-8")
    opened = Opened(browser, path, 390, 844)
    page = opened.page
    assert page.locator("main img, main iframe, main object, main video, main form").count() == 0
    links = page.evaluate("[...document.querySelectorAll('a')].map(one => one.getAttribute('href'))")
    assert all(link is None or link.startswith("#") for link in links)
    assert page.locator("h3", has_text="<script>alert(1)</script>").count() > 0
    opened.all_is_well()
