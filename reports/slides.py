"""Every figure of a report as a file, for slides: PNG or SVG, drawn by kaleido in the machine's Chrome or Chromium.

sections.plates -> write_slides -> FOLDER/noise-levels.png ... A figure with buttons becomes a file for each button.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import plotly.graph_objects as go

from ..errors import ConfigError, StoreError
from .figures import style
from .figures.narrow import least_width
from .plates import Plate, slug
from .report import Report
from .sections import plates

Format = Literal["png", "svg"]
WIDTH, SCALE = 960, 2.5
"""Pixels of the layout, and how many of the picture each is: 2400 wide, where text is 13 points on a 13-inch slide."""


def check_slides(folder: Path) -> None:
    """Raises ConfigError, before any work, where there is no kaleido, no browser, or no place for the folder."""
    if find_spec("kaleido") is None:
        raise ConfigError(
            "figures as files: expected kaleido, which is not installed: pip install 'sigmascope[figures]'"
        )
    if not _browser():
        raise ConfigError(
            "figures as files: expected Chrome or Chromium, which is not found: install one (kaleido_get_chrome does), "
            "or name it in BROWSER_PATH"
        )
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(
            f"figures as files: expected a folder, or a new one in an existing folder, got {str(folder)!r}"
        )


def write_slides(folder: Path, report: Report, kind: Format = "png") -> list[Path]:
    """Write every figure to the folder, over those of the same names; the others there stay.

    Raises ConfigError as `check_slides` does, StoreError for a place that can't be written.
    """
    check_slides(folder)
    import kaleido  # type: ignore[import-untyped]

    shown = [(name, figure) for plate in plates(report) for name, figure in faces(plate)]
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as fresh:
            jobs = [_job(figure, Path(fresh) / f"{name}.{kind}", kind) for name, figure in shown]
            kaleido.write_fig_from_object_sync(jobs, kopts={"mathjax": False})  # else it asks the network for one
            return [Path(job["path"]).replace(folder / Path(job["path"]).name) for job in jobs]
    except OSError as error:
        raise StoreError(f"{folder}: can't be written: {error}") from error


def faces(plate: Plate) -> Iterator[tuple[str, go.Figure]]:
    """(file name, figure) as paper shows it: on white, without buttons, once for what each of them would show."""
    figure = go.Figure(plate.make()).update_layout(paper_bgcolor=style.ground("light"))
    buttons = [button for menu in figure.layout.updatemenus for button in menu.buttons]
    figure.layout.updatemenus = []
    if not buttons:
        yield plate.name, figure
    for place, button in enumerate(buttons, start=1):
        change, *which = button.args
        one = go.Figure(figure)
        for trace, visible in zip(which[0] if which else range(len(one.data)), change["visible"], strict=False):
            one.data[trace].visible = visible
        one.update_layout(title={"text": f"<b>{button.label}</b>", "x": 0.03, "font": {"size": 15}})
        yield f"{plate.name}-{place}-{slug(button.label)}", one


def _job(figure: go.Figure, path: Path, kind: Format) -> dict[str, Any]:
    few = any(trace.type == "image" for trace in figure.data) and not least_width(figure)
    size = {"width": WIDTH // 2 if few else WIDTH, "height": int(figure.layout.height or 450)}
    return {"fig": figure.to_dict(), "path": path, "opts": {"format": kind, "scale": SCALE, **size}}


def _browser() -> str | None:
    """The browser that kaleido will find."""
    from choreographer.browsers.chromium import Chromium

    named = os.environ.get("BROWSER_PATH")
    return shutil.which(named) if named else Chromium.find_browser(skip_local=False)
