"""Diagnostics of samplers: what happens between noise and data, one probe a file, all fed by one walk."""

from . import straightness
from .probe import TRAJECTORY_PROBES, WHOLE, Observed, TrajectoryProbe, cost, trace, trajectory_probe
from .walk import Course, Walk, descend, walk

__all__ = [
    "TRAJECTORY_PROBES",
    "WHOLE",
    "Course",
    "Observed",
    "TrajectoryProbe",
    "Walk",
    "cost",
    "descend",
    "straightness",
    "trace",
    "trajectory_probe",
    "walk",
]
