"""A guard over a network's modules: they are put in eval mode, and no forward may change them.

After every call the tensors' version counters are compared, which costs next to nothing; writes through `.data` escape
those, so checksums of the values are compared too, at calls 1, 2, 4, 8, ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ..errors import ModelError


class Guard:
    """Watches the parameters and persistent buffers of some modules."""

    def __init__(self, modules: Iterable[nn.Module], name: str = "the network") -> None:
        self.modules, self.name = list(modules), name
        self.was_training = any(module.training for module in self.modules)
        """Whether any module came in train mode."""
        for module in self.modules:
            _put_in_eval(module)
        self._calls = 0
        self._versions: dict[str, tuple[Tensor, int]] = {}
        self._sums: dict[str, int] = {}

    def before(self) -> None:
        """Raises ModelError if a module went back to train mode."""
        if any(module.training for module in self.modules):
            raise ModelError(f"{self.name} is in train mode: expected eval mode, in which dropout and updates rest")
        if not self._calls:
            self._versions = {name: (tensor, tensor._version) for name, tensor in self._tensors()}
            self._sums = {name: _checksum(tensor) for name, tensor in self._tensors()}

    def after(self) -> None:
        """Raises ModelError naming the parameter or buffer that a forward changed."""
        changed = [name for name, (tensor, version) in self._versions.items() if tensor._version != version]
        self._calls += 1
        if not changed and self._calls & (self._calls - 1) == 0:
            changed = [name for name, tensor in self._tensors() if self._sums.get(name) != _checksum(tensor)]
        if changed:
            self._calls = 0
            raise ModelError(
                f"{self.name} changed itself in a forward: {', '.join(changed[:3])}"
                + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
                + "; expected weights that stay as they were loaded"
            )

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for module in self.modules:
            for name, value in module.state_dict(keep_vars=True).items():
                if isinstance(value, Tensor):
                    yield name, value


def _put_in_eval(module: nn.Module) -> None:
    try:
        module.eval()
    except NotImplementedError:  # torch.export modules have no mode: they are what was exported
        module.training = False


def _checksum(tensor: Tensor) -> int:
    """A sum over the bits: any dtype, exact, one pass."""
    flat = tensor.detach().reshape(-1)
    if flat.is_quantized or flat.is_complex() or flat.numel() == 0:
        return flat.numel()
    words = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()]
    return int(flat.view(words).sum(dtype=torch.int64))
