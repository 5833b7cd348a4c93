"""From a spec such as `diffusers:PATH` to a Denoiser."""

from .diffusers import load_diffusers, read_convention
from .python import load_python, resolve
from .spec import LOADERS, Loader, known_loaders, load

__all__ = [
    "LOADERS",
    "Loader",
    "known_loaders",
    "load",
    "load_diffusers",
    "load_python",
    "read_convention",
    "resolve",
]
