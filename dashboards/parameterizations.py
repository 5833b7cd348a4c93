"""Does a network's error hurt because of what it predicts? Raw output error, its gains, and what precision costs."""

from __future__ import annotations

from functools import partial

import streamlit as st

from ..reports import tables
from ..reports.parameterizations import told
from ..reports.quantities import Curve, offered, quantities
from .downloads import offer
from .view import View, plain, show

BUDGET = [Curve("precision", "output_share"), Curve("precision", "network_share")]
GAINS = [Curve("raw_output", "gain_x0"), Curve("raw_output", "gain_eps")]


def page(view: View) -> None:
    for sentence in told(view.report.tables):
        st.markdown(plain(sentence))
    figure = view.report.parameterizations()
    show(figure, "parameterizations-figure")
    rows = partial(tables.parameterizations, view.report.tables)
    st.caption(
        "Root-mean-square error of the network's output as it is, and of the image and the noise it stands for. What "
        "is left of it in samples, Samplers tells under Model or sampler."
    )
    offer(view, "parameterizations", figure, rows, "parameterizations()")
    _panels(
        view,
        "precision",
        "Precision budget",
        "What bfloat16 alone does, as a share of the squared denoising error: first the last tensor rounded, which is "
        "what a parameterization can afford, then the network run in it.",
        BUDGET,
    )
    _panels(
        view,
        "raw-output",
        "Gains",
        "How many times as large as the output's an error of the image and of the noise is: the factors between the "
        "three panels above, from the network itself.",
        GAINS,
    )


def _panels(view: View, probe: str, title: str, note: str, curves: list[Curve]) -> None:
    """Panels of one probe, or the line of a suite that asks for it."""
    st.subheader(title)
    measured = [curve for curve in curves if curve in offered(view.report.tables)]
    if not measured:
        name = curves[0].probe
        st.caption(f'Not measured in this run. A suite asks for it with `[probes] use = ["{name}"]`.')
        return
    st.caption(note)
    figure = view.report.probes(measured)
    show(figure, f"{probe}-figure")
    offer(view, probe, figure, partial(quantities, view.report.tables, measured), f"probes({measured!r})")
