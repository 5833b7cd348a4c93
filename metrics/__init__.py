"""From tensors to numbers. Knows nothing of denoisers.

Images -> one_pass.py with features/ -> frechet.py, kernel.py, manifold.py ... (one metric a file: a pure function and a
torchmetrics.Metric) -> scores.py, which names the number, its interval and its protocol. evaluate.py is all of that in
one call. Pairs -> pairs.py, denoising.py; tables of errors and influence values -> intervals.py.

Names below load on first use (PEP 562); a function that bears its module's name is imported from there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clip_score import CLIPScore, clip_similarity
    from .cmmd import CMMD
    from .denoising import DenoisingError, denoising_error
    from .frechet import FrechetDistance, Gaussian, frechet_distance, frechet_influence
    from .frechet_infinity import FrechetInfinity, FrechetInfinityDistance
    from .inception_score import InceptionScore, inception_score_influence
    from .intervals import Estimate, Influence, PairedRatio, bootstrap_mean, cluster_means, paired_log_ratio, verdict
    from .kernel import KernelDistance, kernel_distance, kernel_distance_influence, kernel_distance_subsets
    from .manifold import PRDC, prdc, precision_recall
    from .mind import MIND
    from .moments import Moments
    from .pairs import PAIR_METRICS
    from .protocols import PROTOCOLS, Protocol, Subsets
    from .units import error_unit_factor
    from .vendi import VendiScore, vendi_score

_HOMES = {
    "clip_score": ("CLIPScore", "clip_similarity"),
    "cmmd": ("CMMD",),
    "denoising": ("DenoisingError", "denoising_error"),
    "frechet": ("FrechetDistance", "Gaussian", "frechet_distance", "frechet_influence"),
    "frechet_infinity": ("FrechetInfinity", "FrechetInfinityDistance"),
    "inception_score": ("InceptionScore", "inception_score_influence"),
    "intervals": (
        "Estimate",
        "Influence",
        "PairedRatio",
        "bootstrap_mean",
        "cluster_means",
        "paired_log_ratio",
        "verdict",
    ),
    "kernel": ("KernelDistance", "kernel_distance", "kernel_distance_influence", "kernel_distance_subsets"),
    "manifold": ("PRDC", "prdc", "precision_recall"),
    "mind": ("MIND",),
    "moments": ("Moments",),
    "pairs": ("PAIR_METRICS",),
    "protocols": ("PROTOCOLS", "Protocol", "Subsets"),
    "units": ("error_unit_factor",),
    "vendi": ("VendiScore", "vendi_score"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CMMD",
    "MIND",
    "PAIR_METRICS",
    "PRDC",
    "PROTOCOLS",
    "CLIPScore",
    "DenoisingError",
    "Estimate",
    "FrechetDistance",
    "FrechetInfinity",
    "FrechetInfinityDistance",
    "Gaussian",
    "InceptionScore",
    "Influence",
    "KernelDistance",
    "Moments",
    "PairedRatio",
    "Protocol",
    "Subsets",
    "VendiScore",
    "bootstrap_mean",
    "clip_similarity",
    "cluster_means",
    "denoising_error",
    "error_unit_factor",
    "frechet_distance",
    "frechet_influence",
    "inception_score_influence",
    "kernel_distance",
    "kernel_distance_influence",
    "kernel_distance_subsets",
    "paired_log_ratio",
    "prdc",
    "precision_recall",
    "vendi_score",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
