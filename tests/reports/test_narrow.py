"""Figures on a phone, as patches: panels under one another, images in their shape, words that have room."""

from __future__ import annotations

import json
from itertools import pairwise

import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots
from sigmascope.reports.figures import lettering, style
from sigmascope.reports.figures.narrow import GAP, HEADED, TILE, least_width, narrow
from sigmascope.reports.report import Report
from sigmascope.reports.sections import plates


def patched(figure: go.Figure) -> go.Figure:
    copy = go.Figure(figure)
    copy.plotly_relayout(narrow(figure))
    return copy


def test_panels_side_by_side_go_under_one_another() -> None:
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, subplot_titles=["a", "b", "c"])
    for column in (1, 2, 3):
        figure.add_scatter(x=[0, 1], y=[0, 1], name=f"model {column}", row=1, col=column)
    figure.update_layout(height=400, margin={"t": 48, "b": 56}, xaxis_title="sigma", yaxis_title="error")
    drawn = patched(figure)
    axes = [drawn.layout[name] for name in ("yaxis", "yaxis2", "yaxis3")]
    assert [drawn.layout[name].domain for name in ("xaxis", "xaxis2", "xaxis3")] == [(0, 1)] * 3
    inner = drawn.layout.height - drawn.layout.margin.t - 56
    for upper, lower in pairwise(axes):
        assert upper.domain[0] - lower.domain[1] == pytest.approx(GAP / inner)
    assert [axis.title.text for axis in axes] == ["error"] * 3, "a title that was shared stands at each"
    assert [note.y for note in drawn.layout.annotations] == [axis.domain[1] for axis in axes]
    assert drawn.layout.margin.t >= HEADED + lettering.ROW, "the legend stands over the first panel's title"
    assert figure.layout.height == 400, "the wide figure is left as it was"


def test_a_legend_of_many_rows_takes_nothing_from_the_plot() -> None:
    names = [f"a model's rather long name {number}" for number in range(6)]
    figure = go.Figure([go.Scatter(x=[0, 1], y=[0, 1], name=name) for name in names])
    figure.update_layout(height=400, margin={"t": 48, "b": 56})
    assert lettering.legend_rows(figure) == 6
    drawn = patched(figure)
    assert drawn.layout.margin.t > 6 * lettering.ROW
    assert drawn.layout.height - drawn.layout.margin.t == 400 - 48
    alone = go.Figure(go.Scatter(x=[0], y=[0], name="alone"), layout={"height": 400})
    assert lettering.legend_rows(alone) == 0, "Plotly draws none for a single trace"
    assert "height" not in narrow(alone)


def test_legend_rows_are_counted_as_plotly_sets_them() -> None:
    short = [go.Scatter(x=[0], y=[0], name="ab", legendgroup="ab") for _ in range(4)]
    assert lettering.legend_rows(go.Figure(short)) == 2  # 4 (46 + 2 x 6.2) = 234: one too many for 230
    assert lettering.legend_rows(go.Figure(short[:3])) == 1
    uneven = [
        go.Scatter(x=[0], y=[0], name=name) for name in ("a", "b", "c", "a long name, which sets a column's width")
    ]
    assert lettering.legend_rows(go.Figure(uneven)) == 4, "without groups all columns are as wide as the widest entry"


def test_ticks_that_would_touch_are_left_out_bold_ones_last() -> None:
    texts = [f"{number}.00" for number in range(24)]
    texts[7] = "<b>7.00</b>"
    axis = go.layout.XAxis(tickvals=list(range(24)), ticktext=texts, range=[-0.5, 23.5])
    kept = lettering.thinned(axis)
    places = [float(str(value)) for value in kept["tickvals"]]
    assert {0, 7, 23} <= set(places)
    letters = 4
    apart = min(b - a for a, b in pairwise(places)) * lettering.PLOT / 24
    assert apart > letters * lettering.LETTER
    assert len(places) < 24


def test_ticks_on_two_lines_use_both() -> None:
    texts = ["<br>" * (number % 2) + f"{number}.00" for number in range(12)]
    kept = lettering.thinned(go.layout.XAxis(tickvals=list(range(12)), ticktext=texts, range=[-0.5, 11.5]))
    lowered = [str(text).startswith("<br>") for text in kept["ticktext"]]
    one_line = [text.replace("<br>", "") for text in texts]
    alone = lettering.thinned(go.layout.XAxis(tickvals=list(range(12)), ticktext=one_line, range=[-0.5, 11.5]))
    assert any(lowered)
    assert len(kept["tickvals"]) > len(alone["tickvals"])


def test_ticks_that_have_room_stay() -> None:
    axis = go.layout.XAxis(tickvals=[0, 1, 2], ticktext=["a", "b", "c"])
    assert lettering.thinned(axis) == {"tickvals": [0, 1, 2], "ticktext": ["a", "b", "c"]}
    assert lettering.thinned(go.layout.XAxis(type="log", tickvals=[1, 10, 100], ticktext=["1", "10", "100"])) == {}


def test_long_words_are_broken_and_get_room() -> None:
    title = "network evaluations per sample (points of one cost stand side by side)"
    assert all(len(line) <= lettering.TITLE for line in lettering.title(title).split("<br>"))
    assert lettering.title(f"<b>{title}</b>") == f"<b>{title}</b>", "tags of its own are not cut in two"
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1]), layout={"height": 400, "margin": {"b": 56}})
    figure.update_xaxes(title_text=title)
    figure.add_annotation(text=", ".join(["below this scale: digits-v"] * 4), xref="paper", xanchor="right", x=1, y=0)
    drawn = patched(figure)
    assert drawn.layout.height - 400 == drawn.layout.margin.b - 56 > 0
    lines = drawn.layout.annotations[0].text.split("<br>")
    assert all(lettering.width(line) <= lettering.SCREEN + lettering.LETTER for line in lines)
    assert drawn.layout.annotations[0].yshift < 0, "it stands under the longer title"


def test_words_instead_of_a_figure_are_broken() -> None:
    words = "Nothing to rank: no second model, and no metric of samples in this run."
    drawn = patched(style.empty(words)).layout.annotations[0].text
    assert drawn.replace("<br>", " ") == words
    assert lettering.width(drawn) <= lettering.PLOT


def test_images_keep_their_shape() -> None:
    sheet = go.Figure(go.Image(source="data:image/png;base64,"))
    sheet.update_layout(height=900, margin={"l": 0, "r": 0, "t": 20, "b": 10})
    sheet.update_xaxes(range=[0, 100]).update_yaxes(range=[50, 0])
    assert narrow(sheet)["height"] == pytest.approx(lettering.SCREEN / 2 + 30)
    sheet.update_xaxes(tickvals=list(range(0, 100, 10)), ticktext=["a"] * 10)
    assert least_width(sheet) > 10 * TILE, "ten in a row need more than a phone has"
    assert narrow(sheet)["height"] == pytest.approx(least_width(sheet) / 2 + 30)
    assert patched(sheet).layout.xaxis.ticktext == ("a",) * 10, "every image keeps its title"


def test_every_figure_of_a_report_takes_its_patch(report: Report) -> None:
    for plate in plates(report):
        figure = plate.make()
        drawn = patched(figure)
        assert json.loads(drawn.to_json())["data"] == json.loads(figure.to_json())["data"], plate.name
        domains = [drawn.layout[name].domain for name in drawn.layout if name.startswith("yaxis")]
        own = sorted({domain for domain in domains if domain})
        assert all(lower[1] <= upper[0] + 1e-9 for lower, upper in pairwise(own)), plate.name
