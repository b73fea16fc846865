"""The way of a file into the product: small valid files, and what a command does with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Feed = Callable[[Path], object]


@dataclass(frozen=True)
class Route:
    """One way of a file into the product."""

    kind: str
    name: str
    bases: tuple[Path, ...]
    """Valid files to damage."""
    place: Path
    """Where the damaged one is put; its suffix is that of the file it stands for."""
    feed: Feed
    """Reads what was put there, as a command would."""


def within(home: Path, work: Path, name: str, file: Path, feed: Feed) -> Route:
    """Return the route of a file that stands among others, where those are: in `work`."""
    return Route(file.suffix[1:], name, (file,), work / file.relative_to(home), feed)


def require(holds: bool, what: str) -> None:
    """Raise AssertionError if a reader took a file and gave something that is none."""
    if not holds:
        raise AssertionError(f"a reader gave {what}")
