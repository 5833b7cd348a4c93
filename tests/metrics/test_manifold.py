"""Precision, recall, density, coverage: a loop by hand, the peers' counts, what float32 alone would get wrong."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.metrics import manifold, two_sets
from sigmascope.metrics.manifold import PRDC, prdc, precision_recall

HERE = Path(__file__).parent


def by_hand(x: np.ndarray, r: np.ndarray, k: int, inclusive: bool) -> tuple[float, ...]:
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((a[:, None] - b[None]) ** 2).sum(axis=2)

    real, generated = (np.sort(distances(t, t), axis=1)[:, k] for t in (r, x))
    across = distances(r, x)
    inside = across <= real[:, None] if inclusive else across < real[:, None]
    other = across <= generated[None] if inclusive else across < generated[None]
    return inside.any(0).mean(), other.any(1).mean(), inside.sum(0).mean() / k, inside.any(1).mean()


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("size", [7, 1024])
def test_against_a_loop_in_blocks_and_whole(inclusive: bool, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifold, "blocks", lambda n, most=size: two_sets.blocks(n, min(size, most)))
    rng = np.random.default_rng(0)
    x, r = rng.standard_normal((40, 3)) * 0.8 + 0.3, rng.standard_normal((55, 3))
    found = prdc(torch.from_numpy(x), torch.from_numpy(r), k=4, inclusive=inclusive)
    assert tuple(found) == pytest.approx(by_hand(x, r, 4, inclusive), rel=1e-12)


@pytest.mark.parametrize("inclusive", [True, False])
def test_ties_on_a_grid(inclusive: bool) -> None:
    """Integer coordinates: distances tie exactly and often, so < and <= differ and every tie must be decided right."""
    rng = np.random.default_rng(1)
    x, r = rng.integers(0, 4, (60, 3)), rng.integers(0, 4, (70, 3))
    tables = [torch.from_numpy(t.astype(np.float64)) for t in (x, r)]
    found = prdc(*tables, k=3, inclusive=inclusive)
    assert tuple(found) == pytest.approx(by_hand(x, r, 3, inclusive), rel=1e-12)
    assert found != prdc(*tables, k=3, inclusive=not inclusive)


def near_duplicates(offset: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clusters far from 0 and from one another, each of points nearer than float32 can tell at that distance."""
    rng = np.random.default_rng(2)
    sets = []
    for n in (80, 90):
        centre = np.where(rng.random((n, 1)) < 0.5, offset, -offset)
        sets.append(torch.from_numpy(centre + 1e-4 * rng.standard_normal((n, 4))))
    return sets[0], sets[1]


def test_near_duplicates_are_decided_in_float64() -> None:
    x, r = near_duplicates(30.0)
    assert tuple(prdc(x, r)) == pytest.approx(by_hand(x.numpy(), r.numpy(), 5, False), rel=1e-12)
    # float32 alone gets these points wrong, so the recheck is what makes the difference:
    first, second = x.float(), r.float()
    rounded = (first.square().sum(1)[:, None] + second.square().sum(1) - 2 * first @ second.T).clamp_min(0)
    exact = torch.cdist(x, r).square()
    assert float(((rounded.double() - exact).abs() / exact).max()) > 1


def test_without_the_recheck_the_counts_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifold, "_SURE", 0.0)
    x, r = near_duplicates(30.0)
    assert tuple(prdc(x, r)) != pytest.approx(by_hand(x.numpy(), r.numpy(), 5, False), rel=1e-12)


def test_parity_with_prdc_and_torch_fidelity() -> None:
    generated, real = runpy.run_path(str(HERE / "make_golden.py"))["seeded_features"]()
    golden = json.loads((HERE / "golden.json").read_text())
    assert prdc(generated, real)._asdict() == pytest.approx(golden["prdc"], rel=1e-12)
    # torch-fidelity averages float32 flags: 6e-8 of the share.
    assert tuple(precision_recall(generated, real)) == pytest.approx(
        golden["precision_recall_torch_fidelity"], rel=1e-7
    )
    assert prdc(generated, real, k=3) != prdc(generated, real)


def test_identical_sets_and_sets_apart() -> None:
    x = torch.from_numpy(np.random.default_rng(3).standard_normal((50, 4)))
    assert prdc(x, x)[:2] == (1, 1)
    assert prdc(x, x).coverage == 1
    assert tuple(prdc(x + 100, x)) == (0, 0, 0, 0)


def test_metric_equals_the_function() -> None:
    rng = np.random.default_rng(4)
    x, r = (torch.from_numpy(rng.standard_normal((n, 3))) for n in (33, 41))
    metric = PRDC(k=4)
    for batch in x.split(10):
        metric.update(batch, real=False)
    metric.update(r, real=True)
    assert [float(value) for value in metric.compute()] == list(prdc(x, r, k=4))


def test_k_must_fit() -> None:
    with pytest.raises(ConfigError, match="k from 1 to 4, got 5"):
        prdc(torch.zeros(5, 2), torch.zeros(9, 2))
