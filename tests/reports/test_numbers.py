"""Every number that a figure draws stands in the JSON: read out of the figures, looked up to the last bit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from sigmascope.reports import html, machine, markdown
from sigmascope.reports.numbers import number, percent
from sigmascope.reports.quantities import offered
from sigmascope.reports.report import Report
from sigmascope.reports.sections import plates

Content = dict[str, Any]
EXACT = 1e-12
"""Relative: JSON keeps all digits of a float64; a logarithm and back, or a sum and difference, round by a few ulp."""


@pytest.fixture(scope="module")
def content(report: Report) -> Content:
    return json.loads(machine.as_json(report))


@pytest.fixture(scope="module")
def drawn(report: Report) -> dict[str, go.Figure]:
    """The figures of the HTML report by name, as they stand in its page."""
    page = html.page(report)
    figures = {plate.name: plate.make() for plate in plates(report)}
    for name, figure in figures.items():
        assert f'"figure-{name}"' in page
        assert len(figure.data) > 0
    return figures


def model(content: Content, name: str) -> Content:
    return next(one for one in content["models"] if one["model"] == name)


def levels(content: Content, name: str, column: str) -> list[float]:
    return [row[column] for row in model(content, name)["levels"]]


def comparison(content: Content, name: str) -> Content:
    return next(one for one in content["comparisons"] if one["candidate"] == name)


def curves(figure: go.Figure, axis: str) -> Iterator[tuple[str, Any, Any]]:
    """(model, its curve, its interval) of one panel: the interval goes up along its upper end and back."""
    for trace in figure.data:
        if trace.mode == "lines+markers" and trace.customdata is not None and trace.yaxis == axis:
            band = next(
                one for one in figure.data
                if one.fill == "toself" and one.legendgroup == trace.legendgroup and one.yaxis == axis
            )  # fmt: skip
            yield str(trace.legendgroup), trace, band


def halves(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """(high, low) of a filled interval."""
    array = np.asarray(values, float)
    return array[: len(array) // 2], array[len(array) // 2 :][::-1]


def same(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(wanted, float), rtol=EXACT, atol=EXACT)


def test_errors_and_their_intervals(drawn: dict[str, go.Figure], content: Content) -> None:
    found = list(curves(drawn["noise-levels"], "y"))
    assert len(found) == 4
    for name, curve, band in found:
        same(curve.x, levels(content, name, "sigma"))
        same(curve.y, levels(content, name, "error"))
        high, low = halves(band.y)
        same(high, levels(content, name, "high"))
        same(low, levels(content, name, "low"))
        assert f"error {number(levels(content, name, 'error')[0])}" in curve.text[0]


def test_ratios_and_their_intervals_of_all_levels(drawn: dict[str, go.Figure], content: Content) -> None:
    found = list(curves(drawn["noise-levels"], "y2"))
    assert len(found) == 3
    for name, curve, band in found:
        rows = comparison(content, name)["levels"]
        same(np.exp(np.asarray(curve.y, float)), [row["ratio"] for row in rows])
        high, low = halves(band.y)
        same(np.exp(high), [row["band_high"] for row in rows])
        same(np.exp(low), [row["band_low"] for row in rows])


def test_the_band_that_is_named(drawn: dict[str, go.Figure], content: Content) -> None:
    band = max((one for each in content["comparisons"] for one in each["bands"]), key=lambda one: one["ratio"])
    notes = [note.text for note in drawn["noise-levels"].layout.annotations]
    said = [note for note in notes if band["model"] in note]
    assert len(said) == 1
    assert percent(band["ratio"]) in said[0]
    assert any(percent(band["ratio"], signed=False) in finding["text"] for finding in content["findings"])


def test_the_leaderboard(drawn: dict[str, go.Figure], content: Content) -> None:
    """Its first panel: the worst ratio of each candidate; the others: the best value of each metric."""
    figure = drawn["overview"]
    dots = [trace for trace in figure.data if trace.x is not None and trace.x[0] is not None]
    assert len(dots) == 4 * 3
    for trace in dots:
        name, said = re.findall(r"<b>(.*?)</b><br>(.*)", trace.hovertext)[0]
        value, plus, minus = trace.x[0], trace.error_x.array[0], trace.error_x.arrayminus[0]
        if said.startswith("denoising error"):
            if name == content["baseline"]:
                assert value == 1.0
                continue
            row = max(comparison(content, name)["levels"], key=lambda row: row["ratio"])
            same([value, value + plus, value - minus], [row["ratio"], row["band_high"], row["band_low"]])
            continue
        cells = [row for row in model(content, name)["metrics"] if said.startswith(row["metric"])]
        pick = min if "Fréchet" in said else max
        row = pick(cells, key=lambda row: row["value"])
        same([value, value + plus, value - minus], [row["value"], row["high"], row["low"]])


def test_verdicts_by_level(drawn: dict[str, go.Figure], content: Content) -> None:
    (cells,) = (trace for trace in drawn["where"].data if trace.type == "heatmap")
    for row, words in zip(cells.y, cells.text, strict=True):
        (one,) = (each for each in content["comparisons"] if each["candidate"] in str(row))
        signs = {"worse": "▲", "better": "▼"}
        wanted = [signs.get(level["change"], "") for level in one["levels"]]
        got = [next((sign for sign in signs.values() if sign in str(word)), "") for word in words]
        assert got == wanted


def test_samplers(drawn: dict[str, go.Figure], content: Content) -> None:
    """Every point's value and interval is a row of the JSON's, and every row is a point."""
    for metric, name in (
        ("Fréchet distance (digits)", "frechet-distance-digits"),
        ("class agreement", "class-agreement"),
    ):
        rows = [row for one in content["models"] for row in one["metrics"] if row["metric"] == metric]
        known = {float(row["value"]) for row in rows}
        points = {
            float(value)
            for trace in drawn[f"samplers-{name}"].data
            if trace.mode and "markers" in trace.mode and trace.customdata is not None
            for value in trace.y
        }
        assert points == known


def test_parameterizations(drawn: dict[str, go.Figure], content: Content) -> None:
    """The middle panel is the root of the denoising error, the right one that over sigma."""
    seen = 0
    for trace in drawn["parameterizations"].data:
        name = str(trace.legendgroup).split(" (")[0]
        root = np.sqrt(levels(content, name, "error"))
        if trace.yaxis in ("y2", "y3"):
            same(trace.y, root if trace.yaxis == "y2" else root / np.asarray(levels(content, name, "sigma")))
            seen += 1
    assert seen == 8


def test_every_panel_of_a_probe(report: Report, content: Content) -> None:
    """All curves that a run has, not only those of the page."""
    asked = [one for one in offered(report.tables) if one.slice == "all"]
    figure = report.probes(asked)
    for place, one in enumerate(asked, start=1):
        axis = f"y{place if place > 1 else ''}"
        found = list(curves(figure, axis))
        assert len(found) == 4
        for name, curve, band in found:
            (told,) = (
                each for each in model(content, name)["curves"]
                if (each["probe"], each["quantity"], each["slice"]) == (one.probe, one.quantity, one.slice)
            )  # fmt: skip
            same(curve.x, told["sigma"])
            same(curve.y, told["value"])
            high, low = halves(band.y)
            same(high, told["high"])
            inside = np.asarray(told["low"]) > 0  # on a logarithmic axis an interval that reaches 0 ends at the axis
            same(low[inside], np.asarray(told["low"])[inside])


def test_slices(drawn: dict[str, go.Figure], content: Content) -> None:
    """Colours are logarithms of ratios of the two models' values."""
    figure = drawn["slices-denoising-error-error"]
    (cells,) = figure.data
    own = {one["slice"]: one for one in model(content, "digits-regressed")["curves"]}
    base = {one["slice"]: one for one in model(content, "digits-eps")["curves"]}
    assert len(cells.y) == 10
    for name, row in zip(cells.y, cells.z, strict=True):
        same(np.exp(np.asarray(row, float)), np.asarray(own[name]["value"]) / np.asarray(base[name]["value"]))


def test_shades_are_the_bands_of_findings(drawn: dict[str, go.Figure], content: Content) -> None:
    shades = {(shape.x0, shape.x1) for shape in drawn["findings"].layout.shapes if shape.type == "rect"}
    assert content["diagnoses"]
    for one in content["diagnoses"]:
        ends, wider = (one["sigma_low"], one["sigma_high"]), 0.05 if one["sigma_low"] == one["sigma_high"] else EXACT
        assert any(np.allclose(ends, shade, rtol=wider) for shade in shades)


def test_errors_of_the_worst_images(report: Report, drawn: dict[str, go.Figure]) -> None:
    """Images' own errors are in the run, not in the JSON; the figure has them as the run does."""
    (own, _), (base, _) = report.worst("digits-regressed"), report.worst("digits-eps")
    both = own.merge(base, on=["level", "image", "draw"])
    known = {f"<b>{number(one.error_y, 2)} → {number(one.error_x, 2)}</b>" for one in both.itertuples()}
    said = [text.split("<br>")[1] for text in drawn["worst-images"].layout.yaxis.ticktext]
    assert said
    assert set(said) <= known


def test_rankings_are_the_same_everywhere(report: Report, content: Content) -> None:
    assert len(content["rankings"]) == 3
    page, comment = html.page(report), markdown.comment(report)
    for (title, ranking), told in zip(report.rankings.items(), content["rankings"], strict=True):
        assert told["by"] == title
        assert f"<caption>{title}</caption>" in page
        line = next(line for line in comment.splitlines() if line.startswith(f"| `{title}` |"))
        table = page.split(f"<caption>{title}</caption>")[1].split("</table>")[0]
        cells = [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", table)]
        for place, (_, row) in enumerate(ranking.iterrows()):
            rank = told["ranks"][place]
            assert rank == {name: row[name] for name in ("model", "value", "best", "worst", "group")}
            places = str(rank["best"]) if rank["best"] == rank["worst"] else f"{rank['best']}–{rank['worst']}"
            assert cells[4 * place : 4 * place + 4] == [places, rank["model"], number(rank["value"]), rank["group"]]
            assert f"{places}. `{rank['model']}` {number(rank['value'])} ({rank['group']})" in line


def test_a_changed_number_is_noticed(report: Report, content: Content) -> None:
    """The comparison above is no formality: the last digit of one error is enough."""
    errors = levels(content, "digits-v", "error")
    with pytest.raises(AssertionError):
        same([*errors[:-1], errors[-1] * (1 + 1e-9)], errors)
