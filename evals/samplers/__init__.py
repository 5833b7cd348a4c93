"""Solvers, grids of noise levels, and the one loop that runs them."""

from .ddim import DDIM
from .diffusers_scheduler import DiffusersScheduler
from .dpm_solver import DPMSolverPP2M
from .euler import Euler, Heun
from .grids import GRIDS, Grid
from .loop import Samples, sample
from .solver import SOLVERS, Solver, State, StepNoise, solver

__all__ = [
    "DDIM",
    "GRIDS",
    "SOLVERS",
    "DPMSolverPP2M",
    "DiffusersScheduler",
    "Euler",
    "Grid",
    "Heun",
    "Samples",
    "Solver",
    "State",
    "StepNoise",
    "sample",
    "solver",
]
