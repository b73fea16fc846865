"""Put files into the page as data URLs, as many as a page of 25 MB holds."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvsd_bench.leaderboard.table import Run
from rvsd_bench.texts import read_json

PICTURE_CHARACTERS = 23_000_000
"""What pictures may take of a page of 25 MB."""
RANKS = ("worst", "median", "best")
INDEX = "shown.json"
"""Beside a run's pictures: what they show."""
_NEEDS = frozenset({"middle", "metric", "fps", "width", "height", "picks", "loop"})
_TYPES = {
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".csv": "text/csv;charset=utf-8",
    ".bib": "text/plain;charset=utf-8",
    ".json": "application/json",
}


@dataclass
class Purse:
    """What the page has left for pictures; a set of them is taken whole or not at all."""

    left: int = field(default_factory=lambda: PICTURE_CHARACTERS)
    refused: int = 0
    """How many sets were too large for what was left."""

    def pays(self, paths: Iterable[Path]) -> bool:
        """Tell whether files still fit into the page, and take their size off if so."""
        price = sum(-(-path.stat().st_size // 3) * 4 for path in paths)
        if price > self.left:
            self.refused += 1
            return False
        self.left -= price
        return True


def folder_of(run: Run) -> Path:
    """Return where a run keeps its pictures, if it does."""
    return run.folder / "pictures"


def index_of(run: Run) -> Mapping[str, Any]:
    """Return what is written of a run's pictures; an empty table where that cannot be read."""
    try:
        found = read_json(folder_of(run) / INDEX)
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("videos"), dict):
        return {}
    known = found["videos"].items()
    whole = {name: facts for name, facts in known if _is_told(facts)}
    return {"error_levels": _positive(found.get("error_levels")), "videos": whole}


def is_own(run: Run, path: Path) -> bool:
    """Tell whether a picture is a file of the run itself: no name or link leads elsewhere."""
    try:
        return path.is_file() and path.resolve().is_relative_to(run.folder.resolve())
    except OSError:  # a name too long for the file system
        return False


def _is_told(facts: Any) -> bool:
    """Tell whether all is there that the page says of a video's pictures, and of the right kind."""
    if not isinstance(facts, dict) or not _NEEDS.issubset(facts):
        return False
    loop, picks = facts["loop"], facts["picks"]
    sizes = (facts["width"], facts["height"], facts["fps"])
    return (
        isinstance(facts["middle"], str)
        and isinstance(facts["metric"], (str, type(None)))
        and all(map(_positive, sizes))
        and isinstance(loop, dict)
        and all(type(loop.get(key)) is int and loop[key] > 0 for key in ("frames", "columns"))
        and isinstance(picks, dict)
        and all(_are_picks(of_method) for of_method in picks.values())
    )


def _are_picks(found: Any) -> bool:
    return isinstance(found, dict) and all(
        rank in RANKS
        and isinstance(pick, dict)
        and isinstance(pick.get("frame"), str)
        and type(pick.get("index")) is int
        and type(pick.get("value")) in (int, float)
        for rank, pick in found.items()
    )


def _positive(value: Any) -> float:
    """Return a number above 0 and not beyond all measure as it is, anything else as 0."""
    return value if type(value) in (int, float) and 0 < value < 1e6 else 0


def data_url(data: Path | bytes, suffix: str = "") -> str:
    """Return a file, or bytes as they would lie in a file of this suffix, as a data URL."""
    content, kind = (data, suffix) if isinstance(data, bytes) else (data.read_bytes(), data.suffix)
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(content).decode('ascii')}"
