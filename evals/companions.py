"""What stands beside a network: the autoencoder of its latents, and the encoder of its text.

Both hang on a Denoiser, which stays in latent space and knows tensors only. The runner encodes the data's images before
they are noised, decodes samples before they are scored, and encodes every caption once.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ModelError

NONE = "none"
"""Declares that there is none, where a pipeline brings one: its data are latents already."""

ENTRIES = ("encoder_hidden_states", "pooled_projections", "encoder_attention_mask")
"""What diffusers' pipelines make of text."""

Encode = Callable[[Sequence[str]], Mapping[str, Tensor]]
"""Prompts -> conditioning by name, one row per prompt."""


@dataclass(frozen=True)
class Autoencoder:
    """Images to latents and back. Denoising errors of a latent model are in latent units."""

    encode: Callable[[Tensor], Tensor]
    """Images `(B, *image_shape)` in [-1, 1] -> latents `(B, *latent_shape)` as the network takes them; the same ones
    for the same images, so no draw from a posterior."""
    decode: Callable[[Tensor], Tensor]
    """Latents -> images."""
    image_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    fingerprint: str
    """Hash of its weights and scaling; two latent models are comparable only where it is equal."""
    batch: int = 8
    """Rows per call; the last call is padded, so that a row does not depend on how many there are."""
    device: torch.device | str = "cpu"

    def __str__(self) -> str:
        return f"{self.image_shape} -> {self.latent_shape}"

    def latents(self, images: Tensor) -> Tensor:
        """`(N, *image_shape)` -> `(N, *latent_shape)` float32 on the CPU. Raises ModelError for another shape."""
        return self._batched(self.encode, images, self.latent_shape, "latents")

    def images(self, latents: Tensor) -> Tensor:
        """`(N, *latent_shape)` -> `(N, *image_shape)` float32 on the CPU. Raises ModelError for another shape."""
        return self._batched(self.decode, latents, self.image_shape, "images")

    def _batched(self, function: Callable[[Tensor], Tensor], rows: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
        done = []
        for part in rows.split(self.batch):
            padded = torch.cat((part, part[:1].expand(self.batch - len(part), *part.shape[1:])))
            with torch.no_grad():
                made = function(padded.to(self.device))[: len(part)].float().cpu()
            if tuple(made.shape[1:]) != shape or not bool(torch.isfinite(made).all()):
                raise ModelError(
                    f"autoencoder: expected finite {what} {shape} of {tuple(part.shape[1:])}, "
                    f"got {tuple(made.shape[1:])}" + ("" if torch.isfinite(made).all() else " with NaN or infinity")
                )
            done.append(made)
        return torch.cat(done)


@dataclass(frozen=True)
class TextEncoder:
    """How captions become conditioning."""

    open: Callable[[], Encode]
    """Gives the function that encodes; what it holds is dropped after use, for it may be larger than the network."""
    fingerprint: str = ""
    """Hash of its weights; empty where unknown."""

    def __str__(self) -> str:
        return "a text encoder"

    def rows(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """One row per prompt, on the CPU. Each is encoded alone, so that a row depends on its prompt only."""
        encode = self.open()
        made = [encode([prompt]) for prompt in prompts]
        return {name: torch.cat([row[name].detach().cpu() for row in made]) for name in made[0]}


def as_autoencoder(given: Any, latent_shape: tuple[int, ...], device: torch.device | str) -> Autoencoder | None:
    """An Autoencoder as it is; one of diffusers' modules with the scaling its configuration states.

    Raises ConfigError for anything else, and for one whose latents are not `latent_shape`.
    """
    if given is None or given == NONE:
        return None
    if not isinstance(given, Autoencoder):
        if not (isinstance(given, nn.Module) and hasattr(given, "encode") and hasattr(given, "decode")):
            raise ConfigError(
                "autoencoder: expected an Autoencoder, a diffusers autoencoder or, in a suite, "
                f'"diffusers:PATH", "python:FILE.py:FACTORY" or "none", got {_named(given)}'
            )
        given = _of_module(given, latent_shape, torch.device(device))
    found: Autoencoder = given
    if found.latent_shape != latent_shape:
        raise ConfigError(f"autoencoder: expected latents {latent_shape}, the event_shape, got {found.latent_shape}")
    return found


def as_text_encoder(given: Any) -> TextEncoder | None:
    """A TextEncoder as it is; a function of prompts; a diffusers pipeline. Raises ConfigError for anything else."""
    if given is None or given == NONE or isinstance(given, TextEncoder):
        return None if given == NONE else given
    if hasattr(given, "encode_prompt"):
        return TextEncoder(lambda: partial(encode_text, given))
    if not callable(given):
        raise ConfigError(
            "text: expected a function of prompts, a TextEncoder, a diffusers pipeline or, in a suite, "
            f'"diffusers:PATH", "python:FILE.py:FACTORY" or "none", got {_named(given)}'
        )
    return TextEncoder(lambda: given)


def encode_text(pipeline: Any, prompts: Sequence[str]) -> dict[str, Tensor]:
    """The entries a text-conditioned diffusers network takes, made by its pipeline's own encoder, one row per prompt.

    The names are among ENTRIES. Raises ConfigError for a pipeline without an encoder.
    """
    encode = getattr(pipeline, "encode_prompt", None)
    if encode is None:
        raise ConfigError(f"text: expected a pipeline with encode_prompt, got {type(pipeline).__name__}")
    wanted = {
        "prompt": list(prompts),
        "prompt_2": list(prompts),
        "device": pipeline.device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    known = inspect.signature(encode).parameters
    optional = {name for name, word in known.items() if word.default is not word.empty}
    with torch.no_grad():
        made = encode(**{k: v for k, v in wanted.items() if k in known and not (k == "prompt_2" and k in optional)})
    parts = [part for part in (made if isinstance(made, tuple) else (made,)) if isinstance(part, Tensor)]
    parts = [part.detach() for part in parts if len(part) == len(prompts)]
    states = [part for part in parts if part.ndim == 3]
    pooled = [part for part in parts if part.ndim == 2 and part.is_floating_point()]
    masks = [part for part in parts if part.ndim == 2 and not part.is_floating_point()]
    if not states:
        raise ConfigError(f"text: {type(pipeline).__name__}.encode_prompt returned no (B, length, width) tensor")
    return {name: found[0] for name, found in zip(ENTRIES, (states, pooled, masks), strict=True) if found}


def _of_module(module: Any, latent_shape: tuple[int, ...], device: torch.device) -> Autoencoder:
    """latent = (z - shift) scale, or (z - mean) scale / std per channel, as diffusers' pipelines have it; z is the mode
    of the posterior."""
    module = module.to(device).eval()
    config = dict(module.config)
    scale, shift = float(config.get("scaling_factor") or 1.0), float(config.get("shift_factor") or 0.0)
    factor, offset = torch.tensor(scale), torch.tensor(shift)
    if config.get("latents_mean") and config.get("latents_std"):
        channels = (1, -1, *(1,) * (len(latent_shape) - 1))
        factor = scale / torch.tensor(config["latents_std"]).reshape(channels)
        offset = torch.tensor(config["latents_mean"]).reshape(channels)
    factor, offset = factor.to(device), offset.to(device)
    dtype = next(module.parameters()).dtype

    def encode(images: Tensor) -> Tensor:
        found = module.encode(images.to(dtype))
        posterior = getattr(found, "latent_dist", None)
        if posterior is not None:
            latents: Tensor = posterior.mode()
        else:
            latents = found.latents if hasattr(found, "latents") else found.latent
        return (latents.float() - offset) * factor

    def decode(latents: Tensor) -> Tensor:
        image: Tensor = module.decode((latents / factor + offset).to(dtype)).sample
        return image

    digest = hashlib.blake2b(repr((scale, offset.tolist(), factor.tolist())).encode(), digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return _measured(Autoencoder(encode, decode, (), latent_shape, digest.hexdigest(), device=device))


def _measured(autoencoder: Autoencoder) -> Autoencoder:
    """With the shape of its images, found by decoding zeros; encoding those gives the latents' shape."""
    zeros = torch.zeros(1, *autoencoder.latent_shape, device=autoencoder.device)
    try:
        with torch.no_grad():
            image = autoencoder.decode(zeros)
            latent = autoencoder.encode(image)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"autoencoder: expected one for latents {autoencoder.latent_shape}, got: {str(error).splitlines()[0]}"
        ) from error
    return replace(autoencoder, image_shape=tuple(image.shape[1:]), latent_shape=tuple(latent.shape[1:]))


def _named(given: Any) -> str:
    return repr(given) if isinstance(given, str) else type(given).__name__
