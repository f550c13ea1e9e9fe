"""How does a test ask a server over HTTP, and whether it is ready? Without what is for TLS alone: to load the
certificates of the world takes 40 ms each time, and who waits for a server asks it often."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

__all__ = ["NO_TLS", "get", "ready"]

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: for `verify` of a client that speaks plain HTTP to a server of the test."""


def get(url: str, timeout: float = 30) -> httpx.Response:
    """What is there."""
    return httpx.get(url, timeout=timeout, verify=NO_TLS)


def ready(url: str) -> bool:
    """Does the server at this address say that it is ready?"""
    try:
        return get(f"{url}/readyz", 5).status_code == 200
    except httpx.TransportError:
        return False
