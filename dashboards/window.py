"""What the browser's window is like, asked of the browser itself: as narrow as a phone? light or dark?

main.py mounts `ask` -> the browser answers where it differs from what the page was drawn for -> the script runs again,
with figures `fitted` by view.py's `show`, and tables in the theme's inks. Otherwise nothing is drawn twice.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.components.v2 import component

from ..reports.figures import style
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
# Streamlit runs the component again when the theme changes, but not the script: tables would keep their inks, which no
# stylesheet reaches.
# Plotly takes a tap for two clicks, its touch and the mouse that a browser makes of it, and a swipe for the end of a
# choice. Kept from it, a touch is the browser's alone: a swipe scrolls the page, a tap is one click.
_ask = component(
    f"sigmascope.{KEY}",
    js=f"""
    export default ({{data, setStateValue}}) => {{
        const small = matchMedia("(max-width: {WIDTH}px)");
        const tell = () => {{ if (small.matches !== data.narrow) setStateValue("narrow", small.matches); }};
        const later = setTimeout(() => {{  // to ask for a style makes the browser work out all others first
            const theme = getComputedStyle(document.querySelector(".stApp")).colorScheme;
            if (theme !== data.theme) setStateValue("theme", theme);
        }}, 100);
        const keep = event => {{
            if (small.matches && event.target.closest?.(".js-plotly-plot .draglayer")) event.stopPropagation();
        }};
        tell();
        if (data.look) document.querySelector(data.look)?.scrollIntoView({{block: "center", behavior: "smooth"}});
        small.addEventListener("change", tell);
        document.addEventListener("touchstart", keep, {{capture: true, passive: true}});
        return () => {{
            clearTimeout(later);
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
    drawn = {"narrow": narrow(), "theme": theme(), "look": st.session_state.pop("look", "")}
    _ask(key=KEY, data=drawn, on_narrow_change=_told, on_theme_change=_seen)


def look(key: str) -> None:
    """In a click's callback: in a narrow window go to the figure that it changes, which is out of sight there."""
    if narrow():
        st.session_state["look"] = f".st-key-{key}"


def narrow() -> bool:
    """What the browser has said; before it has, whether it calls itself a phone's."""
    return bool(st.session_state.get("narrow", "Mobi" in st.context.headers.get("User-Agent", "")))


def theme() -> style.Theme:
    """What the reader's browser shows."""
    return "dark" if st.context.theme.type == "dark" else "light"


def first(table: pd.DataFrame, *columns: str) -> list[str] | None:
    """`column_order` of a table: these first in a narrow window, where a finger must move it to see the others."""
    return [*columns, *(str(name) for name in table if name not in columns)] if narrow() else None


def _told() -> None:
    st.session_state["narrow"] = bool(st.session_state[KEY]["narrow"])


def _seen() -> None:
    """Nothing to keep: the browser says its theme whenever it asks for anything."""


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
