"""What breaks where, by parameterization; and which leaves of a healthy range are too small to matter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sigmascope.reports.diagnosis import judged
from sigmascope.reports.figures.probes import visible
from sigmascope.reports.negligible import negligible, told_least
from sigmascope.reports.parameterizations import broken, told
from sigmascope.reports.quantities import Curve
from sigmascope.reports.report import Report, assemble

from . import synthetic

SLOPE = Curve("calibration", "slope")


def raised(factor: float, above: float) -> Report:
    """Of an eps and a v model: the eps model's error raised by a factor from a sigma upwards."""
    run = synthetic.run({"a": "eps", "b": "v"})
    for name, columns in (("levels", ["error", "low", "high"]), ("evaluations", ["error"])):
        rows = (run.tables[name]["model"] == "a") & (run.tables[name]["sigma"] > above)
        run.tables[name].loc[rows, columns] *= factor
    return assemble([run])


def test_an_eps_model_that_errs_at_high_noise_breaks_there() -> None:
    report = raised(9.0, 5.0)
    found = broken(report.tables)
    assert [(one.form, one.side, one.model, one.other) for one in found] == [("eps", "x0", "a", "b")]
    highest = float(report.tables.levels["sigma"].max())
    assert found[0].gain == pytest.approx(highest), "an eps error is sigma times as large in x0"
    assert found[0].low > 5.0
    assert found[0].high == pytest.approx(highest)
    levels = report.tables.levels.set_index(["model", "level"])["error"]
    assert found[0].ratio == pytest.approx(np.sqrt(levels["a"] / levels["b"])[found_level(report, found[0].sigma)])
    said = told(report.tables)
    assert said[0].startswith("eps breaks at high noise")
    assert said[0].endswith("Samples feel little of it: an image's error at σ reaches them about 1/σ as large.")
    assert said[1] == "v nowhere enlarges an error: the gains are at most 1."


def of_form(form: str) -> Report:
    """Two models, the first said to be of another parameterization than it was made for."""
    run = synthetic.run({"a": "eps", "b": "v"})
    first, second = run.record.models
    models = [first.model_copy(update={"parameterization": form}), second]
    run.record = run.record.model_copy(update={"models": models})
    return assemble([run])


def found_level(report: Report, sigma: float) -> int:
    levels = report.tables.levels
    return int(levels.loc[(levels["sigma"] - sigma).abs().idxmin(), "level"])


def test_a_gain_alone_is_a_risk_not_a_break() -> None:
    report = assemble([synthetic.run({"a": "eps", "b": "eps"})])
    assert [one.model for one in broken(report.tables)] == [""]
    assert "no model of this run shows it" in told(report.tables)[0]


def test_an_x0_model_is_told_at_low_noise() -> None:
    found = broken(of_form("x0").tables)
    assert [(one.form, one.side) for one in found] == [("x0", "eps")]
    lowest = float(synthetic.SIGMAS.min())
    assert found[0].gain == pytest.approx(1 / lowest)


def test_an_unknown_parameterization_is_not_judged() -> None:
    tables = of_form("own kind").tables
    assert broken(tables) == []
    assert told(tables)[0] == "v nowhere enlarges an error: the gains are at most 1."


def test_precision_is_told_with_its_worst_level(run: synthetic.SyntheticRun) -> None:
    rows = run.tables["curves"].query("probe == 'calibration' and quantity == 'slope' and model == 'digits-v'")
    shares = rows.assign(probe="precision", quantity="output_share", value=np.linspace(0.0, 0.04, len(rows)))
    made = synthetic.run()
    made.tables["curves"] = pd.concat([made.tables["curves"], shares])
    said = told(assemble([made]).tables)[-1]
    assert said.startswith("In low precision, rounding its output alone costs at most 4.0% of the denoising error")
    assert "digits-v" in said


def test_too_small_to_matter_is_sure_and_below_the_rules_least(report: Report) -> None:
    rule = SLOPE.rule
    assert rule is not None
    found = negligible(report.tables, SLOPE)
    planted = set(np.flatnonzero(synthetic.planted_levels()))
    assert planted
    assert not set(found["level"]) & planted, "what is a finding is no trifle"
    assert (found["size"] < rule.least).all()
    # shift every model's slope at one level by far more than its interval, where its error is next to nothing
    made = synthetic.run()
    curves, first = made.tables["curves"], made.tables["levels"]["level"].min()
    rows = (curves["probe"] == "calibration") & (curves["quantity"] == "slope") & (curves["level"] == first)
    curves.loc[rows, ["value", "low", "high"]] += 0.3
    again = negligible(assemble([made]).tables, SLOPE)
    assert first in set(again["level"])
    figure = assemble([made]).noise_levels(curve=SLOPE)
    assert "below the threshold of a finding" in [trace.name for trace in figure.data]
    assert [shape for shape in figure.layout.shapes if shape.name == "small"]


def test_its_size_is_the_diagnosis_own(report: Report) -> None:
    rule = SLOPE.rule
    assert rule is not None
    own = report.tables.curves.query("model == 'digits-regressed' and probe == 'calibration' and slice == 'all'")
    errors = report.tables.levels.query("model == 'digits-regressed'").set_index("level")["error"]
    rows = judged(rule, own[own["quantity"] == "slope"], own, errors, 1.0, 0.05)
    told_sizes = {one.sigma: one.size for one in report.diagnoses if one.rule == rule}
    for sigma, size in told_sizes.items():
        assert size == pytest.approx(rows.loc[(rows["sigma"] - sigma).abs().idxmin(), "size"])
    assert told_least(rule) == "it moves samples by less than 1.8% of the data's spread per e-fold of σ"


def test_a_curve_without_a_rule_has_no_trifles(report: Report) -> None:
    assert negligible(report.tables, Curve("denoising_error", "error")).empty


def test_only_what_a_reader_sees_is_shaded() -> None:
    rows = pd.DataFrame(
        {"sigma": [1.0, 2.0], "value": [1.3, 1.001], "optimal": 1.0, "low": [1.29, 1.0], "high": [1.31, 1.002]}
    )
    assert visible([1.0, 2.0], rows) == [1.0]
    assert visible([1.0, 2.0], rows.assign(optimal=np.nan)) == [1.0, 2.0]
