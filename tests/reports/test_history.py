"""A metric over runs: planted changes are found where they are, quiet sequences stay quiet, protocols don't mix."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import pytest
from sigmascope.errors import ConfigError
from sigmascope.reports.figures.history import history
from sigmascope.reports.history import change_points, follow

from . import synthetic


def test_planted_steps_are_found_where_they_are() -> None:
    """Steps of 5 standard deviations between stretches of 8; each step's mean within 4/sqrt(8) of what was planted."""
    noise = np.random.default_rng(0).standard_normal(24)
    found = change_points(noise + np.repeat([0.0, 5.0, -1.0], 8))
    assert [change.index for change in found] == [8, 16]
    assert [change.before for change in found] == pytest.approx([0.0, 5.0], abs=4 / math.sqrt(8))
    assert found[-1].after == pytest.approx(-1.0, abs=4 / math.sqrt(8))
    assert all(change.p <= 0.05 for change in found)


def test_false_alarms_are_at_most_alpha() -> None:
    """200 quiet sequences of heavy-tailed values: Binomial(200, .05) exceeds 21 with probability 0.06%."""
    rng = np.random.default_rng(1)
    alarms = sum(bool(change_points(rng.standard_t(3, 15), resamples=199, seed=i)) for i in range(200))
    assert alarms <= 21


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [1.0] * 20, [1.0] * 10 + [9.0], [1, 1, 1, 2, 2, 2]])
def test_too_few_equal_or_single_odd_values_are_no_change(values: list[float]) -> None:
    assert change_points(values) == []


def test_an_exact_step_is_found() -> None:
    (change,) = change_points([1.0] * 5 + [2.0] * 5)
    assert (change.index, change.before, change.after) == (5, 1.0, 2.0)


@pytest.fixture(scope="module")
def runs() -> list[synthetic.SyntheticRun]:
    """Ten runs a day apart, 50% worse from the sixth on, the last two with other data."""
    made = []
    first = synthetic.run({"m": "eps"})
    for day in range(10):
        tables = {name: table.copy() for name, table in first.tables.items()}
        factor = (1.5 if day >= 5 else 1.0) * 1.01 ** (day % 3)
        tables["levels"][["error", "low", "high"]] *= factor
        tables["metrics"][["value", "low", "high"]] *= factor
        record = first.record.model_copy(
            update={
                "id": f"digits-{day}",
                "created": f"2026-01-{day + 1:02d}T00:00:00Z",
                "environment": {"commit": f"{day:040d}"},
                "fingerprint": {"data": "digits" if day < 8 else "others"},
            }
        )
        made.append(synthetic.SyntheticRun(record.id, record, tables))
    return made[::-1]


def test_runs_are_followed_oldest_first_and_other_data_is_another_series(runs: list[synthetic.SyntheticRun]) -> None:
    series, others = follow(runs, "denoising_error")
    assert [point.run for point in series.points] == [f"digits-{day}" for day in range(8)]
    assert len(others.points) == 2
    assert "24 noise levels" in series.title
    (change,) = series.changes
    assert series.points[change.index].run == "digits-5"
    assert change.after / change.before == pytest.approx(1.5, rel=0.01)
    levels = runs[-1].table("levels")
    assert series.points[0].value == pytest.approx(math.exp(np.log(levels["error"]).mean()), rel=1e-12)


def test_a_band_and_a_metric(runs: list[synthetic.SyntheticRun]) -> None:
    (one, _) = follow(runs, "denoising_error", band=(0.1, 1.0))
    inside = ((synthetic.SIGMAS >= 0.1) & (synthetic.SIGMAS <= 1.0)).sum()
    assert f"{inside} noise levels" in one.title
    settings = follow(runs, "class agreement", model="m")
    assert len(settings) == 16
    assert settings[0].points[0].low < settings[0].points[0].value


def test_the_ends_of_a_band_hold_levels_that_are_rounded_differently() -> None:
    """Two models whose schedules give one noise level as two neighbouring floats."""
    run = synthetic.run({"one": "eps", "other": "eps"})
    levels = run.tables["levels"].copy()
    levels.loc[levels["model"] == "other", "sigma"] *= 1 + 2 * np.finfo(float).eps
    run.tables = {**run.tables, "levels": levels}
    band = (float(synthetic.SIGMAS[1]), float(synthetic.SIGMAS[-2]))
    counted = {one.model: one.setting for one in follow([run], "denoising_error", band=band)}
    assert len(counted) == 2
    assert all(f"{len(synthetic.SIGMAS) - 2} noise levels" in setting for setting in counted.values())


def test_what_is_not_there_is_named(runs: list[synthetic.SyntheticRun]) -> None:
    with pytest.raises(ConfigError, match=r"there are: denoising_error, .*, class agreement; models: m"):
        follow(runs, "FID")


def test_the_figure_has_points_stretches_and_marks(runs: list[synthetic.SyntheticRun]) -> None:
    series = follow(runs, "denoising_error")
    figure = history(series)
    points, *stretches, other = figure.data
    assert list(points.x) == list(range(8))
    assert [tuple(stretch.x) for stretch in stretches] == [(0, 4), (5, 7)]
    assert list(other.x) == [8, 9]
    assert [shape.x0 for shape in figure.layout.shapes] == [4.5]
    assert figure.layout.xaxis.ticktext[5] == f"{5:040d}"[:7]
    assert isinstance(history([]), go.Figure)
