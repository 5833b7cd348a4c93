"""Which figures a report has, in the order in which they answer: who is worse, where, what it looks like, why.

Report -> sections -> html.py (one page), slides.py (a file each). A figure is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count

from . import tables as frames
from .numbers import number
from .plates import Plate, Section, slug
from .quantities import Curve, against_baseline, offered, quantities, slices, told
from .report import Report
from .sampler_plates import samplers
from .summary import dearest_setting, setting, worst_level, worst_pair
from .tables import cell_title, metric_names, sample_settings

BUDGET = [Curve("precision", "output_share"), Curve("precision", "network_share")]
GAINS = [Curve("raw_output", "gain_x0"), Curve("raw_output", "gain_eps")]
PAIRS = (
    "Those that changed most first, each with its seed and (class). Flip between the two: what jumps is what changed. "
    "Difference: mid-grey is none; amplified as its button says, so that the largest of those shown is black or white."
)
PROBED = 4
"""Curves drawn beside the findings."""


def sections(report: Report) -> list[Section]:
    """All that has a figure, by what the runs hold."""
    parts = (_overview, _noise_levels, _images, _diagnosis, _slices, samplers, _parameterizations, _probes, _samples)
    taken: set[str] = set()
    return [_told_apart(section, taken) for part in parts if (section := part(report)).plates]


def _told_apart(section: Section, taken: set[str]) -> Section:
    """No two files of one name, whatever metrics and samplers are called."""
    named = []
    for plate in section.plates:
        names = (plate.name if number == 1 else f"{plate.name}-{number}" for number in count(1))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        named.append(replace(plate, name=name))
    return replace(section, plates=tuple(named))


def plates(report: Report) -> Iterator[Plate]:
    """Every figure of the report, in order."""
    return (plate for section in sections(report) for plate in section.plates)


def _overview(report: Report) -> Section:
    note = "Each model at its worst noise level and at its best sampler setting, with 95% intervals."
    found = [Plate("overview", report.overview)] if report.comparisons or metric_names(report.tables) else []
    if any(len(one.levels) for one in report.comparisons):
        said = "The denoising error at every noise level against the baseline's, all levels tested at once."
        found.append(Plate("where", report.where, "Which model is worse, and where", said))
    return Section("overview", "Overview", note, tuple(found))


def _noise_levels(report: Report) -> Section:
    note = (
        "Error of the denoised image at every noise level, and its ratio to the baseline's. Shades are 95% intervals: "
        "of each level above, of all levels at once below, on the same images and noise in both models."
    )
    shown = len(report.tables.levels) > 0
    return Section("noise-levels", "Noise levels", note, (Plate("noise-levels", report.noise_levels),) if shown else ())


def _images(report: Report) -> Section:
    """Of the worst model against its baseline."""
    title, note = "What it looks like", "Pixels are enlarged without smoothing."
    pair, chosen = worst_pair(report), dearest_setting(report)
    models = [pair.baseline, pair.candidate] if pair else [report.tables.baseline]
    found = []
    top = worst_level(report)
    if top and _kept(report, top[0]):
        sigma = report.tables.levels.query("level == @top[1]")["sigma"].iloc[0]
        said = "Beside each row image, class and squared error, the baseline's first; of those that both kept, the ones"
        found.append(
            Plate(
                "worst-images",
                partial(report.worst_images, *top),
                f"Images of {top[0]} at sigma {number(sigma, 2)}",
                f"{said} that lose most come first. Answer − truth: mid-grey where they agree.",
            )
        )
    if _kept(report, models[-1]):
        said = f"At each level the image that {models[-1]} gets most wrong, of those that both models kept."
        strip = partial(report.denoise_strips, models)
        found.append(Plate("denoise-strips", strip, "The same noisy image, level by level", said))
    if pair and chosen and all(model in report.images(chosen)[0] for model in models):
        said = PAIRS
        flip = partial(report.pairs, models, chosen)
        found.append(Plate("pairs", flip, f"{models[0]} and {models[1]}, the same seeds", said, flips=True))
    return Section("images", title, note, tuple(found))


def _kept(report: Report, model: str) -> bool:
    rows, pictures = report.worst(model)
    return len(rows) > 0 and bool(pictures)


def _diagnosis(report: Report) -> Section:
    """The curves of the worst findings; nothing where no probe was asked, or none found anything."""
    note = (
        "What probes say of each model by itself, not against another: the curves that findings are about, with a "
        "dashed line where a perfect denoiser lies. Shades mark the levels of a finding."
    )
    curves = told(report.diagnoses)[:PROBED]
    shown = len(quantities(report.tables, curves)) > 0
    plate = Plate("findings", partial(report.probes, curves))
    return Section("diagnosis", "What is wrong, at which noise level", note, (plate,) if shown else ())


def _slices(report: Report) -> Section:
    """Every quantity that has slices, of the worst model, else of the baseline."""
    pair = worst_pair(report)
    model = pair.candidate if pair else report.tables.baseline
    parts = {(one.probe, one.quantity): slices(report.tables, one) for one in offered(report.tables)}
    found = [
        Plate(f"slices-{slug(own[0].name)}", partial(report.slices, model, own[0]), f"{own[0].name} of {model}")
        for own in parts.values()
        if len(own) > 1 and _mostly_known(report, model, own)
    ]
    note = "Which class, frequency or region: red is more than the baseline's value at that level, blue less."
    return Section("slices", "Slices", note, tuple(found))


def _mostly_known(report: Report, model: str, parts: list[Curve]) -> bool:
    """Whether most cells have a ratio to the baseline's, which takes values above 0; the baseline needs none."""
    base = report.tables.baseline
    rows = against_baseline(quantities(report.tables, parts), base).query("model == @model")
    return len(rows) > 0 and (model == base or bool(rows["ratio"].notna().mean() > 0.5))


def _parameterizations(report: Report) -> Section:
    note = "The same network error weighs differently in the image and in the noise, by what the network predicts."
    known = len(frames.parameterizations(report.tables)) > 0
    found = [Plate("parameterizations", report.parameterizations)] if known else []
    said = (
        "What bfloat16 alone does, as a share of the squared denoising error: first the last tensor rounded, which is "
        "what a parameterization can afford, then the network run in it."
    )
    found += _panels(report, "precision-budget", "Precision budget", said, BUDGET)
    said = (
        "How many times as large as the output's an error of the image and of the noise is: the factors between the "
        "three panels above, from the network itself."
    )
    found += _panels(report, "gains", "Gains", said, GAINS)
    return Section("parameterizations", "Parameterizations", note, tuple(found))


def _probes(report: Report) -> Section:
    """A figure for each probe that isn't drawn elsewhere; of a sliced quantity there is a figure above."""
    elsewhere = {*BUDGET, *GAINS}
    found: dict[str, list[Curve]] = {}
    for one in offered(report.tables):
        if one.slice == "all" and one not in elsewhere:
            found.setdefault(one.probe, []).append(one)
    note = "Every quantity that probes measured, with 95% intervals. Shades mark the levels of a finding."
    shown = [
        Plate(f"probe-{slug(probe)}", partial(report.probes, curves), probe.replace("_", " ").capitalize())
        for probe, curves in found.items()
    ]
    return Section("probes", "Probes", note, tuple(shown))


def _samples(report: Report) -> Section:
    note = "A column is one seed: the same starting noise in every model. Of each sampler, its dearest setting."
    found = [
        Plate(f"samples-{slug(cell_title(row))}", partial(report.samples, **setting(row)), cell_title(row))
        for _, row in sample_settings(report.tables).iterrows()
    ]
    return Section("samples", "Samples", note, tuple(found))


def _panels(report: Report, name: str, title: str, note: str, curves: list[Curve]) -> list[Plate]:
    measured = [curve for curve in curves if curve in offered(report.tables)]
    return [Plate(name, partial(report.probes, measured), title, note)] if measured else []
