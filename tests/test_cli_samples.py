"""A run's samples as a source of `sigmascope metrics`: what was kept, told if it is a part, refused if reduced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sigmascope.cli_images import open_source
from sigmascope.errors import ConfigError, DataError

from .reports import synthetic

CELL = "run:kept-00000000/model/euler/10/karras"


def stored(root: Path, side: int = 8) -> Path:
    """One cell of 12 samples kept and 5 that were not."""
    run = synthetic.run({"model": "eps"}, "kept-00000000")
    cells = [cell for cell in run.record.cells if (cell.sampler, cell.steps) == ("euler", 10)]
    kept = run.tables["samples"].query("sampler == 'euler' and steps == 10")
    more = kept.head(5).assign(sample=range(12, 17), tile=-1)
    models = [model.model_copy(update={"event_shape": (1, side, side)}) for model in run.record.models]
    record = run.record.model_copy(update={"cells": cells, "models": models})
    tables = {**run.tables, "samples": pd.concat([kept, more], ignore_index=True)}
    synthetic.write(replace(run, record=record, tables=tables), root)
    return root


def test_what_was_kept_and_that_it_is_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = open_source(CELL, stored(tmp_path))
    assert (images.count, images.source) == (12, CELL)
    expected = synthetic.digits(np.arange(12) % 10, 10)  # lossless: the very pixels
    assert torch.equal(torch.stack(list(images.read())), torch.from_numpy(expected).permute(0, 3, 1, 2))
    assert "kept 12 of 17 samples" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ConfigError, match="expected kept samples"):
        open_source("run:kept-00000000/model/heun/10/karras", tmp_path)


def test_reduced_thumbnails_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(labels: np.ndarray, seed: int) -> np.ndarray:
        return np.zeros((len(labels), 512, 512, 1), np.uint8)

    monkeypatch.setattr(synthetic, "digits", large)
    with pytest.raises(DataError, match="expected samples as they were made, 512x512, got thumbnails of 256x256"):
        open_source(CELL, stored(tmp_path, 512))
