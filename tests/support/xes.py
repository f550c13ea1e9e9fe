"""How does a test write an XES file? Of plain values, with or without the namespace."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from adapters.xes import Attribute, Attributes

__all__ = ["event", "log", "text", "trace", "write_xes"]

NAMESPACE = "http://www.xes-standard.org/"


def text(value: str, kind: str = "string") -> Attribute:
    """An attribute with a value and none within it."""
    return Attribute(kind, value)


def attributes(known: Attributes | Sequence[tuple[str, Attribute]], prefix: str = "") -> str:
    pairs = known.items() if isinstance(known, dict) else known
    return "".join(_attribute(key, one, prefix) for key, one in pairs)


def _attribute(key: str, one: Attribute, prefix: str) -> str:
    value = "" if one.kind in {"list", "container"} else f" value={_quoted(one.value)}"
    inner = attributes(one.nested, prefix)
    if one.kind == "list" and inner:
        inner = f"<{prefix}values>{inner}</{prefix}values>"
    return f"<{prefix}{one.kind} key={_quoted(key)}{value}>{inner}</{prefix}{one.kind}>\n"


def _quoted(value: str) -> str:
    return quoteattr(value, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def event(known: Attributes, prefix: str = "") -> str:
    return f"<{prefix}event>\n{attributes(known, prefix)}</{prefix}event>\n"


def trace(known: Attributes, events: Sequence[Attributes], prefix: str = "") -> str:
    inside = "".join(event(one, prefix) for one in events)
    return f"<{prefix}trace>\n{attributes(known, prefix)}{inside}</{prefix}trace>\n"


def log(*parts: str, prefix: str = "", namespace: bool = True) -> str:
    name = f"xmlns{':' + prefix[:-1] if prefix else ''}"
    declared = f" {name}={_quoted(NAMESPACE)}" if namespace or prefix else ""
    inside = "".join(parts)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{prefix}log{declared}>\n{inside}</{prefix}log>\n'


def write_xes(path: Path, content: str | bytes) -> Path:
    plain = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(plain, 1) if path.suffix == ".gz" else plain)
    return path
