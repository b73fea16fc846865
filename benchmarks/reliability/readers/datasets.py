"""Readers of a dataset's own files, of the cache of a clip, and of the scores of a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from readers.clips import look
from readers.route import Route, require, within


def prepare(home: Path) -> None:
    """Make a dataset of one clip, `data`, and cache that clip in `cached`."""
    from rvsd_bench.making.generating import generate
    from rvsd_bench.media.frame_cache import FOLDER, cache_clip

    generate([home / "clip"], home / "data", depth="constant:30", motion="static")
    cache_clip(home / "clip", home / "cached" / FOLDER)


def routes(home: Path, work: Path) -> Iterator[Route]:
    """Yield the routes of layers, meta files, manifests, and of what is kept between runs."""
    data = home / "data" / "test"
    layer, meta = data / "layers/00000/coverage/0001.png", data / "meta/00000.json"
    yield within(home, work, "layer of a dataset", layer, _layers)
    yield within(home, work, "meta, loading", meta, _load)
    yield within(home, work, "meta, layers", meta, lambda path: _layers(path.parent))
    yield within(home, work, "meta, verify", meta, _verify)
    yield within(home, work, "manifest of a dataset", home / "data" / "manifest.json", _verify)
    (kept,) = (home / "cached").rglob("*.json")
    yield within(home, work, "cache", kept, lambda path: _cached(work))
    (part,) = (p for p in (home / "run" / "parts").rglob("*.json") if "median" in str(p))
    yield within(home, work, "part of a run", part, _part)


def _root(path: Path) -> Path:
    """Return the dataset around a file."""
    return next(p for p in path.parents if p.name == "data")


def _load(path: Path) -> None:
    from rvsd_bench.data.dataset import load, open_snowy
    from rvsd_bench.making.manifest import write_manifest

    for video in load(_root(path), splits=("test",)).videos:
        require(bool(np.isfinite(open_snowy(video).times).all()), "times that are no times")
    write_manifest(_root(path))


def _layers(path: Path) -> None:
    from rvsd_bench.generators import read_layers

    read_layers(_root(path), "test", "00000", "0001")


def _verify(path: Path) -> None:
    from rvsd_bench.making.verifying import verify

    verify(_root(path), executor="serial").raise_problems()


def _cached(work: Path) -> None:
    from rvsd_bench.media.frame_cache import FOLDER, open_cached

    found = open_cached(work / "clip", work / "cached" / FOLDER)
    if found is not None:
        look(found)


def _part(path: Path) -> None:
    from rvsd_bench.evaluation.runfiles import read_part

    read_part(path)
