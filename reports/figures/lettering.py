"""What words take of a phone's width: ticks thinned, titles and notes broken into lines, the rows of a legend.

Pixels are estimates from a letter's usual width: there is no browser here to ask. Used by narrow.py.
"""

from __future__ import annotations

import re
import textwrap

import plotly.graph_objects as go

SCREEN, PLOT = 340, 230
"""Pixels: what a figure can count on, and what is left of it to a panel beside its names."""
LETTER = 6.2
"""Pixels: a letter's width in small print."""
ROW, KEY = 22, 46
"""Of a legend, in pixels: a row, and what stands before a name."""
TITLE = 36
"""Letters of an axis' title that stand under a panel."""
_LOWERED, _PARTS = re.compile("(?:<br>)*"), re.compile(r" {2}| (?=\()")


def seen(text: object) -> list[str]:
    """The lines that a reader sees of it: no tags."""
    return [re.sub("<[^>]*>", "", line) for line in str(text).split("<br>")]


def width(text: object) -> float:
    """Pixels of its longest line."""
    return LETTER * max(map(len, seen(text)))


def thinned(axis: go.layout.XAxis) -> dict[str, list[object]]:
    """Of ticks with texts those that have room, on as many lines as there are: bold ones first, the ends, others."""
    values, texts = list(axis.tickvals or ()), [str(text) for text in axis.ticktext or ()]
    if axis.type == "log" or len(texts) != len(values) or len(values) < 3:
        return {}
    low, high = axis.range or (min(values), max(values))
    across, half = PLOT / (high - low), [(width(text) + LETTER) / 2 for text in texts]
    lines = 1 + max(_lowered(text) for text in texts)
    kept: dict[int, int] = {}
    for at in sorted(range(len(texts)), key=lambda at: ("<b>" not in texts[at], 0 < at < len(texts) - 1, at)):
        for line in range(lines):
            beside = (one for one, its in kept.items() if its == line)
            if all(abs(values[at] - values[one]) * across > half[at] + half[one] for one in beside):
                kept[at] = line
                break
    places = sorted(kept)
    written = ["<br>" * kept[at] + _LOWERED.sub("", texts[at]) for at in places]
    return {"tickvals": [values[at] for at in places], "ticktext": [*written]}


def _lowered(text: str) -> int:
    """On which line a tick's text stands: 0 is the upper one."""
    found = _LOWERED.match(text)
    return len(found[0]) // len("<br>") if found else 0


def title(text: str) -> str:
    """An axis' title, or words in the middle, in lines that fit a panel. With tags of their own they are left alone."""
    if "<" in text.replace("<br>", ""):
        return text
    return "<br>".join(part for line in text.split("<br>") for part in _balanced(line))


def _balanced(line: str) -> list[str]:
    """Wrapped where a part of it ends, or else into as few lines as it takes, about equally long."""
    parts = _PARTS.split(line) if len(line) > TITLE else [line]
    if len(parts) > 1:
        return [short for part in parts for short in _balanced(part)]
    few = len(textwrap.wrap(line, TITLE))
    return next((lines for most in range(12, TITLE + 1) if len(lines := textwrap.wrap(line, most)) <= few), [line])


def note(text: str) -> str:
    """A note broken at its commas into lines that fit."""
    lines = [""]
    for part in text.split(", "):
        whole = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and width(whole) > SCREEN:
            lines.append(part)
        else:
            lines[-1] = whole
    return ",<br>".join(lines)


def legend_rows(figure: go.Figure) -> int:
    """About how many rows a legend takes on a phone; 0 where there is none."""
    entries = [one for one in figure.data if "showlegend" in one and one.showlegend is not False and one.name]
    if figure.layout.showlegend is False or not entries or (len(figure.data) == 1 and not entries[0].showlegend):
        return 0
    widths = [KEY + width(entry.name) for entry in entries]
    if not any(entry.legendgroup for entry in entries):  # Plotly sets these in columns, which are equally wide
        return -(-len(widths) // max(1, int(PLOT // max(widths))))
    rows, end = 1, 0.0
    for one in widths:
        rows, end = (rows + 1, one) if end and end + one > PLOT else (rows, end + one)
    return rows
