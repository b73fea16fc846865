"""Serve tasks in a process of its own, which leaves with the one that started it."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from rvsd_bench.jobs import interrupts
from rvsd_bench.jobs.tasks import attempt, internal

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
READY = b""
"""What a worker sends when it is prepared; an answer is never empty."""

_PR_SET_PDEATHSIG = 1


def serve(pipe: Connection, packed: bytes) -> None:
    """Answer each task that comes through a pipe, until its other end is closed."""
    settle()
    interrupts.ignore()  # the parent decides what they mean
    with suppress(AttributeError, OSError):  # not every system has groups of processes
        os.setpgid(0, 0)  # so that what a task starts can be ended with it
    _follow_parent()
    function = pickle.loads(packed)
    pipe.send_bytes(READY)
    with suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(answer(function, pipe.recv_bytes()))


def settle() -> None:
    """Keep to one thread per library; to be called before any numeric one is loaded."""
    os.environ.update(dict.fromkeys(THREADS, "1"))


def answer(function: Callable[[Any], Any], packed: bytes) -> bytes:
    """Attempt a pickled task and return its pickled result, whatever it is."""
    name = "?"
    try:
        name, unpack = pickle.loads(packed)
        result = attempt(function, pickle.loads(unpack))
        again = pickle.dumps(result)
        pickle.loads(again)  # an error of a stranger's class may not come through
        return again
    except Exception as error:
        return pickle.dumps(internal(name, error))


def _follow_parent() -> None:
    """End this process with its parent: it would wait for another task in vain."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        # The system does it, even while this process is stopped or busy in a library. It goes by
        # the thread that started this process: the one that takes the results.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:
            os._exit(1)
    else:
        threading.Thread(target=_leave_after, args=(parent,), daemon=True).start()


def _leave_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
