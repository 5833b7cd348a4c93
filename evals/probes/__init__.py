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
from .curves import curves, slices
from .engine import cost, evaluate, measure
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, probe

__all__ = [
    "DEFAULT",
    "PROBES",
    "Evaluations",
    "Probe",
    "Quantity",
    "Subject",
    "bits",
    "calibration",
    "churn",
    "condition",
    "consistency",
    "cost",
    "curves",
    "dimension",
    "evaluate",
    "excess_error",
    "hull",
    "measure",
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

DEFAULT = ("calibration", "hull", "raw_output")
"""What "default" stands for in a suite."""
