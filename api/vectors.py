"""How is a vector of positions written? `PARTITION:OFFSET` with commas: the offset of the last record seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from domain.errors import BadInput, Problem

__all__ = ["read_vector", "write_vector"]

_PART: Final = re.compile(r"(\d{1,5}):(-1|\d{1,18})", re.ASCII)
_MAX_PARTS: Final = 1024


def read_vector(text: str, field: str) -> dict[int, int]:
    """`{partition: last offset seen}`; -1 is "nothing yet". Raises BadInput that names `field`."""
    matches = [_PART.fullmatch(part.strip()) for part in text.split(",", _MAX_PARTS)]
    vector: dict[int, int] = {}
    for match in matches:
        if match is None or int(match[1]) >= _MAX_PARTS:
            raise BadInput([Problem(field, "is no vector of positions.", "Write it as PARTITION:OFFSET,… .")])
        vector[int(match[1])] = max(int(match[2]), vector.get(int(match[1]), -1))
    return vector


def write_vector(vector: Mapping[int, int]) -> str:
    """The inverse of `read_vector`, in order of the partitions."""
    return ",".join([f"{partition}:{vector[partition]}" for partition in sorted(vector)])
