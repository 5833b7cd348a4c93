"""The cells of every model and level: what a click tells the page, and which columns have a number under them."""

from __future__ import annotations

import numpy as np
from sigmascope.reports.numbers import number
from sigmascope.reports.report import assemble

from . import synthetic


def test_a_cell_tells_its_model_and_level_and_the_ends_of_the_worst_band_have_numbers() -> None:
    report = assemble([synthetic.run()])
    figure = report.where()
    cells = figure.data[1].customdata
    assert len(cells) == sum(len(one.levels) for one in report.comparisons)
    assert list(cells[0]) == ["digits-regressed", int(report.comparisons[0].levels["level"].iloc[0])]
    band = max(report.bands, key=lambda one: one.ratio)
    ticks = figure.layout.xaxis.ticktext
    assert {number(band.sigma_low, 2), number(band.sigma_high, 2)} <= set(ticks)
    places = np.array(figure.layout.xaxis.tickvals)
    assert np.diff(places).min() >= 2, "room for every number"
