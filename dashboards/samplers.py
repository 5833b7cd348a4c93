"""Which sampler, at which cost? Quality against network evaluations, one metric at a time."""

from __future__ import annotations

import streamlit as st

from ..reports.tables import metric_names
from ..reports.tables import samplers as samplers_table
from .downloads import offer
from .view import View, show


def page(view: View) -> None:
    metrics = metric_names(view.report.tables)
    if not metrics:
        st.info("No samples were scored in this run. A suite scores them when it has a [sampling] table.")
        return
    metric = st.sidebar.selectbox("Metric", metrics, key="metric", bind="query-params")
    table = samplers_table(view.report.tables, metric)
    figure = view.report.samplers(metric, view.theme)
    show(figure, "samplers-figure")
    offer(view, "samplers", figure, lambda: table, f"samplers({metric!r})")
    setting = ["model", "sampler", "steps", "grid", "guidance"]
    columns = [*setting, "evaluations", "value", "low", "high", "n", "front", "contender", "protocol"]
    st.dataframe(table[columns], hide_index=True)
