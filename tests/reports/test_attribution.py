"""An attribution in words, tables, documents and a figure, from tables made by hand."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.attribution import Attribution, Bands
from sigmascope.reports.attribution import (
    Subject,
    as_html,
    as_json,
    as_markdown,
    curve_rows,
    finding,
    rows,
    seeds_needed,
    sentence,
    write_attribution,
)
from sigmascope.reports.figures.attribution import attribution

METRIC = "Kernel distance (digits)"
EDGES = (50.0, 5.0, 0.5, 0.05)
SUBJECT = Subject("a", "b", {"sampler": "heun"})


def made(
    phi: tuple[float, ...], half: float | tuple[float, ...], metric: str = METRIC, edges: tuple[float, ...] = EDGES
) -> Attribution:
    """Three bands with these contributions, +- half, and a total that is +- the root sum of squares."""
    value, error = np.array(phi), np.broadcast_to(np.asarray(half, float), len(phi))
    total, spread = float(value.sum()), float(np.sqrt((error**2).sum()))
    share = value / total if total else np.full(len(phi), np.nan)
    part = error / abs(total) if total and abs(total) > spread else np.full(len(phi), np.nan)
    bands = pd.DataFrame(
        {
            "metric": metric,
            "band": range(len(phi)),
            "sigma_low": edges[1:],
            "sigma_high": edges[:-1],
            "phi": value,
            "low": value - error,
            "high": value + error,
            "band_low": value - error,
            "band_high": value + error,
            "share": share,
            "share_low": share - part,
            "share_high": share + part,
            "leave_one_in": value,
            "leave_one_out": value,
        }
    )
    above = np.concatenate([[0.0], np.cumsum(value)])
    below = np.concatenate([[0.0], np.cumsum(value[::-1])])
    curves = pd.concat(
        [
            pd.DataFrame({"metric": metric, "curve": name, "sigma": sigma, "change": change, "low": change - spread,
                          "high": change + spread})
            for name, sigma, change in (("above", edges, above), ("below", edges[::-1], below))
        ]
    )  # fmt: skip
    totals = pd.DataFrame(
        {"metric": [metric], "value_base": [1.0], "value_candidate": [1.0 + total], "change": [total],
         "low": [total - spread], "high": [total + spread]}
    )  # fmt: skip
    levels = tuple(torch.tensor([high, low]).double() for high, low in pairwise(edges))
    tables = {"totals": totals, "bands": bands, "curves": curves}
    return Attribution(Bands(edges, levels), True, (metric,), 100, 164.0, 7.13, tables)


@pytest.mark.parametrize(
    ("phi", "half", "kind", "said"),
    [
        (
            (0.01, 0.81, 0.18),
            (0.02, 0.03, 0.03),
            "found",
            "81% [78, 84] of the change in Kernel distance (digits) from a to b, +1.00 [0.953, 1.05], comes from sigma "
            "0.50–5.0; 18% [15, 21] from sigma 0.050–0.50",
        ),
        ((0.3, 0.4, 0.3), 0.5, "found", "No single band surely carries the change"),
        ((0.0, 0.1, 0.0), 0.5, "unclear", "which 100 seeds can't tell from no change: no band is named"),
        ((0.0, 0.0, 0.0), 0.0, "equal", "No change in Kernel distance (digits) from a to b"),
        ((0.0, -0.4, -0.1), 0.05, "found", "80% [70, 90] of the change"),
        ((0.0, 0.4, 0.0), math.nan, "unclear", "there is no interval, so no band is named"),
    ],
)
def test_the_sentence(phi: tuple[float, ...], half: float, kind: str, said: str) -> None:
    found = made(phi, half)
    if "surely" in said:  # a total whose parts vary against each other is surer than any of them
        found.tables["totals"].loc[0, ["low", "high"]] = [0.9, 1.1]
    assert finding(found, METRIC) == kind
    assert said in sentence(found, METRIC, SUBJECT)


def test_seeds_needed_ends_the_interval_at_nothing() -> None:
    """Half-width 0.5 x sqrt(3) around 0.1: (0.5 sqrt(3) / 0.1)^2 = 75 times as many."""
    assert seeds_needed(made((0.0, 0.1, 0.0), 0.5), METRIC) == pytest.approx(7500, abs=1)


def test_rows_and_curves_are_in_the_order_of_sampling() -> None:
    found = made((0.01, 0.81, 0.18), 0.03)
    assert [row[0] for row in rows(found, METRIC)] == ["5.0–50", "0.50–5.0", "0.050–0.50"]
    assert rows(found, METRIC)[1][1:3] == ["+0.81 [0.78, 0.84]", "81% [78, 84]"]
    curves = curve_rows(found, METRIC)
    assert [row[0] for row in curves] == ["50", "5.0", "0.50", "0.050"]
    assert curves[0][1].startswith("0 ")
    assert curves[-1][1].startswith("+1.00")
    assert curves[0][2].startswith("+1.00")
    assert curves[1][2].startswith("+0.990")


def test_json_is_whole_and_strict() -> None:
    content = json.loads(as_json(made((0.0, 0.4, 0.0), math.nan), SUBJECT))
    assert content["tables"]["bands"][1]["phi"] == 0.4
    assert content["tables"]["bands"][1]["low"] is None
    assert content["findings"][0]["kind"] == "unclear"
    assert content["full_runs"] == 7.13


def test_names_are_text_in_every_document() -> None:
    hostile = Subject("<script>alert(1)</script>", "b|`x`", {"data": "<img src=x>"})
    found = made((0.01, 0.81, 0.18), 0.03, metric="m <b>")
    page = as_html(found, hostile)
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "m <b>" not in page.partition("</script>")[2]
    text = as_markdown(found, hostile)
    assert "<script>" not in text.replace("`<script>alert(1)</script>`", "")
    assert "81%" in text


def test_files_by_their_names(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.html", "a.md", "a.json")]
    write_attribution(paths, made((0.01, 0.81, 0.18), 0.03), SUBJECT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json", "a.md"]
    with pytest.raises(ConfigError, match="ending in"):
        write_attribution([tmp_path / "a.pdf"], made((0.01, 0.81, 0.18), 0.03), SUBJECT)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figure_says_what_the_tables_say(theme: str) -> None:
    found = made((0.01, 0.81, -0.18), (0.02, 0.03, 0.03))
    figure = attribution(found, METRIC, theme)  # type: ignore[arg-type]
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert [trace.y[0] for trace in points] == [0.01, 0.81, -0.18]
    np.testing.assert_allclose([trace.x[0] for trace in points], np.sqrt(np.array(EDGES[1:]) * np.array(EDGES[:-1])))
    assert points[1].error_y.array[0] == pytest.approx(0.03)
    filled = [
        trace.fillcolor for trace in figure.data if trace.fill == "toself" and trace.y[0] == 0 and len(trace.x) == 4
    ]
    assert filled[1] == filled[2] != filled[0]  # a bar that is not sure is pale
    curves = {trace.name: list(trace.y) for trace in figure.data if trace.mode == "lines+markers"}
    np.testing.assert_allclose(curves["candidate above the switch"], [0.64, 0.82, 0.01, 0.0], atol=1e-12)
    np.testing.assert_allclose(curves["candidate below the switch"], [0.0, -0.18, 0.63, 0.64], atol=1e-12)


def test_a_figure_without_intervals_draws_values_alone() -> None:
    figure = attribution(made((0.0, 0.4, 0.0), math.nan), METRIC)
    assert [trace.y[0] for trace in figure.data if trace.mode == "markers"] == [0.0, 0.4, 0.0]
