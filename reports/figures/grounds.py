"""Light and dark pages: figures are drawn once, in the inks of a light page; on a dark one a stylesheet exchanges them.

Every ink of a light page has its own counterpart on a dark one (test_palette.py), and Plotly writes inks into its
elements' styles, where CSS finds them. So a reader's change of theme asks nothing of a server, and a page holds each
figure once. What is dark is up to the page: its CSS `color-scheme`.
"""

from __future__ import annotations

from . import style


def _pairs() -> dict[str, str]:
    light, dark = (
        (*style.PALETTES[one], *style.VERDICTS[one].values(), *style.INKS[one], style.ground(one))
        for one in ("light", "dark")
    )
    inks = dict(zip(light, dark, strict=True))
    return inks | {letters: inks[colour] for colour, letters in style.LETTERS.items()}


DARK = _pairs()
""" "#rrggbb" on a light page -> on a dark one."""


def both(colour: str) -> str:
    """CSS of an ink of the light page, or of its counterpart where the page is dark; any other colour as it is."""
    return f"light-dark({colour}, {DARK[colour]})" if colour in DARK else colour


def stylesheet(when: str = "screen") -> str:
    """The exchange, in all figures of a page; Plotly's own pale buttons, which would glare on a dark one, with it.

    when: a media query, where it need not be tried: every rule is, on each of thousands of points.
    """
    _, _, grid, over = style.INKS["light"]
    words = [*style.LETTERS.values(), *style.VERDICTS["light"].values(), over]
    lines = [ink for ink in DARK if ink not in words]
    face = style.buttons("light")["bgcolor"]
    rules = [
        *(f'[style*="fill: {_rgb(ink)}"] {{ fill: {both(ink)} !important; }}' for ink in DARK if ink != grid),
        *(f'[style*="stroke: {_rgb(ink)}"] {{ stroke: {both(ink)} !important; }}' for ink in lines),
        *(f'tspan[style*="fill:{ink}" i] {{ fill: {both(ink)} !important; }}' for ink in DARK),
        f".updatemenu-item-rect {{ fill: light-dark({face}, #262c34) !important; }}",
        ".updatemenu-item-rect[style*='244, 250, 255'] { fill: light-dark(#f4faff, #4b5f76) !important; }",
    ]
    return f"@media {when} {{\n" + "\n".join(f".js-plotly-plot {rule}" for rule in rules) + "\n}"


def _rgb(colour: str) -> str:
    """As browsers write it."""
    return f"rgb({', '.join(str(channel) for channel in bytes.fromhex(colour[1:]))})"
