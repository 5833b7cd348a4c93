"""Diagnostics of samplers: what happens between noise and data, one probe a file, all fed by one walk."""

from . import churn_sweep, exposure, guidance_sweep, prefix, straightness
from .film import film
from .probe import TRAJECTORY_PROBES, WHOLE, Observed, TrajectoryProbe, cost, trace, trajectory_probe
from .walk import Course, Walk, descend, walk

__all__ = [
    "TRAJECTORY_PROBES",
    "WHOLE",
    "Course",
    "Observed",
    "TrajectoryProbe",
    "Walk",
    "churn_sweep",
    "cost",
    "descend",
    "exposure",
    "film",
    "guidance_sweep",
    "prefix",
    "straightness",
    "trace",
    "trajectory_probe",
    "walk",
]
