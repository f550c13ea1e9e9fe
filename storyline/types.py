"""Which event types does this deployment add? Those whose files lie in `STORYLINE_TYPES_DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.deployment import deployment_types
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Misconfigured
from domain.event import parse_json

__all__ = ["read_catalogue"]


def read_catalogue(types_dir: Path | None) -> Catalogue:
    """The built-in types, and one for each `*.json` in the folder. Raises Misconfigured, which names the file."""
    if types_dir is None:
        return load_catalogue()
    if not types_dir.is_dir():
        raise Misconfigured("STORYLINE_TYPES_DIR names no folder; create it, or unset it.")
    specs = [(path.name, _read(path)) for path in sorted(types_dir.glob("*.json"))]
    return load_catalogue(deployment_types(specs, [known.name for known in builtin()]))


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except OSError:
        raise Misconfigured(f"{path.name}: the file cannot be read; see who may.") from None
    except BadInput as error:
        raise Misconfigured(f"{path.name}: {error.problems[0].trouble} {error.problems[0].way_out}") from None
