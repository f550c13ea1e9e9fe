"""What happens at Ctrl-C while the command line is still being loaded? It ends with 130, and without a traceback.

The command `storyline` begins here, where next to nothing is imported: loading the rest takes a second or two.
"""

from __future__ import annotations

from storyline.loading import loading

__all__ = ["main"]


def main() -> None:
    """Load the command line and run one command."""
    with loading():
        from storyline.cli import main as run  # noqa: PLC0415 - only now
    run()
