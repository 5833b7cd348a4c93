"""A plain Streamlit page, for benchmarks/dashboard.py: the same widgets, as many points, one Parquet file, no more.

streamlit run benchmarks/dashboard_plain.py -- LEVELS.parquet
"""

from __future__ import annotations

import sys

import pandas as pd
import plotly.graph_objects as go
import pyarrow.parquet as pq
import streamlit as st
from plotly.subplots import make_subplots

SHOWN = 100
PROBES = ("error", "low", "high")


@st.cache_data
def run_names(path: str) -> list[str]:
    return list(pq.read_table(path, columns=["run"])["run"].unique().to_pylist())


@st.cache_data
def levels(path: str, run: str) -> pd.DataFrame:
    return pd.read_parquet(path, filters=[("run", "==", run)])


def curves(table: pd.DataFrame, baseline: str, probe: str) -> go.Figure:
    """Three panels, a line and a band a model: 75 points each at 25 levels. The second is against the baseline."""
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True)
    base = table.loc[table["model"] == baseline, "error"].to_numpy()
    for row in (1, 2, 3):
        for model, own in table.groupby("model", sort=False):
            if row == 2 and model == baseline:
                continue
            scale = base if row == 2 else 1.0
            column = probe if row == 3 else "error"
            band = [*(own["high"] / scale), *(own["low"] / scale)[::-1]]
            figure.add_scatter(x=[*own["sigma"], *own["sigma"][::-1]], y=band, fill="toself", row=row, col=1)
            figure.add_scatter(x=own["sigma"], y=own[column] / scale, name=str(model), row=row, col=1)
    return figure.update_xaxes(type="log").update_layout(height=700)


def dots(table: pd.DataFrame, baseline: str) -> go.Figure:
    figure = make_subplots(rows=1, cols=3)
    base = table.loc[table["model"] == baseline, "error"].iloc[0]
    for column in (1, 2, 3):
        for model, own in table.groupby("model", sort=False):
            figure.add_scatter(x=own["error"].head(1) / base, y=[str(model)], mode="markers+text", row=1, col=column)
    return figure


def overview() -> None:
    st.plotly_chart(dots(table, baseline), key="overview")
    words = st.text_input("Filter")
    shown = [name for name in names if words in name]
    st.dataframe(pd.DataFrame({"run": shown}).assign(status="complete", created="", models=4).head(500))


def noise_levels() -> None:
    probe = st.sidebar.selectbox("Probe", PROBES)
    st.plotly_chart(curves(table, baseline, probe), key="noise-levels")


def samplers() -> None:
    figure = go.Figure()
    for model, own in table.groupby("model", sort=False):
        figure.add_scatter(x=own["sigma"].head(14), y=own["error"], mode="lines+markers", name=str(model))
    st.plotly_chart(figure, key="samplers")


path = sys.argv[1]
st.set_page_config(page_title="Plain", layout="wide")
names = run_names(path)
run = st.sidebar.selectbox("Run", names[:SHOWN])
table = levels(path, run)
baseline = st.sidebar.selectbox("Baseline", table["model"].unique())
pages = [
    st.Page(overview, title="Overview", default=True), st.Page(noise_levels, title="Noise levels"),
    st.Page(samplers, title="Samplers"),
]  # fmt: skip
st.navigation(pages, position="top").run()
