"""Keep what each step found in a table that is only ever added to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.files import append_text, readable, write_text

LOG = "log.csv"
SEEN = ("step", "seconds", "lr", "total", "grad_norm", "skipped")
"""The columns before those of the losses; `skipped` counts the steps that were passed over."""
JUDGED = ("psnr", "psnr_input", "psnr_affine")
"""The last columns, empty where the network was not looked at."""


class Journal:
    """The table `log.csv` of a training, and its curves in tensorboard if they are wanted."""

    def __init__(
        self, folder: Path, losses: Sequence[str], *, done: int, tensorboard: bool = False
    ) -> None:
        """Go on after `done` steps: later rows are those of a training that was interrupted."""
        self.columns = (*SEEN, *losses, *JUDGED)
        self.path = folder / LOG
        write_text(self.path, self._kept(done))
        self._board = _open_board(folder, done) if tensorboard else None

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Add the row of a step, counted from 1; raise OutputError if the disk has no room."""
        row = [step, *(_text(values.get(name)) for name in self.columns[1:])]
        append_text(self.path, _line(row))
        if self._board is not None:
            for name, value in values.items():
                if value is not None:
                    self._board.add_scalar(name, value, step)

    def _kept(self, done: int) -> str:
        """Return the head and the rows of the steps that count."""
        head = _line(self.columns)
        if done == 0 or not self.path.is_file():
            return head
        with readable(self.path):
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines or lines[0] != head:
            raise InputError(f"{self.path} has other columns than this training; move it away")
        numbered = ((line.partition(",")[0], line) for line in lines[1:] if line.endswith("\n"))
        kept = [line for step, line in numbered if step.isdigit() and int(step) <= done]
        return "".join([head, *kept])


def read_journal(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a training's table by the names of its columns."""
    path = folder / LOG
    with readable(path), path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _line(values: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def _open_board(folder: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingError("--tensorboard needs the extra: rvsd-bench[tensorboard]") from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
