"""inspect names planted mistakes, nine in ten of every kind of model, and is silent about what is declared rightly.

The exact models cover paths, outputs and clocks in milliseconds; the bundled digits models, trained ones, do it slowly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.inspect import Inspection, inspect

from .exact import CLASSES, SHAPE, Known, data

MODELS = {
    "index, eps": Known("linear", "eps"),
    "index, v": Known("scaled_linear", "v"),
    "index, x0": Known("cosine_betas", "x0"),
    "cosine, v": Known("cosine", "v"),
    "score SDE": Known("vp(0.1, 20)", "eps", "999*t"),
    "VE score": Known("ve(0.01, 50)", "score"),
    "rectified flow": Known("rectified_flow", "flow"),
    "flow times 1000": Known("rectified_flow", "flow", "1000*t"),
    "flow matching": Known("flow_matching", "flow"),
    "formulas": Known({"alpha": "sin(pi*t/2)", "sigma_t": "cos(pi*t/2)"}, "flow"),
    "sigma, x0": Known("edm(0.02, 80)", "x0"),
    "EDM's F": Known("edm(0.02, 80)", "edm(0.5)", "log(sigma)/4"),
}
LIGHT = "index, eps"
models = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == LIGHT else pytest.mark.slow) for name in MODELS]
)


@dataclass(frozen=True)
class Plant:
    """One mistake, and what must be said of it."""

    declared: Callable[[], Denoiser]
    named: str
    data: DataSet

    def found(self) -> Inspection:
        return inspect(self.declared(), self.data)


@pytest.fixture(scope="module")
def images() -> DataSet:
    return data()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_declared_rightly_raises_no_alarm(name: str, images: DataSet) -> None:
    found = inspect(MODELS[name].declared(), images)
    assert found.mistakes == []
    assert found.notes == []


@models
def test_nine_in_ten_planted_mistakes_are_named(name: str, images: DataSet) -> None:
    plants = dict(planted(MODELS[name], images))
    said = {mistake: plant.found() for mistake, plant in plants.items()}
    missed = {m: f.mistakes + f.notes for m, f in said.items() if not is_named(f, plants[m].named)}
    assert len(plants) >= 9
    assert len(missed) <= len(plants) / 10, missed


def is_named(found: Inspection, expected: str) -> bool:
    """The mistake itself, and first; a model in train mode is put right and noted."""
    return re.search(expected, (found.mistakes + found.notes + [""])[0]) is not None


def planted(known: Known, images: DataSet) -> Iterator[tuple[str, Plant]]:
    def wrong(expected: str, **fields: Any) -> Plant:
        return Plant(lambda: known.declared(**fields), expected, images)

    looks = "EDM's F" if known.output.startswith("edm") else known.output
    for other in sorted({"x0", "eps", "v", "-eps"} - {known.output}):
        yield f"{other} declared", wrong(f"looks like {looks}.*, declared {other}", output=other)
    for time in REVERSED.get((str(known.path), known.time), ()):
        yield f"time is {time}", wrong("runs the other way", time=time)
    for path in {"rectified_flow": ("flow_matching",), "flow_matching": ("rectified_flow",)}.get(str(known.path), ()):
        yield f"path is {path}", wrong("runs the other way|path looks like", path=path)
    for time in SHIFTED.get((str(known.path), known.time), ()):
        yield f"time is {time}", wrong("index is shifted", time=time)
    yield "[0, 1] declared", wrong(r"data in \[-1, 1\], declared \[0, 1\]", data_range=(0.0, 1.0))
    yield "train mode", wrong("came in train mode", change=lambda network: network.train())
    yield "train mode, out of sight", Plant(lambda: hidden(known), "train mode", images)
    yield "labels dropped", wrong("labels do not reach", call="x, t, zeros_like(class_labels)")
    yield "classes not declared", wrong("conditioning is dropped", classes=None, call="x, t, int(0*t)")
    assert images.labels is not None
    turned = DataSet(images.images, (images.labels + 1) % CLASSES, "turned")
    yield "labels of the next class", Plant(known.declared, "labels are shifted", turned)


TABLE = ("t + 1", "t - 1", "t + 10", "t - 50")
REVERSED = {
    ("linear", "t"): ("T - 1 - t",),
    ("scaled_linear", "t"): ("T - 1 - t",),
    ("cosine_betas", "t"): ("T - 1 - t",),
    ("cosine", "t"): ("1 - t",),
    ("vp(0.1, 20)", "999*t"): ("999*(1 - t)",),
    ("ve(0.01, 50)", "t"): ("1 - t",),
    ("rectified_flow", "t"): ("1 - t",),
    ("rectified_flow", "1000*t"): ("1000*(1 - t)",),
    ("flow_matching", "t"): ("1 - t",),
}
SHIFTED = {
    ("linear", "t"): TABLE,
    ("scaled_linear", "t"): TABLE,
    ("cosine_betas", "t"): TABLE,
    ("cosine", "t"): ("t + 0.05", "t - 0.02"),
    ("vp(0.1, 20)", "999*t"): ("999*t + 25", "999*t - 50"),
    ("ve(0.01, 50)", "t"): ("t + 0.05",),
    ("rectified_flow", "t"): ("t + 0.05", "t - 0.02"),
    ("rectified_flow", "1000*t"): ("1000*t + 1", "1000*t - 1", "1000*t + 50"),
    ("flow_matching", "t"): ("t + 0.05", "t - 0.02"),
    ("edm(0.02, 80)", "log(sigma)/4"): ("log(sigma)/4 + 0.1",),
}


def hidden(known: Known) -> Denoiser:
    """The network in train mode behind a function, where it can't be put in eval mode."""
    right = known.declared()
    assert right.guard is not None
    kept = {"deep": [right.guard.modules[0].train()]}
    fields = {"path": known.path, "output": known.output, "time": known.time, "classes": CLASSES}
    call = lambda x, t, cond: kept["deep"][0](x, t, **cond)  # noqa: E731
    return wrap(lambda: None, event_shape=SHAPE, call=call, micro_batch=36, **fields)
