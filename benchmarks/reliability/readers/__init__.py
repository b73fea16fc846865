"""Say, for each kind of file that strangers hand in, which readers of ours take it.

Each module knows some of the product's readers: it makes small valid files for them, and names the
routes on which damaged ones would come to them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from readers import clips, datasets, runs, submissions, texts, weights
from readers.route import Route

_PARTS = (clips, runs, texts, datasets, submissions, weights)
"""In this order: a seed of `fuzz.py` numbers the routes of a kind."""


def prepare(home: Path) -> None:
    """Make the files that are damaged later; takes some seconds."""
    home.mkdir(parents=True, exist_ok=True)
    for part in (clips, datasets, runs, texts, submissions, weights):  # each uses those before it
        part.prepare(home)


def routes(home: Path, work: Path) -> dict[str, list[Route]]:
    """Return the routes by kind; `home` was prepared, `work` is theirs to write in."""
    shutil.copytree(home, work, dirs_exist_ok=True)
    kinds: dict[str, list[Route]] = {}
    for part in _PARTS:
        for route in part.routes(home, work):
            kinds.setdefault(route.kind, []).append(route)
    return kinds
