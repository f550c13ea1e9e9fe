"""When is a metric another one? When its figures may be: by the hash of what they hang on, which a new title does not
change."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from domain.configuration import Metric

__all__ = ["version_of"]

_SHOWN: Final = frozenset({"title", "unit"})


def version_of(metric: Metric) -> str:
    """The hash of a definition, 16 hex digits."""
    told = metric.model_dump_json(by_alias=True, exclude=set(_SHOWN))
    return sha256(told.encode()).hexdigest()[:16]
