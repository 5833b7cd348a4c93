"""Solvers, grids of noise levels, and the one loop that runs them."""

from . import ddim as _ddim
from . import dpm_solver as _dpm_solver
from . import euler as _euler
from .diffusers_scheduler import DiffusersScheduler
from .grids import GRIDS, Grid
from .loop import Samples, sample
from .solver import SOLVERS, Solver, State, StepNoise, solver

__all__ = [
    "GRIDS",
    "SOLVERS",
    "DiffusersScheduler",
    "Grid",
    "Samples",
    "Solver",
    "State",
    "StepNoise",
    "sample",
    "solver",
]
