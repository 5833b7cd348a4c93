"""Noise: the published bits, normals that are normal, and numbers that know nothing of batches, order or machines."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sigmascope.errors import ConfigError
from sigmascope.evals.noise import Noise, box_muller, philox

SHAPE = (3, 5, 7)
word = st.integers(0, 2**32 - 1)
identifier = st.integers(0, 2**63 - 1)


def reference_philox(counter: list[int], key: tuple[int, int]) -> list[int]:
    """Philox 4x32-10 in unbounded Python integers, after Salmon et al. 2011, section 3.3."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_known_answers_of_random123(counter: str, key: str, words: str) -> None:
    first, second = (int(part, 16) for part in key.split())
    got = philox(torch.tensor([int(part, 16) for part in counter.split()]), (first, second))
    assert [f"{value:08x}" for value in got.tolist()] == words.split()


@settings(deadline=None)
@given(counters=st.lists(st.lists(word, min_size=4, max_size=4), min_size=1, max_size=8), key=st.tuples(word, word))
def test_philox_against_unbounded_integers(counters: list[list[int]], key: tuple[int, int]) -> None:
    assert philox(torch.tensor(counters), key).tolist() == [reference_philox(counter, key) for counter in counters]


@settings(deadline=None)
@given(sample=identifier, seed=identifier, step=word)
def test_words_are_philox_of_block_step_and_id(sample: int, seed: int, step: int) -> None:
    """Every bit of a 63-bit id and of a 32-bit step reaches the counter; the key holds the seed and the purpose."""
    noise = Noise(seed)
    key = noise._key("step")
    expected = [w for block in range(3) for w in reference_philox([block, step, sample % 2**32, sample >> 32], key)]
    assert noise.words(torch.tensor([sample]), "step", step, 10).tolist() == [expected[:10]]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_rows_do_not_know_their_batch(size: int) -> None:
    noise, ids = Noise(5), torch.arange(100, 164)
    whole = noise.normal(ids, "initial", 3, SHAPE)
    assert torch.equal(torch.cat([noise.normal(part, "initial", 3, SHAPE) for part in ids.split(size)]), whole)


def test_rows_do_not_know_their_order_or_process() -> None:
    ids = torch.arange(64)
    whole = Noise(5).normal(ids, "initial", 0, SHAPE)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Noise(5).normal(ids[order], "initial", 0, SHAPE), whole[order])
    for world in (2, 3):
        dealt = [Noise(5).normal(ids[rank::world], "initial", 0, SHAPE) for rank in range(world)]
        gathered = torch.empty_like(whole)
        for rank, part in enumerate(dealt):
            gathered[rank::world] = part
        assert torch.equal(gathered, whole)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    noise = Noise(5)
    assert torch.equal(
        noise.normal(torch.arange(16), "initial", 0, (8,))[:8], noise.normal(torch.arange(8), "initial", 0, (8,))
    )


def test_one_step_per_row_is_that_step() -> None:
    noise, ids, steps = Noise(5), torch.tensor([4, 4, 9]), torch.tensor([0, 70_000, 2**32 - 1])
    rows = noise.normal(ids, "probe", steps, SHAPE)
    for row, sample, step in zip(rows, ids, steps.tolist(), strict=True):
        assert torch.equal(row, noise.normal(sample[None], "probe", step, SHAPE)[0])


@pytest.mark.parametrize("step", [-1, 2**32, torch.tensor([0, 2**32])])
def test_a_step_beyond_its_word_is_refused(step: int | torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="step"):
        Noise(0).words(torch.arange(2), "step", step, 4)


@settings(deadline=None, max_examples=50)
@given(sample=identifier, seed=identifier, bit=st.integers(0, 62))
def test_seed_id_step_and_purpose_each_matter(sample: int, seed: int, bit: int) -> None:
    """128 bits agree by chance with probability 2^-128."""

    def words(seed: int, sample: int, purpose: str, step: int) -> list[int]:
        return Noise(seed).words(torch.tensor([sample]), purpose, step, 4)[0].tolist()

    base = words(seed, sample, "step", 0)
    assert base != words(seed ^ (1 << bit), sample, "step", 0)
    assert base != words(seed, sample ^ (1 << bit), "step", 0)
    assert base != words(seed, sample, "step", 1)
    assert base != words(seed, sample, "initial", 0)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=r"2\^63"):
        Noise(seed)


def test_shape_dtype_and_rounding() -> None:
    noise, ids = Noise(1), torch.arange(3)
    exact = noise.normal(ids, "initial", 0, SHAPE, torch.float64)
    assert exact.shape == (3, *SHAPE)
    assert exact.dtype == torch.float64
    assert torch.equal(noise.normal(ids, "initial", 0, SHAPE), exact.float())
    assert noise.normal(ids, "initial", 0, ()).shape == (3,)
    assert noise.normal(ids[:0], "initial", 0, SHAPE).shape == (0, *SHAPE)


def test_box_muller_is_finite_at_the_extremes_and_follows_its_formula() -> None:
    ends = torch.tensor([[0, 0, 2**32 - 1, 2**32 - 1], [2**31, 2**30, 1, 2**31]])
    normals = box_muller(ends)
    uniform = (ends.double().numpy() + 0.5) / 2**32
    for pair in (0, 2):
        pairs = np.sqrt(-2 * np.log(uniform[:, pair])) * np.exp(2j * np.pi * uniform[:, pair + 1])
        # cos and sin of angles up to 2 pi: a few rounding errors of a number below 6.7
        np.testing.assert_allclose(normals[:, pair], pairs.real, rtol=0, atol=1e-14)
        np.testing.assert_allclose(normals[:, pair + 1], pairs.imag, rtol=0, atol=1e-14)
    assert normals.abs().max() < 6.8


def test_normals_are_standard_normal() -> None:
    """2^20 fixed normals. Each statistic has its sampling error under N(0, 1); 4.5 of them is a chance of 7e-6."""
    x = Noise(2026).normal(torch.arange(1024), "initial", 0, (1024,), torch.float64).flatten().numpy()
    n = x.size
    # variances of the sample moments of N(0, 1): mean 1, square 2, cube 15, fourth power 96
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((x**power).mean() - expected) < 4.5 * np.sqrt(variance / n), power
    assert stats.kstest(x, "norm").pvalue > 1e-5
    tail = 2 * stats.norm.sf(4)
    assert abs((np.abs(x) > 4).sum() - n * tail) < 4.5 * np.sqrt(n * tail)


def test_ids_steps_purposes_seeds_and_positions_are_uncorrelated() -> None:
    """The correlation of n independent pairs has standard deviation 1/sqrt(n); 5 of them on 6 looks: 3e-6."""
    ids, shape = torch.arange(1000), (256,)
    base = Noise(0).normal(ids, "step", 0, shape, torch.float64)
    others = {
        "next id": Noise(0).normal(ids + 1, "step", 0, shape, torch.float64),
        "far id": Noise(0).normal(ids + 2**32, "step", 0, shape, torch.float64),
        "step": Noise(0).normal(ids, "step", 1, shape, torch.float64),
        "purpose": Noise(0).normal(ids, "initial", 0, shape, torch.float64),
        "seed": Noise(1).normal(ids, "step", 0, shape, torch.float64),
        "position": base.roll(1, dims=1),
    }
    for name, other in others.items():
        assert abs(float((base * other).mean())) < 5 / np.sqrt(base.numel()), name


def test_generators_follow_the_sample_and_not_the_batch() -> None:
    ids = torch.arange(7)

    def drawn(generators: list[torch.Generator]) -> list[float]:
        return [float(torch.randn((), generator=generator, dtype=torch.float64)) for generator in generators]

    whole = drawn(Noise(3).generators(ids, "step", 2))
    assert len(set(whole)) == 7
    assert drawn(Noise(3).generators(ids[4:5], "step", 2)) == whole[4:5]
    assert drawn(Noise(3).generators(ids, "step", 3)) != whole
    assert drawn(Noise(3).generators(ids, "initial", 2)) != whole


def test_bits_do_not_depend_on_vector_instructions() -> None:
    """torch.randn differs between CPU capabilities; the float32 normals here agree in every bit.

    float64 log, sin and cos may differ in the last bit between builds; rounding to float32 hides a unit in the last
    place of float64 but for one value in 2^28.
    """
    code = (
        "import sys, torch; from sigmascope.evals.noise import Noise;"
        "x = Noise(7).normal(torch.arange(64), 'initial', 0, (1024,), torch.float64);"
        "sys.stdout.buffer.write(torch.backends.cpu.get_cpu_capability().encode() + b'\\n' + x.numpy().tobytes())"
    )

    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    capability, normals = done.stdout.split(b"\n", 1)
    assert capability.lower() == b"default"
    plain = np.frombuffer(normals)
    here = Noise(7).normal(torch.arange(64), "initial", 0, (1024,), torch.float64).flatten().numpy()
    np.testing.assert_allclose(plain, here, rtol=0, atol=1e-14)
    assert np.array_equal(plain.astype(np.float32), here.astype(np.float32))


@pytest.mark.gpu
def test_cuda_gives_the_same_integers_and_normals() -> None:
    ids = torch.tensor([0, 1, 2**31, 2**32 + 5, 2**63 - 1])
    noise = Noise(2**62 + 11)
    assert torch.equal(noise.words(ids.cuda(), "step", 9, 4096).cpu(), noise.words(ids, "step", 9, 4096))
    here = noise.normal(ids, "step", 9, (4096,), torch.float64)
    there = noise.normal(ids.cuda(), "step", 9, (4096,), torch.float64).cpu()
    # CUDA's float64 log, sin and cos are good to 2 units in the last place
    torch.testing.assert_close(there, here, rtol=0, atol=1e-14)
    assert torch.equal(there.float(), here.float())
