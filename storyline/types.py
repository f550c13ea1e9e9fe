"""Which event types does the deployment add? One JSON file each, in the folder that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from domain.catalogue import builtin
from domain.catalogue.deployment import DeploymentType, deployment_types
from domain.errors import Misconfigured

__all__ = ["read_types"]


def read_types(folder: Path | None) -> list[DeploymentType]:
    """The types of a folder's `*.json` files, in the order of their names. Raises Misconfigured."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise Misconfigured("STORYLINE_TYPES_DIR names no folder.")
    specs = [(path.name, _read(path)) for path in sorted(folder.glob("*.json"))]
    return deployment_types(specs, (one.name for one in builtin()))


def _read(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path.name}: the file cannot be read ({type(error).__name__}).") from None
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{path.name}: it is not JSON ({error}).") from None
