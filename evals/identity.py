"""What a denoiser is, as a hash: the same suite on a changed model must be another run.

Weights alone are not enough (a schedule, a time scale or an epsilon in a config file changes results too), and a
wrapped function has none. So the hash takes what is declared, every level of the schedule, and what the network
answers to fixed inputs over its whole range of levels. It costs one or two network calls.
"""

from __future__ import annotations

import hashlib
import json

import torch
from torch import Tensor

from ..errors import ConfigError
from .denoiser import Denoiser
from .levels import broadcast
from .noise import Noise
from .schedules import Table

_ROWS = 32


def identity(denoiser: Denoiser) -> str:
    """32 hex digits; equal where two denoisers give the same results on one software stack, as far as can be seen."""
    traits, schedule = denoiser.traits, denoiser.schedule
    declared = {
        "weights": traits.fingerprint,
        "declaration": sorted(traits.declaration.items()),
        "scheduler": traits.scheduler,
        "parameterization": denoiser.parameterization.name,
        "schedule": type(schedule).__name__,
        "data_range": denoiser.data_range,
        "dtype": str(denoiser.dtype),
    }
    for name, companion in (("autoencoder", denoiser.autoencoder), ("text", denoiser.text)):
        declared |= {} if companion is None else {name: companion.fingerprint}
    digest = hashlib.blake2b(json.dumps(declared, sort_keys=True, default=str).encode(), digest_size=16)
    count = len(schedule.log_sigma) if isinstance(schedule, Table) else 65
    times = torch.linspace(schedule.first, schedule.last, count, dtype=torch.float64)
    levels = schedule(times.round() if isinstance(schedule, Table) else times)
    answers = _answers(denoiser, levels.time[torch.linspace(1, count - 2, _ROWS).long()])
    for tensor in (levels.time, levels.alpha, levels.sigma_t, answers):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _answers(denoiser: Denoiser, times: Tensor) -> Tensor:
    """The network's output on keyed noise at these native times, `(rows, *event_shape)` float32."""
    ids = torch.arange(len(times))
    level = denoiser.schedule(times)
    noise = Noise(0).normal(ids, "identity", 0, denoiser.event_shape)
    x_t = broadcast(torch.hypot(level.alpha, level.sigma_t), noise) * noise
    classes = denoiser.traits.classes
    evaluations = denoiser.evaluations
    try:
        raw = denoiser.raw(x_t.to(denoiser.device), level, {} if classes is None else {"class_labels": ids % classes})
    except ConfigError:  # how it is asked is wrong, such as guidance by a condition that it does not have
        raise
    except Exception:  # a model that fails here fails in its cells too, where it is told
        raw = torch.zeros(0)
    denoiser.evaluations = evaluations
    return raw.detach().float().cpu()
