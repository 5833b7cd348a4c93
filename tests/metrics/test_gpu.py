"""The metrics pass on a GPU: the CPU's numbers to the precision contract, and the other arithmetic told apart."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from sigmascope.metrics.features import FeatureNetwork, FeatureOptions, Precision
from sigmascope.metrics.features.inception import InceptionV3, fold
from sigmascope.metrics.frechet import frechet_distance
from sigmascope.metrics.inception_score import inception_score
from sigmascope.metrics.kernel import kernel_distance
from sigmascope.metrics.manifold import prdc
from sigmascope.metrics.one_pass import FeatureSet, collect
from torch import Tensor

SEEDED = runpy.run_path(str(Path(__file__).with_name("make_golden.py")))
pytestmark = pytest.mark.gpu


def one_pass(images: Tensor, device: str, precision: Precision = "float32") -> FeatureSet:
    made = InceptionV3()
    made.load_state_dict(SEEDED["seeded_state"]({name: tuple(v.shape) for name, v in made.state_dict().items()}))
    network = FeatureNetwork(fold(made), "inception", 2048, "seeded", "ab", FeatureOptions(precision=precision)).to(
        device
    )
    needs = frozenset(("moments", "rows", "logits"))
    return collect([images], {"it": network}, {"it": needs}, torch.device(device))["it"]


def numbers(generated: FeatureSet, real: FeatureSet) -> list[float]:
    assert generated.gaussian is not None
    assert real.gaussian is not None
    assert generated.logits is not None
    assert generated.rows is not None
    assert real.rows is not None
    score = inception_score(generated.logits, convention="plain").mean
    distance = kernel_distance(generated.rows, real.rows)
    return [frechet_distance(generated.gaussian, real.gaussian), distance, score]


def test_the_gpu_gives_the_cpu_s_numbers() -> None:
    """float32 graphs of other kernels: as near as two batch sizes have to be. With TF32 on they would be 1e-3 apart."""
    sets = SEEDED["seeded_sets"]()
    cpu, gpu = ([one_pass(images, device) for images in sets] for device in ("cpu", "cuda"))
    assert numbers(*gpu) == pytest.approx(numbers(*cpu), rel=1e-5)
    for found, expected in zip(gpu, cpu, strict=True):
        assert found.rows is not None
        assert expected.rows is not None
        assert float((found.rows - expected.rows).norm() / expected.rows.norm()) < 5e-6


@pytest.mark.parametrize(("precision", "most"), [("tf32", 2**-8), ("bfloat16", 2**-5)])
def test_other_arithmetic_is_measured(precision: Precision, most: float) -> None:
    """Mantissas of 10 and 7 bits, over 94 layers whose roundings are independent: a few of them, not 94."""
    found = one_pass(SEEDED["seeded_sets"]()[0], "cuda", precision)
    assert 1e-5 < found.deviation < most


def test_neighbours_on_the_gpu_are_the_cpu_s() -> None:
    """Counts, which float64 decides: equal."""
    generator = torch.Generator().manual_seed(0)
    x, r = (torch.randn(1500, 64, generator=generator) + shift for shift in (0.1, 0.0))
    assert prdc(x.cuda(), r.cuda()) == prdc(x, r)
