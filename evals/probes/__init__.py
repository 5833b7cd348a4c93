"""Diagnostics that ask a denoiser about its noise levels, one a file, all fed by one pass (engine)."""

from . import calibration, hull
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
    "cost",
    "curves",
    "evaluate",
    "hull",
    "measure",
    "probe",
]

DEFAULT = ("calibration", "hull")
"""What "default" stands for in a suite."""
