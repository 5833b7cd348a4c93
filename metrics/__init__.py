"""From tensors to numbers. Knows nothing of denoisers.

Images -> features/ -> frechet.py, inception_score.py (each a pure function and a torchmetrics.Metric of the same name);
pairs -> denoising.py; tables of errors and influence values -> intervals.py. Names below load on first use (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .denoising import DenoisingError, denoising_error
    from .frechet import FrechetDistance, Gaussian, frechet_distance, frechet_influence
    from .inception_score import InceptionScore, inception_score, inception_score_influence
    from .intervals import Estimate, Influence, PairedRatio, bootstrap_mean, cluster_means, paired_log_ratio, verdict
    from .moments import Moments
    from .units import error_unit_factor

_HOMES = {
    "denoising": ("DenoisingError", "denoising_error"),
    "frechet": ("FrechetDistance", "Gaussian", "frechet_distance", "frechet_influence"),
    "inception_score": ("InceptionScore", "inception_score", "inception_score_influence"),
    "intervals": (
        "Estimate",
        "Influence",
        "PairedRatio",
        "bootstrap_mean",
        "cluster_means",
        "paired_log_ratio",
        "verdict",
    ),
    "moments": ("Moments",),
    "units": ("error_unit_factor",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "DenoisingError",
    "Estimate",
    "FrechetDistance",
    "Gaussian",
    "InceptionScore",
    "Influence",
    "Moments",
    "PairedRatio",
    "bootstrap_mean",
    "cluster_means",
    "denoising_error",
    "error_unit_factor",
    "frechet_distance",
    "frechet_influence",
    "inception_score",
    "inception_score_influence",
    "paired_log_ratio",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
