"""Which way a metric is better, told by its name: stored tables hold names and numbers alone."""

from __future__ import annotations

from functools import lru_cache

_LOWER = ("fréchet", "frechet", "fid", "fd-", "kid", "kernel distance", "cmmd", "mind", "lpips", "error")
_HIGHER = (
    "inception score", "precision", "recall", "density", "coverage", "clip score", "vendi", "agreement", "psnr", "ssim",
)  # fmt: skip


@lru_cache(maxsize=1024)
def better(metric: str) -> str:
    """ "lower", "higher", or "" where the name does not tell."""
    name = metric.lower().replace("_", " ")
    if any(part in name for part in _HIGHER):
        return "higher"
    return "lower" if any(part in name for part in _LOWER) else ""
