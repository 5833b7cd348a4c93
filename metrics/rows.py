"""Rows of features as they come, in memory while they are few and in a temporary file beyond: one_pass.py keeps them.

Rows.append -> Rows.tensor(): the same bits either way. The file has no name, is mapped where it is read, and goes when
the tensor does.
"""

from __future__ import annotations

import tempfile
import weakref
from typing import IO

import numpy as np
import torch
from torch import Tensor

SPILL_BYTES = 1 << 30
"""Rows beyond so many bytes go to a file: 131,072 images of Inception's 2,048 features."""


class Rows:
    """Tables (n, d) of one dtype and width, on any device, one after the other."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = SPILL_BYTES if limit is None else limit
        self._held: list[Tensor] = []
        self._file: IO[bytes] | None = None
        self._count, self._bytes = 0, 0

    def __len__(self) -> int:
        return self._count

    @property
    def width(self) -> int:
        """d. There must be rows."""
        return self._held[0].shape[1]

    @property
    def spilled(self) -> bool:
        return self._file is not None

    def append(self, table: Tensor) -> None:
        table = table.detach().cpu().contiguous()
        self._held.append(table)
        self._count += len(table)
        self._bytes += table.nbytes
        if self._file is None and self._bytes > self._limit:
            self._file = tempfile.TemporaryFile(prefix="sigmascope-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)  # what is mapped by then stays
        if self._file is not None:
            for held in self._held:
                self._file.write(held.numpy().data)
            self._held = [table[:0]]  # its dtype and width say how to read the file

    def clear(self) -> None:
        """Forget them, and the file."""
        if self._file is not None:
            self._file.close()
        self._held, self._file, self._count, self._bytes = [], None, 0, 0

    def tensor(self) -> Tensor:
        """(n, d); mapped from the file where they were spilled, and private: writing to it changes no file."""
        if self._file is None:
            return torch.cat(self._held)
        self._file.flush()
        like = self._held[0]
        shape = (self._count, *like.shape[1:])
        return torch.from_numpy(np.memmap(self._file, like.numpy().dtype, "c", shape=shape))
