"""Does a network's error hurt because of what it predicts? Raw output error, its gains, and what they make of it."""

from __future__ import annotations

import streamlit as st

from ..reports.tables import parameterizations as gains
from .view import View, show


def page(view: View) -> None:
    show(view.report.parameterizations(view.theme), "parameterizations-figure")
    st.dataframe(gains(view.report.tables), hide_index=True)
