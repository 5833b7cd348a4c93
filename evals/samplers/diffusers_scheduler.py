"""Any diffusers scheduler, driven by the same loop and the same seeds as our own solvers.

The scheduler owns its grid and its state, in its own scaling. Each step asks the denoiser at the scheduler's (alpha,
sigma_t) and hands the answer back in the parameterization the scheduler expects, so a flow model may be driven by
DDIM, and an eps model by UniPC. When the scheduler's table is the model's own, the network receives the scheduler's
very timestep, and the images are those of diffusers' own pipeline.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from ..levels import Level, broadcast
from ..parameterization import EPS, FLOW, X0, Parameterization, V, edm
from ..schedules import Table
from .diffusers_traps import REFUSED, traps
from .grids import Grid
from .solver import Solver, State, StepNoise

_EXPECTED = {"epsilon": EPS, "sample": X0, "v_prediction": V, "flow_prediction": FLOW}


@dataclass
class _Drive:
    """A scheduler in use by one batch; schedulers keep state, so each batch has its own."""

    scheduler: Any
    index: int = 0


class DiffusersScheduler(Solver):
    own_clock = True
    kind: Any

    def __init__(self, name: str, options: Mapping[str, object] | None = None) -> None:
        """`name` such as "DDIMScheduler"; `options` override the configuration that came with the model.

        Optional arguments of the scheduler's `step` are options too, such as DDIM's `use_clipped_model_output`.
        """
        import diffusers

        if name in REFUSED:
            raise ConfigError(f"{name} is not supported: {REFUSED[name]}")
        kind = getattr(diffusers, name, None)
        if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin) and hasattr(kind, "step")):
            raise ConfigError(f"unknown diffusers scheduler {name!r}; expected a class such as DDIMScheduler")
        self.name, self.kind = name, kind
        asked = [
            p.name for p in inspect.signature(kind.step).parameters.values() if p.default is inspect.Parameter.empty
        ]
        if asked[1:] != ["model_output", "timestep", "sample"]:
            raise ConfigError(
                f"{name}: expected a scheduler whose step needs (model_output, timestep, sample), got {asked[1:]}"
            )
        self.options, self._in_step = self._sorted(dict(options or {}))
        self._takes_generator = "generator" in inspect.signature(kind.step).parameters
        self.stochastic = self._takes_generator

    def levels(self, denoiser: Denoiser, grid: Grid | None, steps: int) -> Tensor:
        """The scheduler's own levels; `grid` is not used."""
        scheduler = self._scheduler(denoiser, steps)
        levels = [self._level(scheduler, index) for index in range(len(scheduler.timesteps))]
        for level in levels:
            self._same_level(denoiser, scheduler, level)  # refused here, not in the middle of sampling
        self._expects(scheduler)
        sigmas = [level.sigma for level in levels]
        return torch.stack([*sigmas, torch.zeros((), dtype=torch.float64)])

    def init(self, denoiser: Denoiser, sigmas: Tensor, steps: int, noise: Tensor) -> State:
        """The state is the scheduler's own x_t."""
        scheduler = self._scheduler(denoiser, steps)
        return State(noise * float(getattr(scheduler, "init_noise_sigma", 1.0)), _Drive(scheduler))

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        drive = state.memory
        assert isinstance(drive, _Drive)
        scheduler, t = drive.scheduler, drive.scheduler.timesteps[drive.index]
        theirs = self._level(scheduler, drive.index)
        ours = self._same_level(denoiser, scheduler, theirs)
        # x_t / alpha is common to both; at alpha = 0 both states are noise alone
        scale = ours.sigma_t / theirs.sigma_t
        seen = denoiser.predict(broadcast(scale, state.x) * state.x, ours, cond)
        c0, c1 = self._expects(scheduler).direction(theirs)
        output = broadcast(c0, state.x) * seen.x0 + broadcast(c1, state.x) * seen.eps
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(state.x, t)  # for its side effect: it finds the step index
        extra = {"generator": noise.generators()} if self._takes_generator else {}
        stepped = scheduler.step(output, t, state.x, return_dict=False, **extra, **self._in_step)[0]
        drive.index += 1
        return State(stepped.to(state.x.dtype), drive)

    def traps(self, denoiser: Denoiser, steps: int) -> list[str]:
        """What this scheduler does, with the configuration that came with the model, that one may not expect."""
        return traps(self._scheduler(denoiser, steps), self._in_step)

    def _sorted(self, options: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
        """Options of the scheduler's configuration, and of its step."""
        settings = [name for name in inspect.signature(self.kind.__init__).parameters if name not in ("self", "kwargs")]
        optional = [p.name for p in inspect.signature(self.kind.step).parameters.values() if p.default is not p.empty]
        optional = [name for name in optional if name not in ("generator", "return_dict", "variance_noise")]
        unknown = [name for name in options if name not in (*settings, *optional)]
        if unknown:
            raise ConfigError(
                f"{self.name}: unknown option {unknown[0]!r}; expected one of {', '.join(settings + optional)}"
            )
        in_step = {name: value for name, value in options.items() if name not in settings}
        return {name: value for name, value in options.items() if name in settings}, in_step

    def _scheduler(self, denoiser: Denoiser, steps: int) -> Any:
        if steps < 1:
            raise ConfigError(f"steps: expected at least 1, got {steps}")
        config = {**denoiser.traits.scheduler, **self.options}
        known = inspect.signature(self.kind.__init__).parameters
        try:
            scheduler = self.kind.from_config({name: value for name, value in config.items() if name in known})
            scheduler.set_timesteps(steps)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.name} can't be had with {steps} steps: {error}") from error
        return scheduler

    def _level(self, scheduler: Any, index: int) -> Level:
        """(alpha, sigma_t) of the scheduler's state before step `index`, with its timestep."""
        t = scheduler.timesteps[index].double().cpu()
        sigmas = getattr(scheduler, "sigmas", None)
        flow = "FlowMatch" in self.name or self._prediction_type(scheduler) == "flow_prediction"
        if sigmas is not None:
            if index % 2 == 1 and hasattr(scheduler, "sigmas_interpol"):
                sigmas = scheduler.sigmas_interpol  # KDPM2 evaluates every second time between two levels
            sigma = torch.as_tensor(sigmas[index], dtype=torch.float64)
            if flow:
                return Level(1.0 - sigma, sigma, t, -torch.ones_like(sigma), torch.ones_like(sigma))
            if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
                alpha, sigma_t = scheduler._sigma_to_alpha_sigma_t(sigma)
                return Level(torch.as_tensor(alpha), torch.as_tensor(sigma_t), t)
            return Level(torch.ones_like(sigma), sigma, t)
        if hasattr(scheduler, "alphas_cumprod"):
            alpha_bar = scheduler.alphas_cumprod[int(t)].double().cpu()
            return Level(alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt(), t)
        raise ConfigError(f"{self.name}: expected a scheduler with `sigmas` or `alphas_cumprod`; it has neither")

    def _expects(self, scheduler: Any) -> Parameterization:
        kind = self._prediction_type(scheduler)
        if "FlowMatch" in self.name:
            return FLOW
        if self.name.startswith("EDM") and kind == "epsilon":
            return edm(float(scheduler.config.sigma_data))
        if kind not in _EXPECTED or self.name.startswith("EDM"):
            raise ConfigError(
                f"{self.name}: prediction_type {kind!r} is not known; expected one of {sorted(_EXPECTED)}"
            )
        return _EXPECTED[kind]

    @staticmethod
    def _prediction_type(scheduler: Any) -> str:
        return str(scheduler.config.get("prediction_type", "epsilon"))

    @staticmethod
    def _same_level(denoiser: Denoiser, scheduler: Any, theirs: Level) -> Level:
        """The denoiser's own level of the same sigma; with the scheduler's timestep where the two share a table."""
        schedule = denoiser.schedule
        if isinstance(schedule, Table) and schedule.preserving and hasattr(scheduler, "betas"):
            table = Table.from_betas(scheduler.betas)
            same = len(table.log_sigma) == len(schedule.log_sigma)
            if same and torch.allclose(table.log_sigma, schedule.log_sigma, rtol=0, atol=1e-4):
                radius = torch.hypot(theirs.alpha, theirs.sigma_t)
                return Level(theirs.alpha / radius, theirs.sigma_t / radius, theirs.time)
        return schedule.at(theirs.sigma)
