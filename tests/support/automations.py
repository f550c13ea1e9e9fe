"""How does a test get processes of automation that die at any point? See `mortals.py`.

python -m tests.support.automations DSN RECEIVER
"""

from __future__ import annotations

import os
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable

from consumers.automation import Automation
from domain.configuration import Configuration
from tests.support.automating import automated, rules_of
from tests.support.mortals import Mortals, fork

__all__ = ["Automations", "killed_rules"]


def killed_rules(receiver: str) -> Configuration:
    """One rule that does all that must not be done twice."""
    then = [
        {"do": "create_task", "title": "Call", "assignee": "anna"},
        {"do": "notify", "user": "bob", "text": "Somebody answered"},
        {"do": "webhook", "url": f"{receiver}/hook", "secret": "main"},
    ]
    return rules_of({"code": "all", "on": ["survey.answered"], "then": then})


class Automations(Mortals):
    """Processes of automation on a story's database, until the block ends."""

    def __init__(self, dsn: str, receiver: str, master: bytes) -> None:
        env = {"TEST_MASTER": b64encode(master).decode()}
        super().__init__("tests.support.automations", [dsn, receiver], env)


def _work(dsn: str, receiver: str, perhaps_die: Callable[[], None]) -> None:
    master = b64decode(os.environ["TEST_MASTER"])
    with automated(dsn, killed_rules(receiver), follow=False, master=master) as made:
        made.follower.share.batch, made.follower.before_move = 3, perhaps_die
        made.carrier.before_settling = perhaps_die
        Automation(made.follower, made.carrier, [made.deliverer]).run(threading.Event())


if __name__ == "__main__":
    fork(lambda perhaps_die: _work(sys.argv[1], sys.argv[2], perhaps_die))
