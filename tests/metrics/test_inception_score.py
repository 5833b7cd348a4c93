"""Inception score: a loop by hand, closed forms, torch-fidelity's numbers; the correction by simulation."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, DataError
from sigmascope.metrics.inception_score import InceptionScore, inception_score, inception_score_influence
from torchmetrics.image import inception as torchmetrics_inception

HERE = Path(__file__).parent


def logits(n: int = 57, classes: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((n, classes)) * 2)


def by_hand(rows: np.ndarray) -> float:
    p = np.exp(rows)
    p /= p.sum(axis=1, keepdims=True)
    total = 0.0
    for i in range(len(p)):
        for c in range(p.shape[1]):
            total += p[i, c] * (math.log(p[i, c]) - math.log(p[:, c].mean()))
    return math.exp(total / len(p))


def test_plain_against_a_loop() -> None:
    result = inception_score(logits(), convention="plain")
    assert result.mean == pytest.approx(by_hand(logits().numpy()), rel=1e-12)
    assert math.isnan(result.std)


@pytest.mark.parametrize("splits", [1, 4, 10])
def test_torch_fidelity_convention_against_a_loop(splits: int) -> None:
    rows = logits().numpy()[np.random.RandomState(2020).permutation(57)]
    scores = [by_hand(rows[i * 57 // splits : (i + 1) * 57 // splits]) for i in range(splits)]
    mean, std, convention = inception_score(logits(), splits)
    assert (mean, std) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-12)
    assert "RandomState(2020)" in convention
    unshuffled = [by_hand(part) for part in np.array_split(logits().numpy(), splits)]
    assert splits == 1 or abs(np.mean(unshuffled) - mean) > 1e-4  # another order would be seen


def test_guided_diffusion_convention_keeps_the_order() -> None:
    """Two chunks, of 5,000 and of 1,000 rows, each of one class: every chunk scores 1, all rows at once about 1.57."""
    rows = torch.full((6000, 2), -20.0)
    rows[:5000, 0], rows[5000:, 1] = 20, 20
    assert inception_score(rows, convention="guided-diffusion")[:2] == pytest.approx((1, 0), abs=1e-12)
    entropy = -(5 / 6) * math.log(5 / 6) - (1 / 6) * math.log(1 / 6)
    assert inception_score(rows, convention="plain").mean == pytest.approx(math.exp(entropy), rel=1e-12)


def test_closed_forms() -> None:
    """Equal rows score 1; sure answers spread evenly over k classes score k."""
    assert inception_score(logits(1).expand(30, -1), convention="plain").mean == pytest.approx(1, abs=1e-12)
    sure = 1000 * torch.eye(6).repeat(5, 1)
    assert inception_score(sure, convention="plain").mean == pytest.approx(6, rel=1e-12)


def test_parity_with_torch_fidelity() -> None:
    rows = runpy.run_path(str(HERE / "make_golden.py"))["seeded_logits"]()
    golden = json.loads((HERE / "golden.json").read_text())["inception_score"]
    assert inception_score(rows)[:2] == pytest.approx(golden, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Metric .InceptionScore. will save")
def test_parity_with_torchmetrics() -> None:
    """Its own class on the same logits; both draw the permutation from torch with seed 0."""
    peer = torchmetrics_inception.InceptionScore(feature=torch.nn.Flatten(), splits=4)
    peer.update(logits())
    torch.manual_seed(0)
    expected = [float(value) for value in peer.compute()]
    assert inception_score(logits(), 4, "torchmetrics")[:2] == pytest.approx(expected, rel=1e-12)
    assert inception_score(logits(), 4)[:2] != pytest.approx(expected, rel=1e-4)


def test_correction_and_interval_by_simulation() -> None:
    """Sure answers drawn from known class frequencies: the logarithm of the score tends to their entropy."""
    frequencies = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    entropy = float(-(frequencies * np.log(frequencies)).sum())
    n, repetitions = 60, 800
    rng = np.random.default_rng(1)
    found = []
    for _ in range(repetitions):
        chosen = rng.choice(5, size=n, p=frequencies)
        found.append(inception_score_influence(torch.from_numpy(60 * np.eye(5)[chosen])))
    values, corrected = (np.array([getattr(one, name) for one in found]) for name in ("value", "corrected"))
    noise = values.std() / math.sqrt(repetitions)
    # Miller-Madow: the bias is -(classes - 1) / 2n, here .033; the next term, of order 1/(12 n^2 p), is below .002.
    assert abs(values.mean() - entropy + 4 / (2 * n)) < 4 * noise + 0.002
    assert abs(corrected.mean() - entropy) < 4 * noise + 0.002
    assert abs(values.mean() - entropy) > 8 * noise  # uncorrected it would be seen
    covered = np.mean([one.interval().low <= entropy <= one.interval().high for one in found])
    # Binomial: 4 sqrt(.05 * .95 / 800) = .031; the normal quantile at n = 60 and skewness cost up to 2 points.
    assert 0.95 - 0.031 - 0.02 < covered < 0.95 + 0.031


def test_corrected_is_the_influence_on_the_scale_of_the_score() -> None:
    log_score = inception_score_influence(logits())
    result = inception_score(logits(), convention="corrected")
    assert result.mean == pytest.approx(math.exp(log_score.value - log_score.bias), rel=1e-12)
    assert result.std == pytest.approx(result.mean * log_score.standard_error, rel=1e-12)
    assert log_score.psi.mean() == pytest.approx(0, abs=1e-12)


def test_metric_equals_the_function() -> None:
    metric = InceptionScore(splits=4)
    for batch in logits().split(10):
        metric.update(batch)
    assert [float(value) for value in metric.compute()] == list(inception_score(logits(), 4)[:2])
    metric.reset()
    with pytest.raises(DataError, match="got none"), pytest.warns(UserWarning, match="before the ``update``"):
        metric.compute()


def test_what_cannot_be_scored_raises() -> None:
    with pytest.raises(ConfigError, match="unknown convention 'tf'"):
        inception_score(logits(), convention="tf")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="from 1 to 57 splits"):
        inception_score(logits(), splits=58)
    with pytest.raises(DataError, match=r"expected logits \(n, classes\), got \(0, 5\)"):
        inception_score(torch.zeros(0, 5))
    with pytest.raises(DataError, match="1 rows that aren't"):
        inception_score(torch.tensor([[0.0, math.inf]]))
    with pytest.raises(DataError, match="at least 2 samples, got 1"):
        inception_score_influence(torch.zeros(1, 5))
