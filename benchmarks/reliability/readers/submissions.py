"""Readers of what is handed in: archives of restored frames, and what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from readers.clips import FRAMES
from readers.route import Route, require


def prepare(home: Path) -> None:
    """Make an archive as `pack` makes it, one as others do, and a submission's manifest."""
    from rvsd_bench.archives import write_archive
    from rvsd_bench.files import sha256_file

    pictures = {f"00000/{i:04d}.png": home / "clip" / f"{i:04d}.png" for i in range(FRAMES)}
    digests = {name: sha256_file(path) for name, path in pictures.items()}
    told = json.dumps({"schema_version": 1, "kind": "frames", "files": digests}).encode()
    files: dict[str, Any] = {**pictures, "submission.json": told, "card.toml": home / "card.toml"}
    write_archive(home / "packed.zip", files)
    write_archive(home / "bare.zip", {f"mine/{k}": v for k, v in pictures.items()})
    (home / "submission.json").write_bytes(told)


def routes(home: Path, work: Path) -> Iterator[Route]:
    """Yield the routes of archives that are scored or checked, and of a manifest in a folder."""
    bases = (home / "packed.zip", home / "bare.zip")
    yield Route("zip", "handed in", bases, work / "in.zip", _open)
    yield Route("zip", "check", bases, work / "in.zip", lambda path: _check(path, work / "data"))
    told = (home / "submission.json",)
    place = work / "mine" / "submission.json"
    yield Route("json", "submission", told, place, lambda path: _compare_files(path.parent))


def _open(path: Path) -> None:
    from rvsd_bench.evaluation.handed_in import opened

    with opened(path) as folder:
        _compare_files(folder)


def _compare_files(folder: Path) -> None:
    from rvsd_bench.evaluation.handed_in import read_manifest

    told = read_manifest(folder)
    if told is not None:
        told.changed(folder)


def _check(path: Path, data: Path) -> None:
    from rvsd_bench.evaluation.submissions import check

    for line in check(path, data).lines():
        require("\n" not in line, "a line with two lines in it")
