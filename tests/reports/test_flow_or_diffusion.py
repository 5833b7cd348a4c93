"""Two kinds of models on one page: rows by hand, and a figure that draws them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sigmascope.errors import DataError
from sigmascope.evals.records import TABLES
from sigmascope.reports.figures.flow_or_diffusion import flow_or_diffusion
from sigmascope.reports.flow_or_diffusion import sides

from . import synthetic

SIGMAS = {4: (9.0, 3.0, 1.0, 1 / 3, 0.0), 2: (9.0, 1.0, 0.0)}


def steps(models: dict[str, float]) -> pd.DataFrame:
    """Straightness of each model, a quarter of it (or half) in every interval; angles of 0.1."""
    rows = []
    for model, straightness in models.items():
        for count, sigmas in SIGMAS.items():
            common = {
                "model": model, "sampler": "euler", "steps": count, "grid": "karras", "guidance": "",
                "probe": "straightness", "slice": "all", "error": 0.01, "freedom": 9.0, "optimal": 0.0, "samples": 10,
            }  # fmt: skip
            quantities = {"straightness": straightness * count, "chord_to_arc": 0.9}
            for name, value in quantities.items():
                whole = {"index": -1, "sigma": np.nan, "sigma_next": np.nan}
                rows.append(
                    {**common, "quantity": name, **whole, "value": value, "low": value - 0.02, "high": value + 0.02}
                )
            for index in range(count):
                ends = {"index": index, "sigma": sigmas[index], "sigma_next": sigmas[index + 1]}
                for name, value in {"deviation": straightness, "angle": 0.1}.items():
                    if name == "deviation" or index < count - 1:
                        row = {**common, "quantity": name, **ends, "value": value}
                        rows.append({**row, "low": value, "high": value})
    return pd.DataFrame(rows)[list(TABLES["steps"])]


def run() -> synthetic.SyntheticRun:
    one = synthetic.run({"diffused": "eps", "flowing": "flow"})
    one.tables["steps"] = steps({"diffused": 0.2, "flowing": 0.05})
    return one


def test_each_model_stands_at_its_finest_setting_with_its_kind() -> None:
    found = sides(run())  # type: ignore[arg-type]
    paths = found.paths.set_index("model")
    assert paths["kind"].to_dict() == {"diffused": "diffusion", "flowing": "flow matching"}
    assert paths["straightness"].to_dict() == pytest.approx({"diffused": 0.8, "flowing": 0.2})
    assert paths["turning"].to_dict() == pytest.approx({"diffused": 0.3, "flowing": 0.3})
    bends = found.bends[found.bends["model"] == "diffused"]
    # t = 0.9, 0.75, 0.5, 0.25, 0: the areas add up to the straightness
    assert bends["begin"].tolist() == pytest.approx([0.9, 0.75, 0.5, 0.25])
    assert (bends["density"] * (bends["begin"] - bends["end"])).sum() == pytest.approx(0.8)
    assert found.better == "lower"
    assert len(found.few) == 2 * 4 * 4


def test_the_figure_draws_the_tables() -> None:
    found = sides(run())  # type: ignore[arg-type]
    figure = flow_or_diffusion(found, {"diffused": "#0072B2", "flowing": "#E69F00"})
    drawn = {trace.name: trace for trace in figure.data if trace.xaxis == "x2"}
    assert drawn["diffused"].line.dash == "dash"
    assert drawn["flowing"].line.dash == "solid"
    curve = next(trace for trace in figure.data if trace.xaxis == "x3")
    best = found.few[found.few["model"] == "diffused"].groupby("evaluations")["value"].min().cummin()
    np.testing.assert_allclose(curve.y, best.loc[list(curve.customdata)])
    # models stand beside each other: no further from their cost than half a step to its double
    np.testing.assert_allclose(np.log2(np.array(curve.x, float) / curve.customdata), 0, atol=0.5)
    assert best.iloc[-1] == curve.y[-1]
    bends = found.bends[found.bends["model"] == "flowing"]
    x, y = (np.array(values, float) for values in (drawn["flowing"].x, drawn["flowing"].y))
    assert np.sum(y[::2] * (x[::2] - x[1::2])) == pytest.approx(0.2)
    assert len(x) == 2 * len(bends)


def test_a_run_without_straightness_says_what_to_add() -> None:
    with pytest.raises(DataError, match=r'add sampling.probes = \["straightness"\]'):
        sides(synthetic.run({"alone": "eps"}))  # type: ignore[arg-type]
