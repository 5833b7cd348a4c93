"""Diagnostics that ask a denoiser about its noise levels, one a file, all fed by one pass (engine)."""

from . import calibration, condition, hull, precision, raw_output
from .curves import curves
from .engine import cost, evaluate, measure
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, probe

__all__ = [
    "DEFAULT",
    "PROBES",
    "Evaluations",
    "Probe",
    "Quantity",
    "Subject",
    "calibration",
    "condition",
    "cost",
    "curves",
    "evaluate",
    "hull",
    "measure",
    "precision",
    "probe",
    "raw_output",
]

DEFAULT = ("calibration", "hull", "raw_output")
"""What "default" stands for in a suite."""
