"""A link to another page with other widgets set, the run among them.

`view.go_to` names widgets in the address, which sets those that this page does not have. The sidebar's are on every
page and keep what they hold; so `lead` names them by another name, which `arrive` turns into what they hold.
"""

from __future__ import annotations

import streamlit as st

from .view import View

MARK = "to_"
LISTS = {"with"}
"""Widgets that hold several values."""


def lead(view: View, path: str, label: str, **chosen: str) -> None:
    """`chosen`: what the widgets of these keys are to show there. Nothing where there is no such page."""
    if path in view.pages:
        st.page_link(view.pages[path], label=label, query_params={MARK + key: value for key, value in chosen.items()})


def arrive() -> None:
    """Before any widget is drawn: give those that a link named what it says."""
    for name in [name for name in st.query_params if name.startswith(MARK)]:
        key, values = name.removeprefix(MARK), st.query_params.get_all(name)
        del st.query_params[name]
        st.session_state[key] = values if key in LISTS else values[-1]
