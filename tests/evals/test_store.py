"""Runs on disk: found by any unique name, read when partial, refused when newer, sheets lossless."""

import json
from pathlib import Path

import numpy as np
import pytest
from sigmascope.errors import ConfigError, StoreError
from sigmascope.evals.records import SCHEMA_VERSION, TABLES, RunRecord
from sigmascope.evals.sheets import save_sheet, tiles
from sigmascope.evals.store import Run, Store


def put(root: Path, run_id: str, created: str = "2026-01-01T00:00:00+00:00", **fields: object) -> None:
    record = RunRecord(
        id=run_id,
        name="n",
        status="complete",
        created=created,
        seconds=0,
        suite={},
        baseline="a",
        models=[],
        fingerprint={},
        environment={},
        cells=[],
    )
    (root / run_id).mkdir(parents=True)
    (root / run_id / "run.json").write_text(json.dumps({**record.model_dump(), **fields}))


def test_find_by_id_prefix_path_and_latest(tmp_path: Path) -> None:
    put(tmp_path, "alpha-1")
    put(tmp_path, "alpha-2", created="2026-02-01T00:00:00+00:00")
    put(tmp_path, "beta-1")
    store = Store(tmp_path)
    assert store.find("latest").id == "alpha-2"
    assert store.find("b").id == "beta-1"
    assert store.find("alpha-1").id == "alpha-1"
    assert store.find(str(tmp_path / "beta-1")).id == "beta-1"
    with pytest.raises(ConfigError, match="2 runs begin with 'alpha'"):
        store.find("alpha")
    with pytest.raises(ConfigError, match=r"no run is named 'gamma'.*alpha-2"):
        store.find("gamma")


def test_an_empty_store_has_no_runs(tmp_path: Path) -> None:
    assert Store(tmp_path / "nowhere").runs() == []
    with pytest.raises(ConfigError, match="none yet"):
        Store(tmp_path).find("latest")


def test_absent_tables_are_empty_with_their_columns(tmp_path: Path) -> None:
    put(tmp_path, "a")
    run = Run(tmp_path / "a")
    for name, columns in TABLES.items():
        assert list(run.table(name).columns) == list(columns)
    with pytest.raises(ConfigError, match="unknown table 'level'"):
        run.table("level")


def test_a_newer_schema_is_refused_by_name_and_a_broken_file_is_no_traceback(tmp_path: Path) -> None:
    put(tmp_path, "new", schema_version=99)
    with pytest.raises(StoreError, match="schema_version 1 or older, got 99"):
        Run(tmp_path / "new").record
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    with pytest.raises(StoreError, match="expected a run's record"):
        Run(tmp_path / "broken").record
    (tmp_path / "new" / "levels.parquet").write_bytes(b"PAR1 no")
    put(tmp_path, "torn")
    store = Store(tmp_path)
    assert [run.id for run in store.runs()] == ["torn"]
    assert len(store.index().problems) == 2
    (tmp_path / "torn" / "levels.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(StoreError, match="expected a Parquet table"):
        Run(tmp_path / "torn").table("levels")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_contact_sheet_gives_back_every_pixel(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 5, 6, channels), dtype=np.uint8)
    save_sheet(pixels, tmp_path / "sheet.webp")
    back = np.stack(list(tiles(tmp_path / "sheet.webp", (5, 6), range(37))))
    np.testing.assert_array_equal(back, np.broadcast_to(pixels, back.shape))


def test_a_run_of_every_released_schema_is_read() -> None:
    """Directories written when the schema was new; a change that can not read them breaks a promise."""
    golden = Path(__file__).parent / "golden"
    assert [path.name for path in golden.iterdir()] == [f"schema-{version}" for version in range(1, SCHEMA_VERSION + 1)]
    run = Run(golden / "schema-1")
    assert run.record.status == "complete"
    assert [model.name for model in run.record.models] == ["toy", "other"]
    assert {name: run.table(name).shape for name in TABLES} == {
        "levels": (8, 10),
        "evaluations": (48, 7),
        "samples": (24, 15),
        "metrics": (0, 13),
        "curves": (0, 13),
        "steps": (0, 18),
        "film": (0, 10),
        "worst": (0, 9),
        "losses": (0, 10),
    }
    assert run.images("toy", "heun", 3, "karras")[2].shape == (4, 4, 3)


def test_large_thumbnails_are_reduced_to_what_a_sheet_can_hold(tmp_path: Path) -> None:
    """Tiles of a constant are the same constant after averaging, wherever they lie in the sheet."""
    pixels = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None], (40, 600, 520, 3))
    save_sheet(pixels, tmp_path / "sheet.webp")
    back = list(tiles(tmp_path / "sheet.webp", (600, 520), range(40)))
    assert {tile.shape for tile in back} == {(200, 174, 3)}
    assert [int(tile.max()) for tile in back] == [int(tile.min()) for tile in back] == list(range(40))
