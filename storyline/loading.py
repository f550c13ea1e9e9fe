"""How are modules loaded? In less time, and so that Ctrl-C meanwhile ends with 130 and without a traceback.

What modules make stays for good: types, functions, models. To go through it for garbage again and again while it
grows takes a quarter of the time that loading takes. And an interruption in the midst of it can come out of any
library as any error.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

__all__ = ["loading"]

_INTERRUPTED = 130


def _end(_number: int, _frame: Any) -> NoReturn:
    os._exit(_INTERRUPTED)


@contextmanager
def loading() -> Iterator[None]:
    """Load modules in this block, and do nothing else. Within another one it changes nothing."""
    collects = gc.isenabled()
    # else Ctrl-C is ignored, as under `nohup`, or means something to whoever loads
    usual = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    gc.disable()
    if usual:
        signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if collects:
            gc.enable()
