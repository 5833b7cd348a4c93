"""DINOv2 and CLIP, transformers' own networks: uint8 images -> class-token features or projected embeddings.

A model folder (weights.py) -> load_dinov2, load_clip -> FeatureNetwork; prompts -> embed_prompts. Images are resized as
the reference implementations do it, by Pillow's bicubic filter: DINOv2, CMMD and CLIP scores on 8-bit values, one by
one on the CPU; CLIP-FID in float, as clean-fid does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPModel, Dinov2Model

from ...errors import DataError, LoadError
from . import FeatureNetwork, FeatureOptions, Features, arithmetic
from .preprocess import resize_clean
from .weights import KNOWN_WEIGHTS, HubModel, find_model, sha256

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
DINOV2_SIZE = 224
_PROMPTS = 64  # at once


class DINOv2(nn.Module):
    """uint8 (N, 3, H, W) -> normalised class token (N, d), as dgm-eval takes it (Stein et al. 2023, 2306.04675)."""

    def __init__(self, network: Dinov2Model, size: int = DINOV2_SIZE) -> None:
        super().__init__()
        self.network, self.size = network, size
        _resample_positions(network, size)

    def forward(self, images: Tensor) -> Features:
        pixels = normalised(pil_bicubic(images, self.size, crop=False), *IMAGENET)
        return Features(self.network(pixels).last_hidden_state[:, 0].float())


class CLIPImages(nn.Module):
    """uint8 (N, 3, H, W) -> projected image embeddings (N, d), not scaled to length 1."""

    def __init__(self, network: CLIPModel, crop: bool, folder: Path) -> None:
        super().__init__()
        self.network, self.crop, self.folder = network, crop, folder
        self.size = int(network.config.vision_config.image_size)

    def forward(self, images: Tensor) -> Features:
        resized = pil_bicubic(images, self.size, True) if self.crop else resize_clean(images.float(), self.size)
        pixels = normalised(resized, *OPENAI)
        pooled = self.network.vision_model(pixels).pooler_output
        return Features(self.network.visual_projection(pooled).float())


@torch.inference_mode()
def embed_prompts(clip: FeatureNetwork, prompts: Sequence[str]) -> Tensor:
    """Projected text embeddings (n, d) by the CLIP of a feature network, float32 on the CPU; too long a prompt is cut,
    as CLIP itself does. Raises LoadError where no tokenizer lies beside the weights."""
    images = clip.network
    if not isinstance(images, CLIPImages):
        raise DataError(f"expected a CLIP network to embed prompts, got {clip.name}")
    tokenizer, network = _tokenizer(images.folder), images.network
    length = network.config.text_config.max_position_embeddings
    parts = []
    with arithmetic(clip.options.precision, network.device):
        for start in range(0, len(prompts), _PROMPTS):
            batch = list(prompts[start : start + _PROMPTS])
            tokens = tokenizer(batch, padding=True, truncation=True, max_length=length, return_tensors="pt")
            pooled = network.text_model(**tokens.to(network.device)).pooler_output
            parts.append(network.text_projection(pooled).float().cpu())
    return torch.cat(parts)


def _tokenizer(folder: Path) -> Any:
    """Files are looked for here: without them transformers makes an empty tokenizer, to which all prompts are alike."""
    whole, parts = folder / "tokenizer.json", (folder / "vocab.json", folder / "merges.txt")
    if not whole.is_file() and not all(part.is_file() for part in parts):
        raise LoadError(f"{folder}: expected CLIP's tokenizer.json, or vocab.json and merges.txt, got neither")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise LoadError(f"{folder}: expected CLIP's tokenizer, got: {error}") from error


def load_dinov2(options: FeatureOptions) -> FeatureNetwork:
    """ViT-L/14 unless `options.weights` is another folder. Raises LoadError where the model is missing."""
    folder, digest = _found("dinov2", options)
    network = _loaded(Dinov2Model, folder)
    protocol = (
        f"DINOv2 class token after the last norm; Pillow bicubic to {DINOV2_SIZE}x{DINOV2_SIZE}, ImageNet mean and std"
    )
    return FeatureNetwork(DINOv2(network), "dinov2", network.config.hidden_size, protocol, digest, options)


def load_clip(name: str, options: FeatureOptions) -> FeatureNetwork:
    """clip: ViT-B/32, squeezed to a square, for CLIP-FID; with the shorter side resized and the centre cropped, as CLIP
    itself does, clip-b-32 and clip-l (ViT-L/14) for CLIP scores and clip-l-336 for CMMD. Raises LoadError where the
    model is missing."""
    folder, digest = _found("clip" if name == "clip-b-32" else name, options)
    network = _loaded(CLIPModel, folder)
    crop = name != "clip"
    made = CLIPImages(network, crop, folder)
    how = "8 bits, shorter side and centre crop" if crop else "float, squeezed"
    protocol = f"CLIP projected image embedding; Pillow bicubic to {made.size}x{made.size}, {how}, CLIP mean and std"
    return FeatureNetwork(made, name, network.config.projection_dim, protocol, digest, options)


def pil_bicubic(images: Tensor, size: int, crop: bool) -> Tensor:
    """uint8 (N, 3, H, W) -> (N, 3, size, size): all of it squeezed, or with `crop` the middle."""
    if images.shape[1] != 3:
        raise DataError(f"expected images of 3 channels, got {images.shape[1]}")
    made = []
    for image in images.cpu().permute(0, 2, 3, 1).numpy():
        picture = Image.fromarray(np.ascontiguousarray(image))
        width, height = picture.size
        scale = size / min(width, height)
        target = (int(width * scale + 1e-9), int(height * scale + 1e-9)) if crop else (size, size)
        resized = picture if picture.size == target else picture.resize(target, Image.Resampling.BICUBIC)
        left, top = round((target[0] - size) / 2), round((target[1] - size) / 2)
        made.append(np.asarray(resized.crop((left, top, left + size, top + size))))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).to(images.device)


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(N, 3, H, W) of 0 to 255 -> (x/255 - mean)/std per channel."""
    means, stds = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (mean, std))
    return (images.float() / 255 - means) / stds


def _resample_positions(network: Dinov2Model, size: int) -> None:
    """Once, for the size in use, by DINOv2's own rule: bicubic with a scale of (grid + 0.1)/grid of training. Otherwise
    transformers resamples by the plain ratio at every call, and features differ a little from the original's."""
    embeddings = network.embeddings
    positions = embeddings.position_embeddings.detach()
    trained, grid = round((positions.shape[1] - 1) ** 0.5), size // network.config.patch_size
    if trained == grid:
        return
    square = positions[:, 1:].reshape(1, trained, trained, -1).permute(0, 3, 1, 2)
    scale = (grid + 0.1) / trained
    resampled = F.interpolate(square, scale_factor=(scale, scale), mode="bicubic")
    assert resampled.shape[-2:] == (grid, grid)
    rows = resampled.permute(0, 2, 3, 1).reshape(1, grid * grid, -1)
    embeddings.position_embeddings = nn.Parameter(torch.cat([positions[:, :1], rows], 1), requires_grad=False)
    network.config.image_size = size


def _found(name: str, options: FeatureOptions) -> tuple[Path, str]:
    known = KNOWN_WEIGHTS[name]
    assert isinstance(known, HubModel)
    folder = find_model(known, options.weights, options.download)
    return folder, sha256(folder / "model.safetensors")


def _loaded(kind: Any, folder: Path) -> Any:
    try:
        network = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise LoadError(f"{folder}: expected a {kind.__name__} in transformers' layout, got: {error}") from error
    return network.eval()
