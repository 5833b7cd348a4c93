"""Precision budget Q: what low precision alone does to the estimate, on the same inputs as the shared pass.

    output         E |D(rounded output) - D|^2 / d: only the network's last tensor is rounded to `dtype`; its size is
                   the parameterization's gain times a rounding, so it says what a parameterization can afford
    network        E |D_low - D|^2 / d: the network itself in `dtype`, by torch.autocast with a rounded input, or for
                   the 8-bit formats by rounding its weights, tensor by tensor, scaled to the format's range
    output_share, network_share     the same, as a share of the denoising error

A share near or above that of the error a better model could still remove (probe excess_error) means that precision,
not training, limits the level. One further evaluation. `network` is not scored where there is no module to cast.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...errors import ConfigError
from ..denoiser import Denoiser
from ..parameterization import Prediction
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_square, ratio
from .raw_output import from_raw, raw_output

_CAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_WEIGHTS = {
    name: getattr(torch, name) for name in ("float8_e4m3fn", "float8_e5m2") if hasattr(torch, name)
}  # where torch has them


@PROBES.register("precision")
class Precision(Probe):
    name = "precision"
    evaluations = 1
    quantities = (
        Quantity("output", ("output",), optimal=0.0),
        Quantity("output_share", ("output", "error"), ratio, optimal=0.0),
        Quantity("network", ("network",), optimal=0.0),
        Quantity("network_share", ("network", "error"), ratio, optimal=0.0),
    )

    def __init__(self, dtype: str = "bfloat16", images: int = 64) -> None:
        known = {**_CAST, **_WEIGHTS}
        if dtype not in known:
            raise ConfigError(f"probe 'precision': expected a dtype among {', '.join(known)}, got {dtype!r}")
        self.dtype, self.images, self._format = dtype, images, known[dtype]

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        denoiser, reference = subject.denoiser, seen.prediction.x0.double()
        exact = raw_output(denoiser, seen)
        # both sides go the same way, so that only the rounding is between them
        rounded = from_raw(denoiser, seen, exact.to(self._format).double()) - from_raw(denoiser, seen, exact)
        low = self._lowered(subject, seen)
        network = torch.full_like(seen.error, torch.nan) if low is None else mean_square(low.x0.double() - reference)
        return {"output": mean_square(rounded), "network": network, "error": seen.error}

    def _lowered(self, subject: Subject, seen: Evaluations) -> Prediction | None:
        denoiser = subject.denoiser
        if denoiser.guard is None or denoiser.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return None
        if self.dtype in _WEIGHTS:
            with _rounded_weights(denoiser.guard.modules, self._format):
                return _unguarded(subject).again(seen, seen.scaled)
        with torch.autocast(denoiser.device.type, dtype=self._format):
            return subject.again(seen, seen.scaled)


def _unguarded(subject: Subject) -> Subject:
    """The same subject without the watch over its weights, which change for a moment and on purpose."""
    denoiser: Denoiser = copy.copy(subject.denoiser)
    denoiser.guard = None
    return Subject(denoiser, subject.data, subject.sigmas, subject.noise, subject.train)


@contextlib.contextmanager
def _rounded_weights(modules: list[nn.Module], dtype: torch.dtype) -> Iterator[None]:
    """Every floating-point parameter rounded to an 8-bit format, each tensor scaled to its range; then as it was."""
    parameters = [p for module in modules for p in module.parameters() if p.is_floating_point() and p.numel()]
    saved = [parameter.data for parameter in parameters]
    try:
        for parameter in parameters:
            scale = parameter.data.abs().max().clamp(min=1e-12) / torch.finfo(dtype).max
            parameter.data = ((parameter.data / scale).to(dtype).to(parameter.dtype) * scale).to(parameter.dtype)
        yield
    finally:
        for parameter, data in zip(parameters, saved, strict=True):
            parameter.data = data
