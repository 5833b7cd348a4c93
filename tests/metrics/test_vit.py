"""DINOv2 and CLIP: tiny seeded models saved and loaded offline; preprocessing against Pillow; positions once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sigmascope.errors import LoadError
from sigmascope.metrics.features import FeatureOptions, load_features
from sigmascope.metrics.features.vit import DINOv2, normalised, pil_bicubic
from sigmascope.metrics.features.weights import import_weights, inventory
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 40, 56), dtype=np.uint8))


@pytest.fixture
def dinov2(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14, "image_size": 518}
    folder = tmp_path / "dinov2-large"
    Dinov2Model(Dinov2Config(**shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 99,
    }
    vision = {**text, "image_size": 32, "patch_size": 16}
    folder = tmp_path / "clip-vit-large-patch14-336"
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    return folder


def test_dinov2_is_transformers_class_token(dinov2: Path) -> None:
    network = load_features("dinov2", FeatureOptions(weights=dinov2))
    found = network(IMAGES).pooled
    assert found.shape == (2, 16)
    plain = Dinov2Model.from_pretrained(dinov2).eval()
    pixels = normalised(pil_bicubic(IMAGES, 224, crop=False), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        theirs = plain(pixels).last_hidden_state[:, 0]
    # Positions are resampled by DINOv2's own rule, transformers' by the plain ratio: near, and not the same.
    difference = float((found - theirs).norm() / theirs.norm())
    assert 1e-7 < difference < 0.1
    with torch.no_grad():
        torch.testing.assert_close(DINOv2(plain)(IMAGES).pooled, found)


def test_clip_is_transformers_projection(clip: Path) -> None:
    found = load_features("clip-l-336", FeatureOptions(weights=clip))(IMAGES).pooled
    plain = CLIPModel.from_pretrained(clip).eval()
    crops = []
    for image in IMAGES.permute(0, 2, 3, 1).numpy():
        resized = Image.fromarray(image).resize((44, 32), Image.Resampling.BICUBIC)
        crops.append(np.asarray(resized.crop((6, 0, 38, 32))))
    pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    with torch.no_grad():
        expected = plain.visual_projection(plain.vision_model(normalised(pixels, mean, std)).pooler_output)
    torch.testing.assert_close(found, expected)
    squeezed = load_features("clip", FeatureOptions(weights=clip))
    assert squeezed(IMAGES).pooled.shape == (2, 8)
    assert float((squeezed(IMAGES).pooled - found).norm() / found.norm()) > 1e-3


def test_missing_models_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("dinov2", "clip", "clip-l-336"):
        with pytest.raises(LoadError, match=r"https://huggingface\.co/.*SIGMASCOPE_WEIGHTS"):
            load_features(name)
    with pytest.raises(LoadError, match="no such files"):
        load_features("dinov2", FeatureOptions(weights=tmp_path))


def test_imported_models_are_found_and_listed(dinov2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMASCOPE_WEIGHTS", str(tmp_path / "kept"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert {row.state for row in inventory()} == {"missing"}
    import_weights(dinov2)
    states = {row.network: row for row in inventory()}
    assert states["dinov2"].state == "present"
    assert len(states["dinov2"].sha256) == 64
    assert load_features("dinov2").dimension == 16
    with pytest.raises(LoadError, match="expected one of pt_inception"):
        import_weights(tmp_path / "absent")
