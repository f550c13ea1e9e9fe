"""Why does Kafka not let us in? kafka-python tries again in silence until its time is up; this keeps the reason."""

# mypy: untyped_calls_exclude=kafka, disable-error-code=no-untyped-call

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, NamedTuple

from kafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaProtocolError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import create_connection
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from domain.errors import Misconfigured, StorylineError
from eventlog.kafka_address import KafkaAddress

__all__ = ["Contact", "RefusedError"]

_TRIES: Final = 3
"""So many connections that break off at the first word are no accident."""
_FRESH: Final = 30.0
_OTHER_NAME: Final = {62, 64}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_EXPIRED: Final = {9, 10}


class RefusedError(KafkaError):
    """No broker lets us in. The sentence is for operators; `sure`: trying again would not change it."""

    def __init__(self, words: str, *, sure: bool) -> None:
        super().__init__(words)
        self.words, self.sure = words, sure


class _Trouble(NamedTuple):
    words: str
    for_good: bool
    times: int
    at: float


class _Net(NetworkSelector):
    """The library's thread for its connections, whose end nobody waits for in vain.

    A thread of kafka-python 3.0.12 that dies while it tells why (its log line fails) tells nobody that it is gone.
    """

    def call_soon_threadsafe(self, callback: Any) -> Any:
        task = super().call_soon_threadsafe(callback)
        if self._io_thread is not None and not self._io_thread.is_alive():
            self._fail_pending_waiters(KafkaConnectionError("the thread of its connections ended"))
        return task


class Contact:
    """What befell the connections of the clients of one address. Shared by them; troubles are those of now.

    `made` makes them: a bootstrap then ends with RefusedError as soon as each server has refused us for good, instead
    of with a time-out that names nothing.
    """

    _welcome: ClassVar[set[int]] = set()

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address
        self._troubles: dict[Any, _Trouble] = {}
        self._told: list[_Trouble] = []
        self._fingerprint = hash((address.servers, *sorted(address.access.items())))

    @property
    def let_in(self) -> bool:
        """Whether this process was let in there before: what is refused now was changed meanwhile, and may be
        mended as well."""
        return self._fingerprint in self._welcome

    def welcome(self) -> None:
        """Remember that all went well."""
        self._welcome.add(self._fingerprint)

    def made(self, kind: Callable[..., Any], **configs: Any) -> Any:
        """A producer, consumer or admin of kafka-python. Where none comes about, its thread and sockets go, too; the
        library would leave them behind."""
        made: list[Any] = []

        def below(**more: Any) -> Any:
            net = _Net(**more)
            made.append(KafkaNetClient(net=net, manager=_Manager(self, net, **more), **more))
            return made[-1]

        try:
            return kind(**self._address.settings(), **configs, kafka_client=below)
        except BaseException:
            for one in made:
                with contextlib.suppress(Exception):
                    one.close()
                with contextlib.suppress(Exception):
                    one._net.stop()
            raise

    def reason(self) -> str | None:
        """Why the last attempts failed, where we know: a sentence for operators. May try a handshake (2 s)."""
        recent = [one for one in (*self._troubles.values(), *self._told) if time.monotonic() - one.at < _FRESH]
        sure = [one.words for one in recent if one.for_good]
        if sure:
            return sure[-1]
        return self._mismatch() if any(one.times >= _TRIES for one in recent) else None

    def note(self, node: Any, error: BaseException) -> None:
        """A connection to this node failed before it could be used."""
        words, for_good = self._words(error)
        before = self._troubles.get(node)
        if before is not None and before.for_good and not for_good and time.monotonic() - before.at < _FRESH:
            return  # the end of the connection is often told after its reason
        times = before.times + 1 if before is not None else 1
        self._troubles[node] = _Trouble(words, for_good, times if words else 0, time.monotonic())

    def note_end(self, node: Any) -> None:
        """A server ended a connection before it had told anything but its version."""
        key = ("ended", node)
        times = self._troubles[key].times + 1 if key in self._troubles else 1
        guess = "Does this port ask for a login (security=SASL_SSL)?"
        if self._address.security.startswith("SASL"):
            guess = "Has the token expired, or the login been taken away?"
        words = f"Kafka ends the connection unasked. {guess}"
        self._troubles[key] = _Trouble(words, False, times, time.monotonic())

    def forget(self, node: Any) -> None:
        """A connection to this node came about."""
        self._troubles.pop(node, None)
        self._told = []

    def check(self, nodes: Any) -> None:
        """Raise RefusedError when each of these nodes has refused us for good."""
        known = self._troubles
        found = [known.get(node) or known.get(("ended", node)) for node in nodes]
        sure = [one for one in found if one is not None and one.for_good]
        unsure = [one for one in found if one is not None and one.times >= _TRIES and not one.for_good]
        if found and len(sure) + len(unsure) == len(found):
            # the next client begins anew: what is wrong may have been mended
            self._told = [*sure, *unsure]
            self._troubles = {}
            raise RefusedError((sure or unsure)[0].words, sure=bool(sure))

    def _words(self, error: BaseException) -> tuple[str, bool]:
        """(a sentence, whether it is for good); an empty one for what says nothing, as a refused connection."""
        if isinstance(error, SaslAuthenticationFailedError):
            return self._login(), True
        if isinstance(error, UnsupportedSaslMechanismError | IllegalSaslStateError):
            return f"Kafka does not take mechanism={self._address.access.get('mechanism')} at this port.", True
        if isinstance(error, StorylineError):
            return error.detail, isinstance(error, Misconfigured)
        trouble = _ssl_error(error)
        if isinstance(trouble, ssl.SSLCertVerificationError):
            return _certificate(trouble), True
        if trouble is not None and "ALERT" in str(trouble.reason):
            return (
                f"Kafka ends the TLS handshake ({trouble.reason}). Where it asks for a client's certificate, name "
                "one that it trusts by cert_file and key_file."
            ), True
        broken = isinstance(error, KafkaProtocolError | RuntimeError) or (
            isinstance(error, KafkaConnectionError)
            and any(one in str(error) for one in ("disconnected", "reset", "EOF"))
        )
        return ("Kafka breaks the connection off at the first word.", False) if trouble or broken else ("", False)

    def _login(self) -> str:
        if self._address.access.get("mechanism") == "OAUTHBEARER":
            return (
                "Kafka does not accept the token: it has expired, or is from another issuer or for another audience."
            )
        return (
            f"Kafka refuses the user name or the password of {self._address.user}: check username in LOG_URL and "
            "STORYLINE_KAFKA_PASSWORD or STORYLINE_KAFKA_PASSWORD_FILE."
        )

    def _mismatch(self) -> str | None:
        """Whether the port speaks TLS and we do not, or the other way round."""
        spoken = [one for one in map(_speaks_tls, self._address.servers) if one is not None]
        wanted = self._address.security.endswith("SSL")
        if not spoken or all(one == wanted for one in spoken):
            return None
        if wanted:
            return "Kafka speaks no TLS at this port: name another one, or security=PLAINTEXT or SASL_PLAINTEXT."
        return "Kafka speaks TLS at this port: LOG_URL needs security=SSL or SASL_SSL (and ca_file)."


class _Manager(KafkaConnectionManager):
    """The library's connections, which tell a Contact how they end."""

    def __init__(self, contact: Contact, net: Any, **configs: Any) -> None:
        super().__init__(net, **configs)
        self._contact = contact

    def get_connection(self, node_id: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.bootstrapped and self.cluster.is_bootstrap(node_id):
            self._contact.check([one.node_id for one in self.cluster.bootstrap_brokers()])
        known = self._conns.get(node_id)
        made = super().get_connection(node_id, *args, **kwargs)
        if made is not known:
            made.init_future.add_errback(lambda error: self._contact.note(node_id, error))
            made.init_future.add_callback(lambda _: self._made(node_id, made))
            made._sasl_authenticate = self._told(node_id, made._sasl_authenticate)
        return made

    def _made(self, node_id: Any, connection: Any) -> None:
        self._contact.forget(node_id)
        if not self.bootstrapped:
            connection.close_future.add_errback(lambda _: self._contact.note_end(node_id))

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        """As the library's, but for two things. It leaves the socket of a failed handshake open; and it drops what a
        broker said right before it hung up, such as why it refuses a login: here the words come first, and the end
        with the next look."""
        options = self.config["socket_options"]
        plain = await create_connection(self._net, node.host, node.port, options, timeout_at=timeout_at)
        transport: Any
        if self.ssl_enabled:
            transport = KafkaSSLTransport(self._net, plain, host=node.host, ssl_context=self.config["ssl_context"])
        else:
            transport = KafkaTCPTransport(self._net, plain, host=node.host)
        try:
            await transport.handshake()
        except Exception as error:
            transport.close()
            raise KafkaConnectionError(f"Handshake failed: {error}") from error
        receive = transport._sock_recv

        def patient() -> tuple[bytes, BaseException | None]:
            data, error = receive()
            return data, None if data else error

        transport._sock_recv = patient
        return transport

    def _told(self, node_id: Any, login: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """The library's login, which tells a Contact how it fails: its own futures may know of the broker's hanging
        up alone."""

        async def told(*args: Any, **kwargs: Any) -> None:
            try:
                await login(*args, **kwargs)
            except Exception as error:
                self._contact.note(node_id, error)
                raise

        return told


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS library's error in or behind one of kafka-python, which wraps it in various ways."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        one = queue.pop()
        if isinstance(one, ssl.SSLError):
            return one
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            queue += [one.__cause__, one.__context__, *one.args]
    return None


def _certificate(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _OTHER_NAME:
        return (
            "The broker's certificate is not made out to the host's name that LOG_URL, or the broker's "
            "advertised.listeners, says: use one of the names in it."
        )
    if error.verify_code in _EXPIRED:
        return "The broker's certificate has expired, or is not valid yet: renew it, and check the clocks."
    return "The broker's certificate is not from a CA that we trust: name its CA's certificate by ca_file in LOG_URL."


def _speaks_tls(server: str) -> bool | None:
    """Whether a server answers a TLS handshake; None when it cannot be reached."""
    host, _, port = server.rpartition(":") if ":" in server.rpartition("]")[2] else (server, "", "9092")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: only whether it is TLS is asked
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)
    except OSError as error:
        return False if error.errno in {errno.ECONNRESET, errno.EPIPE} else None
