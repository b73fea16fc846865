"""Record what was made: a meta file for each video, and the manifest derived from them."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rvsd_bench import __version__
from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_of, natural_key, write_json
from rvsd_bench.making.stored import CONTAINERS, SPLITS
from rvsd_bench.texts import brief, read_json

if TYPE_CHECKING:
    from rvsd_bench.clip import Clip
    from rvsd_bench.generators.degradation import Degradation
    from rvsd_bench.making.job import Job

FORMAT = 1
"""The version of the folders and of meta files; it changes when an older reader would go wrong."""

Meta: TypeAlias = Mapping[str, Any]
"""One meta/<video>.json."""

_NEEDED: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("format", "frames", "height", "width", "seed", "variant"), (int,)),
    **dict.fromkeys(("source", "request", "compose", "depth", "motion", "scene"), (dict,)),
    **dict.fromkeys(("atmospheric_light", "files", "versions", "reading"), (dict,)),
    **dict.fromkeys(("source.name", "source.sha256", "request.container"), (str,)),
    **dict.fromkeys(("request.layers", "request.recipe.name", "compose.domain"), (str,)),
    **dict.fromkeys(("depth.source", "motion.method", "versions.rvsd-bench"), (str,)),
    "source.licence": (str, type(None)),
    "request.weather": (str, type(None)),
    "times_s": (list,),
    "fps": (int, float),
}
"""What every meta file holds, by dotted path; None: it may also be left out."""
_MOST_FPS = 1e6
_LIBRARIES = ("numpy", "scipy", "numba", "av")


def read_meta(path: Path) -> dict[str, Any]:
    """Read a meta file; raise InputError if it is not one of this format."""
    try:
        meta = read_json(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(meta, dict):
        raise InputError(f"{path} is not a meta file of a generated dataset")
    if type(meta.get("format")) is int and meta["format"] != FORMAT:
        raise InputError(f"{path} has format {brief(meta['format'])}; this version reads {FORMAT}")
    if fault := _fault(meta):
        raise InputError(f"{path} is not a meta file of a generated dataset: see {fault!r}")
    return meta


def _fault(meta: dict[str, Any]) -> str | None:
    """Return the dotted path of the first value that is not there, or cannot be true."""
    for path, kinds in _NEEDED.items():
        if type(_at(meta, path)) not in kinds:
            return path
    times = meta["times_s"]
    if not all(type(time) in (int, float) for time in times) or len(times) != meta["frames"]:
        return "times_s"
    if not 0 < meta["fps"] < _MOST_FPS:
        return "fps"
    if not all(type(digest) is str for digest in meta["files"].values()):
        return "files"
    return "request.container" if meta["request"]["container"] not in CONTAINERS else None


def _at(tree: Any, path: str) -> Any:
    """Return what lies at a dotted path, None where nothing does."""
    for step in path.split("."):
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def finished(root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the meta of every finished video by (split, name), in natural order."""
    return {
        (split, path.stem): read_meta(path)
        for split in sorted(SPLITS)
        for path in sorted(
            (root / split / "meta").glob("*.json"), key=lambda p: natural_key(p.name)
        )
        if not path.name.startswith(".")
    }


def is_dataset(root: Path) -> bool:
    """Return whether a folder holds a generated dataset, finished or not."""
    return any((root / split / "meta").is_dir() for split in SPLITS)


def describe(
    job: Job,
    clip: Clip,
    facts: Mapping[str, Any],
    digests: Mapping[str, str],
    degradation: Degradation | None = None,
) -> dict[str, Any]:
    """Return the meta of a video that was just made; `facts` are those of its shot."""
    place, source = job.place, job.video.source
    gain = facts["compose"]["gain"]
    return {
        **facts,
        "format": FORMAT,
        "split": place.split,
        "video": place.name,
        "frames": len(clip),
        "height": clip.size[0],
        "width": clip.size[1],
        "fps": clip.fps,
        "times_s": clip.times.tolist(),
        "source": {"name": source.name, "sha256": source.id, "licence": job.options.licence},
        "reading": {key: value for key, value in clip.facts.items() if key != "frames"},
        "request": dict(job.request),
        **({"degradation": asdict(degradation)} if degradation else {}),
        # A layer's value is its scale times what is stored over 65535.
        "scales": {"transmission": 1, "coverage": 1, "radiance": gain},
        "files": dict(digests),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions and the class of processor on which a frame's last bit may depend."""
    import cv2

    found = {"rvsd-bench": __version__, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "unknown"
    return {**found, "opencv": cv2.__version__, "processor": _processor()}


def _processor() -> str:
    """Name the machine and the widest vector instructions that NumPy found on it."""
    import numpy as np

    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})  # type: ignore[union-attr]
    widest = [*simd.get("baseline", ()), *simd.get("found", ())][-1:]
    return " ".join([platform.machine(), *widest])


def manifest(metas: Mapping[tuple[str, str], Meta]) -> dict[str, Any]:
    """Derive the manifest: no times, no host names, no paths of the machine that made it."""
    rows = [_row(split, name, meta) for (split, name), meta in metas.items()]
    return {
        "format": FORMAT,
        "made_with": sorted({meta["versions"]["rvsd-bench"] for meta in metas.values()}),
        "splits": {
            split: _totals([row for row in rows if row["split"] == split])
            for split in SPLITS
            if any(row["split"] == split for row in rows)
        },
        "sha256": digest_of([[row["split"], row["video"], row["files_sha256"]] for row in rows]),
        "videos": rows,
    }


def write_manifest(root: Path) -> None:
    """Write manifest.json and the dataset card anew from the meta files."""
    from rvsd_bench.files import write_text
    from rvsd_bench.making.card import dataset_card

    metas = finished(root)
    write_json(root / "manifest.json", manifest(metas))
    write_text(root / "README.md", dataset_card(metas))


def _row(split: str, name: str, meta: Meta) -> dict[str, Any]:
    return {
        "split": split,
        "video": name,
        "frames": meta["frames"],
        "height": meta["height"],
        "width": meta["width"],
        "fps": meta["fps"],
        "source": meta["source"],
        "variant": meta["variant"],
        "seed": meta["seed"],
        "recipe": meta["request"]["recipe"],
        "depth": meta["depth"].get("source"),
        "container": meta["request"]["container"],
        "layers": meta["request"]["layers"],
        "files_sha256": digest_of(meta["files"]),
        "meta_sha256": digest_of(meta),
    }


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    sources = Counter(row["source"]["sha256"] for row in rows)
    return {
        "videos": len(rows),
        "frames": sum(row["frames"] for row in rows),
        "sources": len(sources),
    }
