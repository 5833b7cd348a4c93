"""What do the samples look like? A row per model, a column per seed."""

from __future__ import annotations

import streamlit as st

from ..reports.tables import cell_title, sample_settings
from .view import View, show


def page(view: View) -> None:
    settings = sample_settings(view.report.tables, every=True)
    if settings.empty:
        st.info("No images were kept in this run. A suite keeps some when its [sampling] table asks for thumbnails.")
        return
    titles = [cell_title(row) for _, row in settings.iterrows()]
    title = st.sidebar.selectbox("Sampler setting", titles, index=len(titles) - 1, key="setting", bind="query-params")
    row = settings.iloc[titles.index(title)]
    show(view.report.samples(row["sampler"], int(row["steps"]), row["grid"], view.theme), "samples-figure")
    st.caption("A column is one seed: the same starting noise in every model. Pixels are enlarged without smoothing.")
