"""From a model to a record: load, sample, probe, store."""
