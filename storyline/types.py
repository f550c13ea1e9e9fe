"""Which event types does the deployment add? One JSON file each, in the folder that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.deployment import DeploymentType, deployment_types
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Misconfigured
from domain.event import parse_json

__all__ = ["catalogue_of", "read_types"]


def catalogue_of(folder: Path | None) -> Catalogue:
    """The catalogue of this deployment; a process of ours can be told to make it."""
    return load_catalogue(read_types(folder))


def read_types(folder: Path | None) -> list[DeploymentType]:
    """The types of a folder's `*.json` files, in the order of their names. Raises Misconfigured, with the file."""
    if folder is None:
        return []
    if not folder.is_dir():
        raise Misconfigured("STORYLINE_TYPES_DIR names no folder; create it, or unset the setting.")
    specs = [(path.name, _read(path)) for path in sorted(folder.glob("*.json"))]
    return deployment_types(specs, [known.name for known in builtin()])


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except OSError:
        raise Misconfigured(f"{path.name}: the file cannot be read; see who may.") from None
    except BadInput as error:
        raise Misconfigured(f"{path.name}: {error.problems[0].trouble} {error.problems[0].way_out}") from None
