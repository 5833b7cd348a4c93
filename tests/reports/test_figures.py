"""What is drawn is what the tables say; names are text; the worst band is named on the plot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from sigmascope.reports import tables
from sigmascope.reports.compare import Band
from sigmascope.reports.figures import pictures, style
from sigmascope.reports.figures import samples as samples_figure
from sigmascope.reports.figures.noise_levels import named_bands, ratio_range
from sigmascope.reports.report import Report, assemble
from sigmascope.reports.samples import Sampled

from . import synthetic

THEMES: tuple[style.Theme, ...] = ("light", "dark")


def curves(figure: go.Figure, yaxis: str) -> dict[str, go.Scatter]:
    """Curves of one panel by model: traces that are no interval bands and no legend entries."""
    drawn = [trace for trace in figure.data if trace.customdata is not None and trace.yaxis == yaxis]
    return {trace.legendgroup: trace for trace in drawn}


def test_noise_levels_draws_the_tables_numbers(report: Report) -> None:
    table = tables.noise_levels(report.tables, report.comparisons, "v")
    figure = report.noise_levels("v")
    above, below = curves(figure, "y"), curves(figure, "y2")
    assert set(above) == set(report.tables.labels)
    assert set(below) == set(report.tables.labels) - {"digits-eps"}
    for model, rows in tables.by(table, "model"):
        np.testing.assert_array_equal(above[model].x, rows["sigma"])
        np.testing.assert_array_equal(above[model].y, rows["error"])
        if model in below:
            np.testing.assert_array_equal(below[model].y, np.log(rows["ratio"]))


def test_noise_levels_interval_bands_are_the_tables(report: Report) -> None:
    table = tables.noise_levels(report.tables, report.comparisons)
    bands = {trace.legendgroup: trace for trace in report.noise_levels().data if trace.fill and trace.yaxis == "y2"}
    rows = table[table["model"] == "digits-v"]
    outline = [*np.log(rows["ratio_high"]), *np.log(rows["ratio_low"])[::-1]]
    np.testing.assert_array_equal(bands["digits-v"].y, outline)


def test_noise_levels_names_the_regressed_model_and_only_it(report: Report) -> None:
    texts = [annotation.text for annotation in report.noise_levels().layout.annotations]
    assert len(texts) == 1
    assert "digits-regressed" in texts[0]
    assert "+34%" in texts[0]
    assert "0.28–1.1" in texts[0]


def test_hover_tells_time_and_log_snr(report: Report) -> None:
    hover = curves(report.noise_levels(), "y")["digits-flow"].text
    assert all("log-SNR" in one and "t " in one for one in hover)


def test_no_figure_uses_webgl(report: Report) -> None:
    figures = [report.noise_levels(), report.overview(), report.parameterizations(), report.samplers("class agreement")]
    assert {trace.type for figure in figures for trace in figure.data} == {"scatter"}


def test_one_model_alone_has_one_panel() -> None:
    figure = assemble([synthetic.run({"alone": "eps"})]).noise_levels()
    assert {trace.yaxis for trace in figure.data} == {"y"}
    assert figure.layout.xaxis.title.text == "noise level σ"


def test_named_bands_are_few_and_large() -> None:
    bands = [Band("a", 1, 2, 1.4, 1.3, 1.5), Band("a", 5, 6, 1.3, 1.2, 1.4), Band("b", 1, 1, 1.01, 1.0, 1.02)]
    assert named_bands([*bands, Band("c", 1, 1, 0.5, 0.4, 0.6)]) == bands[:1]
    assert named_bands([]) == []


def test_a_shade_ends_at_its_bands_own_levels() -> None:
    assert style.ends(0.1, 10.0) == (0.1, 10.0)
    low, high = style.ends(1.0, 1.0)
    assert low < 1.0 < high < 1.1, "one level is seen, and reaches no neighbour"


def test_a_far_better_model_leaves_the_scale_and_is_told() -> None:
    table = pd.DataFrame(
        {"ratio": [1.0, 1.2, 0.01], "ratio_low": [np.nan, 1.1, 0.009], "ratio_high": [np.nan, 1.25, 0.011]}
    )
    assert ratio_range(table) == (1 / 1.25, 1.25)
    run = synthetic.run({"base": "eps", "better": "eps"})
    better = run.tables["evaluations"]["model"] == "better"
    run.tables["evaluations"].loc[better, "error"] /= 50
    notes = [note.text for note in assemble([run]).noise_levels().layout.annotations]
    assert notes == ["below this scale: better down to −98%"]


def test_samplers_draws_every_setting_once(report: Report) -> None:
    metric = "Fréchet distance (digits)"
    table = tables.samplers(report.tables, metric)
    drawn = [trace for trace in report.samplers(metric).data if trace.hoverinfo == "text"]
    points = sorted((one[-1], y) for trace in drawn for one, y in zip(trace.customdata, trace.y, strict=True))
    assert points == sorted(zip(table["evaluations"], table["value"], strict=True))
    inks = [trace.marker.line.color for trace in drawn]
    colours = {one for ink in inks for one in ([ink] if isinstance(ink, str) else ink) if one.startswith("#")}
    assert colours == set(report.colours().values())


def test_overview_draws_the_tables_numbers(report: Report) -> None:
    table = tables.overview(report.tables, report.comparisons)
    drawn = sorted(trace.x[0] for trace in report.overview().data)
    assert drawn == sorted(table["value"].dropna())


def test_parameterizations_draws_the_tables_numbers(report: Report) -> None:
    table = tables.parameterizations(report.tables)
    drawn = [trace for trace in report.parameterizations().data if trace.legendgroup == "digits-v (v)"]
    rows = table[table["model"] == "digits-v"]
    for trace, quantity in zip(drawn, ("raw", "x0", "eps"), strict=True):
        np.testing.assert_array_equal(trace.y, rows[quantity])


def test_a_sheet_holds_every_image_in_its_place() -> None:
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 1), 255, np.uint8)
    picture = pictures.sheet([{0: black, 3: white}, {3: white}], [0, 3], 2)
    pixels = np.asarray(picture)
    pitch = 4 + pictures.GAP
    assert pixels.shape == (pitch + 4, pitch + 4, 4)
    assert (pixels[:4, :4, :3] == 0).all()
    assert (pixels[:4, pitch:] == 255).all()
    assert (pixels[pitch:, pitch:] == 255).all()
    assert (pixels[pitch:, :4, 3] == 0).all(), "an absent sample stays empty"
    assert (pixels[:4, :4, 3] == 255).all()


@pytest.mark.parametrize("theme", THEMES)
def test_empty_tables_say_so(report: Report, theme: style.Theme) -> None:
    figure = samples_figure.samples(Sampled({}, {}, {}, pd.DataFrame()), {}, theme)
    assert "No images" in figure.layout.annotations[0].text
    assert "no metric" not in report.samplers("nothing", theme).layout.annotations[0].text
    assert "nothing" in report.samplers("nothing", theme).layout.annotations[0].text


def test_colours_follow_the_runs_order() -> None:
    assert style.model_colours(["b", "a"]) == {"b": style.PALETTES["light"][0], "a": style.PALETTES["light"][1]}


@pytest.mark.parametrize("name", ["<b>x</b>", "%{x}", "a\nb", "$x$", "<a href='javascript:alert(1)'>x</a>"])
def test_names_are_text_for_plotly(name: str) -> None:
    shown = style.text(name)
    assert not set("<>%$\n") & set(shown)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.97, 1.36, ["same", "+10%", "+20%", "+30%"]), (0.5, 1.4, ["−40%", "−20%", "same", "+20%", "+40%"])],
)
def test_ratio_ticks_are_round(low: float, high: float, expected: list[str]) -> None:
    assert style.ratio_ticks(low, high)[1] == expected


@pytest.mark.parametrize(("low", "high"), [(1e-3, 1e3), (0.5, 2.0), (0.98, 1.02), (1.0, 200.0)])
def test_ratio_ticks_hold_one_and_are_few(low: float, high: float) -> None:
    places, written = style.ratio_ticks(low, high)
    assert "same" in written
    assert 2 <= len(places) <= 8
