"""Diagnostics that ask a denoiser about one noise level at a time."""

PROBES = ("denoising_error",)
"""Names a suite's [probes] may use."""
