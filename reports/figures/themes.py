"""The same figure on a dark page, as what differs from the light one: a few inks, not its numbers and images again.

The HTML report sends the difference along; the browser puts it in where its reader prefers a dark page, and takes it
out again for paper.
"""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go


def difference(light: go.Figure, dark: go.Figure) -> dict[str, Any]:
    """Where two figures differ -> the second's value there: {"data.3.line.color": "#3283C5", ...}.

    What one of them has and the other lacks is told with all that lies beside it, so that every place is in both.
    """
    found: dict[str, Any] = {}
    _compare("", json.loads(light.to_json()), json.loads(dark.to_json()), found)
    return found


def _compare(place: str, light: Any, dark: Any, found: dict[str, Any]) -> None:
    if isinstance(light, dict) and isinstance(dark, dict) and light.keys() == dark.keys():
        for name in light:
            _compare(f"{place}.{name}" if place else str(name), light[name], dark[name], found)
    elif _records(light) and _records(dark) and len(light) == len(dark):
        for index, pair in enumerate(zip(light, dark, strict=True)):
            _compare(f"{place}.{index}", *pair, found)
    elif light != dark:
        found[place] = dark


def _records(value: Any) -> bool:
    """Traces, notes, shapes: each is compared with its counterpart."""
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
