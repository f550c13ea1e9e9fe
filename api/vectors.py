"""How is a vector of positions written? `PARTITION:OFFSET` with commas: the offset of the last record seen.

A stream's place also says to which log it belongs: `LOG@PARTITION:OFFSET,…`; LOG is a short hash of the log's id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from domain.errors import BadInput, Problem

__all__ = ["read_place", "read_vector", "write_place", "write_vector"]

_PART: Final = re.compile(r"(\d{1,5}):(-1|\d{1,18})", re.ASCII)
_MAX_PARTS: Final = 1024
_LOG: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


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


def write_place(log_id: str, vector: Mapping[int, int]) -> str:
    """A vector with the log that it belongs to."""
    return f"{_log(log_id)}@{write_vector(vector)}"


def read_place(text: str, field: str, log_id: str) -> dict[int, int] | None:
    """The vector of a place or of a plain vector, or None for a place on another log. Raises BadInput."""
    log, at, vector = text.rpartition("@")
    if at and not _LOG.fullmatch(log):
        raise BadInput([Problem(field, "is no place of a stream.", "Send back an `id` as it came.")])
    found = read_vector(vector, field)
    return None if at and log != _log(log_id) else found


def _log(log_id: str) -> str:
    return blake2b(log_id.encode(), digest_size=4).hexdigest()
