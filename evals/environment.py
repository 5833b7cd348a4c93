"""Where a run took place: the device it was asked for, and what may differ between two comparable runs."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

from ..errors import ConfigError


def usable_device(device: torch.device | str) -> torch.device:
    """Raises ConfigError where this torch has no such device."""
    try:
        checked = torch.device(device)
        torch.empty(0, device=checked)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: expected one this torch can use, such as cpu, got {device!r}: {error}") from error
    return checked


def describe_environment(device: torch.device) -> dict[str, str]:
    """What may differ between two comparable runs."""
    packages = ("sigmascope", "torch", "torchmetrics", "diffusers", "numpy")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        **{package: version(package) for package in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device.type,
        "device_name": name,
        "threads": str(torch.get_num_threads()),
        "tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "cpus": str(os.cpu_count()),
    }
