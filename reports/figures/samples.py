"""What the samples look like: a row per model, a column per sample id, so that a column is one seed in every model."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from . import style

GAP, MAX_COLUMNS, MIN_SIDE = 4, 12, 64


def samples(
    rows: Mapping[str, Mapping[int, np.ndarray]],
    colours: dict[str, str],
    labels: Mapping[int, int] | None = None,
    theme: style.Theme = "light",
) -> go.Figure:
    """rows: model -> (sample id -> HWC uint8). Only the ids that some model has kept, the first twelve, are shown.

    labels: sample id -> class asked for; -1 where there was none.
    """
    ids = shared_ids(rows)
    if not ids:
        return style.empty("No images were kept for this sampler.", theme)
    side = max(image.shape[0] for images in rows.values() for image in images.values())
    scale = max(1, -(-MIN_SIDE // side))
    pitch = side * scale + GAP
    figure = go.Figure(go.Image(source=data_uri(sheet(rows, ids, scale)), hoverinfo="skip"))
    names = [style.coloured(model, colours) for model in rows]
    classes = labels or {}
    titles = [
        f"#{sample}<br>class {classes[sample]}" if classes.get(sample, -1) >= 0 else f"#{sample}" for sample in ids
    ]
    middle = (pitch - GAP) / 2
    figure.update_xaxes(
        tickvals=[middle + pitch * i for i in range(len(ids))], ticktext=titles, side="top", showgrid=False
    )
    figure.update_yaxes(
        tickvals=[middle + pitch * i for i in range(len(rows))],
        ticktext=names,
        showgrid=False,
        constrain="domain",
        constraintoward="top",
        ticklabelstandoff=8,
    )
    return figure.update_layout(template=style.template(theme), height=70 + 80 * len(rows), margin={"t": 60, "b": 10})


def shared_ids(rows: Mapping[str, Mapping[int, np.ndarray]]) -> list[int]:
    """Sample ids that any model kept, in order, at most twelve."""
    return sorted({sample for images in rows.values() for sample in images})[:MAX_COLUMNS]


def sheet(rows: Mapping[str, Mapping[int, np.ndarray]], ids: Sequence[int], scale: int) -> Image.Image:
    """One picture of all rows; pixels enlarged `scale` times without smoothing, gaps and absent samples clear."""
    side = max(image.shape[0] for images in rows.values() for image in images.values()) * scale
    pitch = side + GAP
    picture = Image.new("RGBA", (pitch * len(ids) - GAP, pitch * len(rows) - GAP))
    for row, images in enumerate(rows.values()):
        for column, sample in enumerate(ids):
            if sample in images:
                tile = Image.fromarray(_rgb(images[sample])).resize((side, side), Image.Resampling.NEAREST)
                picture.paste(tile, (pitch * column, pitch * row))
    return picture


def data_uri(picture: Image.Image) -> str:
    """A picture as text that a page can hold."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] == 1 else image[..., :3]
