"""CLIP score, MIND, Vendi score, FD-infinity: closed forms, loops by hand, planted mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sigmascope.errors import ConfigError, DataError
from sigmascope.metrics.clip_score import CLIPScore, clip_score, clip_similarity
from sigmascope.metrics.frechet import frechet_distance
from sigmascope.metrics.frechet_infinity import FrechetInfinityDistance, frechet_infinity
from sigmascope.metrics.manifold import prdc
from sigmascope.metrics.mind import MIND, mind
from sigmascope.metrics.vendi import VendiScore, vendi_score


def draw(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)) + shift)


def test_clip_score_scales_and_where_they_clamp() -> None:
    """cosines 1, 0 and -1/2: clamped after the mean or each alone."""
    images = torch.tensor([[1.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    texts = torch.tensor([[2.0, 0.0], [1.0, 0.0], [-1.0, math.sqrt(3)]])
    similarity = clip_similarity(images, texts)
    assert similarity.tolist() == pytest.approx([1, 0, -0.5], abs=1e-7)
    assert clip_score(similarity) == pytest.approx(100 / 6, rel=1e-6)
    assert clip_score(similarity, "hessel") == pytest.approx(2.5 / 3, rel=1e-6)  # clamping the mean would give 0.417
    assert clip_score(-similarity) == 0
    assert clip_score(-similarity, "hessel") == pytest.approx(2.5 / 6, rel=1e-6)
    for scale in ("torchmetrics", "hessel"):
        metric = CLIPScore(scale)
        metric.update(images[:2], texts[:2])
        metric.update(images[2:], texts[2:])
        assert float(metric.compute()) == pytest.approx(clip_score(similarity, scale), rel=1e-12)
    with pytest.raises(DataError, match="pairs of embeddings"):
        clip_similarity(images, texts[:2])
    with pytest.raises(ConfigError, match="unknown scale 'cos'"):
        clip_score(similarity, "cos")  # type: ignore[arg-type]


def test_mind_of_a_shift_is_its_length() -> None:
    """E (u'm)^2 = |m|^2/d over directions, so shifted copies are at 3 |m|^2; in one dimension exactly."""
    x = draw(40, 1, 0)
    assert mind(x + 2, x) == pytest.approx(12, rel=1e-12)
    wide, shift = draw(30, 8, 1), torch.linspace(0, 1, 8, dtype=torch.float64)
    # The mean of 1,000 draws of d (u'm)^2/|m|^2, of variance 2 (d - 1)/(d + 2): four standard errors.
    bound = 4 * math.sqrt(2 * 7 / 10 / 1000)
    assert mind(wide + shift, wide) == pytest.approx(3 * float(shift @ shift), rel=bound)


def test_mind_against_wasserstein_per_direction() -> None:
    """scipy's energy of quantile functions along the very directions, drawn here as torch-fidelity draws them."""
    x, r = draw(25, 5, 2, 0.3), draw(25, 5, 3)
    u = torch.randn(1000, 5, generator=torch.Generator().manual_seed(2020))
    u = (u / u.norm(dim=1, keepdim=True)).double()
    expected = np.mean([np.mean((np.sort(x.numpy() @ v) - np.sort(r.numpy() @ v)) ** 2) for v in u.numpy()]) * 15
    assert mind(x, r) == pytest.approx(expected, rel=1e-6)  # directions are rounded to float32 before they are scaled
    metric = MIND()
    metric.update(x, real=False)
    metric.update(r, real=True)
    assert float(metric.compute()) == mind(x, r)
    assert mind(x[:20], r) == mind(x[:20], r)  # thinning is seeded
    assert mind(x, x) == 0
    with pytest.raises(ConfigError, match="at least 1 direction"):
        mind(x, r, directions=0)


@pytest.mark.parametrize("n", [6, 24])
def test_vendi_counts_what_differs(n: int) -> None:
    """k orthogonal directions, equally often: k. Both sides of n < d."""
    x = 7 * torch.eye(12)[torch.arange(n) % 3]
    assert vendi_score(x) == pytest.approx(3, rel=1e-12)
    assert vendi_score(x[:1].expand(n, -1)) == pytest.approx(1, rel=1e-12)
    metric = VendiScore()
    metric.update(x[:5])
    metric.update(x[5:])
    assert float(metric.compute()) == pytest.approx(3, rel=1e-12)


def test_vendi_against_the_similarity_matrix() -> None:
    x = draw(9, 4, 4)
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    values = np.linalg.eigvalsh(unit @ unit.T / 9)
    assert vendi_score(x) == pytest.approx(math.exp(stats.entropy(values[values > 1e-12])), rel=1e-9)
    with pytest.raises(DataError, match="1 zeros of 2"):
        vendi_score(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))


def test_frechet_infinity_is_the_line_s_value_at_no_bias() -> None:
    x, r = draw(400, 4, 5, 0.2), draw(500, 4, 6)
    found = frechet_infinity(x, r)
    assert (found.sizes[0], found.sizes[-1], len(found.sizes)) == (40, 400, 15)
    assert found.distances[-1] == pytest.approx(frechet_distance(x, r), rel=1e-9)  # the last part is everything
    slope, intercept = np.polyfit(1 / found.sizes, found.distances, 1)
    assert found.value == pytest.approx(intercept, rel=1e-9)
    assert found.low < found.value < found.high
    assert frechet_infinity(x, r).value == found.value
    assert slope > 0
    metric = FrechetInfinityDistance()
    metric.update(x, real=False)
    metric.update(r, real=True)
    assert [float(v) for v in metric.compute()] == [found.value, found.low, found.high]
    with pytest.raises(DataError, match="different sizes to regress on, got 15 of 10"):
        frechet_infinity(x[:10], r)


def test_frechet_infinity_removes_the_bias() -> None:
    """Of equal distributions the truth is 0. The distance of 300 samples in 8 dimensions is far above it."""
    reference = draw(20000, 8, 7)
    values = np.array([frechet_infinity(draw(300, 8, 100 + i), reference).value for i in range(24)])
    biased = np.array([frechet_distance(draw(300, 8, 100 + i), reference) for i in range(24)])
    noise = values.std(ddof=1) / math.sqrt(len(values))
    # Next to 1/N stands a term of order bias * d/N at the smallest part, N = 30, which the line extrapolates with.
    assert abs(values.mean()) < 4 * noise + biased.mean() * 8 / 30
    assert biased.mean() > 8 * noise


def test_features_of_other_types() -> None:
    """Integers and half precision are taken as float32: directions of length 1 rounded to integers are all 0, and a
    distance on them 0 whatever the sets."""
    x, r = (torch.from_numpy(np.random.default_rng(seed).integers(-9, 9, (60, 8))) for seed in (0, 1))
    expected = (mind(x.float(), r.float()), *prdc(x.float(), r.float()))
    assert expected[0] > 1
    for dtype in (torch.int64, torch.float16, torch.bfloat16):  # all hold integers up to 9
        assert (mind(x.to(dtype), r.to(dtype)), *prdc(x.to(dtype), r.to(dtype))) == expected


def test_clip_score_of_broken_embeddings() -> None:
    broken = torch.tensor([[1.0, math.nan]])
    with pytest.raises(DataError, match="expected finite embeddings"):
        clip_similarity(broken, torch.ones(1, 2))
    with pytest.raises(DataError, match="expected finite embeddings"):
        CLIPScore().update(torch.ones(1, 2), broken)
