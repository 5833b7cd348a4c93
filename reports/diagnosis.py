"""From a run's probes to findings in plain words: what is wrong with a model, at which noise levels, and how surely.

A finding is a rule of `RULES` that fired. A rule fires at a level where two things hold: the quantity's interval lies
beyond what a healthy denoiser gives, with Bonferroni's correction over all rules and levels looked at, so that a
healthy model gets any finding at all with probability alpha at most; and the fault is of a size that matters. Adjacent
levels make one finding.

Sizes. Most probes tell which share of the denoising error E a fault accounts for. A part delta^2 = share * E of the
error moves the sampler's state by delta per e-fold of sigma (dx = (x - D)/sigma d sigma), and what happens at sigma
reaches the sample diminished by spread / sqrt(spread^2 + sigma^2), as it does exactly for Gaussian data. So the size is
delta / sqrt(spread^2 + sigma^2): how far the fault moves samples, in standard deviations of the data, per e-fold. The
least size that is told is the rule's own; it lies above what the three healthy bundled models show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..metrics.quantiles import student_upper
from .numbers import interval, number, sigma_range

if TYPE_CHECKING:
    from ..evals.store import Run

ALPHA = 0.05


@dataclass(frozen=True)
class Rule:
    """What a quantity outside its healthy range means."""

    probe: str
    quantity: str
    low: float
    """The healthy range, ends included."""
    high: float
    below: str
    """What it means to lie below the range, and above it."""
    above: str
    cause: str
    """Where to look."""
    source: str
    least: float
    """The least size that is told."""
    share: Callable[[Mapping[str, float]], float] | None = None
    """The share of the denoising error that is due, from the probe's quantities at a level, by name; the size follows.
    None: the size is the distance from the healthy range itself."""


def _of(name: str) -> Callable[[Mapping[str, float]], float]:
    return lambda values: values.get(name, math.nan)


def _above_one(name: str) -> Callable[[Mapping[str, float]], float]:
    """The share of an error that is `name` times another one, less that other one."""
    return lambda values: 1.0 - 1.0 / values[name]


RULES: tuple[Rule, ...] = (
    Rule(
        "calibration",
        "slope",
        1.0,
        1.0,
        below="overstates the noise: its estimate is too large",
        above="shrinks its noise estimate: it behaves as if there were less noise than there is",
        cause="trained at other noise levels or inputs than it is asked about, a wrong input or output scale, a loss "
        "weight that starves these levels",
        source="E <eps, eps_hat> = E |eps_hat|^2 for a conditional mean",
        least=0.0175,
        share=_of("gain"),
    ),
    Rule(
        "hull",
        "excess",
        0.0,
        0.0,
        below="",
        above="puts estimates outside the range of clean data",
        cause="an output gain that is too large for this level (eps at high sigma), or an undertrained level",
        source="E[x0 | x] lies in the convex hull of the data",
        least=0.05,
        share=_of("excess"),
    ),
    Rule(
        "raw_output",
        "clipped",
        0.0,
        0.0,
        below="",
        above="clips its estimate of x0 to the ends of the range",
        cause="a clip or threshold inside the model or its wrapper: the noise estimate no longer matches",
        source="x_t = alpha x0 + sigma_t eps ties the two estimates together",
        least=0.01,
    ),
    Rule(
        "excess_error",
        "over_linear",
        0.0,
        1.0,
        below="",
        above="denoises worse than the best linear filter does",
        cause="an undertrained level, or an output gain that is too large for it",
        source="no function of the noisy image has a smaller error than E[x0 | x], a linear one included",
        least=0.05,
        share=_above_one("over_linear"),
    ),
    Rule(
        "spectrum",
        "over_wiener",
        0.0,
        1.0,
        below="",
        above="denoises worse than a linear filter does in a band of frequencies",
        cause="in the highest frequencies blur or noise, in a single band a grid or an autoencoder's artefacts",
        source="no function of the noisy image has a smaller error in any Fourier coefficient than E[x0 | x]",
        least=0.05,
        share=_of("avoidable"),
    ),
    Rule(
        "mismatch",
        "shift",
        0.0,
        0.0,
        below="takes the noise level it is told for a higher one than it is",
        above="takes the noise level it is told for a lower one than it is",
        cause="a time index that is off by one, another schedule or time scale than in training",
        source="the residual of E[x0 | x] is orthogonal to every function of x, its derivative in sigma included",
        least=0.02,
        share=_of("gain"),
    ),
    Rule(
        "consistency",
        "gap",
        0.0,
        0.0,
        below="varies more at this level than its answers at the next lower one account for",
        above="varies less at this level than its answers at the next lower one show",
        cause="levels trained unequally, or an output scale that is wrong at some of them",
        source="D_t = E [D_s | x_t] for nested noise s < t",
        least=0.05,
        share=_of("gain"),
    ),
    Rule(
        "sure",
        "ratio",
        1.0,
        1.0,
        below="is no smooth function of its input",
        above="is no smooth function of its input",
        cause="dropout or other noise left on, coarse rounding, jumps",
        source="Stein's identity holds for any smooth function of x",
        least=0.05,
        share=lambda values: abs(values["ratio"] - 1.0),
    ),
    Rule(
        "symmetry",
        "curl",
        0.0,
        0.0,
        below="",
        above="is far from the gradient of anything: its Jacobian has a large antisymmetric part",
        cause="an architecture or a layer that turns its input, a transposed axis, too little training",
        source="J = Cov(x0 | x) / sigma^2 is symmetric",
        least=0.05,
        share=_of("curl"),
    ),
    Rule(
        "churn",
        "drift",
        0.0,
        0.002,
        below="makes samples narrower on the way through this level",
        above="makes samples wider on the way through this level",
        cause="the noise estimate is too large or too small here: samples lose or gain contrast",
        source="the probability-flow ODE of the data's own score keeps the noisy data's distribution",
        least=0.01,
    ),
    Rule(
        "precision",
        "network_share",
        0.0,
        0.0,
        below="",
        above="loses accuracy in low precision",
        cause="a large output gain or large activations at this level: keep it in float32, or change parameterization",
        source="E |D_low - D|^2 on the same inputs",
        least=0.05,
        share=_of("network_share"),
    ),
    Rule(
        "time_resolution",
        "frozen",
        0.0,
        0.0,
        below="",
        above="does not tell neighbouring times apart",
        cause="a time argument that is cast to bfloat16 or rounded on its way in",
        source="8 bits of mantissa: indices above 512 are 4 apart, and 999 becomes 1000",
        least=0.5,
    ),
    Rule(
        "memorisation",
        "ratio",
        1.0,
        math.inf,
        below="knows its training images better than others",
        above="",
        cause="training that went on for too long for so few images",
        source="a denoiser that learnt the distribution errs alike on both (arXiv:2310.02557)",
        least=0.1,
    ),
    Rule(
        "condition",
        "shuffled",
        1.0 + 1e-9,
        math.inf,
        below="makes nothing of its condition: another image's serves as well",
        above="",
        cause="a condition that is dropped, or that does not reach the network at these levels",
        source="half the integral of the gain over 1/sigma^2 is the mutual information of image and condition",
        least=0.0,
    ),
)


@dataclass(frozen=True)
class Diagnosis:
    """One finding: a rule that fired for a model in a band of levels."""

    model: str
    rule: Rule
    slice: str
    sigma_low: float
    sigma_high: float
    levels: tuple[int, ...]
    sigma: float
    """The level that shows it most, with its value and an interval corrected for all that was looked at."""
    value: float
    low: float
    high: float
    size: float
    meaning: str

    @property
    def text(self) -> str:
        """ "digits-b shrinks its noise estimate ... at sigma 0.44-1.0: calibration slope 1.18 [1.17, 1.20] ..." """
        part = "" if self.slice == "all" else f", {self.slice}"
        shown = f"{self.rule.probe} {self.rule.quantity.replace('_', ' ')}{part}"
        where = sigma_range(self.sigma_low, self.sigma_high)
        return (
            f"{self.model} {self.meaning}, at sigma {where}: {shown} {number(self.value)} "
            f"{interval(self.low, self.high)} at sigma {number(self.sigma, 2)}"
        )

    @property
    def consequence(self) -> str:
        """How far it moves samples; empty where that is not known."""
        if self.rule.share is None:
            return ""
        return f"moves samples by {100 * self.size:.2g}% of the data's spread per e-fold of sigma"


def diagnose(run: Run, alpha: float = ALPHA, rules: Sequence[Rule] = RULES) -> list[Diagnosis]:
    """The findings of a run's models, worst first."""
    curves, levels = run.table("curves"), run.table("levels")
    found: list[Diagnosis] = []
    for model in run.record.models:
        own = curves[curves["model"] == model.name]
        errors = levels[levels["model"] == model.name].set_index("level")["error"]
        found += judge(model.name, own, errors, model.data_spread or 1.0, alpha, rules)
    return sorted(found, key=lambda one: -one.size)


def judge(
    model: str,
    curves: pd.DataFrame,
    errors: pd.Series,
    spread: float,
    alpha: float = ALPHA,
    rules: Sequence[Rule] = RULES,
) -> list[Diagnosis]:
    """The findings of one model, from its curves (table `curves`) and its denoising error by level."""
    # all curves at once, in numpy: most are healthy, and a table cut out for each would take longer than all the rest
    probe, quantity, part = (curves[name].to_numpy(object) for name in ("probe", "quantity", "slice"))
    asked = {rule: (probe == rule.probe) & (quantity == rule.quantity) for rule in rules}
    looks = max(sum(int(rows.sum()) for rows in asked.values()), 1)
    low, high = _interval(curves, alpha / looks)
    curves = curves[["level", "sigma", "quantity", "value", "error", "freedom"]].assign(quantity=quantity)
    found = []
    for rule, rows in asked.items():
        for name in dict.fromkeys(part[rows & (_side(rule, low, high) != 0)]):
            beside = (probe == rule.probe) & (part == name)
            told = judged(rule, curves[rows & beside], curves[beside], errors, spread, alpha / looks)
            bands = _bands(told) if told["side"].any() else []
            found += [_finding(model, rule, str(name), band) for band in bands]
    return sorted(found, key=lambda one: -one.size)


def judged(
    rule: Rule, rows: pd.DataFrame, beside: pd.DataFrame, errors: pd.Series, spread: float, alpha: float
) -> pd.DataFrame:
    """Columns level, in order, sigma, value, the corrected interval low and high, size and side of the healthy range.

    rows: of the rule's curve; beside: of all quantities of its probe and slice. Below the least size the side is 0.
    """
    rows = rows.iloc[np.argsort(rows["level"].to_numpy(), kind="stable")]
    level, sigma, value = (rows[name].to_numpy() for name in ("level", "sigma", "value"))
    low, high = _interval(rows, alpha)
    side, size = _side(rule, low, high), np.zeros(len(rows))
    if side.any():
        size = _size(rule, level, sigma, value, beside, errors, spread)
        side = np.where(size >= rule.least, side, 0)
    return pd.DataFrame(
        {"level": level, "sigma": sigma, "value": value, "low": low, "high": high, "size": size, "side": side}
    )


def _size(
    rule: Rule,
    level: np.ndarray,
    sigma: np.ndarray,
    value: np.ndarray,
    beside: pd.DataFrame,
    errors: pd.Series,
    spread: float,
) -> np.ndarray:
    if rule.share is None:
        return np.asarray(np.clip(np.maximum(value - rule.high, rule.low - value), 0.0, None))
    told: dict[int, dict[str, float]] = {}
    missing = dict.fromkeys(beside["quantity"].unique().tolist(), math.nan)
    for at, name, found in zip(*(beside[column].tolist() for column in ("level", "quantity", "value")), strict=True):
        told.setdefault(at, {**missing})[name] = found
    removable = np.clip([rule.share(told[at]) for at in level.tolist()], 0, None) * errors.reindex(level).to_numpy()
    return np.asarray(np.sqrt(removable / (spread**2 + np.square(sigma))))


def _interval(rows: pd.DataFrame, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    value, error, freedom = (rows[name].to_numpy(float) for name in ("value", "error", "freedom"))
    reach = student_upper(alpha / 2, freedom) * error
    return value - reach, value + reach


def _side(rule: Rule, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """On which side of the healthy range an interval lies: 1 above, -1 below, 0 where that is not sure, or no harm."""
    above, below = (low > rule.high) & bool(rule.above), (high < rule.low) & bool(rule.below)
    return np.where(above, 1, np.where(below, -1, 0))


def _bands(judged: pd.DataFrame) -> list[pd.DataFrame]:
    """Stretches of adjacent levels on one side of the healthy range."""
    changes = (judged["side"] != judged["side"].shift()) | (judged["level"] != judged["level"].shift() + 1)
    return [band for _, band in judged.groupby(changes.cumsum()) if band["side"].iloc[0] != 0]


def _finding(model: str, rule: Rule, name: str, band: pd.DataFrame) -> Diagnosis:
    top = band.sort_values("size").iloc[-1]
    return Diagnosis(
        model=model,
        rule=rule,
        slice=name,
        sigma_low=float(band["sigma"].min()),
        sigma_high=float(band["sigma"].max()),
        levels=tuple(int(level) for level in band["level"]),
        sigma=float(top["sigma"]),
        value=float(top["value"]),
        low=float(top["low"]),
        high=float(top["high"]),
        size=float(top["size"]),
        meaning=rule.above if top["side"] > 0 else rule.below,
    )
