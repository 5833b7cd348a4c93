"""At which noise level does a model break, and how? Errors, what probes say, and behind any point its worst images."""

from __future__ import annotations

from functools import partial
from typing import get_args

import streamlit as st

from ..metrics.units import Unit
from ..reports import tables
from ..reports.negligible import told_least
from ..reports.numbers import number
from ..reports.quantities import LOSSES, Curve, offered, quantities, slices, told
from ..reports.report import Report
from ..reports.summary import worst_level
from . import window
from .behind import STRIP, images_behind
from .downloads import offer
from .view import UNIT_NAMES, View, plain, show

NONE = "none"
FIGURE = "noise-levels-figure"
SIGMA_DATA = 0.5
"""EDM's own."""


def page(view: View) -> None:
    with st.sidebar:
        curve = _curve(view)
        unit, sigma_data = _unit()
        weighting = st.selectbox(
            "Training weights", [NONE, *LOSSES], key="weights", bind="query-params",
            help="How much each level counts while a network is trained, by the usual losses. It says what training "
            "looked at, not what a sample is worth.",
        )  # fmt: skip
    chosen = "" if weighting == NONE else str(weighting)
    figure = view.report.noise_levels(unit, sigma_data=sigma_data, curve=curve, weighting=chosen)
    picture, images = st.columns([1.9, 1], gap="small")
    with picture:
        clicked = partial(_clicked, view)
        show(figure, FIGURE, on_select=clicked, selection_mode="points")
        _explained(view, curve)
        rows = partial(tables.noise_levels, view.report.tables, view.report.comparisons, unit, sigma_data)
        made_by = f"noise_levels({unit!r}, sigma_data={sigma_data}, curve={curve!r}, weighting={chosen!r})"
        offer(view, "noise-levels", figure, rows, made_by)
    with images:
        _images(view)
    if curve is not None:
        _slices(view, curve)


def ahead(report: Report) -> None:
    """Draw what the page shows at first, for the report to remember."""
    first = _first(report)
    named = {one.name: one for one in offered(report.tables)}
    curve = first if first and first.name in named else None
    report.noise_levels("x0", sigma_data=SIGMA_DATA, curve=curve, weighting="")


def _first(report: Report) -> Curve | None:
    """The curve of the worst finding."""
    return next(iter(told(report.diagnoses)), None)


def _curve(view: View) -> Curve | None:
    """The probe's curve of the third panel: at first that of the worst finding."""
    found, first = offered(view.report.tables), _first(view.report)
    named = {one.name: one for one in reversed(found)}
    names = list(dict.fromkeys(one.name for one in found))
    if not names:
        st.caption("This run has no probes' curves: its suite asked for none, or it was made before there were any.")
        return None
    index = 1 + names.index(first.name) if first else 0
    name = st.selectbox("Probe", [NONE, *names], index=index, key="probe", bind="query-params")
    if name == NONE:
        return None
    parts = slices(view.report.tables, named[str(name)])
    if len(parts) == 1:
        return parts[0]
    titles = [part.slice for part in parts]
    start = titles.index(first.slice) if first in parts and first else 0
    part = st.selectbox("Slice", titles, index=start, key=slice_key(parts[0]), bind="query-params")
    return parts[titles.index(str(part))]


def slice_key(curve: Curve) -> str:
    """Of a quantity's own widget: slices of one mean nothing to another."""
    return f"slice_{curve.probe}_{curve.quantity}"


def _unit() -> tuple[Unit, float]:
    units: list[Unit] = list(get_args(Unit))
    unit = st.selectbox("Error measured in", units, key="unit", bind="query-params", format_func=UNIT_NAMES.__getitem__)
    if unit != "F":
        return unit, SIGMA_DATA
    return unit, st.number_input("sigma_data", min_value=0.01, value=SIGMA_DATA, key="sigma_data", bind="query-params")


def _explained(view: View, curve: Curve | None) -> None:
    """What it means to leave the healthy range, under the picture, and where that doesn't matter."""
    rule = None if curve is None else curve.rule
    if curve is None or rule is None:
        return
    sides = [f"**{side}** {plain(words)}" for side, words in (("above", rule.above), ("below", rule.below)) if words]
    cause = plain(f"Possible cause: {rule.cause}")
    small = ""
    if len(view.report.negligible(curve)):
        small = " " + plain(
            f"Grey: surely not a perfect denoiser's, but {told_least(rule)}: below a finding's threshold."
        )
    st.caption(f"{plain(curve.name)}. A model {'; '.join(sides)}. {cause}.{small}")


def _clicked(view: View) -> None:
    """A click on a point chooses the images of its model and level."""
    for point in st.session_state[FIGURE].selection.points:
        if len(point.get("customdata", ())) == 2:
            model, level = point["customdata"]
            st.session_state["of"], st.session_state["level"] = str(model), int(level)
            window.look(STRIP)
            return


def _images(view: View) -> None:
    """The images of a model and level: of the clicked point, at first of the worst level of all."""
    levels = view.report.tables.levels
    models = [label for label in view.report.tables.labels if label in set(levels["model"])]
    if not models:
        return
    model, level = worst_level(view.report) or (models[0], int(levels["level"].max()))
    sigmas = levels.drop_duplicates("level").set_index("level")["sigma"].sort_index()
    numbers = [int(one) for one in sigmas.index]
    left, right = st.columns([1.5, 1])
    # once a click has set them, Streamlit wants no other beginning beside it
    first = {"of": models.index(model), "level": numbers.index(level)}
    first = {key: 0 if key in st.session_state else index for key, index in first.items()}
    of = left.selectbox("Images of", models, index=first["of"], key="of", bind="query-params")
    at = right.selectbox(
        "at sigma", numbers, index=first["level"], key="level", bind="query-params",
        format_func=lambda one: number(sigmas[one], 3),
    )  # fmt: skip
    images_behind(view, str(of), int(at))


def _slices(view: View, curve: Curve) -> None:
    """Which class or frequency: all slices of the chosen quantity, for the model whose images are shown."""
    parts = slices(view.report.tables, curve)
    if len(parts) < 2:
        return
    model = st.session_state.get("of") or view.report.tables.baseline
    st.subheader(plain(f"{curve.name} of {model}, slice by slice"))
    figure = view.report.slices(model, curve)
    show(figure, "slices-figure")
    rows = partial(quantities, view.report.tables, parts)
    offer(view, "slices", figure, rows, f"slices({model!r}, {curve!r})")
