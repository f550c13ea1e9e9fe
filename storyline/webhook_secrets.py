"""Which secrets sign webhooks? A TOML file that the settings name, with `NAME = "whsec_…"` each."""

from __future__ import annotations

import tomllib
from binascii import Error as Base64Error
from collections.abc import Sequence
from pathlib import Path

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from domain.configuration import Rule
from domain.errors import Misconfigured

__all__ = ["check_secrets", "read_secrets"]


def read_secrets(path: Path | None) -> dict[str, str]:
    """The secrets of a file by their names, none without one. Raises Misconfigured, never with a secret."""
    if path is None:
        return {}
    try:
        section = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise Misconfigured("STORYLINE_WEBHOOK_SECRETS_FILE names a file that cannot be read; see who may.") from None
    except tomllib.TOMLDecodeError:
        raise Misconfigured(f'{path.name} is no TOML; write NAME = "whsec_…", one a line.') from None
    for name, secret in section.items():
        try:
            Webhook(secret if isinstance(secret, str) else "")
        except (EmptyWebhookSecretError, Base64Error, ValueError):
            raise Misconfigured(
                f"{path.name}: {name} is no secret of Standard Webhooks; write whsec_ and base64 of 24 to 64 bytes."
            ) from None
    return dict(section)


def check_secrets(rules: Sequence[Rule], secrets: dict[str, str]) -> None:
    """Raise Misconfigured where a rule names a secret that there is none of."""
    for rule in rules:
        for action in rule.then:
            if rule.enabled and action.secret is not None and action.secret not in secrets:
                raise Misconfigured(
                    f"The rule {rule.code} signs webhooks by {action.secret}, which STORYLINE_WEBHOOK_SECRETS_FILE "
                    "does not hold; add it, or name another."
                )
