"""Rows kept in memory or in a file: the same bits, whatever the threshold."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.metrics import rows as rows_module
from sigmascope.metrics.evaluate import Evaluation, evaluate
from sigmascope.metrics.images import open_images
from sigmascope.metrics.protocols import PROTOCOLS
from sigmascope.metrics.rows import Rows


def tables() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, 5, generator=generator) for n in (3, 1, 7, 2, 64)]


@pytest.mark.parametrize("limit", [0, 59, 60, 61, 10_000])
def test_the_same_bits_in_a_file(limit: int) -> None:
    """60 bytes are the first table: spilled from the first one on, in between, or never."""
    rows, parts = Rows(limit), tables()
    for part in parts:
        rows.append(part)
    assert rows.spilled is (limit < 77 * 5 * 4)
    assert len(rows) == 77
    found = rows.tensor()
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.cat(parts))
    found[0] = 0  # neither warns nor changes what the rows are
    assert torch.equal(rows.tensor(), torch.cat(parts))
    rows.append(parts[0])
    assert torch.equal(rows.tensor(), torch.cat([*parts, parts[0]]))
    rows.clear()
    assert (len(rows), rows.spilled) == (0, False)


def test_other_layouts_and_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = Rows(0)
    wide = torch.arange(40.0).view(4, 10)
    rows.append(wide[:, ::2])
    found = rows.tensor()
    del rows
    assert torch.equal(found, wide[:, ::2])
    assert os.listdir(tmp_path) == []  # it never had a name


def test_metrics_are_equal_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = replace(PROTOCOLS["sigmascope"], network="digits")
    sets = [
        open_images(torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (90, 1, 8, 8), dtype=np.uint8)))
        for seed in (0, 1)
    ]
    names = ["frechet_distance", "kid", "prdc", "precision_recall", "mind", "vendi", "inception_score"]

    def measured() -> Evaluation:
        return evaluate(sets[0], sets[1], names, protocol)

    held = measured()
    made: list[Rows] = []
    monkeypatch.setattr(rows_module, "SPILL_BYTES", 1000)
    start = Rows.__init__
    monkeypatch.setattr(Rows, "__init__", lambda self, limit=None: (made.append(self), start(self, limit))[1])
    spilled = measured()
    assert any(rows.spilled for rows in made)
    assert [repr(score) for score in held.scores] == [repr(score) for score in spilled.scores]
