"""Which log does a URL name? The only place that knows both adapters."""

from __future__ import annotations

from urllib.parse import urlsplit

from domain.errors import Misconfigured
from eventlog.port import Log

__all__ = ["open_log"]


def open_log(url: str) -> Log:
    """Open the log at `url`, and make it first where it does not exist yet.

    `kafka://host:port[,host:port]/topic?partitions=8&replication=3&min_isr=2` or
    `postgresql://user@host/database?partitions=8` (libpq's parameters may follow). The number of partitions
    counts only when the log is made. Raises `Misconfigured` for another URL, `Unavailable` if no one answers.
    """
    scheme = urlsplit(url).scheme
    if scheme == "kafka":
        from eventlog.kafka import KafkaLog  # noqa: PLC0415 - loads 40 modules that an embedded log never needs

        return KafkaLog(url)
    if scheme in {"postgresql", "postgres"}:
        from eventlog.embedded import EmbeddedLog  # noqa: PLC0415 - as above

        return EmbeddedLog.open(url)
    raise Misconfigured(
        f"LOG_URL begins with {scheme or 'no scheme'!r}; use kafka://host:port/topic or postgresql://host/database."
    )
