"""Put files into the page as data URLs, as many as a page of 25 MB holds."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvsd_bench.leaderboard.table import Run

PICTURE_CHARACTERS = 23_000_000
"""What pictures may take of a page of 25 MB."""
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
        found = json.loads((folder_of(run) / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("videos"), dict):
        return {}
    known = found["videos"].items()
    whole = {k: v for k, v in known if isinstance(v, dict) and _NEEDS.issubset(v)}
    return {**found, "videos": whole}


def data_url(data: Path | bytes, suffix: str = "") -> str:
    """Return a file, or bytes as they would lie in a file of this suffix, as a data URL."""
    content, kind = (data, suffix) if isinstance(data, bytes) else (data.read_bytes(), data.suffix)
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(content).decode('ascii')}"
