"""Solvers, grids of noise levels, and the one loop that runs them."""

from .brownian import BrownianPath
from .ddim import DDIM
from .diffusers_scheduler import DiffusersScheduler
from .dpm_solver import DPMSolverPP2M
from .euler import Euler, Heun
from .grids import GRIDS, Grid
from .loop import Samples, sample
from .names import arguments, solver
from .solver import SOLVERS, Solver, State, StepNoise

__all__ = [
    "DDIM",
    "GRIDS",
    "SOLVERS",
    "BrownianPath",
    "DPMSolverPP2M",
    "DiffusersScheduler",
    "Euler",
    "Grid",
    "Heun",
    "Samples",
    "Solver",
    "State",
    "StepNoise",
    "arguments",
    "sample",
    "solver",
]
