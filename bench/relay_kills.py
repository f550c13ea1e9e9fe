"""Does the relay outlive hundreds of `kill -9`? `storyline bench relay_kills [--kills 300] [--json]`.

Twenty writers save all the while, two relays run, and who works is killed at a random moment. It ends with exit code
1 where an event was skipped, is shown twice, or stands out of order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from bench.report import progress
from bench.stand import ADAPTERS, stand
from tests.support.relay_kills import Killed, killed
from tests.support.story import story

__all__ = ["main"]


def main(argv: Sequence[str]) -> None:
    """Run it and print what came of it, for each log."""
    parser = argparse.ArgumentParser(prog="storyline bench relay_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", choices=(*ADAPTERS, "both"), default="embedded")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    told: list[tuple[str, Killed]] = []
    with stand(kafka=given.log != "embedded") as servers:
        for adapter in ADAPTERS if given.log == "both" else (given.log,):
            dsn = servers.database()
            with story(dsn, servers.log_url(adapter, dsn, "kills", 4)) as made:
                progress(f"{given.kills} kills on {adapter}")
                found = killed(made, given.kills, given.seed)
            told.append((adapter, found))
    for adapter, found in told:
        _show({"log": adapter, **found._asdict()}, given.json)
    if any(not found.on_log == found.shown == found.events or found.out_of_order for _, found in told):
        sys.exit(1)


def _show(found: dict[str, object], as_json: bool) -> None:
    print(json.dumps(found) if as_json else "  ".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
