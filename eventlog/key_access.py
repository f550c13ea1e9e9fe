"""How does another process of ours come to open what is sealed? It is told where the keys are."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from eventlog.tokens import Hasher

__all__ = ["KeyAccess"]


@dataclass(frozen=True, slots=True)
class KeyAccess:
    """Where the key store is, and what unwraps its keys. Can be sent to a process of ours through a pipe; is printed
    without its secrets. `region`: see `Hasher`. `cache_seconds`: see `Keyring`."""

    url: str = field(repr=False)
    master: MasterKeys = field(repr=False)
    region: str = "GB"
    cache_seconds: float = 60

    def keyring(self) -> Keyring:
        """A key store of one's own; the caller closes it."""
        return Keyring(self.url, self.master, cache_seconds=self.cache_seconds, pool_size=1)

    def hasher(self, keyring: Keyring) -> Hasher:
        """The hasher of that key store."""
        return Hasher(keyring.hashing_key(), self.region)
