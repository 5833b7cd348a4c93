"""Curves: their errors are those that repetition shows; slices by class and by image are plain means of the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sigmascope.evals.probes import curves, probe, slices
from sigmascope.evals.probes.engine import Columns
from sigmascope.evals.probes.excess_error import ExcessError
from sigmascope.evals.probes.references import linear
from sigmascope.fixtures.oracles import as_denoiser

from .proving import GAUSSIAN, MIXTURE, SIGMAS, data_of, rows_of


def test_the_jackknife_s_error_is_the_spread_over_repetitions() -> None:
    """100 runs on 20 images of their own: (n - 1) var / mean(error^2) is chi^2 at n - 1.

    Noise is keyed by image id, so the runs may be one pass, cut up. A mean (bits) and a ratio of means (over_linear);
    4 looks at 1e-4. The jackknife of a ratio is biased by O(1/20), far less than the quantiles' 50%.
    """
    probes = [probe("bits"), ExcessError({"linear": linear(data_of(MIXTURE, 300, 12).images)})]
    rows = rows_of(as_denoiser(MIXTURE), data_of(MIXTURE, 2000), probes, sigmas=SIGMAS[3:5])
    found = pd.concat([curves(part, probes) for _, part in rows.groupby(rows["image"] // 20)])
    for quantity in ("bits", "over_linear"):
        for _, repeated in found[found["quantity"] == quantity].groupby("level"):
            assert len(repeated) == 100
            ratio = 99 * repeated["value"].var() / repeated["error"].pow(2).mean()
            low, high = stats.chi2.ppf([1e-4 / 8, 1 - 1e-4 / 8], 99)
            assert low < ratio < high


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    data = replace(data_of(GAUSSIAN, 41), labels=torch.tensor([i % 3 for i in range(40)] + [7]))
    return rows_of(as_denoiser(GAUSSIAN), data, [], draws=2)


def test_the_denoising_error_of_each_class_follows(rows: pd.DataFrame) -> None:
    found = curves(rows, [])
    assert set(found["slice"]) == {"class 0", "class 1", "class 2"}  # class 7 has one image: no interval
    assert set(found["probe"]) == {"denoising_error"}
    assert len(found) == 3 * len(SIGMAS)
    one = found[(found["slice"] == "class 1") & (found["level"] == 4)].iloc[0]
    of_images = rows[(rows["label"] == 1) & (rows["level"] == 4)].groupby("image")["error"].mean()
    assert one["images"] == len(of_images) == 13
    assert one["value"] == pytest.approx(of_images.mean())
    interval = stats.ttest_1samp(of_images, 0.0).confidence_interval()
    assert (one["low"], one["high"]) == pytest.approx((interval.low, interval.high))
    assert set(curves(rows, [], labels="prompt")["slice"]) == {"prompt 0", "prompt 1", "prompt 2"}


def test_a_class_that_is_done_worse_is_found(rows: pd.DataFrame) -> None:
    spoilt = rows.assign(error=rows["error"] * np.where((rows["label"] == 2) & (rows["level"] == 6), 2.0, 1.0))
    worst = slices(spoilt, "label").groupby("level").first()
    assert worst["label"][6] == 2
    change = curves(spoilt, []).merge(curves(rows, []), on=["slice", "level"])
    changed = change[change["value_x"] != change["value_y"]]
    assert changed[["slice", "level"]].to_numpy().tolist() == [["class 2", 6]]


def test_images_are_slices_too(rows: pd.DataFrame) -> None:
    found = slices(rows, "image")
    assert len(found) == 41 * len(SIGMAS)
    assert found["low"].isna().all()  # one image tells nothing of others
    assert (found["images"] == 1).all()
    for _, level in found.groupby("level"):
        assert level["value"].is_monotonic_decreasing
    third = found[(found["image"] == 3) & (found["level"] == 5)]["value"].item()
    assert third == pytest.approx(rows[(rows["image"] == 3) & (rows["level"] == 5)]["error"].mean())


def test_images_without_labels_have_no_classes() -> None:
    assert curves(rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 5), []), []).empty


def test_columns_in_files_are_the_same_columns() -> None:
    """What does not fit in memory is mapped: the same frame, the same curves."""
    batches = [{"a": np.arange(5, dtype=np.float32) + 5 * i, "n": np.full(5, i, np.int32)} for i in range(4)]
    frames = []
    for held in (1 << 20, 0):
        table = Columns(22, held_bytes=held)
        for batch in batches:
            table.append(batch)
        table.append({"n": np.array([7, 7], np.int32)})
        frames.append(table.frame())
    pd.testing.assert_frame_equal(*frames)
    assert frames[0]["a"].isna().sum() == 2
