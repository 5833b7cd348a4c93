"""Inside the worst band: the planted class and images are named, and pictures are found where a run kept them."""

from __future__ import annotations

import re

import pandas as pd
from sigmascope.reports.report import assemble
from sigmascope.reports.worst import sentence, worst_of

from . import synthetic


def run_with_plants() -> synthetic.SyntheticRun:
    """Candidate b: in the planted band 10% worse, images of class 3 by half more, image 7 twice as much again."""
    run = synthetic.run({"a": "eps", "b": "eps"})
    errors = run.tables["evaluations"]
    band = (errors["model"] == "b") & errors["level"].isin(synthetic.planted_levels().nonzero()[0])
    errors.loc[band, "error"] *= 1.1
    errors.loc[band & (errors["label"] == 3), "error"] *= 1.5
    errors.loc[band & (errors["image"] == 7), "error"] *= 2.0
    return run


def test_the_planted_class_and_image_are_named() -> None:
    run = run_with_plants()
    level = int(synthetic.planted_levels().nonzero()[0][0])
    sigma = float(synthetic.SIGMAS[level])
    run.tables["worst"] = pd.DataFrame(
        [
            {"model": "b", "level": level, "sigma": sigma, "image": 7, "error": 1.0, "tile": 8},
            {"model": "b", "level": 22, "sigma": 39.0, "image": 13, "error": 1.0, "tile": 12},
        ]
    )
    report = assemble([run])
    found = worst_of(report.comparisons[0], report.tables.evaluations, run)
    assert found is not None
    assert found.images.iloc[0][["image", "tile"]].tolist() == [7, 8]
    assert (found.images["tile"].iloc[1:] == -1).all()
    others = found.classes[found.classes["label"] != 7]
    assert others.iloc[0]["label"] == 3
    assert others.iloc[0]["low"] < 1.65 < others.iloc[0]["high"]
    assert 3 in set(found.surely["label"])
    assert re.search(r"most in class \d.*\. Of all images most in #7 \(class 7\), #\d+ \(\d\)", sentence(found))


def test_models_whose_sigmas_differ_in_the_last_digits_are_compared_by_level() -> None:
    """Two schedules reach a level at sigmas that differ by rounding: the band's ends are in one of them only."""
    run = run_with_plants()
    errors = run.tables["evaluations"]
    errors.loc[errors["model"] == "b", "sigma"] *= 1 + 1e-10
    report = assemble([run])
    exact = assemble([run_with_plants()])
    found, same = (worst_of(one.comparisons[0], one.tables.evaluations) for one in (report, exact))
    assert found is not None
    assert same is not None
    pd.testing.assert_frame_equal(found.images, same.images)


def test_nothing_is_named_where_nothing_is_worse() -> None:
    report = assemble([synthetic.run({"a": "eps", "b": "eps"})])
    assert worst_of(report.comparisons[0], report.tables.evaluations) is None


def test_unlabelled_images_have_no_class() -> None:
    run = run_with_plants()
    run.tables["evaluations"]["label"] = -1
    report = assemble([run])
    found = worst_of(report.comparisons[0], report.tables.evaluations)
    assert found is not None
    assert found.classes.empty
    assert sentence(found).startswith("most in images #7, #")
