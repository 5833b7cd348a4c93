"""Does the gate err as often as it says? 500 gates a setting on errors whose truth is known; `make calibrate`.

Worlds (oracles; digits models' own per-image errors, resampled; skewed ones) -> gates of a fixed number of images and
sequential ones, both the product's own -> how often they failed what is no worse, passed what is worse by the margin,
and found what was planted, beside what `plan` predicted -> docs/calibration.md. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sigmascope.evals.planning import prepare
from sigmascope.evals.probes import measure
from sigmascope.evals.sequential import Answers, look_by_look
from sigmascope.evals.suite import read_suite
from sigmascope.metrics.intervals import Floats, paired_log_ratio, verdict
from sigmascope.metrics.power import Design
from sigmascope.reports.compare import Settings, level_table

ROOT = Path(__file__).parents[1]
GATES, ALPHA, MARGIN, MOST = 500, 0.05, 0.001, 512
"""The margin is next to none for false alarms: whatever is worse for sure fails."""
PILOTS, PILOT = 10, 2000
"""Stored runs that a plan is made from, and the images of each."""

Pair = tuple[Floats, Floats]
World = Callable[[np.random.Generator, int], Pair]
"""(images, levels) errors of baseline and candidate, of which neither is worse."""


@dataclass(frozen=True)
class Row:
    """How often something happened in so many gates, and what was stated or predicted."""

    what: str
    world: str
    images: str
    margin: float
    stated: str
    """Its last number is the most that is stated."""
    count: int
    gates: int

    def line(self) -> str:
        found = stats.binomtest(self.count, self.gates).proportion_ci(method="exact")
        rate = f"{self.count / self.gates:.3f} [{found.low:.3f}, {found.high:.3f}]"
        rate = f"**{rate}**" if found.low > float(re.findall(r"0\.\d+", self.stated)[-1]) else rate
        return f"| {self.what} | {self.world} | {self.images} | {self.margin * 100:g}% | {self.stated} | {rate} |"


def oracle(levels: int = 24, dimensions: int = 16) -> World:
    """An optimal denoiser of Gaussian data against itself under fresh noise: errors are chi-square with d degrees."""

    def draw(rng: np.random.Generator, images: int) -> Pair:
        one, two = rng.chisquare(dimensions, (2, images, levels)) / dimensions
        return one, two

    return draw


def fresh(errors: Floats) -> World:
    """(2, images, levels): one model under two draws of the noise. Images are resampled, and the draws of each change
    places at random: two models alike in distribution."""

    def draw(rng: np.random.Generator, images: int) -> Pair:
        rows = errors[:, rng.integers(errors.shape[1], size=images)]
        swap = rng.random((images, 1)) < 0.5
        return np.where(swap, rows[1], rows[0]), np.where(swap, rows[0], rows[1])

    return draw


def paired(baseline: Floats, candidate: Floats) -> World:
    """Two models under the same noise, the candidate's errors scaled at each level to the same mean."""
    levelled = candidate * (baseline.mean(axis=0) / candidate.mean(axis=0))

    def draw(rng: np.random.Generator, images: int) -> Pair:
        rows = rng.integers(len(baseline), size=images)
        return baseline[rows], levelled[rows]

    return draw


def skewed(levels: int = 24, sigma: float = 0.6) -> World:
    """A few images get far better at any level and all others a little worse: log-normal gains, skewness 2.3."""

    def draw(rng: np.random.Generator, images: int) -> Pair:
        baseline = rng.gamma(8.0, 1 / 8, (images, levels)) + 1.0
        gain = np.exp(sigma * rng.standard_normal((images, levels))) - math.exp(sigma**2 / 2)
        return baseline, baseline - 0.05 * gain

    return draw


def planted(world: World, level: int, size: float) -> World:
    """The same with the candidate worse at one level by this ratio."""

    def draw(rng: np.random.Generator, images: int) -> Pair:
        base, candidate = world(rng, images)
        return base, candidate * np.where(np.arange(base.shape[1]) == level, 1 + size, 1.0)

    return draw


def outcome(verdicts: list[str]) -> str:
    return "fail" if "fail" in verdicts else "pass" if set(verdicts) == {"pass"} else "inconclusive"


def fixed(world: World, images: int, seed: int, margin: float = MARGIN) -> str:
    base, candidate = world(np.random.default_rng([seed, images]), images)
    sigmas = pd.Series(np.arange(base.shape[1], dtype=float))
    return outcome(list(level_table(sigmas, base, candidate, Settings(margin, 1 - ALPHA))["verdict"]))


def sequential(world: World, seed: int, margin: float = MARGIN, most: int = MOST) -> tuple[str, float]:
    """The verdict of the product's own search, and the share of all evaluations it took."""
    base, candidate = world(np.random.default_rng([seed, most]), most)
    limits, prices = np.full(base.shape[1], math.log1p(margin)), np.full(base.shape[1], 2.0)

    def ask(fresh: NDArray[np.bool_]) -> Answers:
        return Answers(base.T[fresh.T], candidate.T[fresh.T], 2 * int(fresh.sum()))

    *_, last = look_by_look(ask, most, limits, prices, confidence=1 - ALPHA)
    bounds = zip(last.paired.lower, last.paired.upper, limits, strict=True)
    return outcome([str(verdict(*one)) for one in bounds]), last.evaluations / (2 * base.size)


def digits_errors(images: int) -> tuple[Floats, Floats]:
    """(2, images, 24) errors of digits-eps in two draws, (images, 24) of digits-v in the first."""
    fixtures = ROOT / "fixtures"
    plan = prepare(read_suite(fixtures / "demo.toml").choose(["digits-eps", "digits-v"]), fixtures, limit=images)
    tables = []
    for name, draws in (("digits-eps", 2), ("digits-v", 1)):
        rows = measure(plan.subjects[name], [], draws)
        tables.append(
            np.stack(
                [part.pivot_table(index="image", columns="level", values="error") for _, part in rows.groupby("draw")]
            )
        )
    return tables[0], tables[1][0]


def false_alarms(worlds: dict[str, World]) -> Iterator[Row]:
    """A/A: gates that failed a model that is no worse."""
    for name, world in worlds.items():
        for images in (32, 64, 256):
            fails = sum(fixed(world, images, seed) == "fail" for seed in range(GATES))
            yield Row("false alarm", name, str(images), MARGIN, f"at most {ALPHA}", fails, GATES)
        found = [sequential(world, seed) for seed in range(GATES)]
        fails, spent = sum(one == "fail" for one, _ in found), np.mean([share for _, share in found])
        images_said = f"sequential to {MOST}, {spent:.0%} asked"
        yield Row("false alarm", name, images_said, MARGIN, f"at most {ALPHA}", fails, GATES)


def plans(world: World) -> list[Design]:
    """Each from a pilot that is one large sample of the same world, as a stored run is."""
    pilots = (world(np.random.default_rng(seed), PILOT) for seed in range(PILOTS))
    return [Design(paired_log_ratio(*pilot, resamples=1).influence, 1 - ALPHA) for pilot in pilots]


def planned(rates: list[float]) -> str:
    """What plans predict at one number of images: the first, by which the number was chosen, and the range of all."""
    return f"{rates[0]:.3f} by plan, {min(rates):.3f} to {max(rates):.3f} by {len(rates)} pilots"


def misses(world: World, name: str, level: int, margin: float, sizes: tuple[float, ...]) -> Iterator[Row]:
    """Regressions planted at one level, not smaller than the margin: found as often as planned."""
    designs, limit = plans(world), math.log1p(margin)
    change = np.zeros(designs[0].spread.size)
    for size in sizes:
        change[level] = math.log1p(size)
        images = int(designs[0].images(change, limit, 0.8))
        predicted = planned([1 - design.chances(images, change, limit).fails for design in designs])
        missed = sum(fixed(planted(world, level, size), images, seed, margin) != "fail" for seed in range(GATES))
        where = f"{name}, level {level + 1}"
        yield Row(f"missed +{size:.0%}", where, str(images), margin, predicted, missed, GATES)


def passes(world: World, name: str, level: int, margin: float) -> Iterator[Row]:
    """An unchanged model, passed as often as planned; and one worse by just the margin at one level, which must not
    pass from the same number of images, enough to pass."""
    designs, limit = plans(world), math.log1p(margin)
    images = int(designs[0].images(0.0, limit, 0.8))
    predicted = planned([1 - design.chances(images, 0.0, limit).passes for design in designs])
    held = sum(fixed(world, images, seed, margin) != "pass" for seed in range(GATES))
    yield Row("unchanged, not passed", name, str(images), margin, predicted, held, GATES)
    worse, what, where = planted(world, level, margin), f"passed {margin:.0%} worse", f"{name}, level {level + 1}"
    passed = sum(fixed(worse, images, seed, margin) == "pass" for seed in range(GATES))
    yield Row(what, where, str(images), margin, f"at most {ALPHA}", passed, GATES)
    found = [sequential(worse, seed, margin, 2 * images)[0] for seed in range(GATES)]
    yield Row(what, where, f"sequential to {2 * images}", margin, f"at most {ALPHA}", found.count("pass"), GATES)


HEADER = f"""# How often the gate errs

Written by `make calibrate` (benchmarks/calibrate.py). Each row is {GATES} gates with fresh data: alpha
{ALPHA}, 24 noise levels, policies of one rule. Rates have exact (Clopper-Pearson) 95% intervals.

- **oracle**: the optimal denoiser of Gaussian data against itself under fresh noise, errors chi-square with 16 degrees.
- **digits, fresh noise**: `digits-eps` against itself under another draw of the noise; per-image errors resampled, the
  draws of an image exchanged at random.
- **digits, paired**: `digits-eps` against `digits-v` under the same noise, per-image errors resampled, the second
  model's scaled at each level to the same mean: at the noisiest levels a few images carry the difference.
- **skewed**: at every level a few images get far better and all others a little worse, log-normal with skewness 2.3:
  the side on which a bound is most easily too narrow.

A false alarm is a `fail` of a model that is no worse, at any of the levels. Regressions are planted at one level of 24.
A rate whose interval lies wholly above what is stated or planned is bold.

Fixed gates fail by the end of a two-sided interval, so false alarms are about half of alpha where tails are light, and
reach it where they are heavy and images few: metrics/tails.py has how far bounds reach and why. Sequential bounds hold
at all looks at once, and are cautious. No gate knows of images too rare to be among those it asked about.

What `plan` predicts is itself an estimate, here from a pilot of {PILOT:,} images. It asks for as many images as give a
miss rate of 0.2 by one pilot; at that number, {PILOTS} pilots of the same world predict the range beside it.

| what | world | images | margin | stated | measured |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "calibration.md")
    parser.add_argument("--images", type=int, default=300, help="of digits, resampled from")
    options = parser.parse_args()
    eps, v = digits_errors(options.images)
    digits = paired(eps[0], v)
    worlds = {"oracle": oracle(), "digits, fresh noise": fresh(eps), "digits, paired": digits, "skewed": skewed()}
    rows = itertools.chain(
        false_alarms(worlds),
        misses(worlds["oracle"], "oracle", 12, 0.2, (0.2, 0.4)),
        misses(digits, "digits, paired", 12, 0.02, (0.02, 0.04)),
        misses(digits, "digits, paired", 20, 0.1, (0.1, 0.2)),
        passes(worlds["oracle"], "oracle", 12, 0.2),
        passes(digits, "digits, paired", 20, 0.1),
    )
    lines = []
    for row in rows:
        lines.append(row.line())
        print(lines[-1], flush=True)  # noqa: T201
    options.output.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
