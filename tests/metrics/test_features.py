"""Feature networks' identity, and weight files: found, checked, refused."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sigmascope.errors import ConfigError, DataError, LoadError
from sigmascope.metrics.features import (
    FEATURE_NETWORKS,
    FeatureNetwork,
    FeatureOptions,
    Features,
    arithmetic,
    joined,
    load_features,
)
from sigmascope.metrics.features import inception as inception_module
from sigmascope.metrics.features.weights import PublishedWeights, find_weights, load_weights
from torch import Tensor, nn


class Sums(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.double().sum(dim=(2, 3)), images.double().amax(dim=(2, 3))


def network(protocol: str = "sums", sha256: str = "ab", repeat_grey: bool = False) -> FeatureNetwork:
    return FeatureNetwork(Sums(), "sums", 3, protocol, sha256, FeatureOptions(repeat_grey=repeat_grey))


def published(tmp_path: Path, state: object) -> tuple[Path, PublishedWeights]:
    """A file under a name that carries its hash, and the entry that asks for it."""
    file = tmp_path / "made.pth"
    torch.save(state, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    named = file.rename(tmp_path / f"tiny-2015-{digest[:8]}.pth")
    return named, PublishedWeights((named.name,), "https://example.org/tiny.pth")


@pytest.fixture(autouse=True)
def no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("SIGMASCOPE_WEIGHTS", raising=False)


def test_fingerprint_names_weights_protocol_and_greyscale() -> None:
    prints = {network().fingerprint, network("other").fingerprint, network(sha256="cd").fingerprint}
    assert len(prints | {network(repeat_grey=True).fingerprint}) == 4
    assert network().fingerprint == network().fingerprint
    assert network(repeat_grey=True).protocol == "sums, float32, greyscale repeated to 3 channels"


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own, where its compiler is first imported
def test_precision_is_part_of_the_protocol() -> None:
    made = {
        precision: FeatureNetwork(Sums(), "sums", 3, "sums", "ab", FeatureOptions(precision=precision))
        for precision in ("float32", "tf32", "bfloat16")
    }
    assert len({one.fingerprint for one in made.values()}) == 3
    assert [one.exact for one in made.values()] == [True, False, False]
    assert made["bfloat16"].protocol == "sums, bfloat16"
    compiled = FeatureNetwork(Sums(), "sums", 3, "sums", "ab", FeatureOptions(compiled=True))
    assert (compiled.protocol, compiled.exact) == ("sums, float32, compiled", False)
    assert compiled.fingerprint not in {one.fingerprint for one in made.values()}
    with pytest.raises(ConfigError, match="unknown precision 'fp8'"):
        FeatureOptions(precision="fp8")  # type: ignore[arg-type]


def test_tf32_is_off_unless_asked_for() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    for precision, allowed in (("float32", False), ("tf32", True), ("bfloat16", False)):
        with arithmetic(precision, torch.device("cpu")):
            assert torch.backends.cudnn.allow_tf32 is allowed
            assert torch.backends.cuda.matmul.allow_tf32 is allowed
            assert torch.is_autocast_enabled("cpu") is (precision == "bfloat16")
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.parametrize("batch", [1, 10, 64])
def test_any_number_of_images_at_once(batch: int) -> None:
    images = torch.randint(0, 256, (70, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = joined([network()(part) for part in images.split(batch)])
    torch.testing.assert_close(found.pooled, images.double().sum(dim=(2, 3)), rtol=0, atol=0)
    assert found.logits is not None
    assert found.spatial is None


def test_greyscale_is_repeated_only_if_asked() -> None:
    grey = torch.full((2, 1, 4, 4), 3, dtype=torch.uint8)
    assert network()(grey).pooled.shape == (2, 1)
    features = network(repeat_grey=True)(grey)
    assert isinstance(features, Features)
    assert features.pooled.tolist() == [[48.0] * 3] * 2


@pytest.mark.parametrize("images", [torch.zeros(2, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_only_uint8_batches(images: Tensor) -> None:
    with pytest.raises(DataError, match=r"uint8 images \(N, C, H, W\), got torch"):
        network()(images)


def test_registry() -> None:
    assert {"digits", "inception"} <= set(FEATURE_NETWORKS)
    with pytest.raises(ConfigError, match="unknown feature network 'inceptoin'"):
        load_features("inceptoin")
    with pytest.raises(ConfigError, match="'digits' has its own weights and takes no options"):
        load_features("digits", FeatureOptions(download=True))


def test_digits() -> None:
    digits = load_features("digits")
    features = digits(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert features.pooled.shape == (2, digits.dimension)
    assert "digits" in digits.protocol
    assert "FID" not in digits.protocol


def test_weights_are_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, weights = published(tmp_path, {"a": torch.zeros(1)})
    places = {name: tmp_path / name for name in ("torch/hub/checkpoints", "folder", "given")}
    for place in places.values():
        place.mkdir(parents=True)
        (place / made.name).write_bytes(made.read_bytes())
    assert find_weights(weights).parent == places["torch/hub/checkpoints"]
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(places["folder"]))
    assert find_weights(weights).parent == places["folder"]
    assert find_weights(weights, places["given"] / made.name).parent == places["given"]
    state, digest = load_weights(weights)
    assert list(state) == ["a"]
    assert digest == hashlib.sha256(made.read_bytes()).hexdigest()


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoadError) as caught:
        load_features("inception")
    for part in ("pt_inception-2015-12-05-6726825d.pth", "https://", "SIGMASCOPE_WEIGHTS", "checkpoints"):
        assert part in str(caught.value)
    with pytest.raises(LoadError, match="no such file"):
        load_features("inception", FeatureOptions(weights=tmp_path / "absent.pth"))


def test_download_only_if_allowed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, weights = published(tmp_path, {"a": torch.zeros(1)})
    asked = []

    def download(url: str, target: str, hash_prefix: str, progress: bool) -> None:
        asked.append((url, hash_prefix))
        Path(target).write_bytes(made.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(LoadError):
        find_weights(weights)
    load_weights(weights, download=True)
    load_weights(weights, download=True)
    assert asked == [(weights.url, weights.hash_prefix)]

    def broken(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(LoadError, match="failed: no route to host"):
        find_weights(PublishedWeights(("other-12345678.pth",), "https://example.org/other.pth"), download=True)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    made, weights = published(tmp_path, {"a": torch.zeros(4)})
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 1
    made.write_bytes(content)
    with pytest.raises(LoadError, match=f"begins with {weights.hash_prefix}, got"):
        load_weights(weights, made)


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    made, weights = published(tmp_path, {"a": Sums()})
    with pytest.raises(LoadError, match="can't read safely"):
        load_weights(weights, made)
    made, weights = published(tmp_path, [torch.zeros(1)])
    with pytest.raises(LoadError, match="expected a state dict of tensors, got list"):
        load_weights(weights, made)


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, weights = published(tmp_path, {"a": torch.zeros(1)})
    monkeypatch.setattr(inception_module, "WEIGHTS", weights)
    with pytest.raises(LoadError, match="don't fit Inception-v3"):
        load_features("inception", FeatureOptions(weights=made))


def test_importing_metrics_is_cheap() -> None:
    """No torch until a name is used; intervals and units never need it."""
    code = (
        "import sys, sigmascope.metrics as m; m.verdict; m.error_unit_factor; assert 'torch' not in sys.modules;"
        "m.Moments; assert 'torchmetrics' not in sys.modules; m.FrechetDistance; assert 'torchmetrics' in sys.modules;"
        "assert all(hasattr(m, name) for name in m.__all__) and sorted(m._HOME) == sorted(m.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
