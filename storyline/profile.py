"""Which claim does a profile show, in this deployment? A TOML file that the settings name; see docs/customers.md."""

from __future__ import annotations

import tomllib
from pathlib import Path

from domain.errors import Misconfigured
from domain.profile import ProfileRules, read_profile_rules

__all__ = ["read_profile"]


def read_profile(path: Path | None) -> ProfileRules:
    """The rules of a file, or those that hold without one. Raises Misconfigured, with the file's name."""
    if path is None:
        return ProfileRules()
    try:
        section = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise Misconfigured("STORYLINE_PROFILE_FILE names a file that cannot be read; see who may.") from None
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path.name}: it is no TOML: {error}.") from None
    return read_profile_rules(section)
