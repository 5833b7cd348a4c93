"""A store as large as one wishes, from one real run: what benchmarks/dashboard.py measures on.

Every run has its own record, levels and metrics, which differ by a factor; the heavy tables and the pictures are the
template's own, linked. One run in fifty is partial, one in a hundred failed; there are four
protocols (seeds), eight suites, fifty commits.
"""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

OWN = {"levels.parquet": ("error", "low", "high"), "metrics.parquet": ("value", "low", "high")}
SUITES = ("digits", "faces", "latents", "textures", "satellite", "speech", "molecules", "weather")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def generate(root: Path, template: Path, runs: int) -> Path:
    """Write the store, and LEVELS.parquet beside it: the levels of all runs in one file, for the plain page."""
    root.mkdir(parents=True)
    rng = random.Random(0)
    record = json.loads((template / "run.json").read_text())
    tables = {name: pq.read_table(template / name) for name in OWN}
    levels = []
    for number in range(runs):
        factor = rng.lognormvariate(0, 0.1)
        folder, own = _own(root, record, number, rng)
        _link(template, folder)
        (folder / "run.json").write_text(json.dumps(own, indent=1))
        for name, columns in OWN.items():
            table = _scaled(tables[name], columns, factor)
            pq.write_table(table, folder / name)
            if name == "levels.parquet":
                levels.append(table.append_column("run", pa.repeat(own["id"], len(table))))
    joined = pa.concat_tables(levels).sort_by("run")
    pq.write_table(joined, levels_file(root), row_group_size=10_000)
    return root


def levels_file(root: Path) -> Path:
    return root.with_name(f"{root.name}.levels.parquet")


def _own(root: Path, record: dict[str, Any], number: int, rng: random.Random) -> tuple[Path, dict[str, Any]]:
    status = "failed" if number % 100 == 7 else "partial" if number % 50 == 3 else "complete"
    name = SUITES[number % len(SUITES)]
    own = {
        **record,
        "id": f"{name}-{rng.getrandbits(32):08x}",
        "name": name,
        "status": status,
        "created": (BEGAN + timedelta(minutes=45 * number)).isoformat(),
        "suite": {**record["suite"], "name": name, "seed": number % 4},
        "fingerprint": {**record["fingerprint"], "seed": str(number % 4)},
        "environment": {**record["environment"], "commit": f"{random.Random(number // 200).getrandbits(160):040x}"},
    }
    return root / (own["id"] + ("" if status == "complete" else ".partial")), own


def _link(template: Path, folder: Path) -> None:
    folder.mkdir()
    for path in template.iterdir():
        if path.is_dir():
            (folder / path.name).symlink_to(path.resolve())
        elif path.name not in {*OWN, "run.json"}:
            os.link(path, folder / path.name)


def _scaled(table: pa.Table, columns: tuple[str, ...], factor: float) -> pa.Table:
    for name in columns:
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pc.multiply(table[name].cast(pa.float64()), factor))
    return table
