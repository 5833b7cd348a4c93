"""Diagnostics that ask a denoiser about its noise levels, one a file, all fed by one pass (engine)."""

from . import (
    bits,
    calibration,
    churn,
    condition,
    consistency,
    dimension,
    excess_error,
    hull,
    memorisation,
    mismatch,
    precision,
    raw_output,
    regions,
    spectrum,
    sure,
    symmetry,
    time_resolution,
)
from .adaptive import Target, measure_until
from .curves import curves, slices
from .engine import cost, evaluate, evaluate_rows, measure
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, probe

__all__ = [
    "PROBES",
    "SETS",
    "Evaluations",
    "Probe",
    "Quantity",
    "Subject",
    "Target",
    "bits",
    "calibration",
    "churn",
    "condition",
    "consistency",
    "cost",
    "curves",
    "dimension",
    "evaluate",
    "evaluate_rows",
    "excess_error",
    "hull",
    "measure",
    "measure_until",
    "memorisation",
    "mismatch",
    "precision",
    "probe",
    "raw_output",
    "regions",
    "slices",
    "spectrum",
    "sure",
    "symmetry",
    "time_resolution",
]

_FREE = ("calibration", "hull", "raw_output", "spectrum")

SETS: dict[str, tuple[str, ...]] = {
    "default": _FREE,
    "thorough": (
        *_FREE,
        "excess_error",
        "mismatch",
        "consistency",
        "sure",
        "symmetry",
        "churn",
        "precision",
        "time_resolution",
        "condition",
        "memorisation",
    ),
}
"""Names that stand for several probes: those without further evaluations, and all that a diagnosis has a rule for. Of a
set, a probe that a model or its data have no use for is left out."""
