"""Probes' curves, their slices and the images behind a point: what is drawn is what the run's tables say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from sigmascope.evals.weightings import WEIGHTINGS, weighted, weighting
from sigmascope.reports import html, tables
from sigmascope.reports.figures import pictures, strips, style
from sigmascope.reports.figures import probes as probes_figure
from sigmascope.reports.quantities import LOSSES, Curve, against_baseline, offered, quantities, slices
from sigmascope.reports.report import Report, assemble

from . import synthetic

SLOPE = Curve("calibration", "slope")
BANDS = [Curve("spectrum", "over_wiener", f"frequency {band}") for band in ("0-0.25", "0.25 and up")]


def stored(run: synthetic.SyntheticRun, curve: Curve, model: str) -> pd.DataFrame:
    table = run.tables["curves"]
    chosen = (table["probe"] == curve.probe) & (table["quantity"] == curve.quantity) & (table["slice"] == curve.slice)
    return table[chosen & (table["model"] == model)].sort_values("sigma")


def test_every_panel_draws_the_stored_numbers(run: synthetic.SyntheticRun, report: Report) -> None:
    figure = report.probes([SLOPE, BANDS[1]])
    for curve, axis in ((SLOPE, "y"), (BANDS[1], "y2")):
        drawn = [trace for trace in figure.data if trace.customdata is not None and trace.yaxis == axis]
        assert [trace.legendgroup for trace in drawn] == report.tables.labels
        for trace in drawn:
            rows = stored(run, curve, trace.legendgroup)
            np.testing.assert_array_equal(trace.x, rows["sigma"])
            np.testing.assert_array_equal(trace.y, rows["value"])
            assert [tuple(point) for point in trace.customdata] == [(trace.legendgroup, n) for n in rows["level"]]
        shades = [trace for trace in figure.data if trace.fill == "toself" and trace.yaxis == axis]
        rows = stored(run, curve, report.tables.labels[-1])
        np.testing.assert_array_equal(shades[-1].y, [*rows["high"], *rows["low"][::-1]])


def test_a_perfect_denoiser_is_a_line_where_the_table_knows_it(report: Report) -> None:
    lines = [shape for shape in report.probes([SLOPE, BANDS[0]]).layout.shapes if shape.type == "line"]
    assert [(line.y0, line.yref) for line in lines] == [(1.0, "y")]


def test_each_model_is_in_the_legend_once(report: Report) -> None:
    figure = report.probes([SLOPE, *BANDS])
    assert [trace.legendgroup for trace in figure.data if trace.showlegend] == report.tables.labels


def test_the_third_panel_is_the_same_curve(report: Report) -> None:
    alone = {t.legendgroup: t for t in report.probes([SLOPE]).data if t.customdata is not None}
    below = {t.legendgroup: t for t in report.noise_levels(curve=SLOPE).data if t.yaxis == "y3" and not t.fill}
    assert set(alone) == set(below)
    for model, trace in alone.items():
        np.testing.assert_array_equal(trace.y, below[model].y)


def test_the_floor_is_what_the_probe_leaves(report: Report) -> None:
    # the synthetic references' error is 0.3 s^2 / (0.3 + s^2) for every model; eps units divide it by s^2
    sigmas = synthetic.SIGMAS
    known = 0.3 * sigmas**2 / (0.3 + sigmas**2)
    for unit, factor in (("x0", 1.0), ("eps", sigmas**-2)):
        drawn = [trace for trace in report.noise_levels(unit).data if trace.name == "best without a network"]  # type: ignore[arg-type]
        assert len(drawn) == 1
        np.testing.assert_allclose(drawn[0].y, known * factor, rtol=1e-12)


def test_training_weights_are_those_of_the_baseline(run: synthetic.SyntheticRun, report: Report) -> None:
    own = run.tables["levels"][run.tables["levels"]["model"] == "digits-eps"]
    drawn = [trace for trace in report.noise_levels(weighting="edm").data if trace.yaxis == "y99"]
    np.testing.assert_array_equal(drawn[0].y, weighted(own, weighting("edm"))["weight"])
    assert not [trace for trace in report.noise_levels().data if trace.yaxis == "y99"]


def test_every_registered_loss_is_offered() -> None:
    assert sorted(LOSSES) == sorted(WEIGHTINGS)


def test_a_report_takes_no_torch() -> None:
    code = "import sys, sigmascope.reports.html, sigmascope.dashboards.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, "it would be seconds slower"


def test_slices_are_offered_and_drawn_with_their_ratio(run: synthetic.SyntheticRun, report: Report) -> None:
    assert slices(report.tables, BANDS[0]) == BANDS
    model = "digits-regressed"
    heat = report.slices(model, BANDS[0]).data[0]
    for row, curve in enumerate(BANDS):
        own, base = stored(run, curve, model)["value"], stored(run, curve, "digits-eps")["value"]
        np.testing.assert_allclose(heat.z[row], np.log(own.to_numpy() / base.to_numpy()), atol=1e-12)
    np.testing.assert_array_equal(heat.x, np.sort(synthetic.SIGMAS))


def test_no_ratio_of_values_that_are_not_above_0(report: Report) -> None:
    table = against_baseline(quantities(report.tables, [Curve("calibration", "gain")]), "digits-eps")
    assert table["ratio"].isna().all()


def test_findings_are_about_the_planted_fault_and_shaded(report: Report) -> None:
    assert {one.model for one in report.diagnoses} == {"digits-regressed"}
    shades = [shape for shape in report.probes([SLOPE]).layout.shapes if shape.type == "rect"]
    planted = synthetic.SIGMAS[synthetic.planted_levels()]
    assert len(shades) == 1
    assert (shades[0].x0, shades[0].x1) == pytest.approx((planted.min(), planted.max())), "the finding's own levels"


def test_a_run_without_curves_offers_none_and_says_so() -> None:
    run = synthetic.run({"alone": "eps"})
    del run.tables["curves"]
    report = assemble([run])
    assert offered(report.tables) == []
    assert report.diagnoses == ()
    assert "No probe" in report.probes([SLOPE]).layout.annotations[0].text
    assert tables.noise_levels(report.tables, ())["floor"].isna().all()
    assert {trace.yaxis for trace in report.noise_levels(curve=SLOPE).data} == {"y"}


def test_one_unsure_level_does_not_flatten_the_others() -> None:
    rows = pd.DataFrame({"value": [1.0, 1.1], "optimal": np.nan, "low": [-50.0, 1.0], "high": [50.0, 1.2]})
    low, high = probes_figure.reach(rows)
    assert low < 1.0 < 1.1 < high
    assert high - low < 0.3


def test_a_strip_pairs_the_same_image_and_noise() -> None:
    rows = pd.DataFrame(
        {"level": 3, "sigma": 0.5, "rank": [0, 1], "image": [7, 8], "label": [1, -1], "draw": 0, "error": [0.2, 0.1],
         "tile": [0, 4]}
    )  # fmt: skip
    own = {tile: np.full((2, 2, 3), 10 * tile, np.uint8) for tile in range(8)}
    theirs = {tile: np.full((2, 2, 3), 200 + tile, np.uint8) for tile in range(4)}
    colours = {"a": "#000000", "b": "#ffffff"}
    base = (rows.iloc[1:].assign(tile=0, error=0.08), theirs)
    figure = strips.worst("b", (rows, own), colours, "light", "a", base, "hardest")
    assert list(figure.layout.yaxis.ticktext) == ["#8 +25%<br><b>0.080 → 0.10</b>", "#7 (1)<br><b>0.20</b>"]
    assert len(figure.layout.xaxis.ticktext) == 5
    losses = strips.worst("b", (rows, own), colours, "light", "a", base)
    assert list(losses.layout.yaxis.ticktext) == ["#8 +25%<br><b>0.080 → 0.10</b>"], "only what both kept"
    one = strips.image("b", (rows, own), 7, colours, "light", "a", base)
    assert list(one.layout.yaxis.ticktext) == ["σ 0.50<br><b>0.20</b>"]
    lone = strips.worst("b", (rows, own), colours, "light")
    assert list(lone.layout.xaxis.ticktext)[0::2] == ["noisy", "truth"]
    assert "No images" in strips.worst("b", (rows.iloc[:0], own), colours).layout.annotations[0].text


def test_what_loses_most_comes_first() -> None:
    rows = pd.DataFrame({"level": 0, "rank": range(3), "image": [5, 6, 7], "draw": 0, "error": [0.9, 0.8, 0.7]})
    base = rows.assign(error=[0.85, 0.5, 0.9])
    assert list(strips.paired(rows, base)["image"]) == [6, 5, 7]
    assert list(strips.paired(rows, base[1:])["image"]) == [6, 7]
    assert list(strips.paired(rows, base[2:], "hardest")["image"]) == [7, 5, 6]
    assert list(strips.paired(rows, base[:0])["image"]) == [5, 6, 7], "none kept by both: the hardest"


def test_the_levels_strip_has_a_column_per_level(report: Report) -> None:
    figure = report.denoise_strips(["digits-eps", "digits-regressed"])
    assert len(figure.layout.xaxis.ticktext) == len(synthetic.SIGMAS)
    assert len(figure.layout.yaxis.ticktext) == 4


def test_pairs_flip_between_two_models_and_their_difference(report: Report) -> None:
    setting = {"sampler": "heun", "steps": 10, "grid": "karras", "guidance": ""}
    figure = report.pairs(["digits-eps", "digits-v"], setting)
    assert [trace.visible for trace in figure.data[:3]] == [True, False, False]
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label.split(" ×")[0] for button in buttons] == ["digits-eps", "digits-v", "difference"]
    assert buttons[2].args[0]["visible"] == [False, False, True]
    alone = report.pairs(["digits-eps", "digits-eps"], {**setting, "steps": 7})
    assert "No seed" in alone.layout.annotations[0].text


def test_no_difference_is_mid_grey() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert pictures.difference(black, black).max() == 128
    assert pictures.difference(black, white).max() == 255
    assert pictures.difference(white, black).max() == 0


def test_a_difference_is_amplified_until_the_largest_of_the_set_is_full() -> None:
    black, dark = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 51, np.uint8)
    gain = pictures.largest_gain([(black, black), (dark, black)])
    assert gain == 5
    assert pictures.difference(black, dark, gain).max() == 255
    assert pictures.difference(dark, black, gain).max() == 0
    assert pictures.difference(black, black, gain).max() == 128
    assert pictures.largest_gain([(black, black)]) == 1


@pytest.mark.parametrize("name", ["<b>x</b>", "%{x}", "$x$"])
def test_a_slice_with_a_hostile_name_is_text(report: Report, name: str) -> None:
    curves = report.tables.curves.assign(slice=lambda table: table["slice"].where(table["slice"] != "all", name))
    hostile = replace(report, tables=replace(report.tables, curves=curves))
    figure = hostile.probes([Curve("calibration", "slope", name)])
    assert style.text(name) in figure.layout.yaxis.title.text
    assert name not in figure.layout.yaxis.title.text


def test_the_report_has_a_section_on_what_is_wrong(report: Report) -> None:
    page = html.page(report)
    assert '<a href="#diagnosis">What is wrong, at which noise level</a>' in page
    assert escape(report.diagnoses[0].text) in page
    healthy = assemble([synthetic.run({"alone": "eps"})])
    assert "What is wrong" not in html.page(healthy)
