"""On Compare: which noise levels carry the change in samples. What was kept of these very models, or how to get it."""

from __future__ import annotations

import shlex

import numpy as np
import streamlit as st

from ..errors import SigmascopeError
from ..evals.store import Run
from ..reports.attribution import cost, sentence
from ..reports.attribution_document import Stored, stored
from ..reports.compare import Comparison
from ..reports.figures.attribution import attribution
from ..reports.kept import KeptAttribution, attribution_of
from ..reports.report import Report
from ..reports.tables import each
from .downloads import offer
from .view import View, plain, show

TITLE = "Which noise levels carry the change in the samples"
Side = tuple[Run, str]
"""A run and the name of one of its models."""


def attributed(view: View, comparison: Comparison) -> None:
    """Sentences, figure and what makes them; where nothing is kept, the command that measures it."""
    sides = _model(view.report, comparison.baseline), _model(view.report, comparison.candidate)
    try:
        kept = attribution_of(view.root, *sides)
    except SigmascopeError as error:
        st.warning(plain(str(error)))
        return
    if kept is None:
        with st.expander(f"{TITLE}: not measured yet"):
            st.caption("This measures it; where the suite's specs are relative, `--root` is its folder:")
            st.code(_command(view, sides), language="bash", wrap_lines=True)
        return
    st.subheader(TITLE)
    found, subject = stored(kept.attribution)
    for metric in found.metrics:
        st.markdown(plain(sentence(found, metric, subject)))
    figure = attribution(found, found.metrics[0])
    show(figure, "attribution-figure")
    settings = ", ".join(f"{name} {value}" for name, value in subject.settings.items())
    st.caption(plain(f"{kept.when[:16].replace('T', ' ')} UTC; {cost(found)}. {settings}"))
    command = _command(view, sides, _asked(kept, found))
    offer(view, "attribution", figure, lambda: found.tables["bands"], _python(view, sides), command)


def _command(view: View, sides: tuple[Side, Side], flags: str = "") -> str:
    first, second = (shlex.quote(f"{run.id}:{name}") for run, name in sides)
    return f"sigmascope attribute {first} {second}{flags} --runs {shlex.quote(str(view.root))} --root ."


def _asked(kept: KeptAttribution, found: Stored) -> str:
    """The flags with which it was measured, of those that it tells."""
    settings = kept.attribution.settings
    steps, _, grid = settings.get("steps", "").partition(", ")
    seeds, _, noise = settings.get("seeds", "").partition(", noise ")
    said = {"sampler": kept.base.sampler, "steps": steps, "grid": grid, "seeds": seeds, "seed": noise}
    cuts = found.bands.edges
    if np.allclose(np.diff(np.log(cuts), 2), 0, atol=1e-6):
        said["bands"] = str(found.bands.count)
    else:
        said["edges"] = ",".join(map(repr, cuts[1:-1]))
    flags = "".join(f" --{name} {shlex.quote(value)}" for name, value in said.items() if value)
    return flags if found.exact else f"{flags} --screen"


def _python(view: View, sides: tuple[Side, Side]) -> str:
    (first, base), (second, candidate) = sides
    return (
        "from pathlib import Path\n\nfrom sigmascope import Store\n"
        "from sigmascope.reports.attribution_document import stored\n"
        "from sigmascope.reports.figures.attribution import attribution\n"
        "from sigmascope.reports.kept import attribution_of\n\n"
        f"root = Path({str(view.root)!r})\n"
        f"base, candidate = Store(root).find({first.id!r}), Store(root).find({second.id!r})\n"
        f"kept = attribution_of(root, (base, {base!r}), (candidate, {candidate!r}))\n"
        "found, subject = stored(kept.attribution)\n"
        "attribution(found, found.metrics[0]).show()"
    )


def _model(report: Report, label: str) -> Side:
    row = next(row for row in each(report.tables.models) if row.label == label)
    return report.runs[row.source], str(row.name)
