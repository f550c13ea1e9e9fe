"""What does an error of kafka-python mean to us? At the start what is wrong for good; later, what may be mended.

At the start a refusal is `Misconfigured`, whose sentence is for operators. Once this process was let in there, it is
a change that somebody made and may take back: it is logged, and raised as `Unavailable` in words that may be shown
to callers of the API.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    KafkaError,
    LogTruncationError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    OffsetOutOfRangeError,
)

from domain.errors import LogDamaged, Misconfigured, StorylineError, TooLarge, Unavailable
from eventlog.kafka_contact import Contact, RefusedError

__all__ = ["PATIENCE_MS", "as_ours"]

PATIENCE_MS: Final = 10_000
"""How long one request, or the first contact, may take."""
_logger = structlog.get_logger("storyline.kafka")


@contextmanager
def as_ours(contact: Contact, user: str, right: str) -> Iterator[None]:
    """kafka-python's errors as ours. `right`: what Kafka must allow here, such as `Write on topic storyline`."""
    try:
        yield
    except (OffsetOutOfRangeError, LogTruncationError) as trouble:
        raise LogDamaged(
            "The topic begins after, or ends before, a position that we remember. It was truncated, or is "
            "another one. `storyline log check` says how much is missing, and what is to be done."
        ) from trouble
    except MessageSizeTooLargeError as trouble:
        raise TooLarge("The broker takes no record of this size: raise max.message.bytes.") from trouble
    except RefusedError as trouble:
        reason = contact.reason() or (trouble.words if trouble.sure else None)
        raise (_refused(contact, reason) if reason else Unavailable(trouble.words, 5)) from trouble
    except AuthorizationError as trouble:
        raise _refused(contact, _lacking(user, right, trouble)) from trouble
    except (NotEnoughReplicasError, NotEnoughReplicasAfterAppendError) as trouble:
        raise Unavailable(
            "Fewer brokers keep up than min.insync.replicas asks for, so nothing is taken. Try again later.", 5
        ) from trouble
    except (KafkaError, ValueError, KeyError) as trouble:
        # when the topic is no longer there, send() raises ValueError, and end_offsets() KeyError
        reason = _lacking(user, right, trouble) if "AuthorizationFailed" in str(trouble) else contact.reason()
        if reason:
            raise _refused(contact, reason) from trouble
        raise Unavailable(
            f"Kafka does not answer as it should ({type(trouble).__name__}). Try again later."
        ) from trouble


def _lacking(user: str, right: str, trouble: Exception) -> str:
    where = "the cluster or " if isinstance(trouble, ClusterAuthorizationFailedError) else ""
    return (
        f"Kafka does not allow {user} to do this. It needs the right {right} ({where}see the list in docs/kafka.md)."
    )


def _refused(contact: Contact, words: str) -> StorylineError:
    if not contact.let_in:
        return Misconfigured(words)
    _logger.warning("kafka.refused", detail=words)
    return Unavailable("The log refuses this service; the operators find the reason in its log lines.", 5)
