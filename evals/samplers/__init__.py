"""Solvers, grids of noise levels, and the one loop that runs them."""

from .brownian import BrownianPath
from .ddim import DDIM
from .diffusers_scheduler import DiffusersScheduler
from .dormand_prince import DormandPrince
from .dpm_solver import DPMSolverPP, DPMSolverPP2M, DPMSolverPPSDE
from .edm_churn import EDMChurn
from .euler import Euler, Heun
from .flow import FlowMidpoint
from .grids import GRIDS, Grid
from .langevin import AnnealedLangevin, PredictorCorrector
from .linear_multistep import LinearMultistep
from .loop import Samples, sample
from .names import arguments, solver
from .solver import SOLVERS, Solver, State, StepNoise
from .unipc import UniPC

__all__ = [
    "DDIM",
    "GRIDS",
    "SOLVERS",
    "AnnealedLangevin",
    "BrownianPath",
    "DPMSolverPP",
    "DPMSolverPP2M",
    "DPMSolverPPSDE",
    "DiffusersScheduler",
    "DormandPrince",
    "EDMChurn",
    "Euler",
    "FlowMidpoint",
    "Grid",
    "Heun",
    "LinearMultistep",
    "PredictorCorrector",
    "Samples",
    "Solver",
    "State",
    "StepNoise",
    "UniPC",
    "arguments",
    "sample",
    "solver",
]
