"""From tensors to numbers. Knows nothing of denoisers."""
