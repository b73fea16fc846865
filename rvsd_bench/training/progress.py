"""Show how far a training is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from rvsd_bench.jobs import Track, untracked
from rvsd_bench.training.stepping import Outcome

LINE_EVERY_S = 30.0


class Progress(Protocol):
    """What a training tells while it runs."""

    @property
    def track(self) -> Track:
        """Shows how far the data is opened."""

    def say(self, line: str) -> None:
        """Tell people something."""

    def begin(self, done: int, steps: int) -> None:
        """Start counting at `done` of `steps`."""

    def step(self, outcome: Outcome) -> None:
        """Count one step."""

    def end(self) -> None:
        """Stop counting."""


class Silent:
    """Tell nothing."""

    track: Track = staticmethod(untracked)

    def say(self, line: str) -> None:
        """Do nothing."""

    def begin(self, done: int, steps: int) -> None:
        """Do nothing."""

    def step(self, outcome: Outcome) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class OnStderr:
    """Tell all on stderr: rate, losses and the time that is left."""

    def __init__(self, track: Track = untracked) -> None:
        """Begin with `track`, which shows how far the data is opened."""
        self.track = track
        self._bar: Any = None
        self._done = self._steps = self._first = 0
        self._started = self._told = 0.0

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def begin(self, done: int, steps: int) -> None:
        """Open the bar."""
        self._done, self._first, self._steps = done, done, steps
        self._started = self._told = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=steps, initial=done, desc="train", unit="step", leave=False)

    def step(self, outcome: Outcome) -> None:
        """Show the step's losses, beside what the bar knows."""
        self._done += 1
        if self._bar is not None:
            self._bar.update()
            self._bar.set_postfix_str(_losses(outcome), refresh=False)
            return
        now = time.monotonic()
        if now - self._told >= LINE_EVERY_S or self._done == self._steps:
            self._told = now
            rate = (self._done - self._first) / max(1e-9, now - self._started)
            left = (self._steps - self._done) / rate
            print(
                f"step {self._done} of {self._steps}, {rate:.3g}/s, {_duration(left)} left: "
                f"{_losses(outcome)}",
                file=sys.stderr,
                flush=True,
            )

    def end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _losses(outcome: Outcome) -> str:
    parts = (f"{name} {value:.3g}" for name, value in outcome.terms.items())
    return f"loss {outcome.total:.4g} ({', '.join(parts)})"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
