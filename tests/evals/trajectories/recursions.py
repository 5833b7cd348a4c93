"""What linear solvers do to a Gaussian's variance, mode by mode, as products of scalars: `var <- f^2 var + q^2`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Cond, Denoiser
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import Solver, State, StepNoise
from sigmascope.evals.trajectories import WHOLE
from sigmascope.fixtures.oracles import Gaussian

Floats = npt.NDArray[np.float64]


def data(oracle: Gaussian, count: int, shape: tuple[int, ...] | None = None) -> DataSet:
    images = oracle.data(torch.arange(count), Noise(1)).float()
    return DataSet(images.reshape(count, *shape) if shape else images, None, "a Gaussian")


def euler(variances: Floats, sigma: float, sigma_next: float) -> Floats:
    """The factor of a step of Euler's."""
    return np.asarray(1 + (sigma_next - sigma) * sigma / (variances + sigma**2))


def heun(variances: Floats, sigma: float, sigma_next: float) -> Floats:
    if sigma_next == 0:
        return euler(variances, sigma, sigma_next)
    width, slope = sigma_next - sigma, sigma / (variances + sigma**2)
    after = sigma_next / (variances + sigma_next**2) * (1 + width * slope)
    return np.asarray(1 + 0.5 * width * (slope + after))


class ExactFlow(Solver):
    """A solver that makes no error on a Gaussian."""

    def __init__(self, oracle: Gaussian) -> None:
        self.oracle = oracle

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        return State(self.oracle.flow(state.x.double(), sigma, sigma_next).to(state.x))


def pick(rows: pd.DataFrame, quantity: str, name: str = "all") -> pd.DataFrame:
    """A quantity's rows, by interval."""
    chosen = rows[(rows["quantity"] == quantity) & (rows["slice"] == name)]
    return chosen.sort_values("index").set_index("index")


def whole(rows: pd.DataFrame, quantity: str, name: str = "all") -> tuple[float, float]:
    """A quantity of the whole walk with its standard error."""
    row = pick(rows, quantity, name).loc[WHOLE]
    return float(row["value"]), float(row["error"])
