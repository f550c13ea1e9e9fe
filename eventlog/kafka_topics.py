"""Is the topic there, as it was stated? Makes it where it is missing; refuses one that would lose history.

What loses history is Misconfigured: it forgets (`retention`, `cleanup.policy`), or a broker that missed records may
become its leader (`unclean.leader.election.enable`). What makes it weaker than stated is a doubt: a sentence for
operators.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import (
    InvalidConfigurationError,
    InvalidReplicationFactorError,
    KafkaTimeoutError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from domain.errors import Misconfigured
from eventlog.kafka_errors import PATIENCE_MS
from eventlog.limits import MAX_ENTRY_BYTES

__all__ = ["FOR_EVER", "Stated", "Topic", "doubts_about", "find_topics", "for_days"]

FOR_EVER: Final = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
_LOSES: Final = {**FOR_EVER, "unclean.leader.election.enable": "false"}
_DAY_MS: Final = 86_400_000
_UNKNOWN: Final = 3
_OVERHEAD: Final = 512


class Stated(NamedTuple):
    """How a topic is to be made."""

    partitions: int
    replication: int
    min_isr: int
    configs: Mapping[str, str]


class Topic(NamedTuple):
    """A topic that is there. `identity` is another one for a topic made anew."""

    name: str
    identity: str
    partitions: list[int]
    replication: int


def for_days(days: int) -> dict[str, str]:
    """The settings of a topic that forgets after so many days."""
    return {"retention.ms": str(days * _DAY_MS), "retention.bytes": "-1", "cleanup.policy": "delete"}


def find_topics(
    admin: KafkaAdminClient,
    names: Sequence[str],
    stated: Stated,
    needing: Callable[[str], contextlib.AbstractContextManager[None]],
) -> dict[str, Topic]:
    """The topics, made where they are missing. `needing(right)` translates what goes wrong within it."""
    with needing(f"Describe on topic {', '.join(names)}"):
        cluster = admin.describe_cluster()["cluster_id"]
        missing = [one["name"] for one in admin.describe_topics(list(names)) if one["error_code"] == _UNKNOWN]
    for name in missing:
        with needing(f"Create on topic {name}, or have it made as docs/kafka.md says"), _explained(stated):
            _make(admin, name, stated)
    with needing(f"Describe on topic {', '.join(names)}"):
        found = _described(admin, names, patient=bool(missing))
    return {
        one["name"]: Topic(
            one["name"],
            f"kafka:{cluster}:{one['topic_id']}",
            sorted(part["partition_index"] for part in one["partitions"]),
            min(len(part["replica_nodes"]) for part in one["partitions"]),
        )
        for one in found
    }


def doubts_about(admin: KafkaAdminClient, topic: Topic, stated: Stated) -> list[str]:
    """In what the log's topic is weaker than stated. Raises Misconfigured where it would lose history."""
    names = (*_LOSES, "min.insync.replicas", "max.message.bytes")
    asked = ConfigResource("topic", topic.name, configs=dict.fromkeys(names))
    found = admin.describe_configs([asked], config_filter="all")["topic"][topic.name]
    if not found.keys() >= set(names):
        raise TopicAuthorizationFailedError(topic.name)  # the library leaves the error within the answer out
    for name, wanted in _LOSES.items():
        if str(found[name]["value"]) != wanted:
            raise Misconfigured(
                f"The topic {topic.name} has {name}={found[name]['value']} and would lose its history. "
                f"Set {name}={wanted} on it."
            )
    least = int(found["min.insync.replicas"]["value"])
    if least > topic.replication:
        raise Misconfigured(
            f"The topic {topic.name} has min.insync.replicas={least} and only {topic.replication} copies, so it "
            "takes nothing. Add copies, or set it lower."
        )
    return [*_weak(topic, stated, least), *_small(topic, int(found["max.message.bytes"]["value"]))]


def _weak(topic: Topic, stated: Stated, least: int) -> Iterator[str]:
    name = topic.name
    if topic.replication < stated.replication:
        yield f"The topic {name} has {topic.replication} copies, LOG_URL states replication={stated.replication}."
    elif topic.replication == 1:
        yield f"The topic {name} has one copy: if that broker's disk fails, the history ends. Use three brokers."
    if least < stated.min_isr:
        yield f"The topic {name} has min.insync.replicas={least}, LOG_URL states min_isr={stated.min_isr}."
    elif least == 1 and topic.replication > 1:
        yield f"The topic {name} has min.insync.replicas=1: what is acknowledged may have one copy only. Set 2."


def _small(topic: Topic, largest: int) -> Iterator[str]:
    if largest < MAX_ENTRY_BYTES + _OVERHEAD:
        yield f"The topic {topic.name} has max.message.bytes={largest} and refuses large events. Take its default."


def _make(admin: KafkaAdminClient, name: str, stated: Stated) -> None:
    wanted = {
        "num_partitions": stated.partitions,
        "replication_factor": stated.replication,
        "configs": {**stated.configs, "min.insync.replicas": str(stated.min_isr)},
    }
    with contextlib.suppress(TopicAlreadyExistsError):  # another process was faster
        admin.create_topics({name: wanted})


def _described(admin: KafkaAdminClient, names: Sequence[str], *, patient: bool) -> list[dict[str, Any]]:
    """What the brokers say of topics; of those made just now each broker learns in its own time."""
    deadline = time.monotonic() + (PATIENCE_MS / 1000 if patient else 0)
    while True:
        found: list[dict[str, Any]] = admin.describe_topics(list(names))
        bad = [one for one in found if one["error_code"]]
        led = all(part["leader_id"] >= 0 for one in found for part in one["partitions"])
        if not bad and (led or not patient):
            return found
        if any(one["error_code"] != _UNKNOWN for one in bad) or time.monotonic() > deadline:
            raise for_code(bad[0]["error_code"])(bad[0]["name"]) if bad else KafkaTimeoutError("no leader yet")
        time.sleep(0.1)


@contextlib.contextmanager
def _explained(stated: Stated) -> Iterator[None]:
    try:
        yield
    except InvalidReplicationFactorError:
        raise Misconfigured(
            f"Kafka has not enough brokers for replication={stated.replication}: start them, or state fewer copies."
        ) from None
    except (PolicyViolationError, InvalidConfigurationError) as trouble:
        raise Misconfigured(
            f"Kafka's rules do not allow the topic as it is to be ({type(trouble).__name__}): make it by hand as "
            "docs/kafka.md says."
        ) from None
