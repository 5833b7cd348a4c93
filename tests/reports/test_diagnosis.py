"""Diagnosis: every planted fault is found in its band and by its name, and a healthy model is left in peace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import pytest
import torch
from scipy import stats
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, Traits, wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject, curves, measure, probe
from sigmascope.evals.schedules import EDM, Schedule, Table
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, Mixture, Oracle, as_denoiser
from sigmascope.reports.diagnosis import RULES, Diagnosis, judge
from torch import Tensor

SIGMAS = log_snr_levels(0.02, 40.0, 12)
GAUSSIAN = Gaussian(torch.zeros(16, dtype=torch.float64), torch.logspace(-2, 0, 16, dtype=torch.float64))
MIXTURE = Mixture(torch.linspace(-0.4, 0.6, 16, dtype=torch.float64), 0.2)
LOW, HIGH = 0.2, 2.5
"""Faults are planted between these sigmas: in three or four of the twelve levels."""


def data_of(oracle: Oracle, images: int = 300, seed: int = 5, labels: Tensor | None = None) -> DataSet:
    return DataSet(oracle.data(torch.arange(images), Noise(seed)).float(), labels, "oracle")


def diagnosed(
    denoiser: Denoiser,
    data: DataSet,
    probes: Sequence[str],
    seed: int = 0,
    train: DataSet | None = None,
    sigmas: Tensor = SIGMAS,
) -> list[Diagnosis]:
    subject = Subject(denoiser, data, sigmas, Noise(seed), train)
    chosen = [probe(name) for name in probes]
    rows = measure(subject, chosen, 1)
    errors: pd.Series = rows.groupby("level")["error"].mean()
    return judge("model", curves(rows, chosen), errors, subject.variance**0.5)


def faulty(answer: Callable[[Tensor, Tensor], Tensor]) -> Denoiser:
    """The Gaussian's denoiser with `answer` of (x, sigma) in the band alone."""

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma.reshape(-1, 1).to(x.dtype)
        return torch.where((s > LOW) & (s < HIGH), answer(x, s), GAUSSIAN.denoise(x, s))

    return wrap(network, EDM(), "x0", (16,), micro_batch=256, dtype=torch.float64)


def assert_found(found: list[Diagnosis], name: str, meaning: str, low: float = LOW, high: float = HIGH) -> None:
    """The probe's finding is there, with its words, and lies in the band."""
    named = [one for one in found if one.rule.probe == name]
    assert named, [one.text for one in found]
    assert any(meaning in one.text for one in named)
    assert all(low < one.sigma_low <= one.sigma_high < high for one in named), [one.text for one in named]


def test_a_noise_estimate_two_percent_too_small() -> None:
    denoiser = faulty(lambda x, s: x - 0.98 * (x - GAUSSIAN.denoise(x, s)))
    found = diagnosed(denoiser, data_of(GAUSSIAN, 1500), ["calibration"])
    assert_found(found, "calibration", "shrinks its noise estimate")


def test_a_slope_five_percent_too_small() -> None:
    """The estimate of x0 shrunk towards the mean: the noise estimate is then too large where noise is small."""
    denoiser = faulty(lambda x, s: 0.95 * GAUSSIAN.denoise(x, s))
    found = diagnosed(denoiser, data_of(GAUSSIAN, 1500), ["calibration"])
    assert_found(found, "calibration", "overstates the noise")


def test_sigma_off_by_one_index() -> None:
    """A table of forty levels, a seventh of a decade apart, whose network answers for the next one above."""
    table = Table(log_snr_levels(0.02, 40.0, 40).log())

    def network(x: Tensor, index: Tensor) -> Tensor:
        scaled = x.double() / table(index.double()).alpha.reshape(-1, 1)
        return GAUSSIAN.denoise(scaled, table((index.double() + 1).clamp(max=39)).sigma)

    denoiser = wrap(network, table, "x0", (16,), micro_batch=256, dtype=torch.float64)
    levels = table(torch.arange(4, 36, 4)).sigma
    found = diagnosed(denoiser, data_of(GAUSSIAN, 1500), ["mismatch(images=1500)"], sigmas=levels)
    named = [one for one in found if one.rule.probe == "mismatch"]
    assert named
    assert all("takes the noise level it is told for a higher one" in one.text for one in named)


def test_an_antisymmetric_part() -> None:
    turn = torch.zeros(16, 16, dtype=torch.float64)
    turn[torch.arange(0, 16, 2), torch.arange(1, 16, 2)] = 0.3
    turn = turn - turn.T
    denoiser = faulty(lambda x, s: GAUSSIAN.denoise(x, s) + (x @ turn) * 0.5)
    assert_found(diagnosed(denoiser, data_of(GAUSSIAN), ["symmetry(images=100)"]), "symmetry", "antisymmetric part")


def test_a_clipped_estimate() -> None:
    denoiser = faulty(lambda x, s: GAUSSIAN.denoise(x, s).clamp(-1.0, 1.0))
    assert_found(diagnosed(denoiser, data_of(GAUSSIAN), ["raw_output"]), "raw_output", "clips its estimate of x0")


def test_time_in_bfloat16() -> None:
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    table = Table.from_betas(betas)

    def network(x: Tensor, index: Tensor) -> Tensor:
        level = table(index.to(torch.bfloat16).double().clamp(max=999))
        return GAUSSIAN.denoise(x.double() / level.alpha.reshape(-1, 1), level.sigma).to(x.dtype)

    denoiser = wrap(network, table, "x0", (16,), micro_batch=64, dtype=torch.float64)
    levels = log_snr_levels(0.1, 100.0, 12)
    found = diagnosed(denoiser, data_of(GAUSSIAN, 30), ["time_resolution(images=30)"], sigmas=levels)
    # 8 bits tell every index up to 256; beyond, more and more neighbours fall together
    above = float(table(torch.tensor(256.0)).sigma)
    assert_found(found, "time_resolution", "does not tell neighbouring times apart", low=above, high=1e3)


def test_a_memorised_training_set() -> None:
    train = data_of(GAUSSIAN, 40, seed=1)
    memory = FiniteSet(train.images.double())
    found = diagnosed(as_denoiser(memory), data_of(GAUSSIAN, 40, seed=2), ["memorisation"], train=train)
    assert any(one.rule.probe == "memorisation" and "knows its training images" in one.text for one in found)


def test_a_dropped_condition() -> None:
    side = torch.stack((-MIXTURE.mode, MIXTURE.mode))

    def network(x: Tensor, sigma: Tensor, class_labels: Tensor) -> Tensor:
        s = sigma.reshape(-1, 1)
        total = MIXTURE.spread**2 + s**2
        told = (MIXTURE.spread**2 * x.double() + s**2 * side[class_labels]) / total
        return torch.where((s > LOW) & (s < HIGH), MIXTURE.denoise(x.double(), sigma), told)

    labels = (Noise(5).normal(torch.arange(300), "oracle data", 0, (17,), torch.float64)[:, 0] > 0).long()
    denoiser = wrap(network, EDM(), "x0", (16,), micro_batch=256, dtype=torch.float64, traits=Traits(classes=2))
    assert_found(
        diagnosed(denoiser, data_of(MIXTURE, labels=labels), ["condition"]), "condition", "nothing of its condition"
    )


def test_a_blurred_output() -> None:
    """Images of 8x8 with a flat spectrum; blurring the estimate loses the highest frequencies and nothing else."""
    pixels = Gaussian(torch.zeros(64, dtype=torch.float64), torch.full((64,), 0.09, dtype=torch.float64))
    data = DataSet(data_of(pixels, 200).images.reshape(-1, 1, 8, 8), None, "pixels")

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        x0 = pixels.denoise(x.double().flatten(1), sigma).reshape(x.shape)
        blurred = (x0 + x0.roll(1, 2) + x0.roll(1, 3) + x0.roll((1, 1), (2, 3))) / 4.0
        s = sigma.reshape(-1, 1, 1, 1)
        return torch.where((s > 0.02) & (s < 0.3), blurred, x0)

    denoiser = wrap(network, EDM(), "x0", (1, 8, 8), micro_batch=256, dtype=torch.float64)
    found = diagnosed(denoiser, data, ["spectrum"])
    assert_found(found, "spectrum", "linear filter", low=0.02, high=0.3)
    assert any("frequency 0.5" in one.text or "frequency 0.25" in one.text for one in found)


def test_what_is_told_is_in_the_text() -> None:
    denoiser = faulty(lambda x, s: x - 0.9 * (x - GAUSSIAN.denoise(x, s)))
    (found, *_) = diagnosed(denoiser, data_of(GAUSSIAN), ["calibration"])
    assert found.low < 1 / 0.9 < found.high
    assert found.text.startswith("model shrinks its noise estimate")
    assert "calibration slope 1.11 [" in found.text
    assert found.consequence.startswith("moves samples by ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("oracle", "schedule", "predicts"),
    [(GAUSSIAN, EDM(), "eps"), (MIXTURE, EDM(), "x0")],
    ids=["gaussian", "mixture"],
)
def test_an_oracle_is_left_in_peace(oracle: Oracle, schedule: Schedule, predicts: str) -> None:
    """200 diagnoses of a perfect model with fresh data and noise. Any finding at all is to have a probability of 5% at
    most: more than 26 of 200 would have one of 1e-5 by chance. Sizes are left out (least 0), so that it is the
    intervals that are tried, not the thresholds.
    """
    strict = tuple(replace(rule, least=0.0) for rule in RULES if rule.probe not in ("symmetry", "time_resolution"))
    probes = ["calibration", "consistency", "mismatch(images=200)", "sure(images=200)", "churn"]
    alarms = 0
    for seed in range(200):
        data = data_of(oracle, 200, seed=1000 + seed)
        subject = Subject(as_denoiser(oracle, schedule, predicts), data, SIGMAS, Noise(seed))
        chosen = [probe(name) for name in probes]
        rows = measure(subject, chosen, 1)
        errors: pd.Series = rows.groupby("level")["error"].mean()
        alarms += bool(judge("oracle", curves(rows, chosen), errors, subject.variance**0.5, rules=strict))
    assert alarms <= stats.binom.isf(1e-5, 200, 0.05)
