"""A sketch becomes the figure that Plotly's own calls make, one by one."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots
from sigmascope.reports.figures.sketch import Sketch

LAYOUTS: list[dict[str, Any]] = [
    {"rows": 3, "cols": 1, "shared_xaxes": True, "vertical_spacing": 0.04},
    {"rows": 1, "cols": 3, "shared_yaxes": True, "horizontal_spacing": 0.06, "subplot_titles": ["a", "b", "c"]},
    {"rows": 2, "cols": 2, "horizontal_spacing": 0.07, "vertical_spacing": 0.1, "subplot_titles": ["a", "b", "c"]},
    {"rows": 1, "cols": 3, "column_widths": [0.2, 0.3, 0.5], "horizontal_spacing": 0.09},
    {"rows": 2, "cols": 1, "row_heights": [3, 1], "shared_xaxes": True, "vertical_spacing": 0.07},
    {"rows": 2, "cols": 2, "shared_xaxes": True, "horizontal_spacing": 0.07, "vertical_spacing": 0.13},
]


def read(figure: go.Figure) -> Any:
    """A figure's JSON without the template that `make_subplots` takes from Plotly's settings."""
    found = figure.to_plotly_json()
    found["layout"].pop("template", None)
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return pytest.approx(value, abs=1e-12) if isinstance(value, float) else value


@pytest.mark.parametrize("layout", LAYOUTS)
def test_panels_lie_where_plotly_puts_them(layout: dict[str, Any]) -> None:
    theirs = make_subplots(**layout)
    theirs.update_annotations(font_size=13)
    assert read(Sketch(**layout).figure()) == rounded(read(theirs))


def test_what_is_drawn_is_what_plotly_draws() -> None:
    theirs = make_subplots(rows=2, cols=2, vertical_spacing=0.1, horizontal_spacing=0.1)
    ours = Sketch(rows=2, cols=2, vertical_spacing=0.1, horizontal_spacing=0.1)
    for figure in (theirs, ours):
        figure.add_scatter(x=[1, 2], y=[3, 4], name="n", marker_size=7, row=2, col=1)
        figure.add_annotation(text="here", x=1, y=2, row=1, col=2)
        figure.add_annotation(text="on paper", x=1, y=2, xref="paper", yref="y2 domain")
        figure.update_xaxes(title_text="all", type="log")
        figure.update_yaxes(title_text="left", col=1)
        figure.update_yaxes(range=[0, 1], row=2)
        figure.update_yaxes(ticksuffix="%", row=1, col=2)
    rect = {"x0": 1, "x1": 2, "y0": 0, "y1": 1, "xref": "x3", "yref": "y3 domain"}
    theirs.add_shape(type="rect", layer="below", opacity=0.5, **rect)
    theirs.add_shape(type="line", x0=0, x1=1, xref="x domain", y0=5, y1=5, yref="y", line={"width": 1})
    ours.shade(1, 2, row=2, opacity=0.5)
    ours.across(5, row=1, width=1)
    theirs.add_shape(type="line", x0=4, x1=4, y0=0, y1=1, xref="x3", yref="y3 domain", line={"width": 2})
    ours.down(4, row=2, width=2)
    theirs.update_layout(height=300, margin={"t": 9}, margin_b=8)
    assert read(ours.figure(height=300, margin={"t": 9}, margin_b=8)) == rounded(read(theirs))


def test_what_plotly_does_not_know_is_refused() -> None:
    sketch = Sketch()
    sketch.add_scatter(x=[1], y=[1], colour="red")
    with pytest.raises(ValueError, match="colour"):
        sketch.figure()
