"""Colours are seen on both grounds, told apart by the colour-blind, and each has one counterpart on the other ground.

Contrast by WCAG 2.1's formula. Colour blindness by Machado, Oliveira and Fernandes (2009), complete dichromacy, whose
matrices act on linear RGB; distances are CIE 1976 (L*a*b*, D65). How far apart is enough is what the eight colours of
Okabe and Ito, made to be told apart so, reach among themselves by the same measure.
"""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any, cast

import numpy as np
import pytest
from sigmascope.reports import html
from sigmascope.reports.figures import grounds, slices, style
from sigmascope.reports.figures.pictures import flip
from sigmascope.reports.report import Report
from sigmascope.reports.sections import plates

THEMES: tuple[style.Theme, ...] = ("light", "dark")
OKABE_ITO = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
LINE, WORDS = 3.0, 4.5
"""WCAG 2.1: the least contrast of graphical objects (1.4.11) and of text (1.4.3)."""
FEW = 2.0
"""Of points that matter less."""


def linear(colour: str) -> np.ndarray:
    """ "#rrggbb" -> linear RGB, shape (3,)."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    pale, dark = sorted((float(XYZ[1] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (pale + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    ratio = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1)
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def apart(colours: tuple[str, ...]) -> float:
    """The least distance of two, to whichever eye sees least between them."""
    eyes = [np.eye(3), *map(np.array, DICHROMATS.values())]
    return min(
        float(np.linalg.norm(lab(eye @ linear(one)) - lab(eye @ linear(other))))
        for one, other in combinations(colours, 2)
        for eye in eyes
    )


def blended(rgba: str, ground: str) -> str:
    *channels, alpha = (float(part) for part in rgba.removeprefix("rgba(").removesuffix(")").split(","))
    below = [int(ground[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(alpha * c + (1 - alpha) * b):02x}" for c, b in zip(channels, below, strict=True))


def test_the_measures_themselves() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=5e-4)  # WebAIM's example of a near miss
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)  # Lindbloom's calculator
    for matrix in DICHROMATS.values():
        assert np.sum(matrix, axis=1) == pytest.approx(1, abs=1e-5), "greys stay grey"
    assert apart(("#d02020", "#607000")) < apart(("#d02020", "#2060d0")), "red and olive are one to many"


@pytest.mark.parametrize("theme", THEMES)
def test_every_colour_is_seen_on_its_ground(theme: style.Theme) -> None:
    ground = style.ground(theme)
    for colour in style.PALETTES[theme]:
        assert contrast(colour, ground) >= LINE
        assert contrast(style.letters(colour), ground) >= WORDS
        assert contrast(blended(style.faded(colour), ground), ground) >= FEW
    for word in ("worse", "better", "same", "mixed", "unclear", "incomparable", "not measured"):
        assert contrast(style.verdict(word, theme), ground) >= WORDS
    for ink in (style.ink(theme), style.quiet(theme)):
        assert contrast(ink, ground) >= WORDS


def test_cells_are_seen_on_both_grounds() -> None:
    """They are drawn once, as a picture."""
    for colour in (slices.LESS, slices.MORE, slices.MOST):
        assert min(contrast(colour, style.ground(theme)) for theme in THEMES) >= LINE


@pytest.mark.parametrize("theme", THEMES)
def test_the_colour_blind_tell_them_apart(theme: style.Theme) -> None:
    assert apart(style.PALETTES[theme]) >= apart(OKABE_ITO)


def test_a_model_keeps_its_hue() -> None:
    """Of the hues on the other page its own is the nearest; there are two blues, a dark and a light one.

    Not so brown, which is a dark orange, and grey, which has no hue.
    """
    light, dark = (np.array([lab(linear(one)) for one in style.PALETTES[theme]]) for theme in THEMES)
    hues = [complex(*one[1:]) for one in (*light[:5], *dark[:5])]
    turned = np.abs(np.angle(np.array(hues[:5])[:, None] / np.array(hues[5:])[None]))
    assert list(turned.argmin(axis=0)) == list(turned.argmin(axis=1)) == list(range(5))
    for palette in (light, dark):
        blue, sky = palette[0], palette[5]
        assert abs(np.angle(complex(*blue[1:]) / complex(*sky[1:]))) < np.sort(turned, axis=1)[:, 1].min()
        assert blue[0] < sky[0]


def test_text_needs_no_theme() -> None:
    """`letters` knows a colour's page by the colour itself."""
    assert not set(style.PALETTES["light"]) & set(style.PALETTES["dark"])
    assert set(style.LETTERS) <= set(style.PALETTES["light"])


@pytest.mark.parametrize("theme", THEMES)
def test_what_lies_over_a_figure_can_be_read(theme: style.Theme) -> None:
    label = style.template(theme).layout.hoverlabel
    assert contrast(label.font.color, label.bgcolor) >= WORDS
    square = {0: np.zeros((4, 4, 3), np.uint8)}
    menu = flip({"a": square, "b": square}, ["#1"], 1, theme=theme).layout.updatemenus[0]
    chosen = "#f4faff"  # Plotly's own, whatever is asked for
    assert contrast(menu.font.color, menu.bgcolor) >= WORDS
    assert contrast(menu.font.color, chosen) >= WORDS


INK = re.compile("|".join(grounds.DARK), re.IGNORECASE)
RGBA = re.compile(r"rgba\((\d+),(\d+),(\d+),")
BY_LOWER = {light.lower(): dark for light, dark in grounds.DARK.items()}


def exchanged(part: Any) -> Any:
    """A figure's JSON with every ink of the light page, whole or with an opacity, as its counterpart."""
    if isinstance(part, dict):
        return {name: exchanged(value) for name, value in part.items()}
    if isinstance(part, list):
        return [exchanged(value) for value in part]
    if not isinstance(part, str) or part.startswith("data:"):
        return part
    return RGBA.sub(_blended, INK.sub(lambda found: BY_LOWER[found.group().lower()], part))


def _blended(found: re.Match[str]) -> str:
    """ "rgba(9,98,156," -> "rgba(31,136,207,"; what is no ink stays."""
    colour = "#{:02x}{:02x}{:02x}".format(*map(int, found.groups()))
    return style.rgba(BY_LOWER.get(colour, colour), 0).removesuffix("0)")


def _inks(theme: style.Theme) -> list[str]:
    own = [*style.PALETTES[theme], *style.VERDICTS[theme].values(), *style.INKS[theme], style.ground(theme)]
    return [one.lower() for one in [*own, *(style.LETTERS.values() if theme == "light" else ())]]


def test_every_ink_has_a_counterpart_of_its_own() -> None:
    """Or a stylesheet could not tell which is meant."""
    assert sorted(BY_LOWER) == sorted(_inks("light"))
    assert {dark.lower() for dark in BY_LOWER.values()} == set(_inks("dark"))


def test_the_exchange_of_inks_makes_the_dark_figure(report: Report) -> None:
    """What the stylesheet shows on a dark page is the figure that is drawn for one. Buttons have rules of their own
    (test_page_dark.py).
    """
    for plate in plates(report):
        light, dark = (json.loads(cast(Any, plate.make)(theme=theme).to_json()) for theme in THEMES)
        assert light != dark
        for figure in (light, dark):
            figure["layout"].pop("updatemenus", None)
        assert exchanged(light) == dark, plate.name


def test_the_page_has_the_inks_of_both(report: Report) -> None:
    page = html.page(report)
    for name in (style.ground, style.ink):
        assert f"light-dark({name('light')}, {name('dark')})" in page
    light, dark = (report.colours(theme)[report.tables.baseline] for theme in THEMES)
    assert f'class="chip" style="background: light-dark({light}, {dark})"' in page
