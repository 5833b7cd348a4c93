"""Images in rows and columns as one picture: the ground of sample grids, of worst images and of pairs that flip."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from . import style

GAP = 4
TITLED = 20
"""Between rows of images, where each has a title of its own."""
Row = Mapping[int, np.ndarray]
"""Column number -> HWC uint8; an absent column stays empty."""
Said = Mapping[tuple[int, int], tuple[str, list[object]]]
"""(row, column) -> words to show, already safe for Plotly, and what a click tells the page."""


def grid(
    rows: Sequence[Row],
    names: Sequence[str],
    titles: Sequence[str],
    pitch: int,
    theme: style.Theme = "light",
    absent: str = "",
) -> go.Figure:
    """Rows of images with a name beside each row and a title over each column, both already safe for Plotly.

    pitch: about how many pixels of the page a row takes. absent: what stands where an image is missing, in a frame.
    """
    ids = list(range(len(titles)))
    scale = enlargement(rows)
    picture = sheet(rows, ids, scale)
    figure = go.Figure(go.Image(source=data_uri(picture), hoverinfo="skip"))
    if absent:
        for place in ((row, column) for row, kept in enumerate(rows) for column in ids if column not in kept):
            _frame(figure, place, _side(rows, scale), absent, theme)
    return _axes(figure, rows, names, titles, scale).update_layout(
        template=style.template(theme), height=70 + pitch * len(rows), margin={"t": 60, "b": 10}
    )


def flip(
    faces: Mapping[str, Row],
    titles: Sequence[str],
    columns: int,
    pitch: int = 84,
    theme: style.Theme = "light",
    said: Sequence[str] = (),
) -> go.Figure:
    """Faces of one sheet, one at a time, with a button for each: what changes between them jumps to the eye.

    faces: what a button says -> images by number; `columns` images a row, each with its title over it.
    said: of each what hovering over it shows.
    """
    count = len(titles)
    scale = enlargement(list(faces.values()))
    side = max(len(image) for face in faces.values() for image in face.values())
    figure = go.Figure()
    lines = range(0, count, columns)
    for index, face in enumerate(faces.values()):
        rows = [{place: face[first + place] for place in range(columns) if first + place in face} for first in lines]
        picture = sheet(rows, range(min(columns, count)), scale, side, TITLED)
        figure.add_image(source=data_uri(picture), hoverinfo="skip", visible=index == 0)
    across, down = side * scale + GAP, side * scale + TITLED
    figure.add_scatter(
        x=[across * (place % columns + 0.5) - GAP / 2 for place in range(count)],
        y=[down * (place // columns) - 2 for place in range(count)], text=list(titles), mode="text", showlegend=False,
        textposition="top center", textfont={"size": 10, "color": style.quiet(theme)}, hoverinfo="skip",
    )  # fmt: skip
    if said:
        targets(figure, rows, {divmod(place, columns): (words, [place]) for place, words in enumerate(said)}, TITLED)
    _axes(figure, [{}] * len(lines), [""] * len(lines), list(titles[:columns]), scale, side)
    figure.update_xaxes(showticklabels=False).update_yaxes(showticklabels=False)
    figure.update_yaxes(range=[down * len(lines) - TITLED - 0.5, -TITLED - 0.5])
    of_faces = list(range(len(faces)))
    buttons = [
        {"label": name, "method": "restyle", "args": [{"visible": [name == other for other in faces]}, of_faces]}
        for name in faces
    ]  # fmt: skip
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons", "direction": "right", "buttons": buttons, "showactive": True, "x": 0,
                "xanchor": "left", "y": 1.0, "yanchor": "bottom", "pad": {"b": 6}, **style.buttons(theme),
            }
        ],
    )  # fmt: skip
    return figure.update_layout(
        template=style.template(theme),
        height=60 + (pitch + TITLED) * len(lines),
        margin={"t": 48, "b": 4, "l": 24, "r": 8},
    )


def targets(figure: go.Figure, rows: Sequence[Row], said: Said, gap: int = GAP) -> None:
    """Invisible points over a grid's images, to be hovered over and clicked. gap: between its rows."""
    side = _side(rows, enlargement(rows))
    pitch, down = side + GAP, side + gap
    columns = 1 + max((place for row in rows for place in row), default=0)
    figure.add_scatter(
        x=[pitch * (column + 0.5) - GAP / 2 for _, column in said],
        y=[down * row + side / 2 for row, _ in said],
        mode="markers", marker={"size": 44, "symbol": "square", "opacity": 0}, showlegend=False,
        selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
        hovertext=[words for words, _ in said.values()], hoverinfo="text", customdata=[own for _, own in said.values()],
    )  # fmt: skip
    # the picture's own extent: points would have the axes reach further
    figure.update_xaxes(range=[-0.5, columns * pitch - GAP - 0.5])
    figure.update_yaxes(range=[len(rows) * down - gap - 0.5, -0.5])


def difference(first: np.ndarray, second: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """gain (second - first) / 2 around mid-grey, HWC uint8; the gain must not lead beyond black or white."""
    return np.asarray((127.5 + gain * (second.astype(float) - first.astype(float)) / 2).round(), np.uint8)


def largest_gain(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """That of `difference` with which the largest of these is black or white; 1 where nothing differs."""
    most = max((float(np.abs(second.astype(float) - first).max()) for first, second in pairs), default=0.0)
    return 255 / most if most else 1.0


def enlargement(rows: Sequence[Row], least: int = 64) -> int:
    """How many times images are enlarged so that the largest is `least` pixels high."""
    side = max((len(image) for row in rows for image in row.values()), default=least)
    return max(1, -(-least // side))


def sheet(rows: Sequence[Row], ids: Sequence[int], scale: int, side: int | None = None, gap: int = GAP) -> Image.Image:
    """One picture of all rows; pixels enlarged `scale` times without smoothing, gaps and absent images clear.

    gap: pixels between rows.
    """
    side = (side or max(len(image) for row in rows for image in row.values())) * scale
    pitch, down = side + GAP, side + gap
    picture = Image.new("RGBA", (pitch * len(ids) - GAP, down * len(rows) - gap))
    for number, row in enumerate(rows):
        for column, key in enumerate(ids):
            if key in row:
                tile = Image.fromarray(_rgb(row[key])).resize((side, side), Image.Resampling.NEAREST)
                picture.paste(tile, (pitch * column, down * number))
    return picture


def data_uri(picture: Image.Image) -> str:
    """A picture as text that a page can hold."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _side(rows: Sequence[Row], scale: int) -> int:
    """Pixels of the picture that an image takes."""
    return scale * max(len(image) for row in rows for image in row.values())


def _frame(figure: go.Figure, place: tuple[int, int], side: int, words: str, theme: style.Theme) -> None:
    """A dotted frame in place of an image, with words in it."""
    top, left = (number * (side + GAP) for number in place)
    line = {"color": style.quiet(theme), "width": 1, "dash": "dot"}
    figure.add_shape(type="rect", x0=left, x1=left + side, y0=top, y1=top + side, line=line, opacity=0.6)
    figure.add_annotation(
        x=left + side / 2, y=top + side / 2, text=words, font={"size": 10, "color": style.quiet(theme)}
    )


def _axes(
    figure: go.Figure,
    rows: Sequence[Row],
    names: Sequence[str],
    titles: Sequence[str],
    scale: int,
    side: int | None = None,
) -> go.Figure:
    side = (side or max(len(image) for row in rows for image in row.values())) * scale
    pitch, middle = side + GAP, side / 2
    figure.update_xaxes(
        tickvals=[middle + pitch * i for i in range(len(titles))], ticktext=list(titles), side="top", showgrid=False
    )
    return figure.update_yaxes(
        tickvals=[middle + pitch * i for i in range(len(rows))],
        ticktext=list(names),
        showgrid=False,
        constrain="domain",
        constraintoward="top",
        ticklabelstandoff=8,
    )


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., :1], 3, axis=2) if image.shape[2] == 1 else image[..., :3]
