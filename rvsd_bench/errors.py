"""Hold the errors a user can meet; each knows the exit code of the command line.

The message of each is one line that names the file or option, says what is wrong with it and what
to do. The command line prints that line and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Literal, TypeAlias

Outcome: TypeAlias = Literal["oom", "timeout", "crash", "invalid"]
"""How a model fails: for lack of memory or time, by an error of its own, by what it answers."""

_LONGEST_NAME = 80
"""Characters of an unknown name that a message repeats."""


class RvsdBenchError(Exception):
    """Stand above every error that is the user's to mend."""

    exit_code: ClassVar[int] = 1


class InputError(RvsdBenchError, ValueError):
    """Refuse bad input or usage, or input that changed since an interrupted job began."""

    exit_code = 2


class ModelError(InputError):
    """Report that a model did not restore a clip, and in which of four ways it failed."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message, outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        return str(self.args[0])


class OutputError(RvsdBenchError, OSError):
    """Report that a result could not be written: a full disk, a folder without permission."""

    exit_code = 2


class MissingError(RvsdBenchError):
    """Report that weights or an optional dependency are not on this machine."""

    exit_code = 3


class ValidationError(RvsdBenchError):
    """Report that validation found problems."""

    exit_code = 4


class PartialError(RvsdBenchError):
    """Report that some clips or models failed, each named, and the others are done."""

    exit_code = 5


def lacks_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or what it came from, says that memory ran out.

    Beside MemoryError these are errors of torch (RuntimeError on the CPU), CUDA and ONNX Runtime.
    """
    if error is None:
        return False
    told = any(words in str(error) for words in ("out of memory", "allocate memory"))
    return told or isinstance(error, MemoryError) or lacks_memory(error.__cause__)


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that does not exist, with the nearest names that do."""
    names = sorted(known)
    name = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
    near = get_close_matches(name, names, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return InputError(f"There is no {kind} named {name!r}.{hint} Known: {', '.join(names)}.")
