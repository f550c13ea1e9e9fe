"""What happens at Ctrl-C while the command line is still being loaded? It ends with 130, and without a traceback.

The command `storyline` begins here, where next to nothing is imported: loading the rest takes a second or two.
"""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

__all__ = ["main"]

_INTERRUPTED = 130


def _end(_number: int, _frame: Any) -> NoReturn:
    os._exit(_INTERRUPTED)


def main() -> None:
    """Load the command line and run one command."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else it is ignored, as under `nohup`
    if usual:
        signal.signal(signal.SIGINT, _end)
    from storyline.cli import main as run  # noqa: PLC0415 - only now

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
