"""Diagnostics of samplers: what happens between noise and data, one probe a file, all fed by one walk."""

from . import (
    churn_sweep,
    dry_run,
    exposure,
    guidance_sweep,
    local_error,
    order,
    prefix,
    refinement,
    straightness,
    terminal,
    transport,
)
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
    "dry_run",
    "exposure",
    "film",
    "guidance_sweep",
    "local_error",
    "order",
    "prefix",
    "refinement",
    "straightness",
    "terminal",
    "trace",
    "trajectory_probe",
    "transport",
    "walk",
]
