"""Leave interrupts to the process that people see: a terminal sends them to its workers, too."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

_CAN_HOLD = hasattr(signal, "pthread_sigmask")


@contextmanager
def held() -> Iterator[None]:
    """Put interrupts of this thread off; processes that begin meanwhile do until `ignore`.

    One that came to a worker as it begins would end it, with a trace.
    """
    if not _CAN_HOLD:
        yield
        return
    resource_tracker.ensure_running()  # which, when it begins, lets interrupts in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Ignore interrupts in this process, and those that were put off."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _CAN_HOLD:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
