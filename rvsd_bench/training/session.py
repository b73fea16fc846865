"""Go through the steps of a training: learn, look, write down, save, stop when asked to."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rvsd_bench.baselines.affine import AffineMap
from rvsd_bench.baselines.checkpoints import save_checkpoint
from rvsd_bench.errors import InputError
from rvsd_bench.files import make_folder
from rvsd_bench.training.batches import Batch, Feed
from rvsd_bench.training.cards import Tally, progressed, write_card
from rvsd_bench.training.distributed import Ranks, collected, highest
from rvsd_bench.training.journal import Journal
from rvsd_bench.training.prefetching import batches
from rvsd_bench.training.progress import Progress
from rvsd_bench.training.saving import CHECKPOINT, read_state, write_state
from rvsd_bench.training.sheet import write_sheet
from rvsd_bench.training.stepping import Outcome, Stepper
from rvsd_bench.training.validating import Verdict, Window, fit_to, validate

LOG_EVERY = 10
"""Steps from one row of the log to the next."""
SAVE_EVERY_S = 300.0
SHEETS = "validation"
FITTED = 4
"""Batches that the affine reference is fitted to."""
_GO_ON, _SAVE, _STOP = range(3)


@dataclass
class Session:
    """A training as it is in this process: what is learned, from what, and how far it is."""

    out: Path
    stepper: Stepper
    feed: Feed
    card: dict[str, Any]
    progress: Progress
    ranks: Ranks = field(default_factory=Ranks)
    tally: Tally = field(default_factory=Tally)
    affine: AffineMap | None = None
    windows: tuple[Window, ...] = ()
    keep: bool = False
    """Whether the weights of every look at held-out clips are kept, beside its picture."""

    def take_up(self) -> None:
        """Go on from the state in the folder, if there is one."""
        state = read_state(self.out)
        if state is None:
            return
        try:
            self.stepper.load_state_dict(state)
            self.stepper.objective.load_state_dict(state["objectives"][self.ranks.rank])
            self.tally = Tally(**state["tally"])
            self.affine = None if state["affine"] is None else AffineMap(**state["affine"])
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{self.out} holds a state that does not fit this training ({reason}); --force "
                "begins again"
            ) from error

    def run(self, *, workers: int = 0, tensorboard: bool = False) -> None:
        """Go on to the last step; raise KeyboardInterrupt after saving if that was asked for.

        Raises InputError, with the step and the loss that blew up, when the training diverges.
        """
        steps, losses = self.stepper.recipe.steps, sorted(self.card["losses"])
        journal = None
        if self.ranks.first:
            journal = Journal(self.out, losses, done=self.tally.step, tensorboard=tensorboard)
            self._prepare_validation()
        feed = batches(self.feed, self.tally.step, steps, workers=workers, ranks=self.ranks)
        self.progress.begin(self.tally.step, steps)
        try:
            clock = _Clock()
            with _heeding() as stop:
                for batch in feed:
                    self._learn(batch, journal, clock, stop)
        finally:
            self.progress.end()

    def _learn(
        self, batch: Batch, journal: Journal | None, clock: _Clock, stop: threading.Event
    ) -> None:
        """Take a step, and do all that is due after it."""
        tally, recipe = self.tally, self.stepper.recipe
        outcome = self.stepper.step(batch.to(self.stepper.device), tally.step)
        tally.step += 1
        self._count(outcome)
        last = tally.step == recipe.steps
        judged = last or tally.step % recipe.validation.every == 0
        verdict = self._judge() if judged and self.ranks.first else None
        clock.stop(tally)
        if journal is not None and (judged or tally.step % LOG_EVERY == 0 or tally.step == 1):
            journal.add(tally.step, self._row(outcome, verdict))
        self.progress.step(outcome)
        wish = _STOP if stop.is_set() else _SAVE if clock.since_save_s > SAVE_EVERY_S else _GO_ON
        wish = highest(self.ranks, wish, self.stepper.device)
        if judged or wish != _GO_ON:
            self.save()
            clock.saved()
        if wish == _STOP and not last:
            raise KeyboardInterrupt

    def save(self) -> None:
        """Write checkpoint, card and state, each whole or not at all.

        The state comes last: a training that goes on from it writes the others again, and one that
        has nothing left to do finds them as they should be.
        """
        objectives = collected(self.ranks, self.stepper.objective.state_dict())
        if not self.ranks.first:
            return
        state = {
            **self.stepper.state_dict(),
            "objectives": objectives,
            "tally": asdict(self.tally),
            "affine": None if self.affine is None else asdict(self.affine),
        }
        card = progressed(self.card, self.tally)
        save_checkpoint(self.out / CHECKPOINT, self.stepper.average.state_dict(), card)
        write_card(self.out, self.card, self.tally)
        write_state(self.out, state)

    def _count(self, outcome: Outcome) -> None:
        tally = self.tally
        tally.seen = sorted({*tally.seen, *outcome.terms})
        if outcome.culprit is None:
            tally.in_a_row = 0
            return
        tally.skipped, tally.in_a_row = tally.skipped + 1, tally.in_a_row + 1
        if tally.in_a_row >= self.stepper.recipe.optimiser.patience:
            raise InputError(
                f"the training diverged: up to step {tally.step}, {tally.in_a_row} steps in a row "
                f"had no finite gradient; what blew up is {outcome.culprit}. Lower optimiser.lr or "
                f"that loss, or begin again with another seed; what was saved is kept in {self.out}"
            )

    def _prepare_validation(self) -> None:
        if self.affine is None:
            self.affine = fit_to([self.feed.batch(number) for number in range(FITTED)])
        self.windows = tuple(self.feed.validation())

    def _judge(self) -> Verdict:
        """Look at the averaged network, and draw what it does."""
        assert self.affine is not None
        tally = self.tally
        network, precision = self.stepper.average.network, self.stepper.recipe.precision
        verdict = validate(network, self.windows, self.affine, precision)
        tally.validation = {
            "step": tally.step,
            "windows": len(self.windows),
            "psnr": round(verdict.psnr, 4),
            "psnr_input": round(verdict.psnr_input, 4),
            "psnr_affine": round(verdict.psnr_affine, 4),
        }
        self.progress.say(
            f"step {tally.step}: {verdict.psnr:.2f} dB on {len(self.windows)} held-out windows "
            f"(input {verdict.psnr_input:.2f}, affine {verdict.psnr_affine:.2f})"
        )
        make_folder(self.out / SHEETS)
        sheet = self.out / SHEETS / f"{tally.step:07d}.png"
        write_sheet(sheet, verdict.views)
        if self.keep:
            card = progressed(self.card, tally)
            weights = self.stepper.average.state_dict()
            save_checkpoint(sheet.with_suffix(".safetensors"), weights, card)
        return verdict

    def _row(self, outcome: Outcome, verdict: Verdict | None) -> dict[str, float | None]:
        judged = (
            {}
            if verdict is None
            else {
                "psnr": verdict.psnr,
                "psnr_input": verdict.psnr_input,
                "psnr_affine": verdict.psnr_affine,
            }
        )
        return {
            "seconds": self.tally.wall_s,
            "lr": outcome.lr,
            "total": outcome.total,
            "grad_norm": outcome.grad_norm,
            "skipped": self.tally.skipped,
            **outcome.terms,
            **judged,
        }


class _Clock:
    """Counts the time of a training over all its calls."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._saved = self._wall

    @property
    def since_save_s(self) -> float:
        """The time since the last save, or since the beginning."""
        return time.monotonic() - self._saved

    def stop(self, tally: Tally) -> None:
        """Add the time since the last call to a tally."""
        wall, cpu = time.monotonic(), time.process_time()
        tally.wall_s, tally.cpu_s = tally.wall_s + wall - self._wall, tally.cpu_s + cpu - self._cpu
        self._wall, self._cpu = wall, cpu

    def saved(self) -> None:
        """Count anew to the next save."""
        self._saved = time.monotonic()


@contextmanager
def _heeding() -> Iterator[threading.Event]:
    """Turn the first interrupt or request to terminate into an event; a second one acts at once.

    Signals reach the main thread alone; elsewhere nothing changes.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def heed(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    for number in before:
        signal.signal(number, heed)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
