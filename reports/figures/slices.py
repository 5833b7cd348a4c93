"""Which class, frequency or region: one quantity of one model, a row per slice, on the sigma axis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..numbers import interval, number, percent
from ..tables import each
from . import style

ROW = 26
"""Pixels a slice."""
LESS, SAME, MORE, MOST = "#0072B2", "#c4c8cd", "#D55E00", "#8F6A38"
"""Of cells, which are a picture: no stylesheet changes them, so they are seen on a light and on a dark page."""
VALUES = {"colorscale": [[0.0, SAME], [1.0, MOST]], "colorbar": {"thickness": 10, "outlinewidth": 0}}
"""Where there is no ratio: from 0 to the most."""


def slices(table: pd.DataFrame, baseline: str, theme: style.Theme = "light") -> go.Figure:
    """From `quantities.against_baseline`, one model's rows of one quantity.

    Colour is ln of the ratio to the baseline's value, red above and blue below; where there is no ratio (the baseline
    itself, values of both signs) it is the value.
    """
    if table.empty:
        return style.empty("This quantity has no slices.", theme)
    compared = bool(table["ratio"].notna().any()) and table["model"].iloc[0] != baseline
    shown = np.log(table["ratio"]) if compared else table["value"]
    hover = [
        f"<b>{style.text(row.slice)}</b> · σ {number(row.sigma)}<br>{number(row.value)} {interval(row.low, row.high)}"
        + (f"<br>{percent(row.ratio)} against {style.text(baseline)}" if compared else "")
        + f"<br>{row.images} images"
        for row in each(table)
    ]
    names, sigmas = list(dict.fromkeys(table["slice"])), np.sort(table["sigma"].unique())
    cells = table.assign(shown=shown, hover=hover)
    values = cells.pivot_table(index="slice", columns="sigma", values="shown", dropna=False).reindex(index=names)
    texts = cells.pivot(index="slice", columns="sigma", values="hover").reindex(index=names, columns=values.columns)  # noqa: PD010
    figure = go.Figure(
        go.Heatmap(
            x=sigmas, y=[style.text(name) for name in names], z=values.to_numpy(float), text=texts.to_numpy(),
            hoverinfo="text", xgap=1, ygap=1, **(_ratio_scale(values) if compared else VALUES),
        )
    )  # fmt: skip
    figure.update_xaxes(**style.log_axis(sigmas[0], sigmas[-1]), title_text="noise level σ", showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_layout(template=style.template(theme), height=90 + ROW * len(names), margin_t=10)


def _ratio_scale(values: pd.DataFrame) -> dict[str, object]:
    most = max(float(np.nanmax(np.abs(values.to_numpy(float)), initial=0.0)), 0.05)
    places, written = style.ratio_ticks(float(np.exp(-most)), float(np.exp(most)))
    scale = [[0.0, LESS], [0.5, SAME], [1.0, MORE]]
    bar = {"tickvals": np.log(places), "ticktext": written, "thickness": 10, "outlinewidth": 0}
    return {"colorscale": scale, "zmin": -most, "zmax": most, "colorbar": bar}
