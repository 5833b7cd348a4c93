"""Is the browser's window as narrow as a phone? Asked of the browser itself; figures are then drawn to fit it.

main.py mounts `ask` -> the browser answers where it differs from what the server took it for ->
`narrow` -> view.py's `show` draws `fitted` figures. A wide window has nothing to say, and nothing is drawn twice.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v2 import component

from ..reports.figures.narrow import least_width
from ..reports.figures.narrow import narrow as patch

KEY = "window"
WIDTH = 640
"""Pixels: where Streamlit itself puts columns under one another, and the report its panels."""
SCROLLS = "-scrolls"
"""How the keys of boxes end that a finger moves sideways."""
FADE = 32
"""Pixels at the right edge of such a box, in which its picture fades: there is more."""
STYLE = f"""<style>
.st-key-{KEY} {{position: absolute}}
[class*="{SCROLLS}"] {{
    overflow-x: auto; overscroll-behavior-x: contain;
    mask-image: linear-gradient(to left, transparent, black {FADE}px);
}}
@media (max-width: {WIDTH}px) {{
    [data-testid="stExpandSidebarButton"]::after {{content: "Menu"; margin-left: 4px; font-size: 0.9rem}}
}}
</style>"""
# Plotly takes a tap for two clicks, its touch and the mouse that a browser makes of it, and a swipe for the end of a
# choice. Kept from it, a touch is the browser's alone: a swipe scrolls the page, a tap is one click.
_ask = component(
    f"sigmascope.{KEY}",
    js=f"""
    export default ({{data, setStateValue}}) => {{
        const small = matchMedia("(max-width: {WIDTH}px)");
        const tell = () => {{ if (small.matches !== data.narrow) setStateValue("narrow", small.matches); }};
        const keep = event => {{
            if (small.matches && event.target.closest?.(".js-plotly-plot .draglayer")) event.stopPropagation();
        }};
        tell();
        if (data.look) document.querySelector(data.look)?.scrollIntoView({{block: "center", behavior: "smooth"}});
        small.addEventListener("change", tell);
        document.addEventListener("touchstart", keep, {{capture: true, passive: true}});
        return () => {{
            small.removeEventListener("change", tell);
            document.removeEventListener("touchstart", keep, {{capture: true}});
        }};
    }};
    """,
)


def ask() -> None:
    """Mount what knows the window: it asks for another run of the script when the server has it wrong.

    After `st.navigation`: before it a browser knows no page's number, and would ask for the first one.
    """
    _ask(key=KEY, data={"narrow": narrow(), "look": st.session_state.pop("look", "")}, on_narrow_change=_told)


def look(key: str) -> None:
    """In a click's callback: in a narrow window go to the figure that it changes, which is out of sight there."""
    if narrow():
        st.session_state["look"] = f".st-key-{key}"


def narrow() -> bool:
    """What the browser has said; before it has, whether it calls itself a phone's."""
    return bool(st.session_state.get("narrow", "Mobi" in st.context.headers.get("User-Agent", "")))


def first(table: pd.DataFrame, *columns: str) -> list[str] | None:
    """`column_order` of a table: these first in a narrow window, where a finger must move it to see the others."""
    return [*columns, *(str(name) for name in table if name not in columns)] if narrow() else None


def _told() -> None:
    st.session_state["narrow"] = bool(st.session_state[KEY]["narrow"])


def draw(figure: go.Figure, key: str, **options: Any) -> Any:
    """`st.plotly_chart` for a narrow window: panels stacked; a sheet too wide for it in a box that a finger moves."""
    least = least_width(figure)
    if not least:
        return st.plotly_chart(fitted(figure), key=key, **options)
    st.caption("Swipe sideways for more →")
    with st.container(key=f"{key}{SCROLLS}"):
        st.html(f"<style>.st-key-{key}{SCROLLS} > * {{min-width: {least + FADE}px; padding-right: {FADE}px}}</style>")
        return st.plotly_chart(fitted(figure), key=key, **options)


def fitted(figure: go.Figure) -> go.Figure:
    """A copy as it is drawn in a narrow window; the wide one stays as it is, for others and for downloads."""
    copy = go.Figure(figure)
    copy.plotly_relayout(patch(figure))
    return copy
