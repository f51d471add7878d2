"""Ctrl-C that is heeded even when Python has lost it.

An exception cannot leave a finalizer, nor a callback of a C library: Python prints or drops it
there (``sys.unraisablehook``), a KeyboardInterrupt as well. A training calls both all the time, and
would go on to its end. So the signal is remembered, and raised again at the next step. Runs on
Python 3.7 to 3.13.
"""

from __future__ import annotations

import signal
from typing import Any

_asked = False


def listen() -> None:
    """Remember an interrupt from now on; where interrupts are ignored, they stay ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def heed() -> None:
    """Raises KeyboardInterrupt when there was one that did not end what it came to."""
    if _asked:
        raise KeyboardInterrupt


def _interrupt(*_: Any) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
