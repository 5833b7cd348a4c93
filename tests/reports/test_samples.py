"""Sample by sample: scores against numbers made by hand, planted changes first, and what the figures show of them."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sigmascope.evals.records import TABLES
from sigmascope.reports.figures.samples import closeup, pairs, samples
from sigmascope.reports.report import assemble
from sigmascope.reports.samples import Sampled, difference, most_different

from . import synthetic

SETTING = {"sampler": "heun", "steps": 5, "grid": "karras", "guidance": ""}
COLOURS = {"base": "#0072B2", "other": "#E69F00"}


def flat(value: int) -> np.ndarray:
    return np.full((4, 4, 1), value, np.uint8)


def row(model: str, sample: int, **more: object) -> dict[str, object]:
    return {
        **dict.fromkeys(TABLES["samples"], ""), "steps": 5, "evaluations": 5, "model": model, "sample": sample,
        "label": sample % 2, "clipped": 0.0, "tile": sample, "nearest": -1, "nearest_distance": math.nan,
        "nearest_ratio": math.nan, "nearest_heldout": math.nan, "nearest_tile": -1, "difference": math.nan, **more,
    }  # fmt: skip


@pytest.fixture
def sampled() -> Sampled:
    """Seed 1 changed most; seed 2 of `other` is a near copy of a training image, seed 3 was not kept by it."""
    kept = {"base": {s: flat(100) for s in range(4)}, "other": {0: flat(110), 1: flat(151), 2: flat(100)}}
    near = {"nearest": 7, "nearest_distance": 0.01, "nearest_ratio": 0.05, "nearest_heldout": 0.0, "nearest_tile": 4}
    far = {"nearest": 3, "nearest_distance": 0.2, "nearest_ratio": 0.8, "nearest_heldout": 0.9, "nearest_tile": 5}
    table = [row("base", s) for s in range(4)]
    table += [row("other", 0, difference=10 / 255, **far), row("other", 1, difference=0.2, clipped=0.25)]
    table += [row("other", 2, difference=0.0, **near), row("other", 3, tile=-1)]
    return Sampled(kept, {"other": {0: flat(1), 2: flat(99)}}, {s: s % 2 for s in range(4)}, pd.DataFrame(table))


def test_what_changed_most_and_what_is_nearest_come_first(sampled: Sampled) -> None:
    assert sampled.scores == ["difference", "nearest_ratio", "nearest_distance", "nearest_heldout", "clipped"]
    assert list(sampled.values("difference", "other")) == [1, 0, 2]
    assert list(sampled.values("nearest_ratio", "other")) == [2, 0], "small ratios first, without the unscored"
    assert sampled.values("difference", "base") == {}


def test_facts_are_said_as_far_as_they_are_known(sampled: Sampled) -> None:
    assert sampled.facts("base", 0) == []
    assert sampled.facts("other", 1) == ["differs by 0.20", "25% out of range"]
    assert sampled.facts("other", 2) == ["differs by 0", "training #7: 0.050", "0% of held-out nearer"]
    assert sampled.facts("other", 3) == []


def test_a_difference_is_the_root_mean_square() -> None:
    first, second = np.zeros((2, 2, 1), np.uint8), np.array([[0, 255], [0, 255]], np.uint8)[..., None]
    assert difference(first, second) == pytest.approx(math.sqrt(0.5))
    assert math.isnan(difference(first, None))
    assert math.isnan(difference(first, np.zeros((4, 4, 1), np.uint8)))
    assert most_different({0: first}, {0: np.zeros((4, 4, 1), np.uint8)}) == {}
    assert list(most_different({0: first, 1: first, 2: first}, {0: first, 1: second})) == [1, 0]


def test_a_stored_setting_has_the_differences_of_its_thumbnails() -> None:
    report = assemble([synthetic.run()])
    found = report.sampled(SETTING)
    assert found.ids == list(range(12))
    table = found.table.set_index(["model", "sample"])["difference"]
    assert table["digits-eps"].isna().all()
    for sample in found.ids:
        expected = difference(found.kept["digits-v"][sample], found.kept["digits-eps"][sample])
        assert table["digits-v", sample] == expected
    assert report.sampled(SETTING) is found, "read once"
    assert report.sampled({**SETTING, "steps": 10}) is not found


def test_a_row_of_neighbours_stands_under_the_model_whose_nearness_is_shown(sampled: Sampled) -> None:
    plain = samples(sampled, COLOURS)
    sorted_by = samples(sampled, COLOURS, ids=[2, 0], score="nearest_ratio", of="other")
    assert len(plain.layout.yaxis.ticktext) == 2
    assert [name.rpartition(">")[2] for name in sorted_by.layout.yaxis.ticktext][-1] == "training"
    assert [title.split("<br>")[-1] for title in sorted_by.layout.xaxis.ticktext] == ["0.050", "0.80"]
    clicked = sorted_by.data[-1]
    assert [tuple(one) for one in clicked.customdata] == [
        ("base", 2), ("base", 0), ("other", 2), ("other", 0), ("other", 2), ("other", 0),
    ]  # fmt: skip
    assert "training #7: 0.050" in clicked.hovertext[2]


def test_an_image_that_was_not_kept_is_said_to_be_missing(sampled: Sampled) -> None:
    figure = samples(sampled, COLOURS)
    assert [note.text for note in figure.layout.annotations] == ["not<br>kept"]
    assert len(figure.layout.shapes) == 1
    assert samples(sampled, COLOURS, ids=[0, 1]).layout.annotations == ()


def test_points_lie_on_the_images_they_stand_for(sampled: Sampled) -> None:
    """What a click on a point says is under it: the pixel there is the image's own."""
    figure = samples(sampled, COLOURS, ids=[0, 1, 2])
    picture = Image.open(io.BytesIO(base64.b64decode(figure.data[0].source.partition(",")[2])))
    points = figure.data[-1]
    for x, y, (model, sample) in zip(points.x, points.y, points.customdata, strict=True):
        assert picture.getpixel((round(x), round(y)))[0] == sampled.kept[model][sample][0, 0, 0]
    assert figure.layout.xaxis.range == (-0.5, picture.width - 0.5)
    assert figure.layout.yaxis.range == (picture.height - 0.5, -0.5)


def test_a_seed_large_is_every_model_that_kept_it(sampled: Sampled) -> None:
    both = closeup(sampled, 2, COLOURS, "base", "light")
    assert both.layout.xaxis.ticktext == ("sample", "− baseline", "training")
    assert "training #7" in both.layout.yaxis.ticktext[1]
    alone = closeup(sampled, 3, COLOURS, "base", "light")
    assert alone.layout.xaxis.ticktext == ("sample", "training")
    assert len(alone.layout.yaxis.ticktext) == 1
    without = closeup(replace(sampled, beside={}), 2, COLOURS, "base", "dark")
    assert without.layout.xaxis.ticktext == ("sample", "− baseline")
    assert "No model kept" in closeup(sampled, 9, COLOURS, "base", "light").layout.annotations[0].text


def test_pairs_begin_with_those_that_changed_most(sampled: Sampled) -> None:
    figure = pairs(dict(sampled.kept), {})
    assert figure.data[3].text == ("#1", "#0", "#2")
    labelled = pairs(dict(sampled.kept), {1: 4, 0: -1})
    assert labelled.data[3].text == ("#1 (4)", "#0", "#2")
    assert "differs by 0.20" in figure.data[-1].hovertext[0]
    faces = [trace.visible for trace in figure.data[:3]]
    assert faces == [True, False, False]
    for button in figure.layout.updatemenus[0].buttons:
        assert tuple(button.args[1]) == (0, 1, 2), "the points to hover over stay"


@pytest.mark.parametrize("name", ["<b>x</b>", "%{x}", "<img src=x onerror=alert(1)>"])
def test_names_are_text(sampled: Sampled, name: str) -> None:
    renamed = Sampled(
        {name: sampled.kept["other"]}, {}, sampled.classes, sampled.table.replace({"model": {"other": name}})
    )
    figure = samples(renamed, {name: "#0072B2"})
    assert name not in figure.data[-1].hovertext[0]
    assert name not in figure.layout.yaxis.ticktext[0]


def test_equal_samples_are_told_pixel_by_pixel() -> None:
    one, nearly = np.zeros((2, 2, 1), np.uint8), np.eye(2, dtype=np.uint8)[..., None]
    kept = {
        "base": {0: one, 1: one},
        "same": {0: one, 1: one},
        "near": {0: one, 1: nearly},
        "few": {0: one},
        "none": {},
    }
    found = Sampled(kept, {}, {}, pd.DataFrame())
    assert found.alike("base", "same")
    assert not any(found.alike("base", other) for other in ("near", "few", "absent"))
    assert not found.alike("absent", "absent")
