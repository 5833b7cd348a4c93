"""Counter-based noise: every number is a function of (seed, purpose, sample id, step) and of nothing else.

The ground floor of the determinism contract. Integers come from Philox 4x32-10 (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011), written in int64 tensor arithmetic, so they are the same bits on every device.
Normals are Box-Muller in float64, rounded once at the end. There is no state to save: batch size, order, number of
processes and the point of resuming cannot matter.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError

FINGERPRINT = "philox4x32-10/box-muller-f64/2"
"""Names the whole recipe from key to normal; recorded with every run, so that only equal noise is ever paired."""

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Philox 4x32-10: counters `(..., 4)` of 32-bit words held in int64 -> as many random words `(..., 4)`.

    The product of two 32-bit words wraps in int64, but the wrapped bits are the unsigned product's: a shift and a mask
    recover the high word.
    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = ((p1 >> 32) & _WORD) ^ c1 ^ k0, p1 & _WORD, ((p0 >> 32) & _WORD) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _WEYL[0]) & _WORD, (k1 + _WEYL[1]) & _WORD
    return torch.stack((c0, c1, c2, c3), dim=-1)


def box_muller(words: Tensor) -> Tensor:
    """Random words `(..., 4)` -> independent standard normals `(..., 4)`, float64.

    Two words make a radius and an angle; uniforms are (w + 1/2) / 2^32, so the logarithm never meets zero and the
    largest normal is 6.7.
    """
    uniform = (words.to(torch.float64) + 0.5) * 2.0**-32
    radius = torch.sqrt(-2.0 * torch.log(uniform[..., 0::2]))
    angle = (2.0 * math.pi) * uniform[..., 1::2]
    return torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1).flatten(-2)


@dataclass(frozen=True)
class Noise:
    """The noise of one run. Two runs with the same seed see the same noise, whatever models they evaluate."""

    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed: expected an integer in [0, 2^63), got {self.seed}")

    def words(self, sample_ids: Tensor, purpose: str, step: int | Tensor, count: int) -> Tensor:
        """`(N, count)` uniform 32-bit words in int64, row i a function of (seed, purpose, sample_ids[i], step).

        `step` is one number below 2^32, or one per row; raises ConfigError beyond.
        """
        ids = sample_ids.to(torch.int64)
        blocks = torch.arange(-(-count // 4), dtype=torch.int64, device=ids.device)
        rows = ids[:, None].expand(-1, len(blocks))
        steps = torch.as_tensor(step, device=ids.device)
        if bool(((steps < 0) | (steps > _WORD)).any()):
            raise ConfigError(f"step: expected within [0, 2^32), got {step}")
        steps = steps.reshape(-1, 1).expand_as(rows)
        counter = torch.stack((blocks.expand_as(rows), steps, rows & _WORD, (rows >> 32) & _WORD), dim=-1)
        return philox(counter, self._key(purpose)).flatten(1)[:, :count]

    def normal(
        self,
        sample_ids: Tensor,
        purpose: str,
        step: int | Tensor,
        shape: tuple[int, ...],
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Standard normals `(N, *shape)` on the device of `sample_ids` `(N,)`.

        `purpose` keeps streams apart ("initial", "step", "probe", ...); `step` counts draws within one.
        """
        size = math.prod(shape)
        blocks = -(-size // 4)
        words = self.words(sample_ids, purpose, step, 4 * blocks)
        normals = box_muller(words.reshape(-1, blocks, 4)).flatten(1)[:, :size]
        return normals.to(dtype).reshape(len(sample_ids), *shape)

    def generators(self, sample_ids: Tensor, purpose: str, step: int) -> list[torch.Generator]:
        """One CPU generator per sample, for code that insists on drawing its own noise (diffusers' schedulers).

        Batching and order still cannot matter; the bits within one generator are torch's.
        """
        words = self.words(sample_ids.cpu(), purpose, step, 2)
        return [torch.Generator().manual_seed((int(hi) << 31) ^ int(lo)) for hi, lo in words.tolist()]

    def _key(self, purpose: str) -> tuple[int, int]:
        digest = hashlib.blake2b(f"{self.seed}:{purpose}".encode(), digest_size=8).digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
