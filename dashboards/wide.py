"""Figures of several columns on a phone: as wide as they need, in a strip to be pushed sideways."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from .view import show

NEEDS = 760
"""Pixels: below, panels side by side would run into each other."""
STYLE = (
    f"<style>@media (max-width: {NEEDS}px) {{[class*='st-key-wide-']"
    f" {{overflow-x: auto; max-width: 100%}} [class*='st-key-wide-'] > div {{min-width: {NEEDS}px}}}}</style>"
)


def show_wide(figure: go.Figure, key: str, **options: Any) -> Any:
    """`view.show`, in a strip that is never narrower than the figure needs."""
    st.html(STYLE)
    with st.container(key=f"wide-{key}"):
        return show(figure, key, **options)
