"""The linter: silent on sound images, and each planted mistake is named."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from sigmascope.metrics.lint import Inspector


def sound(n: int = 60, size: int = 48) -> np.ndarray:
    """Smooth random fields as floats in [-1, 1], of any phase: no 8-pixel grid, every value in reach."""
    rng = np.random.default_rng(0)
    noise = np.fft.rfft2(rng.standard_normal((n, 3, size, size)))
    decay = 1 / (1 + 40 * np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]))
    field = np.fft.irfft2(noise * decay, s=(size, size))
    return np.clip(field / np.abs(field).max(axis=(1, 2, 3), keepdims=True) * 1.2, -1, 1)


def stored(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.round((values + 1) * 127.5).astype(np.uint8))


def findings(images: torch.Tensor, **context: object) -> list[str]:
    inspector = Inspector()
    for batch in images.split(16):
        inspector.add(batch)
    return inspector.findings(**context)  # type: ignore[arg-type]


def test_sound_images_pass() -> None:
    assert findings(stored(sound()), dimension=10, labels=np.arange(60) % 5) == []


def jpegs() -> torch.Tensor:
    made = []
    for image in stored(sound()).permute(0, 2, 3, 1).numpy():
        content = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(content, "JPEG", quality=30)
        made.append(np.array(Image.open(content)))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.from_numpy(((sound() + 1) / 2).astype(np.uint8)), "no value above 1"),
        (torch.from_numpy(np.round(np.clip(sound(), 0, 1) * 255).astype(np.uint8)), "clipped to"),
        (torch.from_numpy(((sound() * 0.999 + 1) * 127.5).astype(np.uint8)), "truncated to uint8"),
        (torch.cat([stored(sound())[:50], stored(sound())[:3]]), "3 of 53 images are exact copies"),
        (jpegs(), "the images were JPEGs once"),
    ],
    ids=["range", "sign", "truncation", "duplicates", "jpeg"],
)
def test_planted_mistakes_are_named(images: torch.Tensor, sentence: str) -> None:
    assert any(sentence in found for found in findings(images)), findings(images)


def test_order_and_number() -> None:
    images = stored(sound())
    assert any("ordered by class" in found for found in findings(images, labels=np.arange(60) // 12))
    shuffled = np.random.default_rng(0).permutation(np.arange(60) // 12)
    assert findings(images, labels=shuffled) == []
    assert findings(images, labels=np.zeros(60, int)) == []  # one class: nothing to order
    assert any("60 images for 64 dimensions" in found for found in findings(images, dimension=64))


def test_sizes_and_jpeg_files() -> None:
    inspector = Inspector(jpeg=1.0)
    inspector.add(stored(sound(4)))
    inspector.add(stored(sound(4, 40)))
    found = inspector.findings()
    assert any("2 different sizes" in sentence for sentence in found)
    assert any("100% are JPEG files" in sentence for sentence in found)
