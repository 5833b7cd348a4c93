"""Forward processes by name: what the field `path` of a declaration may say.

"vp", "vp(0.1, 20)", "scaled_linear(0.00085, 0.012, 1000)", a Schedule, a table {"alphas_cumprod": ...}, or alpha and
sigma_t of native time, as formulas or functions. Names are the literature's; arguments are those of the schedule behind
the name.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from ..registry import Registry
from .expressions import expression, parse
from .schedules import EDM, VE, VP, Cosine, RectifiedFlow, Schedule, SubVP, Table

Function = Callable[[Tensor], Any]

PATHS: Registry[Callable[..., Schedule]] = Registry("path")
PATHS.register("edm")(EDM)
PATHS.register("ve")(VE)
PATHS.register("vp")(VP)
PATHS.register("sub_vp")(SubVP)
PATHS.register("cosine")(Cosine)
PATHS.register("rectified_flow")(RectifiedFlow)


@PATHS.register("flow_matching")
@dataclass(frozen=True)
class FlowMatching(Schedule):
    """x_t = t x0 + (1 - (1 - sigma_min) t) eps: flow matching's clock, noise at t = 0 and data at t = 1."""

    sigma_min_t: float = 0.0
    first: float = field(default=1.0, init=False)
    last: float = field(default=0.0, init=False)

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return time, 1.0 - (1.0 - self.sigma_min_t) * time

    def time_of(self, sigma: Tensor) -> Tensor:
        return 1.0 / (sigma + 1.0 - self.sigma_min_t)


@PATHS.register("vp_sigma")
@dataclass(frozen=True)
class VPSigma(Schedule):
    """Variance preserving with sigma as time: x_t = (x0 + sigma eps) / sqrt(1 + sigma^2)."""

    first: float = 0.002
    last: float = 80.0

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        scale = torch.rsqrt(1.0 + time**2)
        return scale, time * scale

    def time_of(self, sigma: Tensor) -> Tensor:
        return sigma


@PATHS.register("linear")
def linear(beta_start: float = 1e-4, beta_end: float = 0.02, steps: int = 1000) -> Table:
    """DDPM's betas (arXiv:2006.11239)."""
    return Table.from_betas(torch.linspace(beta_start, beta_end, steps, dtype=torch.float64))


@PATHS.register("scaled_linear")
def scaled_linear(beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000) -> Table:
    """Latent diffusion's betas, linear in their square root; CompVis calls them "linear" (arXiv:2112.10752)."""
    return Table.from_betas(torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2)


@PATHS.register("cosine_betas")
def cosine_betas(steps: int = 1000, offset: float = 0.008, beta_max: float = 0.999) -> Table:
    """Improved diffusion's discrete cosine, betas clipped at beta_max (arXiv:2102.09672)."""
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return Table.from_betas((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=beta_max))


@dataclass(frozen=True, eq=False)
class Functions(Schedule):
    """A path from functions of native time, such as another library's schedule; sigma is inverted by bisection."""

    pair: Callable[[Tensor], tuple[Any, Any]]
    """time -> (alpha, sigma_t), elementwise."""
    first: float
    last: float

    def __post_init__(self) -> None:
        grid = self._sigmas(torch.linspace(self.first, self.last, 101, dtype=torch.float64))
        if not bool((grid[1:] >= grid[:-1]).all() & (grid[-1] > grid[0])):
            raise ConfigError(
                f"path: expected sigma_t / alpha to rise from {self.first:g} (data) to {self.last:g} (noise)"
            )

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            alpha, sigma_t = (torch.as_tensor(value).double().cpu() for value in self.pair(time))
        return alpha.expand_as(time).clone(), sigma_t.expand_as(time).clone()

    def derivatives(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Central differences: exact to 1e-9 for functions in float64, and defined for functions of any library."""
        low, high = sorted((self.first, self.last))
        step = 1e-5 * (high - low)
        before, after = (time - step).clamp(min=low), (time + step).clamp(max=high)
        pairs = zip(self.coefficients(after), self.coefficients(before), strict=True)
        alpha, sigma_t = ((up - down) / (after - before) for up, down in pairs)
        return alpha, sigma_t

    def time_of(self, sigma: Tensor) -> Tensor:
        near, far = torch.full_like(sigma, self.first), torch.full_like(sigma, self.last)
        for _ in range(64):
            middle = (near + far) / 2
            above = self._sigmas(middle) > sigma
            near, far = torch.where(above, near, middle), torch.where(above, middle, far)
        return torch.where(torch.isinf(sigma), torch.full_like(sigma, self.last), (near + far) / 2)

    def _sigmas(self, time: Tensor) -> Tensor:
        alpha, sigma_t = self.coefficients(time)
        return sigma_t / alpha

    def __repr__(self) -> str:
        return f"Functions({self.first:g} to {self.last:g})"


_TABLES: dict[str, Callable[[Tensor], Table]] = {
    "alphas_cumprod": Table.from_alphas_cumprod,
    "betas": Table.from_betas,
    "sigmas": Table.from_sigmas,
}


def path(spec: Any) -> Schedule:
    """The schedule a declaration means.

    A Schedule; a name with arguments; a table {"alphas_cumprod" | "betas" | "sigmas": values}; formulas in t and pi,
    {"alpha": "sin(pi*t/2)", "sigma_t": "cos(pi*t/2)"}; one function of time that returns (alpha, sigma_t) or an object
    with `alpha_t` and `sigma_t`; or (alpha, sigma_t[, data, noise]), two functions and the native times of data and
    noise. Formulas and functions are on [0, 1] unless the ends are given; data is where there is less noise.

    Raises ConfigError listing the choices.
    """
    if isinstance(spec, Schedule):
        return spec
    if isinstance(spec, str):
        return _named(spec)
    if isinstance(spec, Mapping):
        if set(spec) == {"alpha", "sigma_t"}:
            return _formulas(spec)
        if len(spec) != 1 or next(iter(spec)) not in _TABLES:
            raise ConfigError(
                f"path: expected alpha and sigma_t, or a table with one key of {', '.join(_TABLES)}, "
                f"got {', '.join(spec)}"
            )
        kind, values = next(iter(spec.items()))
        return _TABLES[kind](torch.as_tensor(values, dtype=torch.float64))
    if isinstance(spec, Sequence) and len(spec) in (2, 4) and callable(spec[0]) and callable(spec[1]):
        alpha, sigma_t = spec[0], spec[1]
        ends = (float(spec[2]), float(spec[3])) if len(spec) == 4 else (0.0, 1.0)
        return Functions(lambda time: (alpha(time), sigma_t(time)), *ends)
    if callable(spec):
        return _function(spec)
    raise ConfigError(f"path: expected a name, a Schedule, a table or functions of time, got {type(spec).__name__}")


def _named(text: str) -> Schedule:
    tree = parse(text, "path")
    name, arguments, keywords = tree, [], []
    if isinstance(tree, ast.Call):
        name, arguments, keywords = tree.func, tree.args, tree.keywords
    if not isinstance(name, ast.Name):
        raise ConfigError(f"path: expected a name such as 'vp' or 'vp(0.1, 20)', got {text!r}")
    make = PATHS[name.id]
    try:
        values = [ast.literal_eval(part) for part in arguments]
        return make(*values, **{str(word.arg): ast.literal_eval(word.value) for word in keywords})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"path: {text!r}: {error}") from error


def _formulas(spec: Mapping[str, Any]) -> Functions:
    alpha, sigma_t = (expression(str(spec[name]), ("t", "pi"), f"path.{name}") for name in ("alpha", "sigma_t"))
    return _function(lambda time: tuple(part({"t": time, "pi": math.pi}) for part in (alpha, sigma_t)))


def _function(function: Callable[..., Any]) -> Functions:
    """One function for both, on [0, 1]; which end is data follows from where there is less noise."""

    def pair(time: Tensor) -> tuple[Any, Any]:
        made = function(time)
        return (made.alpha_t, made.sigma_t) if hasattr(made, "alpha_t") else (made[0], made[1])

    ends = [[float(torch.as_tensor(value)) for value in pair(torch.tensor(t, dtype=torch.float64))] for t in (0.0, 1.0)]
    forward = ends[0][1] * abs(ends[1][0]) < ends[1][1] * abs(ends[0][0])  # sigma_t / alpha rises, alpha = 0 included
    return Functions(pair, *((0.0, 1.0) if forward else (1.0, 0.0)))
