"""Where does a cluster of several real brokers come from, of which one after the other can be killed or frozen?"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import atexit
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support.kafka import broker_answers
from tests.support.kafka_java import LEAN, JavaNode, jars
from tests.support.process import free_ports, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its own schemas in a deprecated way
    from kafka.admin import ConfigResource, KafkaAdminClient

__all__ = ["KafkaCluster"]


class KafkaCluster:
    """Real nodes (KRaft, each broker and controller), each with its data in a directory of its own.

        with KafkaCluster.start(directory) as cluster:
            log = open_log(f"kafka://{cluster.bootstrap}/topic?replication=3&min_isr=2")
            cluster.kill(0)

    Java alone gives it, whatever gives the single broker; without it, it is NoKafkaError. Nodes are counted from 0,
    and stand in `bootstrap` in that order; Kafka itself knows node 0 as broker 1.
    """

    def __init__(self, nodes: list[JavaNode]) -> None:
        self._nodes = nodes
        self.bootstrap = ",".join(f"127.0.0.1:{node.port}" for node in nodes)

    @classmethod
    def start(cls, directory: Path, nodes: int = 3) -> KafkaCluster:
        """A cluster whose brokers know of each other; NoKafkaError when it cannot be had."""
        jars()
        ports = free_ports(2 * nodes)
        voters = ",".join(f"{n + 1}@127.0.0.1:{ports[2 * n + 1]}" for n in range(nodes))
        cluster_id = uuid.uuid4().hex[:22]
        cluster = cls(
            [
                JavaNode(
                    directory / f"node-{n}",
                    (ports[2 * n], ports[2 * n + 1]),
                    cluster=cluster_id,
                    settings=_settings(n, nodes, voters),
                    options=LEAN,
                )
                for n in range(nodes)
            ]
        )
        atexit.register(cluster.close)
        try:
            servers = [node.launch() for node in cluster._nodes]
            for node, server in zip(cluster._nodes, servers, strict=True):
                wait_until(lambda: broker_answers(node.port, nodes), server, 120, "A node of Apache Kafka")  # noqa: B023
        except BaseException:
            cluster.close()
            raise
        return cluster

    def log_dirs(self, node: int) -> Path:
        """Where the node's segment files lie."""
        return self._nodes[node].data

    def address(self, node: int) -> str:
        """host:port of one node."""
        return f"127.0.0.1:{self._nodes[node].port}"

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            admin.alter_configs([ConfigResource("topic", topic, configs=dict(settings))])
        finally:
            admin.close()

    def stop(self, node: int) -> None:
        """SIGTERM: it hands over what it leads, and ends."""
        self._nodes[node].stop()

    def kill(self, node: int) -> None:
        """kill -9."""
        self._nodes[node].kill()

    def pause(self, node: int) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        self._nodes[node].pause()

    def resume(self, node: int) -> None:
        """SIGCONT."""
        self._nodes[node].resume()

    def restart(self, node: int, *, wait: bool = True) -> None:
        """Start again on the same data and ports, after `stop` or `kill`; waits until it answers.

        Where most of the nodes are gone one alone never answers: start those with `wait=False`, the last one with.
        """
        one = self._nodes[node]
        server = one.launch()
        if wait:
            wait_until(lambda: broker_answers(one.port), server, 90, "A node of Apache Kafka")

    def close(self) -> None:
        """kill -9 of all."""
        for node in self._nodes:
            node.kill()

    def __enter__(self) -> KafkaCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _settings(node: int, nodes: int, voters: str) -> dict[str, str]:
    copies, least = str(min(3, nodes)), str(min(2, nodes))
    return {
        "node.id": str(node + 1),
        "controller.quorum.voters": voters,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": least,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": least,
        # a killed or frozen node is out soon, so that appends go on with the others
        "broker.session.timeout.ms": "3000",
        "replica.lag.time.max.ms": "5000",
        "replica.fetch.wait.max.ms": "200",
        "log.cleaner.dedupe.buffer.size": "4194304",
    }
