"""Reading a folder of diffusers': its JSON, and a network from safetensors, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ...errors import LoadError


def load_network(folder: Path, location: str) -> tuple[Any, str]:
    """The network or autoencoder, and the sha256 of its weights. Raises LoadError."""
    import diffusers

    kind: Any = getattr(diffusers, str(read_json(folder / "config.json", location).get("_class_name")), None)
    is_model = isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)
    if not is_model:
        raise LoadError(f"diffusers:{location}: {folder.name}/config.json names no diffusers model class")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise LoadError(
            f"diffusers:{location}: expected *.safetensors in {folder.name}/, "
            f"got {sorted(path.name for path in folder.iterdir())} (pickled weights are not read)"
        )
    try:
        network, found = kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except Exception as error:  # diffusers raises whatever the file made it meet
        raise LoadError(f"diffusers:{location}: {folder.name} can't be loaded: {error}") from error
    # diffusers would go on with random numbers for what is missing
    for what in ("missing_keys", "unexpected_keys"):
        if found[what]:
            raise LoadError(
                f"diffusers:{location}: expected the weights of {folder.name}/config.json, got "
                f"{what.replace('_', ' ')} {sorted(found[what])[:4]} ({len(found[what])} in all)"
            )
    digest = hashlib.sha256()
    for path in weights:
        digest.update(path.read_bytes())
    return network, digest.hexdigest()


def read_json(path: Path, location: str) -> dict[str, Any]:
    """A JSON object. Raises LoadError."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadError(f"diffusers:{location}: {path.name} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise LoadError(f"diffusers:{location}: {path.name}: expected a JSON object, got {type(content).__name__}")
    return content
