"""Which benchmark? `storyline bench pipeline|publish|read|search|… [OPTIONS]`, or `python -m bench …`."""

from __future__ import annotations

import sys
from importlib import import_module

BENCHES = (
    "pipeline",
    "publish",
    "read",
    "search",
    "scale",
    "chaos",
    "xes",
    "identity",
    "commands",
    "relay_kills",
    "segments",
    "dashboards",
    "rebuild",
)


def main() -> None:
    """Forward to the benchmark's own `main`."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name not in BENCHES:
        print(f"Usage: storyline bench {'|'.join(BENCHES)} [--json] [OPTIONS]; each has --help.")
        sys.exit(0 if name in {"-h", "--help"} else 2)
    import_module(f"bench.{name}").main(arguments)


if __name__ == "__main__":
    main()
