"""Where does a broker come from that lets nobody in unasked? TLS, SCRAM, PLAIN, tokens, client certificates, ACLs.

Everything is made when it starts: a CA and certificates, passwords, a signing key for tokens. `ADMIN`, a listener
without any of it on the loopback, is for the tests themselves.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import argparse
import atexit
import base64
import json
import re
import time
import uuid
import warnings
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from tests.support.kafka import broker_answers
from tests.support.kafka_java import LEAN, JavaNode, jars
from tests.support.process import ServerError, free_ports, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its own schemas in a deprecated way
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        KafkaAdminClient,
        ResourcePattern,
        ResourceType,
    )

__all__ = ["Authority", "SecureKafka", "Tokens"]

USERS = ("api", "projector", "inbox", "operator", "nobody")
_ISSUER = "https://tokens.example"
_AUDIENCE = "kafka"
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ACLS = argparse.ArgumentParser("kafka-acls")
_ACLS.add_argument("--bootstrap-server")
_ACLS.add_argument("--command-config")
_ACLS.add_argument("--add", action="store_true")
_ACLS.add_argument("--remove", action="store_true")
_ACLS.add_argument("--cluster", action="store_true")
_ACLS.add_argument("--resource-pattern-type", default="literal")
for _word in ("--allow-principal", "--operation", "--topic"):
    _ACLS.add_argument(_word, action="append", default=[])


class Authority:
    """A CA of one's own, with its certificate in `ca_file`."""

    def __init__(self, directory: Path, name: str = "test-ca") -> None:
        self._directory, self._name = directory, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed(name, self._key, (), ca=True)
        self.ca_file = directory / f"{name}.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, hosts: Iterable[str] = (), *, expired: bool = False) -> tuple[Path, Path, Path]:
        """(certificate, key, both in one file), as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, key, hosts, expired=expired)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        paths = [self._directory / f"{self._name}-{name}.{kind}" for kind in ("crt", "key", "both")]
        for path, content in zip(paths, (public, secret, secret + public), strict=True):
            path.write_bytes(content)
        return paths[0], paths[1], paths[2]

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        hosts: Iterable[str],
        *,
        ca: bool = False,
        expired: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC) - (timedelta(days=30) if expired else timedelta())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)])
        made = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        names = [x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self._key, hashes.SHA256())


class Tokens:
    """Who signs tokens (JWT, RS256); brokers check them against `jwks_file`."""

    def __init__(self, directory: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        numbers = self._key.public_key().public_numbers()
        self.jwks_file = directory / "jwks.json"
        key = {"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": _whole(numbers.n), "e": _whole(numbers.e)}
        self.jwks_file.write_text(json.dumps({"keys": [key]}))

    def sign(self, subject: str, seconds: float = 300, audience: str = _AUDIENCE) -> str:
        """A token that is good for so many seconds from now; below 0 it has expired."""
        now = int(time.time())
        claims = {
            "sub": subject,
            "iss": _ISSUER,
            "aud": audience,
            "iat": now + min(0, int(seconds)) - 600,
            "exp": now + int(seconds),
            "scope": "log",
        }
        text = ".".join(_url64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "1"}, claims))
        return f"{text}.{_url64(self._key.sign(text.encode(), PKCS1v15(), hashes.SHA256()))}"


class SecureKafka:
    """One real broker that asks for a login and for rights. `ca`: whose certificate clients are to trust.

    `sasl` (SCRAM, PLAIN, OAUTHBEARER over TLS), `tls` (client certificates) and `admin` (plain, all rights) are
    addresses; `sasl_plain` is SCRAM without TLS. Java alone gives it, as a cluster; else NoKafkaError.
    """

    def __init__(self, directory: Path) -> None:
        ports = free_ports(5)
        self.admin, self.sasl, self.tls, self.sasl_plain = (
            f"127.0.0.1:{ports[0]}",
            f"localhost:{ports[2]}",
            f"localhost:{ports[3]}",
            f"127.0.0.1:{ports[4]}",
        )
        self.ca = Authority(directory)
        self.tokens = Tokens(directory)
        self.passwords = {user: f"{user}-{uuid.uuid4().hex}" for user in USERS}
        settings = self._settings(ports, self.ca.issue("localhost", ["localhost"])[2])
        scram = [
            word
            for user, password in self.passwords.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for word in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.tokens.jwks_file.as_uri()}"
        self._node = JavaNode(
            directory / "secure",
            (ports[0], ports[1]),
            cluster=uuid.uuid4().hex[:22],
            settings=settings,
            formatting=scram,
            options=(*LEAN, allowed),
        )

    @classmethod
    def start(cls, directory: Path) -> SecureKafka:
        """A broker that answers; NoKafkaError when it cannot be had."""
        jars()
        directory.mkdir(parents=True, exist_ok=True)
        broker = cls(directory)
        atexit.register(broker.kill)
        broker.restart()
        return broker

    def url(self, topic: str, user: str | None = None, **more: str) -> str:
        """The URL of a log for a user with SCRAM-SHA-512; `more` comes after and wins."""
        query = {"security": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "ca_file": str(self.ca.ca_file)}
        if user is not None:
            query |= {"username": user, "password": self.passwords[user]}
        told = "&".join(f"{name}={value}" for name, value in (query | more).items() if value)
        return f"kafka://{self.sasl}/{topic}?partitions=2&{told}"

    def acl(self, *words: str) -> None:
        """`kafka-acls WORDS`, whose tool is in none of the jars that make a broker."""
        told = _ACLS.parse_args(words)
        pattern = ACLResourcePatternType[told.resource_pattern_type.upper()]
        places = [ResourcePattern(ResourceType.TOPIC, topic, pattern) for topic in told.topic]
        if told.cluster:
            places.append(ResourcePattern(ResourceType.CLUSTER, "kafka-cluster"))
        rights = [
            ACL(who, "*", ACLOperation[_CAMEL.sub("_", operation).upper()], ACLPermissionType.ALLOW, place)
            for who in told.allow_principal
            for operation in told.operation
            for place in places
        ]
        admin = KafkaAdminClient(bootstrap_servers=self.admin)
        try:
            if told.remove:
                admin.delete_acls(rights)
            elif admin.create_acls(rights)["failed"]:
                raise ServerError("kafka-acls failed")
        finally:
            admin.close()

    def kill(self) -> None:
        """kill -9."""
        self._node.kill()

    def restart(self) -> None:
        """Start again on the same data and ports."""
        wait_until(lambda: broker_answers(self._node.port), self._node.launch(), 90, "Apache Kafka with TLS")

    def __enter__(self) -> SecureKafka:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _settings(self, ports: list[int], keystore: Path) -> dict[str, str]:
        module = "org.apache.kafka.common.security"
        plain = " ".join(f'user_{user}="{password}"' for user, password in self.passwords.items())
        scram = f"{module}.scram.ScramLoginModule required;"
        oauth = "listener.name.sasl.oauthbearer.sasl"
        return {
            "listeners": f"ADMIN://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]},SASL://127.0.0.1:{ports[2]},"
            f"TLS://127.0.0.1:{ports[3]},SASLPLAIN://127.0.0.1:{ports[4]}",
            "advertised.listeners": f"ADMIN://{self.admin},SASL://{self.sasl},TLS://{self.tls},SASLPLAIN://{self.sasl_plain}",
            "listener.security.protocol.map": "ADMIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL,"
            "SASLPLAIN:SASL_PLAINTEXT",
            "inter.broker.listener.name": "ADMIN",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # who comes over ADMIN or CONTROLLER, which only this machine reaches
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca.ca_file),
            "listener.name.tls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER",
            "listener.name.saslplain.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.saslplain.scram-sha-512.sasl.jaas.config": scram,
            "listener.name.sasl.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {plain};",
            f"{oauth}.jaas.config": f"{module}.oauthbearer.OAuthBearerLoginModule required;",
            f"{oauth}.server.callback.handler.class": f"{module}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            # not with the listener's prefix and the default validator: 4.1.1 then takes every token
            "sasl.oauthbearer.jwks.endpoint.url": self.tokens.jwks_file.as_uri(),
            "sasl.oauthbearer.jwt.validator.class": f"{module}.oauthbearer.BrokerJwtValidator",
            "sasl.oauthbearer.expected.audience": _AUDIENCE,
            "sasl.oauthbearer.expected.issuer": _ISSUER,
            # as production should: whoever is logged in must show from time to time that he still may
            "connections.max.reauth.ms": "600000",
        }


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _whole(number: int) -> str:
    return _url64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
