"""Does the gate err as often as it says? 500 gates a setting on errors whose truth is known; `make calibrate`.

Worlds (oracles; digits models' own per-image errors, resampled) -> gates of a fixed number of images and sequential
ones -> how often they failed what is no worse, passed what is worse by the margin, and found what was planted, beside
what `plan` predicted -> docs/calibration.md. About four minutes on one core.
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
from scipy import stats
from sigmascope.evals.planning import prepare
from sigmascope.evals.probes import measure
from sigmascope.evals.sequential import GROWTH
from sigmascope.evals.suite import read_suite
from sigmascope.metrics.intervals import Floats, paired_log_ratio, verdict
from sigmascope.metrics.power import Design
from sigmascope.metrics.sequential import FIRST, anytime_log_ratio, settled, tuned
from sigmascope.reports.compare import Settings, level_table

ROOT = Path(__file__).parents[1]
GATES, ALPHA, MARGIN, MOST = 500, 0.05, 0.02, 512
SETTINGS = Settings(margin=MARGIN, confidence=1 - ALPHA)

Pair = tuple[Floats, Floats]
World = Callable[[np.random.Generator, int], Pair]
"""(images, levels) errors of baseline and candidate, of which neither is worse."""


@dataclass(frozen=True)
class Row:
    """How often something happened in so many gates, and what was stated or predicted."""

    what: str
    world: str
    images: str
    stated: str
    count: int
    gates: int

    def line(self) -> str:
        found = stats.binomtest(self.count, self.gates).proportion_ci(method="exact")
        rate = f"{self.count / self.gates:.3f} [{found.low:.3f}, {found.high:.3f}]"
        rate = f"**{rate}**" if found.low > float(re.findall(r"0\.\d+", self.stated)[0]) else rate
        return f"| {self.what} | {self.world} | {self.images} | {self.stated} | {rate} | {self.gates} |"


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


def planted(world: World, level: int, size: float) -> World:
    """The same with the candidate worse at one level by this ratio."""

    def draw(rng: np.random.Generator, images: int) -> Pair:
        base, candidate = world(rng, images)
        return base, candidate * np.where(np.arange(base.shape[1]) == level, 1 + size, 1.0)

    return draw


def outcome(verdicts: list[str]) -> str:
    return "fail" if "fail" in verdicts else "pass" if set(verdicts) == {"pass"} else "inconclusive"


def fixed(world: World, images: int, seed: int) -> str:
    base, candidate = world(np.random.default_rng([seed, images]), images)
    sigmas = pd.Series(np.arange(base.shape[1], dtype=float))
    return outcome(list(level_table(sigmas, base, candidate, SETTINGS)["verdict"]))


def sequential(world: World, seed: int, most: int = MOST) -> tuple[str, float]:
    """The verdict, and the share of all evaluations it took. Levels that have passed are asked no more."""
    base, candidate = world(np.random.default_rng([seed, most]), most)
    eta2, margin = tuned(most / 4, ALPHA), math.log1p(MARGIN)
    count = np.zeros(base.shape[1], int)
    live = np.ones(base.shape[1], bool)
    target = FIRST
    while True:
        count[live] = target
        asked = np.arange(target)[:, None] < count
        seen = anytime_log_ratio(
            np.where(asked, base[:target], np.nan), np.where(asked, candidate[:target], np.nan), 1 - ALPHA, eta2
        )
        found = settled(seen, margin)
        live = ~(found.passed | found.failed)
        if found.verdict or target == most:
            break
        target = min(most, math.ceil(target * GROWTH))
    verdicts = [verdict(low, high, margin) for low, high in zip(seen.lower, seen.upper, strict=True)]
    return outcome([str(one) for one in verdicts]), float(count.mean() / most)


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
        for images in (64, 256):
            fails = sum(fixed(world, images, seed) == "fail" for seed in range(GATES))
            yield Row("false alarm", name, str(images), f"at most {ALPHA}", fails, GATES)
        found = [sequential(world, seed) for seed in range(GATES)]
        fails, spent = sum(one == "fail" for one, _ in found), np.mean([share for _, share in found])
        images_said = f"sequential to {MOST}, {spent:.0%} asked"
        yield Row("false alarm", name, images_said, f"at most {ALPHA}", fails, GATES)


def misses(world: World, name: str, level: int) -> Iterator[Row]:
    """A model worse by just the margin that passed, and planted regressions that were found as often as planned."""
    worse = planted(world, level, MARGIN)
    for images in (64, 256):
        passes = sum(fixed(worse, images, seed) == "pass" for seed in range(GATES))
        yield Row(f"passed {MARGIN:.0%} worse", name, str(images), f"at most {ALPHA}", passes, GATES)
    found = [sequential(worse, seed)[0] for seed in range(GATES)]
    passes = found.count("pass")
    yield Row(f"passed {MARGIN:.0%} worse", name, f"sequential to {MOST}", f"at most {ALPHA}", passes, GATES)
    # the pilot is one large sample of the same world, as a stored run is
    pilot = paired_log_ratio(*world(np.random.default_rng(0), 2000), resamples=1)
    design = Design(pilot.influence, 1 - ALPHA)
    change = np.zeros(design.spread.size)
    margin = math.log1p(MARGIN)
    for size in (0.02, 0.04):
        change[level] = math.log1p(size)
        images = int(design.images(change, margin, 0.8))
        predicted = 1 - design.chances(images, change, margin).fails
        missed = sum(fixed(planted(world, level, size), images, seed) != "fail" for seed in range(GATES))
        yield Row(f"missed +{size:.0%}", name, str(images), f"{predicted:.3f} by plan", missed, GATES)
    images = int(design.images(0.0, margin, 0.8))
    predicted = 1 - design.chances(images, 0.0, margin).passes
    held = sum(fixed(world, images, seed) != "pass" for seed in range(GATES))
    yield Row("unchanged, not passed", name, str(images), f"{predicted:.3f} by plan", held, GATES)


HEADER = f"""# How often the gate errs

Written by `make calibrate` (benchmarks/calibrate.py). Each row is {GATES} gates with fresh data: alpha
{ALPHA}, a margin of {MARGIN:.0%}, 24 noise levels, policies of one rule. Rates have exact (Clopper-Pearson) 95%
intervals.

- **oracle**: the optimal denoiser of Gaussian data against itself under fresh noise, errors chi-square with 16 degrees.
- **digits, fresh noise**: `digits-eps` against itself under another draw of the noise; per-image errors resampled, the
  draws of an image exchanged at random.
- **digits, paired**: `digits-eps` against `digits-v` under the same noise, per-image errors resampled, the second
  model's scaled at each level to the same mean; regressions are planted at one level of it.

A false alarm is a `fail` of a model that is no worse, at any of the levels. A rate whose interval lies wholly above
what is stated is bold. Where a few images carry the difference of two models, 64 images are too few for a fixed gate's
intervals: give it 256 or more. Sequential bounds hold at all looks at once, and are cautious. What `plan` predicts is
itself an estimate, from a pilot of 2,000 images.

| what | world | images | stated | measured | gates |
|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "calibration.md")
    parser.add_argument("--images", type=int, default=300, help="of digits, resampled from")
    options = parser.parse_args()
    eps, v = digits_errors(options.images)
    worlds = {"oracle": oracle(), "digits, fresh noise": fresh(eps), "digits, paired": paired(eps[0], v)}
    lines = []
    for row in itertools.chain(false_alarms(worlds), misses(worlds["digits, paired"], "digits, paired", level=12)):
        lines.append(row.line())
        print(lines[-1], flush=True)  # noqa: T201
    options.output.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
