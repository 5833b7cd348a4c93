"""One pass: every network once per image, exact under any batching, rows kept only where they are needed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.metrics import FrechetDistance
from sigmascope.metrics.features import FeatureNetwork, FeatureOptions, Features
from sigmascope.metrics.features.inception import InceptionV3, fold
from sigmascope.metrics.frechet import frechet_distance
from sigmascope.metrics.inception_score import inception_score
from sigmascope.metrics.kernel import kernel_distance
from sigmascope.metrics.one_pass import Need, collect
from torch import Tensor, nn

CPU = torch.device("cpu")


class Counting(nn.Module):
    """Features of 6 dimensions that are exact in float32, and a count of the images it was shown."""

    def __init__(self, dimension: int = 6) -> None:
        super().__init__()
        self.seen = 0
        self.pick = torch.randperm(48, generator=torch.Generator().manual_seed(0))[:dimension]

    def forward(self, images: Tensor) -> Features:
        self.seen += len(images)
        flat = images.flatten(1).float()
        return Features(flat[:, self.pick], flat[:, :3], flat[:, 3:7])


def network(dimension: int = 6) -> FeatureNetwork:
    return FeatureNetwork(Counting(dimension), "counting", dimension, "counting", "ab")


def images(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, 4, 4), dtype=torch.uint8, generator=generator)


def needing(*needs: Need) -> dict[str, frozenset[Need]]:
    return {"net": frozenset(needs)}


@pytest.mark.parametrize("batch", [1, 10, 64, 1300])
def test_any_batching_gives_the_same(batch: int) -> None:
    """More rows than one flush of the moments. Integers up to 255: sums are exact, so equal to the last bit."""
    everything = images(1300)
    found = collect(everything.split(batch), {"net": network()}, needing("moments", "rows", "spatial", "logits"), CPU)
    expected = network()(everything)
    one = found["net"]
    assert one.n == 1300
    assert one.gaussian is not None
    assert one.rows is not None
    assert one.spatial is not None
    assert torch.equal(one.rows, expected.pooled)
    assert torch.equal(one.logits, expected.logits)
    reference = expected.pooled.double()
    torch.testing.assert_close(torch.from_numpy(one.gaussian.mean), reference.mean(0), rtol=1e-15, atol=0)
    torch.testing.assert_close(torch.from_numpy(one.gaussian.covariance), reference.T.cov(), rtol=1e-11, atol=1e-9)
    assert one.spatial.dimension == 4


def test_a_network_sees_every_image_once() -> None:
    made = network()
    collect(images(64).split(16), {"net": made}, needing("moments", "rows", "logits", "spatial"), CPU)
    assert made.network.seen == 64


def test_rows_are_kept_only_where_needed_or_too_few() -> None:
    found = collect(images(40).split(8), {"net": network()}, needing("moments"), CPU)["net"]
    assert (found.rows, found.logits, found.spatial) == (None, None, None)
    few = collect(images(5).split(2), {"net": network()}, needing("moments"), CPU)["net"]
    assert few.gaussian is not None
    # Below d samples the distance needs the rows' own singular values: 0 to 1e-9 against itself, in another order.
    other = collect(images(5).flip(0).split(2), {"net": network()}, needing("moments"), CPU)["net"]
    assert other.gaussian is not None
    assert frechet_distance(few.gaussian, other.gaussian) < 1e-9


def test_missing_outputs_and_no_images_raise() -> None:
    class Pooled(nn.Module):
        def forward(self, batch: Tensor) -> Features:
            return Features(batch.flatten(1).float())

    pooled = FeatureNetwork(Pooled(), "pooled", 48, "pooled", "ab")
    with pytest.raises(DataError, match="a network with logits, got pooled"):
        collect(images(4).split(2), {"net": pooled}, needing("logits"), CPU)
    with pytest.raises(DataError, match="got none"):
        collect([], {"net": pooled}, needing("rows"), CPU)


def test_other_arithmetic_tells_how_far_it_is() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(48, 8)

        def forward(self, batch: Tensor) -> Features:
            return Features(self.layer(batch.flatten(1) / 255))

    def deviation(options: FeatureOptions) -> float:
        torch.manual_seed(0)
        made = FeatureNetwork(Mixed(), "mixed", 8, "mixed", "ab", options)
        return collect(images(8).split(4), {"net": made}, needing("moments"), CPU)["net"].deviation

    assert deviation(FeatureOptions()) != deviation(FeatureOptions())  # NaN: nothing to tell
    assert 1e-5 < deviation(FeatureOptions(precision="bfloat16")) < 2**-6  # 8 bits of mantissa, some roundings


def test_inception_s_numbers_are_the_same_at_batches_of_1_10_and_64() -> None:
    """The precision contract, 1e-5 relative: FID, KID and inception score of 12 images that arrive so."""
    seeded = runpy.run_path(str(Path(__file__).with_name("make_golden.py")))
    made = InceptionV3()
    made.load_state_dict(seeded["seeded_state"]({name: tuple(v.shape) for name, v in made.state_dict().items()}))
    inception = FeatureNetwork(fold(made), "inception", 2048, "seeded", "ab")
    squares, noise = seeded["seeded_sets"]()
    needs = needing("moments", "rows", "logits")
    reference = collect([noise], {"net": inception}, needs, CPU)["net"]
    assert reference.gaussian is not None
    assert reference.rows is not None
    values = []
    for batch in (1, 10, 64):
        found = collect(torch.cat([squares, noise[:4]]).split(batch), {"net": inception}, needs, CPU)["net"]
        assert found.gaussian is not None
        assert found.rows is not None
        assert found.logits is not None
        score = inception_score(found.logits, convention="plain").mean
        distances = frechet_distance(found.gaussian, reference.gaussian), kernel_distance(found.rows, reference.rows)
        values.append([score, *distances])
    for other in values[1:]:
        assert other == pytest.approx(values[0], rel=1e-5)


def test_ten_thousand_samples_at_once_and_one_by_one() -> None:
    generator = torch.Generator().manual_seed(1)
    x, r = (torch.randn(10_000, 8, generator=generator) + 1 for _ in range(2))
    values = []
    for size in (10_000, 1):
        metric = FrechetDistance(8)
        for batch in x.split(size):
            metric.update(batch, real=False)
        metric.update(r, real=True)
        values.append(float(metric.compute()))
    assert values[1] == pytest.approx(values[0], abs=1e-9)
