"""Images in tables, as Hugging Face's data sets keep them: Parquet files, or what `Dataset.save_to_disk` writes.

open_tables(path) -> Images, read a few rows at a time by pyarrow; the `datasets` package isn't needed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from ..errors import DataError
from .images import SUFFIXES, Images, decode

_JPEG_START = b"\xff\xd8\xff"
_ROWS = 64  # at once


def open_tables(path: Path) -> Images:
    """A .parquet file, a folder of them, or the folder of a saved data set. The images are in the column of that type,
    `image` where there are several; labels in `label`. Raises DataError where there are none."""
    files = _files(path)
    schema = _schema(files[0])
    image = _image_column(path, schema)
    label = "label" if "label" in schema.names and pa.types.is_integer(schema.field("label").type) else None
    labels = None if label is None else [int(value) for file in files for value in _values(file, label)]

    def contents() -> Iterator[bytes]:
        for file in files:
            for row in _values(file, image):
                content = row.get("bytes") if isinstance(row, dict) else row
                if not isinstance(content, bytes):
                    raise DataError(f"{file}: expected images inside the file, got {row!r}; save it with them embedded")
                yield content

    def read() -> Iterator[Tensor]:
        return (decode(content, f"{path}: row {row}") for row, content in enumerate(contents()))

    count = sum(_count(file) for file in files)
    if not count:
        raise DataError(f"{path}: expected rows with images, found none")
    first = [content.startswith(_JPEG_START) for content in itertools.islice(contents(), _ROWS)]
    return Images(str(path), count, read, labels, sum(first) / len(first))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text())["splits"]
        raise DataError(f"{path}: expected one data set, got the splits {', '.join(splits)}: name {path / splits[0]}")
    if (path / "state.json").is_file():
        named = json.loads((path / "state.json").read_text())["_data_files"]
        return [path / Path(file["filename"]).name for file in named]
    found = sorted(path.rglob("*.parquet"))
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise DataError(f"{path}: expected images ({kinds}), .parquet files or a saved data set, found none")
    return found


def _schema(file: Path) -> pa.Schema:
    if file.suffix == ".parquet":
        return pq.read_schema(file)
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
        return stream.schema


def _batches(file: Path, column: str) -> Iterator[pa.RecordBatch]:
    if file.suffix == ".parquet":
        with pq.ParquetFile(file) as table:
            yield from table.iter_batches(_ROWS, columns=[column])
        return
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
        yield from stream


def _values(file: Path, column: str) -> Iterator[Any]:
    for batch in _batches(file, column):
        values = batch.column(batch.schema.names.index(column))
        yield from (value.as_py() for value in values)


def _count(file: Path) -> int:
    if file.suffix == ".parquet":
        return int(pq.read_metadata(file).num_rows)
    return sum(len(batch) for batch in _batches(file, ""))


def _image_column(path: Path, schema: pa.Schema) -> str:
    found = [field.name for field in schema if _holds_images(field.type)]
    if "image" in found:
        return "image"
    if len(found) != 1:
        raise DataError(f"{path}: expected a column `image` of encoded images, got {', '.join(schema.names)}")
    return str(found[0])


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(kind.field(index).name == "bytes" for index in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
