"""One line, the nearest names, the right exit code."""

from __future__ import annotations

import click
import pytest
import torch

from rvsd_bench import cli as command_line
from rvsd_bench.errors import (
    InputError,
    MissingError,
    OutputError,
    PartialError,
    RvsdBenchError,
    ValidationError,
    lacks_memory,
    unknown,
)


def test_an_unknown_name_is_repeated_in_part() -> None:
    assert len(str(unknown("preset", "x" * 10_000, ["light"]))) < 200


def test_an_unknown_name_offers_its_neighbours_and_lists_the_rest() -> None:
    message = str(unknown("preset", "heavvy", ["light", "heavy", "blizzard"]))
    assert "'heavvy'" in message and "Did you mean 'heavy'?" in message
    assert "Known: blizzard, heavy, light." in message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("a"), 2),
        (OutputError("a"), 2),
        (MissingError("a"), 3),
        (ValidationError("a"), 4),
        (PartialError("a"), 5),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a"), 1),
        (click.UsageError("a"), 2),
    ],
)
def test_each_error_has_its_exit_code_and_prints_one_line(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(command_line.cli, "main", fail)
    with pytest.raises(SystemExit) as stop:
        command_line.main()
    printed = capsys.readouterr()
    assert stop.value.code == code
    assert printed.out == "" and printed.err.count("\n") == 1
    assert "Traceback" not in printed.err


def test_every_error_of_ours_can_be_caught_at_once() -> None:
    for kind in (InputError, OutputError, MissingError, ValidationError, PartialError):
        assert issubclass(kind, RvsdBenchError)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        ValueError("Failed to allocate memory for requested buffer of size 8"),
    ],
)
def test_errors_of_all_libraries_that_lack_memory_are_known(error: Exception) -> None:
    assert lacks_memory(error)
    wrapped = InputError("net.py cannot be run")
    wrapped.__cause__ = error
    assert lacks_memory(wrapped)
    assert not lacks_memory(ValueError("no such layer")) and not lacks_memory(None)
