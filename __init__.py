"""Sigmascope: evaluation and diagnostics for denoisers, the networks inside diffusion and flow-matching models."""

from ._version import __version__

__all__ = ["__version__"]
