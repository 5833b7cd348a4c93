"""P10: what learnt the distribution has no gap; what learnt the set is it, and is found where it memorises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sigmascope.errors import ConfigError, DataError
from sigmascope.evals.data import DataSet
from sigmascope.evals.probes import cost, probe
from sigmascope.fixtures.oracles import FiniteSet, Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of, faulty, misses, rows_of

LOOKS = len(SIGMAS)


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE, PAIR], ids=["gaussian", "mixture", "two points"])
def test_who_learnt_the_distribution_knows_no_image_better(oracle: Oracle) -> None:
    data, train = data_of(oracle, 400), data_of(oracle, 401, 12)
    for quantity, healthy in (("gap", 0.0), ("ratio", 1.0)):
        curve = curve_of(as_denoiser(oracle), data, probe("memorisation"), quantity, train=train)
        assert (curve["optimal"] == healthy).all()
        assert misses(curve, healthy, 6 * LOOKS).empty


def test_a_finite_set_s_training_error_is_its_mmse_and_its_distance_0() -> None:
    train = DataSet(PAIR.points.float(), None, "two points")
    rows = rows_of(as_denoiser(PAIR), data_of(GAUSSIAN, 600), [probe("memorisation")], train=train)
    means = rows.groupby("level")["memorisation.train"].agg(["mean", "sem"])
    mmse = np.array([PAIR.mmse(s) / 16 for s in SIGMAS.tolist()])
    assert ((means["mean"] - mmse).abs() <= stats.norm.isf(1e-4 / LOOKS / 2) * means["sem"] + 2**-20).all()
    distance = curve_of(as_denoiser(PAIR), data_of(GAUSSIAN, 200), probe("memorisation"), "distance", train=train)
    # both in float64 from one float32 state: the answer is rounded to float32 once
    assert distance["value"].max() < 1e-9


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_the_best_denoiser_s_distance_is_orthogonal_to_its_error(oracle: Oracle) -> None:
    """E |D - D_set|^2 = E |D_set - x0|^2 - E |D - x0|^2, so distance is 1 - error / error of D_set."""
    rows = rows_of(as_denoiser(oracle), data_of(oracle, 400), [probe("memorisation")], train=data_of(oracle, 300, 12))
    column = {name: rows[f"memorisation.{name}"] for name in ("to_set", "set", "heldout")}
    rest = (column["to_set"] + column["heldout"] - column["set"]).groupby(rows["level"]).agg(["mean", "sem"])
    assert (rest["mean"].abs() <= stats.norm.isf(1e-4 / LOOKS / 4) * rest["sem"] + 2**-20).all()


def test_a_memorised_training_set_is_found_where_it_is_memorised() -> None:
    train = data_of(GAUSSIAN, 300, 12)
    memory = FiniteSet(train.images.double())

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where(sigma < 0.5, memory.denoise(x, sigma), GAUSSIAN.denoise(x, sigma))

    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 200), probe("memorisation"), "ratio", train=train)
    found = misses(curve, 1.0, LOOKS)
    assert set(found["level"]) == set(np.flatnonzero(SIGMAS.numpy() < 0.5))
    assert (found["value"] < 0.5).all()
    # and there it is nothing but the set, at the next level no longer
    distance = curve_of(faulty(answer), data_of(GAUSSIAN, 200), probe("memorisation"), "distance", train=train)
    assert (distance["value"][distance["sigma"] < 0.5] < 1e-9).all()
    assert (distance["low"][distance["sigma"].between(0.5, 1.5)] > 1e-3).all()


def test_it_costs_one_evaluation_a_row() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    rows_of(denoiser, data_of(GAUSSIAN, 20), [probe("memorisation")], draws=2, train=data_of(GAUSSIAN, 7, 12))
    assert denoiser.evaluations == cost([probe("memorisation")], LOOKS, 2, 20) == 2 * LOOKS * 2 * 20


def test_conditions_of_training_images_must_be_known() -> None:
    data, train = data_of(GAUSSIAN, 20), data_of(GAUSSIAN, 21, 12)
    by_class = as_denoiser(GAUSSIAN)
    by_class.traits = replace(by_class.traits, classes=10)
    labelled = replace(data, labels=torch.zeros(20, dtype=torch.int64))
    with pytest.raises(DataError, match="labels for training and held-out images, or for neither"):
        rows_of(by_class, labelled, [probe("memorisation")], train=train)
    by_text = as_denoiser(GAUSSIAN)
    by_text.text = object()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="a model without captions"):
        rows_of(by_text, data, [probe("memorisation")], train=train)
