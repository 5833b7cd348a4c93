"""From a spec such as `diffusers:PATH` to a Denoiser."""
