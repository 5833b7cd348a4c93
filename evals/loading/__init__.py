"""From a spec such as `diffusers:PATH` to a Denoiser."""

from . import graphs, pickles, presets, weights
from .diffusers import load_diffusers, read_convention
from .presets import PRESETS
from .python import load_python, resolve
from .spec import LOADERS, Loader, Recipe, known_loaders, load, parsed

__all__ = [
    "LOADERS",
    "PRESETS",
    "Loader",
    "Recipe",
    "graphs",
    "known_loaders",
    "load",
    "load_diffusers",
    "load_python",
    "parsed",
    "pickles",
    "presets",
    "read_convention",
    "resolve",
    "weights",
]
