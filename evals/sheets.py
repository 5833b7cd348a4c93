"""Contact sheets: the thumbnails of a cell as one lossless WebP, sixteen tiles a row.

thumbnails -> save_sheet -> CELL.webp -> tiles -> Run.images, Run.worst, Run.film (run.py).

Pillow loads with the first sheet: who only lists runs and draws curves does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

TILE = 256
"""Pixels a side that a thumbnail has at most."""
_COLUMNS = 16
_SIDE = 16383  # WebP's


def sheet_holds(height: int, width: int) -> int:
    """How many tiles of images of a size one sheet can hold."""
    return _SIDE // -(-height // _reduction(height, width)) * _COLUMNS


def save_sheet(tiles: np.ndarray, path: Path) -> None:
    """`(N, H, W, C)` uint8 -> one lossless WebP, sixteen tiles a row, each reduced to at most TILE pixels a side."""
    from PIL import Image

    tiles = np.stack([_reduced(tile) for tile in tiles])
    count, height, width, channels = tiles.shape
    rows = -(-count // _COLUMNS)
    sheet = np.zeros((rows * height, min(count, _COLUMNS) * width, channels), np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, _COLUMNS)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet).save(path, lossless=True)


def tiles(path: Path, shape: tuple[int, int], indices: Iterable[int]) -> Iterator[np.ndarray]:
    """The tiles of a sheet by number, each `(H, W, 3)` uint8; shape: (H, W) of the images before they were reduced."""
    from PIL import Image

    factor = _reduction(*shape)
    height, width = (-(-side // factor) for side in shape)
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    for index in indices:
        row, column = divmod(int(index), _COLUMNS)
        yield sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]


def _reduction(height: int, width: int) -> int:
    return -(-max(height, width) // TILE)


def _reduced(tile: np.ndarray) -> np.ndarray:
    """Averaged over squares of pixels until it is at most TILE a side."""
    factor = _reduction(*tile.shape[:2])
    if factor == 1:
        return tile
    from PIL import Image

    image = Image.fromarray(tile.squeeze(-1) if tile.shape[-1] == 1 else tile).reduce(factor)
    return np.asarray(image).reshape(image.height, image.width, -1)
