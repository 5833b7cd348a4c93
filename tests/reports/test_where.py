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
    levels = next(one.levels for one in report.comparisons if one.candidate == band.model)
    worst = float(levels.loc[levels["ratio"].idxmax(), "sigma"])
    texts = figure.layout.xaxis.ticktext
    assert f"<b>{number(worst, 2)}</b>" in [text.removeprefix("<br>") for text in texts]
    bare = [text.replace("<br>", "").replace("<b>", "").replace("</b>", "") for text in texts]
    assert {number(band.sigma_low, 2), number(band.sigma_high, 2)} <= set(bare)
    places, lower = np.array(figure.layout.xaxis.tickvals), np.array([text.startswith("<br>") for text in texts])
    assert lower.any()
    for line in (places[lower], places[~lower]):
        assert np.diff(line).min(initial=2) >= 2, "room for every number"
