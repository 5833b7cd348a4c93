"""One look for every figure: a colour per model, a symbol per sampler, two templates, names made safe."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

from ..numbers import percent
from .sketch import Sketch

Theme = Literal["light", "dark"]

PALETTES: dict[Theme, tuple[str, ...]] = {
    "light": ("#09629C", "#C98503", "#1F8F5A", "#BC490F", "#C779B4", "#2E9AE6", "#75562C", "#7F7F7F"),
    "dark": ("#1F88CF", "#E8A21B", "#72B88A", "#D3600C", "#D27EB7", "#5ABAEF", "#9C7D54", "#828282"),
}
"""Okabe & Ito's hues, brown and grey for their black and yellow, in the lightness that each ground asks for.

As lines and points at least 3:1 against the ground (WCAG 2.1, 1.4.11), and as far apart for the colour-blind as Okabe
& Ito's own: test_palette.py computes both.
"""
LETTERS = {
    "#C98503": "#A66800", "#1F8F5A": "#108753", "#C779B4": "#A55D94", "#2E9AE6": "#067BC1", "#7F7F7F": "#757575",
}  # fmt: skip
"""Those of the light palette that are too pale for text, 4.5:1, and what is written in their place."""
VERDICTS: dict[Theme, dict[str, str]] = {
    "light": {"bad": "#b42318", "good": "#067647", "unclear": "#93580c"},
    "dark": {"bad": "#ff7b72", "good": "#3fb983", "unclear": "#e0a03a"},
}
"""The inks of verdicts in words."""
_TONES = {"worse": "bad", "better": "good", "same": "good"}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "pentagon", "triangle-down")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
DIRECTIONS = {"lower": "← lower is better", "higher": "higher is better →", "": ""}
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif"

SEEN = 1.04
"""A shade of less than this factor is none to the eye."""
BENEATH = 5
"""Pixels of the baseline's curve, drawn first: where another model's lies exactly on it, both are seen."""

CHOSEN = {"selected_marker_size": 12, "unselected_marker_opacity": 1}
"""A click makes its point larger and fades no other."""

CLEAR = "rgba(0,0,0,0)"  # figures stand on the page's own ground

INKS: dict[Theme, tuple[str, str, str, str]] = {
    "light": ("#1b1f24", "#66707a", "#e9ecef", "#f6f7f9"),
    "dark": ("#f0f2f5", "#9aa4af", "#3a3936", "#262c34"),
}
"""Ink, quiet ink, grid lines, the ground of what lies over a figure."""
FADED = 0.7

MARGINS = {"l": 92, "r": 24, "t": 48, "b": 56}
"""Pixels. On the left what numbers and a title take: where Plotly finds that they need more, it draws all again."""


def model_colours(models: Sequence[str], theme: Theme = "light") -> dict[str, str]:
    """A colour for each model in the order of the run's list, so that its hue is the same in every figure."""
    palette = PALETTES[theme]
    return {model: palette[index % len(palette)] for index, model in enumerate(dict.fromkeys(models))}


def letters(colour: str) -> str:
    """A model's colour, of either palette, as the ink of words; the dark page's are light enough as they are."""
    return LETTERS.get(colour, colour)


def faded(colour: str) -> str:
    """A colour of points that matter less, such as settings off the Pareto front: still seen on either ground."""
    return rgba(colour, FADED)


def verdict(word: str, theme: Theme = "light") -> str:
    """The ink of "worse", "better", "same"; of other verdicts, such as "mixed" and "incomparable", that of doubt."""
    return VERDICTS[theme][_TONES.get(word, "unclear")]


def symbol(model: str, colours: Mapping[str, str]) -> str:
    """A model's marker, by its place in the run's list like its colour: for those who don't tell colours apart."""
    return SYMBOLS[list(colours).index(model) % len(SYMBOLS)]


def sampler_marks(samplers: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A (symbol, dash) for each sampler in alphabetical order."""
    names = sorted(set(samplers))
    return {name: (SYMBOLS[i % len(SYMBOLS)], DASHES[i % len(DASHES)]) for i, name in enumerate(names)}


def quiet(theme: Theme) -> str:
    """The ink of what matters less: notes, baselines, the front behind the curves."""
    return INKS[theme][1]


def ink(theme: Theme) -> str:
    """The ink of text."""
    return INKS[theme][0]


def ground(theme: Theme) -> str:
    """The page's own ground, for hollow points: Streamlit's."""
    return "#ffffff" if theme == "light" else "#171614"


def buttons(theme: Theme) -> dict[str, Any]:
    """The look of a figure's buttons. Plotly's chosen one is pale whatever is asked for: their letters are dark."""
    face = "#cfd6dd" if theme == "light" else "#7d8894"
    return {"bgcolor": face, "bordercolor": quiet(theme), "font": {"color": ink("light"), "size": 13}}


def rgba(colour: str, alpha: float) -> str:
    """ "#rrggbb" with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def text(name: object) -> str:
    """A name for Plotly, whose strings are a small HTML with %{} templates: all becomes plain text on one line."""
    return html.escape(" ".join(str(name).split()), quote=False).replace("%", "&#37;").replace("$", "&#36;")


def short(name: str, most: int = 20) -> str:
    """A name that fits a margin, its middle left out where it is long: beginnings and endings tell names apart."""
    flat = " ".join(name.split())
    return flat if len(flat) <= most else f"{flat[: most // 2]}…{flat[len(flat) - most // 2 + 1 :]}"


def template(theme: Theme) -> go.layout.Template:
    """Inks, axes and margins shared by all figures."""
    ink, muted, grid, over = INKS[theme]
    axis = {
        "gridcolor": grid, "zeroline": False, "showline": False, "ticks": "", "automargin": True,
        "tickfont": {"color": muted, "size": 12}, "title": {"font": {"color": ink, "size": 13}, "standoff": 8},
    }  # fmt: skip
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink},
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "colorway": list(PALETTES[theme]),
            "margin": MARGINS,
            "xaxis": axis,
            "yaxis": axis,
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "title": {"text": ""},
            },
            "hoverlabel": {
                "font": {"family": FONT, "size": 12, "color": ink},
                "bgcolor": over,
                "bordercolor": muted,
                "align": "left",
            },
            "hovermode": "closest",
            "modebar": {"bgcolor": CLEAR, "color": muted, "activecolor": ink},
            "annotationdefaults": {"font": {"color": ink}, "showarrow": False},
        }
    )


def empty(message: str, theme: Theme = "light") -> go.Figure:
    """A figure that says why there is nothing to see."""
    figure = go.Figure(layout={"template": template(theme), "height": 160, "margin": {"t": 16, "b": 16}})
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure.add_annotation(
        text=text(message), xref="paper", yref="paper", x=0.5, y=0.5, font={"color": quiet(theme), "size": 14}
    )


def log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis over [low, high] with round ticks: the finer, the shorter it is."""
    span = math.log10(high / low)
    mantissas = (1, 2, 3, 5, 7) if span < 1 else (1, 2, 5) if span < 2 else (1, 3) if span < 4 else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in decades for m in mantissas if low * 0.99 <= m * 10.0**d <= high * 1.01]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def ratio_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Ratios at which to mark [low, high], which holds 1, and how to write them: few, as changes."""
    if high / low < 4:
        steps = (step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / step < 6)
        step = next(steps, 0.5)
        places = [
            1 + step * i for i in range(math.ceil((low - 1) / step - 1e-9), math.floor((high - 1) / step + 1e-9) + 1)
        ]
    else:
        places = [m * 10.0**d for d in range(-4, 5) for m in (1, 2, 5) if low <= m * 10.0**d <= high]
        places = places if len(places) <= 8 else [p for p in places if abs(math.log10(p) % 1) < 1e-9]
    return places, ["same" if abs(place - 1) < 1e-9 else percent(place).replace(".0%", "%") for place in places]


def heading(title: str, note: str) -> str:
    """A panel's title with a quiet line under it."""
    return f"<b>{text(title)}</b><br><span style='font-size:11px'>{text(note)}</span>"


def coloured(model: str, colours: dict[str, str]) -> str:
    """A model's name in its colour, for tick labels."""
    return in_colour(text(model), colours[model])


def in_colour(words: str, colour: str) -> str:
    """Words that are safe already, bold, in a model's colour."""
    return f"<b><span style='color:{letters(colour)}'>{words}</span></b>"


def ends(low: float, high: float) -> tuple[float, float]:
    """Where the shade of a band of levels begins and ends: at its first and last level, as its label says.

    A single level's is as wide as it takes to be seen.
    """
    return (low, high) if high > low * SEEN else (low / SEEN, high * SEEN)


def line(colour: str, beneath: bool) -> dict[str, Any]:
    """A model's curve; `beneath` the others, if it is the baseline's."""
    return {"color": colour, "width": BENEATH if beneath else 2}


def interval_band(
    figure: Sketch, x: pd.Series, low: pd.Series, high: pd.Series, colour: str, group: str, row: int
) -> None:
    """The interval around a curve, in its colour; it comes and goes with the curve's entry in the legend."""
    figure.add_scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", mode="lines", line={"width": 0, "color": colour},
        fillcolor=rgba(colour, 0.18), hoverinfo="skip", legendgroup=group, showlegend=False, row=row, col=1,
    )  # fmt: skip
