"""The denoising error (P1): on an oracle it is the MMSE, and a fault in a few levels shows in those levels only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, Traits, wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Evaluations, Subject, denoising_error, evaluate, measure
from sigmascope.evals.probes.engine import KEYS
from sigmascope.evals.records import TABLES
from sigmascope.evals.schedules import EDM, RectifiedFlow, Schedule, Table
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, Mixture, Oracle, as_denoiser
from sigmascope.metrics.intervals import bootstrap_mean, paired_log_ratio
from torch import Tensor

SIGMAS = log_snr_levels(0.02, 80.0, 12)
GAUSSIAN = Gaussian(torch.linspace(-0.5, 0.5, 16, dtype=torch.float64), torch.logspace(-2, 0, 16, dtype=torch.float64))
MIXTURE = Mixture(torch.linspace(-0.4, 0.6, 16, dtype=torch.float64), 0.2)
PAIR = FiniteSet(torch.stack([torch.linspace(-1, 1, 16), torch.linspace(0.3, -0.4, 16)]).double())
LOOKS = 3 * len(SIGMAS)


def data_of(oracle: Oracle, images: int) -> DataSet:
    return DataSet(oracle.data(torch.arange(images), Noise(11)).float(), None, "oracle")


def run(denoiser: Denoiser, data: DataSet, draws: int = 1, batch_size: int = 1024, seed: int = 0) -> pd.DataFrame:
    subject = Subject(denoiser, data, SIGMAS, Noise(seed))
    return measure(subject, [], draws, batch_size=batch_size).assign(model="model")


def parts(denoiser: Denoiser, data: DataSet, draws: int = 1, batch_size: int = 1024) -> Iterator[Evaluations]:
    return evaluate(Subject(denoiser, data, SIGMAS, Noise(0)), draws, batch_size=batch_size)


def by_image(evaluations: pd.DataFrame) -> np.ndarray:
    return evaluations.pivot_table(index="image", columns="level", values="error").to_numpy()


@pytest.mark.parametrize(
    ("oracle", "schedule", "predicts"),
    [
        pytest.param(GAUSSIAN, EDM(), "F", id="gaussian, F on EDM"),
        pytest.param(MIXTURE, RectifiedFlow(), "flow", id="mixture, flow"),
        pytest.param(PAIR, Table.from_betas(torch.linspace(1e-4, 0.02, 1000)), "v", id="two points, v on DDPM's table"),
    ],
)
def test_an_oracle_errs_by_its_mmse(oracle: Oracle, schedule: Schedule, predicts: str) -> None:
    """36 looks (3 oracles, 12 levels) at a false alarm of 1e-4 for all: each 99% interval is stretched from 2.58
    standard errors to Bonferroni's 4.83. No assumption is made of the levels, which share their images.
    """
    data = data_of(oracle, 2000)
    denoiser = as_denoiser(oracle, schedule, predicts)
    evaluations = run(denoiser, data)
    interval = bootstrap_mean(by_image(evaluations), confidence=0.99)
    stretch = stats.norm.isf(1e-4 / LOOKS / 2) / stats.norm.isf(0.005)
    expected = np.array([oracle.mmse(sigma) for sigma in SIGMAS.tolist()]) / oracle.dimensions
    low = interval.value - stretch * (interval.value - interval.low)
    high = interval.value + stretch * (interval.high - interval.value)
    # below 1e-4 the error of two points is a handful of flips among 2000 images, and no interval knows their rate
    scored = expected > 1e-4
    assert scored.sum() >= 7
    assert ((low <= expected) & (expected <= high))[scored].all()
    assert (interval.value[~scored] < 1e-3).all()
    # tight: where an image's error deviates by no more than its mean, the look is 2 * 4.83 / sqrt(2000) wide
    assert np.median((high - low)[scored] / expected[scored]) < 0.22

    table = denoising_error.levels(evaluations, denoiser, SIGMAS)
    assert tuple(table.columns) == TABLES["levels"]
    np.testing.assert_array_equal(table["error"], interval.value)
    np.testing.assert_allclose(table["sigma"], SIGMAS, rtol=1e-9)
    np.testing.assert_allclose(table["log_snr"], -2 * SIGMAS.log(), atol=1e-8)
    np.testing.assert_array_equal(table["time"], denoiser.level(SIGMAS).time)
    assert (table["low"] < table["high"])[scored].all()
    assert set(table["images"]) == {2000}
    assert set(table["draws"]) == {1}


def test_the_error_is_the_same_whatever_the_network_predicts() -> None:
    data = data_of(MIXTURE, 50)
    reference = run(as_denoiser(MIXTURE, EDM(), "x0"), data)["error"]
    for schedule, predicts in ((EDM(), "eps"), (EDM(), "v"), (EDM(), "score"), (RectifiedFlow(), "flow")):
        # x_t is carried in float32: relative 2^-24 of |x_t|, so up to 80 * 2^-24 * 5 in x and less in D's error
        got = run(as_denoiser(MIXTURE, schedule, predicts), data)["error"]
        np.testing.assert_allclose(got, reference, rtol=2e-3, atol=1e-6, err_msg=predicts)


def planted(fault: Callable[[float], float]) -> Denoiser:
    """The Gaussian oracle with its slope multiplied by a function of sigma."""

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        factor = torch.tensor([fault(s) for s in sigma.tolist()], dtype=x.dtype)[:, None]
        return GAUSSIAN.mean + factor * (GAUSSIAN.denoise(x, sigma) - GAUSSIAN.mean)

    return wrap(network, EDM(), "x0", (16,), micro_batch=256, dtype=torch.float64)


def test_a_slope_two_percent_off_shows_in_its_band_and_nowhere_else() -> None:
    """An excess of 4e-4 l^2/(l + s^2) per mode, against l s^2/(l + s^2): seen by pairs up to s near 0.3 at n = 2000.

    In the other levels both models are one function on one noise: a ratio of exactly 1.
    """
    data = data_of(GAUSSIAN, 2000)
    band = (SIGMAS > 0.04) & (SIGMAS < 0.3)
    assert int(band.sum()) >= 2
    good = by_image(run(planted(lambda sigma: 1.0), data))
    bad = by_image(run(planted(lambda sigma: 0.98 if 0.04 < sigma < 0.3 else 1.0), data))
    ratio = paired_log_ratio(good, bad, confidence=1 - 1e-3)
    assert (ratio.lower[band] > 0).all()
    assert (ratio.ratio[~band] == 1).all()
    assert (ratio.lower[~band] == 0).all()
    l, s = GAUSSIAN.variances[:, None], SIGMAS  # noqa: E741
    expected = 1 + (4e-4 * l**2 / (l + s**2)).sum(0) / (l * s**2 / (l + s**2)).sum(0)
    assert (ratio.band_low[band] <= expected.numpy()[band]).all()
    assert (ratio.band_high[band] >= expected.numpy()[band]).all()


def test_a_denoiser_with_the_wrong_noise_level_is_outside_the_interval() -> None:
    """The same look that passes an oracle fails a model that takes the noise for 60% of what it is."""
    data = data_of(GAUSSIAN, 1000)
    denoiser = wrap(
        lambda x, sigma: GAUSSIAN.denoise(x, 0.6 * sigma), EDM(), "x0", (16,), micro_batch=256, dtype=torch.float64
    )
    interval = bootstrap_mean(by_image(run(denoiser, data)), confidence=0.99)
    expected = np.array([GAUSSIAN.mmse(sigma) for sigma in SIGMAS.tolist()]) / 16
    assert (expected < interval.low).sum() >= 4


def test_rows_do_not_depend_on_batches_and_every_cell_is_there_once() -> None:
    data = data_of(GAUSSIAN, 7)
    whole = run(as_denoiser(GAUSSIAN), data, draws=3)
    assert len(whole) == 7 * 3 * 12
    assert not whole.duplicated(["image", "level", "draw"]).any()
    assert tuple(whole.columns) == (*KEYS, "model")
    assert set(whole.columns) == set(TABLES["evaluations"])
    pd.testing.assert_frame_equal(run(as_denoiser(GAUSSIAN), data, draws=3, batch_size=5), whole, check_exact=True)
    assert set(whole["label"]) == {-1}
    np.testing.assert_allclose(whole["sigma"], SIGMAS.numpy()[whole["level"]], rtol=1e-12)


def test_noise_belongs_to_the_image_level_and_draw() -> None:
    """More images, more draws leave what was measured as it was; other seeds and draws differ."""
    few, many = data_of(GAUSSIAN, 5), data_of(GAUSSIAN, 9)
    key = ["image", "level", "draw"]
    base = run(as_denoiser(GAUSSIAN), few, draws=2).set_index(key)["error"]
    more = run(as_denoiser(GAUSSIAN), many, draws=3).set_index(key)["error"]
    pd.testing.assert_series_equal(more.loc[base.index], base, check_exact=True)
    assert not np.isin(base, run(as_denoiser(GAUSSIAN), few, draws=2, seed=1)["error"]).any()
    eps = torch.cat([part.eps for part in parts(as_denoiser(GAUSSIAN), few, 2, 32)])
    assert len(eps.unique(dim=0)) == 5 * 12 * 2


def test_labels_reach_a_conditional_model() -> None:
    labels = torch.tensor([3, 1, 2])
    data = DataSet(torch.zeros(3, 4), labels, "zeros")
    plain = wrap(_label, EDM(), "x0", (4,), micro_batch=8)
    assert all(bool((part.prediction.x0 == -1).all()) for part in parts(plain, data))
    conditional = wrap(_label, EDM(), "x0", (4,), micro_batch=8, traits=Traits(classes=10))
    for part in parts(conditional, data, batch_size=4):
        assert torch.equal(part.prediction.x0[:, 0], labels[part.image].float())

    rows = run(conditional, data)
    assert rows["label"].tolist() == labels[rows["image"].tolist()].tolist()


def _label(x: Tensor, t: Tensor, class_labels: Tensor | None = None) -> Tensor:
    return torch.full_like(x, -1) if class_labels is None else class_labels[:, None].expand_as(x).to(x.dtype)


def test_what_is_evaluated_is_alpha_x0_plus_sigma_eps() -> None:
    """An identity network shows its input: (x_t - alpha x0)/sigma_t is the noise reported."""
    data = data_of(GAUSSIAN, 6)
    shown = wrap(lambda x, t: x, RectifiedFlow(), "x0", (16,), micro_batch=8, dtype=torch.float64)
    for part in parts(shown, data):
        alpha, sigma_t = part.level.alpha[:, None], part.level.sigma_t[:, None]
        assert math.isclose(float(alpha[0] + sigma_t[0]), 1.0)
        torch.testing.assert_close(
            part.prediction.x0.double(), alpha * part.x0 + sigma_t * part.eps, rtol=0, atol=8 * 2**-24
        )
        assert torch.equal(part.x0, data.images[part.image])
