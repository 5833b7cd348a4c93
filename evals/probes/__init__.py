"""Diagnostics that ask a denoiser about one noise level at a time."""
