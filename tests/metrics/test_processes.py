"""The metrics' states under real processes: two ranks over gloo give what one process gives, on uneven shares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from sigmascope.metrics import DenoisingError, FrechetDistance, InceptionScore
from torch import Tensor

WORLD = 2


def tables() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(31, 5, generator=generator), torch.randn(24, 5, generator=generator)


def ten_thousand() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(10_000, 8, generator=generator) + 1, torch.randn(10_000, 8, generator=generator)


def distance(first: Tensor, second: Tensor) -> Tensor:
    metric = FrechetDistance(8)
    metric.update(first, real=False)
    metric.update(second, real=True)
    return metric.compute()[None]


def measure(first: Tensor, second: Tensor, levels: Tensor) -> Tensor:
    """Distance, plain score, and the errors of three levels of which the last gets none."""
    frechet, score, error = FrechetDistance(5), InceptionScore(convention="plain"), DenoisingError([0.1, 1.0, 10.0])
    frechet.update(first, real=False)
    frechet.update(second, real=True)
    score.update(first)
    error.update(second, torch.zeros_like(second), levels)
    return torch.cat([frechet.compute()[None], score.compute()[0][None], error.compute()])


def rank(index: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=WORLD)
    first, second = tables()
    found = measure(first[index::WORLD], second[index::WORLD], torch.arange(len(second))[index::WORLD] % 2)
    large = distance(*(table[index::WORLD] for table in ten_thousand()))
    torch.save({"small": found, "large": large}, folder / f"{index}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch was built without distributed")
def test_two_processes_equal_one(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE, text=True) for i in range(WORLD)]
    complaints = [process.communicate(timeout=120)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0] * WORLD, complaints
    first, second = tables()
    expected = measure(first, second, torch.arange(len(second)) % 2)
    for index in range(WORLD):
        found = torch.load(tmp_path / f"{index}.pt", weights_only=True)
        torch.testing.assert_close(found["small"], expected, rtol=1e-12, atol=0, equal_nan=True)
        torch.testing.assert_close(found["large"], distance(*ten_thousand()), rtol=0, atol=1e-9)
    assert expected[:4].isfinite().all()


if __name__ == "__main__":
    rank(int(sys.argv[2]), Path(sys.argv[1]))
