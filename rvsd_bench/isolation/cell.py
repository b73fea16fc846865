"""Hold one confined process: feed it, read from it as long as it keeps its limits, end it."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rvsd_bench.errors import InputError, ModelError
from rvsd_bench.isolation.limits import (
    SMALLER_TILES,
    Isolation,
    end_family,
    memory_is_short,
    usage,
)

POLL_S = 0.1
"""Seconds between two looks at what the processes use."""
_LAST_WORDS = 2000
"""Bytes of what a process printed that are kept."""


class Cell:
    """One confined process and all that it starts; used as a context, at whose end none is left.

    `command` is what `sandbox.compose` returns, `fed` what the process reads on its standard input.
    Its standard output is read by `read`; of its standard error the end is kept. Threads feed and
    watch it: it must be opened in a thread that outlives it.
    """

    def __init__(self, command: Sequence[str], fed: Iterable[bytes], isolation: Isolation) -> None:
        self.isolation = isolation
        self.waited_s = 0.0
        """Seconds for which `read` has waited."""
        self._verdict: ModelError | None = None
        self.unfed: InputError | None = None
        """Why it was not fed all of its input, if that could not be read."""
        self._last_words = b""
        self._done = threading.Event()
        self._ending = threading.Lock()
        pipe = subprocess.PIPE
        # The environment of the first process inside, bubblewrap's own, can be read by the others.
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, env={}
        )
        self._threads = [
            threading.Thread(target=work, args=arguments, daemon=True)
            for work, arguments in ((self._feed, (fed,)), (self._watch, ()), (self._listen, ()))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Cell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, count: int) -> bytes:
        """Return exactly so many bytes; raise ModelError saying why they do not come."""
        parts: list[bytes] = []
        while count:
            part = self._read_some(min(count, 2**20))
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def read_rest(self, most: int) -> bytes:
        """Return what comes until the process ends, cut off at `most` bytes."""
        rest = b""
        while len(rest) < most and (part := self._read_some(most - len(rest), or_end=True)):
            rest += part
        return rest

    def close(self) -> None:
        """End all processes, and wait until they are gone."""
        self._done.set()
        self._end()
        self._process.wait()
        for thread in self._threads:
            thread.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    @property
    def last_words(self) -> str:
        """The last line that the processes printed on standard error."""
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _end(self) -> None:
        with self._ending:
            if self._process.poll() is None:
                end_family(self._process.pid)

    def _read_some(self, most: int, *, or_end: bool = False) -> bytes:
        stream = self._process.stdout
        assert stream is not None
        limits = self.isolation.limits
        began = time.monotonic()
        left = min(limits.video_s - self.waited_s, self.isolation.left_s)
        ready, _, _ = select.select([stream], [], [], max(left, 0.0))
        self.waited_s += time.monotonic() - began
        if not ready:
            whole = self.isolation.left_s <= 0
            limit = f"{limits.total_s:g} s of the submission" if whole else f"{limits.video_s:g} s"
            raise ModelError(f"no answer came within the limit of {limit}", "timeout")
        part = os.read(stream.fileno(), most)
        if part or or_end:
            return part
        raise self._ended()

    def _ended(self) -> InputError:
        """Return why the processes ended before they should have."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ModelError("the model closed its output and went on", "invalid")
        self._threads[-1].join(timeout=5)
        if self._verdict is not None:
            return self._verdict
        if self.unfed is not None:
            return self.unfed
        if code in (-9, 137):
            told = "the system killed the model, for lack of memory most likely"
            return ModelError(f"{told}: {SMALLER_TILES}", "oom")
        signal = f"signal {code - 128}" if code > 128 else f"exit code {code}"
        told = f": {self.last_words}" if self.last_words else ""
        return ModelError(f"the model ended with {signal} before it was done{told}", "crash")

    def _feed(self, fed: Iterable[bytes]) -> None:
        stream = self._process.stdin
        assert stream is not None
        try:
            for part in fed:
                rest = memoryview(part)
                while rest and not self._done.is_set():
                    rest = rest[os.write(stream.fileno(), rest) :]
                if self._done.is_set():
                    return
        except BrokenPipeError:
            pass  # it reads no further
        except Exception as error:  # whatever keeps the input from being read
            self.unfed = InputError(f"the input cannot be read: {error}")
        finally:
            with suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        with suppress(OSError, ValueError):
            while part := os.read(stream.fileno(), 65536):
                self._last_words = (self._last_words + part)[-_LAST_WORDS:]

    def _watch(self) -> None:
        known: set[int] = set()
        while not self._done.wait(POLL_S):
            self._verdict = self._judge(known)
            if self._verdict is not None:
                self._end()
                return

    def _judge(self, known: set[int]) -> ModelError | None:
        """Return which limit is overstepped, if one is; let the system end new processes first."""
        limits, now = self.isolation.limits, usage(self._process.pid)
        if now.tasks >= limits.tasks:
            told = f"the model ran {limits.tasks} processes and threads, the most it may"
            return ModelError(told, "crash")
        if now.at_most > limits.memory_bytes and now.exactly() > limits.memory_bytes:
            gib = limits.memory_bytes / 2**30
            told = f"the model took more than the {gib:.3g} GiB of memory it may use"
            return ModelError(f"{told}: raise --memory-limit; {SMALLER_TILES}", "oom")
        if memory_is_short():
            told = "the model left the machine next to no memory"
            return ModelError(f"{told}: {SMALLER_TILES}", "oom")
        for pid in set(now.resident) - known:
            with suppress(OSError):
                Path("/proc", str(pid), "oom_score_adj").write_text("1000")
        known.update(now.resident)
        return None
