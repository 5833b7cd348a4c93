"""LPIPS without torchvision: torchmetrics' own computation on the same weights, torchvision's backbones, refusals."""

from __future__ import annotations

import hashlib
import importlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, DataError, LoadError
from sigmascope.metrics.features import FeatureOptions
from sigmascope.metrics.features.weights import KNOWN_WEIGHTS, PublishedWeights
from sigmascope.metrics.lpips import LPIPS
from sigmascope.metrics.pairs import PAIR_METRICS
from torch import nn

# learned_perceptual_image_patch_similarity(first/255, second/255, name, "none", normalize=True) of torchmetrics 1.9.0
# with torchvision 0.29.2, whose backbone held `backbone_state(name)`; images are `pair()`.
TORCHVISION = {"alex": [0.02448602020740509, 0.024414818733930588], "vgg": [0.04759041965007782, 0.04830536991357803]}


def backbone_state(name: str) -> dict[str, torch.Tensor]:
    """Seeded weights under torchvision's names, those of the classifier's last layer included, which nobody reads."""
    state = {"classifier.6.bias": torch.zeros(1000)}
    for key, shape in shapes(name).items():
        draws = np.random.default_rng(zlib.crc32(f"{name}.{key}".encode())).random(shape) - 0.5
        scale = np.sqrt(24 / np.prod(shape[1:])) if len(shape) > 1 else 0.1  # He: activations stay of order 1
        state[key] = torch.from_numpy(draws * scale).float()
    return state


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    kernels = {
        "alex": {0: (3, 64, 11), 3: (64, 192, 5), 6: (192, 384, 3), 8: (384, 256, 3), 10: (256, 256, 3)},
        "vgg": {
            index: (a, b, 3)
            for index, a, b in zip(
                (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
                (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512),
                (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
                strict=True,
            )
        },
    }[name]
    weights = {f"features.{index}.weight": (out, into, k, k) for index, (into, out, k) in kernels.items()}
    return weights | {f"features.{index}.bias": (out,) for index, (_, out, _) in kernels.items()}


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    first, noise = (np.random.default_rng(seed).random((2, 3, 64, 48)) for seed in (1, 2))
    images, targets = first * 200, first * 200 + noise * 55
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(targets.astype(np.uint8))


@pytest.fixture
def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Seeded backbones where the published ones are looked for, under names that carry their hash."""
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path))
    for name in ("alex", "vgg"):
        torch.save(backbone_state(name), tmp_path / "made.pth")
        digest = hashlib.sha256((tmp_path / "made.pth").read_bytes()).hexdigest()
        named = (tmp_path / "made.pth").rename(tmp_path / f"{name}-{digest[:8]}.pth")
        monkeypatch.setitem(KNOWN_WEIGHTS, f"lpips-{name}", PublishedWeights((named.name,), "https://example.org/"))
    return tmp_path


def torchvision_features(name: str) -> nn.Sequential:
    """torchvision's `features`, written out."""
    if name == "alex":
        layers: list[nn.Module] = [
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        ]  # fmt: skip
    else:
        layers, into = [], 3
        for out in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
            layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(inplace=True)] if out else [nn.MaxPool2d(2, 2)]
            into = out or into
    made = nn.Sequential(*layers)
    state = backbone_state({"alex": "alex", "vgg16": "vgg"}.get(name, name))
    made.load_state_dict({key.removeprefix("features."): v for key, v in state.items() if key.startswith("features")})
    return made


@pytest.mark.parametrize(("name", "metric"), [("alex", "lpips"), ("vgg", "lpips_vgg")])
def test_values_are_torchmetrics(name: str, metric: str, at_hand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its functional, given the backbone that torchvision would bring; float32 on both sides."""
    theirs = importlib.import_module("torchmetrics.functional.image.lpips")
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda net, pretrained: torchvision_features(name))
    first, second = pair()
    found = PAIR_METRICS[metric](FeatureOptions()).values(first, second)
    similarity = theirs.learned_perceptual_image_patch_similarity
    expected = similarity(first / 255, second / 255, name, reduction="none", normalize=True)
    # Sums of up to 4,608 float32 products, 13 layers deep: a few 1e-7 relative, and one more for the average.
    torch.testing.assert_close(found, expected.double(), rtol=2e-6, atol=0)
    assert found.tolist() == pytest.approx(TORCHVISION[name], rel=2e-6)
    assert found[0] != found[1]


def test_equal_images_and_greyscale(at_hand: Path) -> None:
    lpips = PAIR_METRICS["lpips"](FeatureOptions())
    first, second = pair()
    assert lpips.values(first, first).tolist() == [0, 0]
    torch.testing.assert_close(lpips.values(first, second), lpips.values(second, first), rtol=1e-6, atol=0)
    grey, other = first[:, :1], second[:, :1]
    assert torch.equal(lpips.values(grey, other), lpips.values(grey.repeat(1, 3, 1, 1), other.repeat(1, 3, 1, 1)))


def test_refusals(at_hand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair()
    with pytest.raises(DataError, match="at least 31 pixels a side"):
        PAIR_METRICS["lpips"](FeatureOptions()).values(first[..., :30], second[..., :30])
    with pytest.raises(ConfigError, match="unknown backbone 'resnet'"):
        LPIPS("resnet")  # type: ignore[arg-type]
    monkeypatch.setitem(KNOWN_WEIGHTS, "lpips-alex", KNOWN_WEIGHTS["lpips-vgg"])
    with pytest.raises(LoadError, match="don't fit LPIPS's alex"):
        PAIR_METRICS["lpips"](FeatureOptions())


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name, file in (("lpips", "alexnet-owt-7be5be79.pth"), ("lpips_vgg", "vgg16-397923af.pth")):
        with pytest.raises(LoadError, match=f"Download https://download.pytorch.org/models/{file} and name it by path"):
            PAIR_METRICS[name](FeatureOptions())
