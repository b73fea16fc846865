"""Hold a training to going on exactly where it stopped, and to what it leaves on the disk."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rvsd_bench.baselines.checkpoints import read_card, read_weights
from rvsd_bench.baselines.info import ModelInfo
from rvsd_bench.baselines.learned import learned_digest
from rvsd_bench.errors import InputError, MissingError, OutputError
from rvsd_bench.media.images import read_image
from rvsd_bench.training import session as sessions
from rvsd_bench.training import training
from rvsd_bench.training.batches import Batch, Source
from rvsd_bench.training.journal import Journal, read_journal
from rvsd_bench.training.progress import Silent
from rvsd_bench.training.recipe import Ema, Optimiser, TrainingRecipe, Validation
from rvsd_bench.training.saving import STATE, read_state, write_state
from rvsd_bench.training.session import Session
from rvsd_bench.training.stepping import Stepper

STEPS = 12


class Toy(nn.Module):
    """A network with buffers and dropout, whose descriptor the validation asks."""

    info = ModelInfo(name="toy", window=3, multiple=2)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, clip: Tensor) -> Tensor:
        frames = self.norm(self.first(clip.flatten(0, 1))).relu()
        frames = nn.functional.dropout(frames, 0.3, self.training)
        return clip + self.last(frames).view_as(clip)


class Objective:
    """The error, with a teacher's opinion and a memory if wanted."""

    terms = frozenset({"squares", "agreement"})

    def __init__(self, taught: bool, bad: Callable[[int], bool] = lambda step: False) -> None:
        self.taught, self.bad = taught, bad
        self.memory = torch.zeros(3)

    def __call__(
        self, student: nn.Module, teacher: nn.Module, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        restored = student(batch.snowy + 0.1 * torch.rand_like(batch.snowy))
        found = {"squares": (restored - batch.clean).square().mean()}
        if self.bad(step):
            found["squares"] = found["squares"] * float("nan")
        if self.taught:
            self.memory = 0.5 * self.memory + batch.snowy.mean((0, 1, 3, 4))
            opinion = teacher(batch.snowy) - restored + self.memory.view(3, 1, 1)
            found["agreement"] = opinion.abs().mean()
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"memory": self.memory}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.memory = state["memory"]


class Feed:
    """Batches that are functions of the step, and two held-out windows of odd size."""

    sources = (Source("a", "0" * 64), Source("b", "1" * 64, "held out"))
    snow = ""

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        snowy, clean = torch.rand(2, 2, 3, 3, 8, 8, generator=generator)
        return Batch(snowy, clean, None, (0, 1))

    def validation(self) -> list[tuple[Tensor, Tensor]]:
        snowy, clean = torch.rand(2, 2, 3, 3, 15, 21, generator=torch.Generator().manual_seed(9))
        return list(zip(snowy, clean, strict=True))


class StopAt(Silent):
    """Press Ctrl-C during a step, counted over all calls."""

    def __init__(self, step: int) -> None:
        self.left = step

    def step(self, outcome: Any) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


Open = Callable[..., Session]


@pytest.fixture
def open_session(tmp_path: Path) -> Open:
    """Return a function that opens a training in a folder, as a new process would."""

    def call(
        name: str = "run",
        *,
        taught: bool = False,
        precision: Any = "float32",
        stop: int = 0,
        bad: Callable[[int], bool] = lambda step: False,
        **changes: Any,
    ) -> Session:
        recipe = TrainingRecipe(
            "toy",
            STEPS,
            precision=precision,
            optimiser=Optimiser(lr=0.01, patience=3),
            ema=Ema(0.9),
            losses={"squares": 1.0, "agreement": 0.5} if taught else {"squares": 1.0},
            validation=Validation(every=4),
        )
        torch.manual_seed(1)
        network = Toy()
        torch.manual_seed(hash(name) % 1000)  # a new process draws on from elsewhere
        stepper = Stepper(network, Objective(taught, bad), recipe)
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        card = {"losses": recipe.losses, "trained_on": "noise", **changes}
        session = Session(out, stepper, Feed(), card, StopAt(stop))
        session.take_up()
        return session

    return call


def _digests(session: Session) -> tuple[str, str, str]:
    """Return digests of student, teacher and the exported weights."""
    exported = Toy()
    exported.load_state_dict(read_weights(session.out / "checkpoint.safetensors"))
    networks = (session.stepper.student, session.stepper.average.network, exported)
    student, teacher, checkpoint = map(learned_digest, networks)
    return student, teacher, checkpoint


# ---------------------------------------------------------------- T1: resumption


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("taught", [False, True], ids=["supervised", "teacher"])
def test_a_resumed_training_equals_one_that_never_stopped(
    open_session: Open, taught: bool, precision: str
) -> None:
    whole = open_session("whole", taught=taught, precision=precision)
    whole.run()
    wanted = _digests(whole)
    assert wanted[1] == wanted[2] != wanted[0]
    for stop in (1, 4, 5, 9, 11):
        name = f"stopped-{stop}"
        with pytest.raises(KeyboardInterrupt):
            open_session(name, taught=taught, precision=precision, stop=stop).run()
        resumed = open_session(name, taught=taught, precision=precision)
        assert resumed.tally.step == stop
        resumed.run()
        assert _digests(resumed) == wanted, stop


def test_the_checkpoint_and_the_log_of_both_are_the_same(open_session: Open) -> None:
    open_session("whole", taught=True).run()
    with pytest.raises(KeyboardInterrupt):
        open_session("parts", taught=True, stop=7).run()
    last = open_session("parts", taught=True)
    last.run()
    whole, parts = last.out.parent / "whole", last.out
    read = "checkpoint.safetensors"
    assert (whole / read).read_bytes() == (parts / read).read_bytes()
    rows = [[{**row, "seconds": ""} for row in read_journal(out)] for out in (whole, parts)]
    assert rows[0] == rows[1]
    assert [row["step"] for row in rows[0]] == ["1", "4", "8", "10", "12"]
    assert [row["psnr"] != "" for row in rows[0]] == [False, True, True, False, True]


def test_a_second_interrupt_does_not_wait_for_the_step(open_session: Open) -> None:
    class Twice(StopAt):
        def step(self, outcome: Any) -> None:
            super().step(outcome)
            super().step(outcome)

    before = signal.getsignal(signal.SIGINT)  # a shell ignores it for what it runs behind
    session = open_session()
    session.progress = Twice(5)
    session.progress.step = lambda outcome: [signal.raise_signal(signal.SIGINT) for _ in "12"]
    with pytest.raises(KeyboardInterrupt):
        session.run()
    assert not (session.out / STATE).exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_request_to_terminate_saves_too(open_session: Open) -> None:
    session = open_session()
    session.progress = Silent()
    session.progress.step = lambda outcome: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        session.run()
    assert open_session().tally.step == 1


def test_time_is_counted_over_all_calls(open_session: Open) -> None:
    with pytest.raises(KeyboardInterrupt):
        open_session(stop=5).run()
    first = open_session().tally
    assert first.wall_s > 0 and first.cpu_s > 0
    session = open_session()
    session.run()
    assert session.tally.wall_s > first.wall_s and session.tally.cpu_s > first.cpu_s


# ---------------------------------------------------------------- what lies on the disk


def test_the_card_says_how_far_it_is_and_the_checkpoint_no_times(open_session: Open) -> None:
    session = open_session(colour="green")
    session.run()
    inside = read_card(session.out / "checkpoint.safetensors")
    beside = json.loads((session.out / "card.json").read_text())
    assert beside.pop("wall_s") >= 0 and beside.pop("cpu_s_without_workers") >= 0
    assert beside == inside
    assert inside["step"] == STEPS and inside["colour"] == "green"
    assert inside["validation"]["windows"] == 2
    assert inside["losses_without_data"] == []


def test_a_loss_that_never_had_data_is_named_in_the_card(open_session: Open) -> None:
    session = open_session()
    session.card["losses"] = {"squares": 1.0, "agreement": 1.0}
    session.run()
    card = read_card(session.out / "checkpoint.safetensors")
    assert card["losses_without_data"] == ["agreement"]


def test_every_look_leaves_a_sheet_of_its_pictures(open_session: Open) -> None:
    session = open_session()
    session.run()
    sheets = sorted((session.out / "validation").iterdir())
    assert [s.name for s in sheets] == ["0000004.png", "0000008.png", "0000012.png"]
    sheet = read_image(sheets[-1])
    # Two windows of 15 x 21, cut to the network's multiple, in three columns.
    snowy, clean = Feed().validation()[0]
    for column, clip in ((0, snowy), (2, clean)):
        wanted = (clip[1, :, :14, :20] * 255).round().byte().permute(1, 2, 0).numpy()
        left = 6 + column * 26
        assert (sheet[22:36, left : left + 20] == wanted).all()


def test_the_state_holds_no_code(open_session: Open) -> None:
    session = open_session(taught=True)
    session.run()
    state = torch.load(session.out / STATE, weights_only=True)
    assert {"student", "teacher", "optimiser", "scaler", "objectives", "tally"} <= set(state)


# ---------------------------------------------------------------- T5: divergence


def test_bad_steps_are_counted_and_passed_over(open_session: Open) -> None:
    session = open_session(bad=lambda step: step in (2, 3, 7))
    session.run()
    assert session.tally.skipped == 3
    assert read_journal(session.out)[-1]["skipped"] == "3"
    assert read_card(session.out / "checkpoint.safetensors")["skipped"] == 3


def test_too_many_bad_steps_in_a_row_stop_with_the_step_and_the_loss(open_session: Open) -> None:
    session = open_session(bad=lambda step: step >= 6)
    with pytest.raises(InputError, match=r"up to step 9, 3 steps in a row .* squares\.") as stop:
        session.run()
    assert "\n" not in str(stop.value)
    kept = open_session()
    assert (kept.tally.step, kept.tally.skipped) == (8, 2)  # the last look
    assert all(torch.isfinite(v).all() for v in kept.stepper.student.state_dict().values())


def test_a_row_of_bad_steps_is_counted_across_an_interrupt(open_session: Open) -> None:
    def bad(step: int) -> bool:
        return step >= 6

    with pytest.raises(KeyboardInterrupt):
        open_session(bad=bad, stop=8).run()
    with pytest.raises(InputError, match="up to step 9, 3 steps in a row"):
        open_session(bad=bad).run()


# ---------------------------------------------------------------- T2: saving


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from rvsd_bench.training.saving import write_state
folder = Path(sys.argv[1])
write_state(folder, {"step": 1, "student": {"w": torch.ones(1000)}})
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
def half(self, data):
    with open(self, "wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
    die()
if sys.argv[2] == "in the middle":
    Path.write_bytes = half
else:
    Path.replace = die
write_state(folder, {"step": 2, "student": {"w": torch.zeros(1000)}})
"""


@pytest.mark.parametrize("moment", ["in the middle", "before it is renamed"])
def test_a_killed_save_leaves_the_old_state(tmp_path: Path, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], timeout=120)
    assert done.returncode == -signal.SIGKILL
    state = read_state(tmp_path)
    assert state is not None and state["step"] == 1
    assert torch.equal(state["student"]["w"], torch.ones(1000))
    write_state(tmp_path, {"step": 3})
    assert read_state(tmp_path) == {"step": 3}


# In a process of its own: the limit would hold for whatever else this one writes.
FULL = """
import os, resource, sys
from pathlib import Path
import torch
from rvsd_bench.errors import OutputError
from rvsd_bench.training.saving import write_state
folder = Path(sys.argv[1])
write_state(folder, {"step": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    write_state(folder, {"step": 2, "w": torch.zeros(1000)})
except OutputError as error:
    os.write(1, str(error).encode())
"""


class Killed(BaseException):
    """Stands for a signal that nobody can catch."""


@pytest.mark.parametrize("step", [8, STEPS])
@pytest.mark.parametrize("name", ["write_state", "save_checkpoint", "write_card"])
def test_a_save_killed_between_its_files_ends_as_if_it_never_was(
    open_session: Open, monkeypatch: pytest.MonkeyPatch, name: str, step: int
) -> None:
    whole = open_session("whole")
    whole.run()
    killed = open_session("parts")
    write = getattr(sessions, name)

    def dying(*args: Any) -> None:
        if killed.tally.step == step:
            raise Killed
        write(*args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sessions, name, dying)
        killed.run()
    resumed = open_session("parts")
    if resumed.tally.step < STEPS:  # as `train` does
        resumed.run()
    parts = resumed.out
    for file in ("checkpoint.safetensors", STATE, "card.json"):
        assert (parts / file).is_file()
    read = "checkpoint.safetensors"
    assert (parts / read).read_bytes() == (whole.out / read).read_bytes()
    assert json.loads((parts / "card.json").read_text())["step"] == STEPS


def test_what_is_cleared_away_is_known_as_a_training_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (training.RECIPE, training.CARD, STATE, training.LOG):
        (tmp_path / name).write_text("")
    remove, seen = training.discard, []

    def watched(path: Path) -> None:
        seen.append((tmp_path / training.RECIPE).is_file())
        remove(path)

    monkeypatch.setattr(training, "discard", watched)
    training._clear(tmp_path)
    assert all(seen) and not list(tmp_path.iterdir())


def test_a_row_that_finds_no_room_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, ["a"], done=0)
    journal.add(1, {"a": 1.0})
    before = (tmp_path / "log.csv").read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rvsd_bench.files.os.fsync", full)
    with pytest.raises(OutputError, match=r"log\.csv \(\d+ bytes are needed\): No space left"):
        journal.add(10, {"a": 2.0})
    assert (tmp_path / "log.csv").read_bytes() == before


def test_a_full_disk_is_told_with_the_bytes_needed_and_keeps_the_old_state(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], timeout=120, stdout=subprocess.PIPE
    )
    assert re.search(r"state.pt \(\d{4,} bytes are needed\)", done.stdout.decode())
    assert read_state(tmp_path) == {"step": 1}


def test_a_damaged_state_is_refused_in_one_line(tmp_path: Path, open_session: Open) -> None:
    assert read_state(tmp_path) is None
    (tmp_path / STATE).write_bytes(b"no state")
    with pytest.raises(InputError, match=r"state.pt is damaged, or no state") as refusal:
        read_state(tmp_path)
    assert "\n" not in str(refusal.value)
    write_state(tmp_path, {"step": 2})
    (tmp_path / "run").mkdir()
    (tmp_path / STATE).rename(tmp_path / "run" / STATE)
    with pytest.raises(InputError, match="holds a state that does not fit this training"):
        open_session()


# ---------------------------------------------------------------- the log


def test_the_log_forgets_what_came_after_the_state(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ["b", "a"], done=0)
    for step in (1, 10, 20, 30):
        journal.add(step, {"a": step / 7, "psnr": None, "lr": 1e-4})
    with (tmp_path / "log.csv").open("a") as file:
        file.write("3")  # a row that was cut short by a crash: it is no step 3
    Journal(tmp_path, ["b", "a"], done=20).add(21, {"b": 2.0})
    rows = read_journal(tmp_path)
    assert [row["step"] for row in rows] == ["1", "10", "20", "21"]
    assert rows[1] == {
        **dict.fromkeys(("seconds", "total", "grad_norm", "skipped", "b"), ""),
        **dict.fromkeys(("psnr", "psnr_input", "psnr_affine"), ""),
        "step": "10", "lr": "0.0001", "a": "1.42857",
    }  # fmt: skip
    assert rows[-1]["b"] == "2"


def test_a_log_of_other_losses_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path, ["a"], done=0)
    with pytest.raises(InputError, match=r"log.csv has other columns than this training"):
        Journal(tmp_path, ["b"], done=1)


def test_tensorboard_is_an_extra_that_is_named_where_it_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingError, match=r"rvsd-bench\[tensorboard\]"):
        Journal(tmp_path, ["a"], done=0, tensorboard=True)


def test_tensorboard_is_given_what_the_log_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            told.append((folder, purge_step))

        def add_scalar(self, *scalar: Any) -> None:
            told.append(scalar)

    class Board:
        SummaryWriter = Writer

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", Board)
    journal = Journal(tmp_path, ["a"], done=20, tensorboard=True)
    journal.add(21, {"a": 0.5, "psnr": None})
    assert told == [(str(tmp_path / "tensorboard"), 21), ("a", 0.5, 21)]


def test_saving_follows_the_clock_between_two_looks(
    open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SAVE_EVERY_S", 0.0)
    session = open_session(bad=lambda step: step >= 1)
    with pytest.raises(InputError, match="diverged"):
        session.run()
    assert open_session().tally.step == 3
