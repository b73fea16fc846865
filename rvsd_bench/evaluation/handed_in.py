"""Open what somebody hands in: a folder, a zip of it, or a submission that `pack` made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from rvsd_bench.archives import fault_of_name, is_archive, kept, unpacked
from rvsd_bench.baselines.spec import Spec, parse
from rvsd_bench.errors import InputError
from rvsd_bench.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, sha256_file
from rvsd_bench.leaderboard.card import CARD_FILE
from rvsd_bench.texts import brief, read_json

MANIFEST_FILE = "submission.json"
MODEL_FOLDER = "files"
"""Where a packed model's own files lie."""
_LONGEST = 64 * 2**20

M = TypeVar("M")


@dataclass(frozen=True)
class Manifest:
    """What `pack` says of the files that it packed."""

    kind: Literal["frames", "model"]
    files: Mapping[str, str]
    """Path in the submission -> SHA-256 of the file."""
    spec: str = ""
    """Of a model: its spec, with files as they are called in the submission."""

    def changed(self, folder: Path) -> list[str]:
        """Return the files that are not as they were packed, or not there."""
        return [
            name
            for name, digest in self.files.items()
            if not (folder / name).is_file() or sha256_file(folder / name) != digest
        ]


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Lend the folder that was handed in; that of a zip is private and removed afterwards."""
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise InputError(f"{path}: there is no such folder or zip of restored frames")
    if not is_archive(path):
        raise InputError(f"{path} is neither a folder nor a .zip of restored frames")
    with unpacked(path, _wanted) as folder:
        yield folder


def read_manifest(folder: Path) -> Manifest | None:
    """Return what a packed submission says of itself; None if it was not packed by `pack`."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LONGEST:
            raise ValueError("it is too long")
        found = read_json(path)
        files = {str(name): str(digest) for name, digest in found["files"].items()}
        if odd := next((name for name in files if fault_of_name(name)), None):
            raise ValueError(f"{brief(odd)} {fault_of_name(odd)}")
        manifest = Manifest(found["kind"], files, str(found.get("spec", "")))
        if manifest.kind not in ("frames", "model"):
            raise ValueError(f"it is of an unknown kind {brief(manifest.kind)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} was not made by pack: {type(error).__name__}: {error}") from error
    return manifest


@contextmanager
def unzipped(models: Sequence[str | M], home: Path | None = None) -> Iterator[list[str | M]]:
    """Lend the models with every `frames:FILE.zip` replaced by what it holds, unpacked.

    That is a `frames:` folder of the same name or, for a packed model, its spec. What is unpacked
    into a `home` stays there for the next time, and what was there of other archives is removed;
    without one it is gone afterwards.
    """
    with ExitStack() as stack:
        used: list[Path] = []

        def folder_of(path: Path) -> Path:
            used.append(kept(path, _wanted, home) if home else stack.enter_context(opened(path)))
            return used[-1]

        try:
            lent = [_unzipped(m, folder_of) if isinstance(m, str) else m for m in models]
        except InputError:  # of what a stranger forged nothing stays
            used.clear()
            raise
        finally:
            if home is not None and home.is_dir():
                _remove_others(home, {folder.parent.name for folder in used})
        yield lent


def _remove_others(home: Path, used: Collection[str]) -> None:
    """Remove what is not used, and the folder itself, and the one around it, if nothing is left."""
    for path in home.iterdir():
        if path.name not in used and not path.name.startswith("."):  # another process is unpacking
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        home.rmdir()
        home.parent.rmdir()


def _unzipped(model: str, folder_of: Callable[[Path], Path]) -> str:
    spec = parse(model)
    if spec.scheme != "frames" or spec.path is None or not is_archive(spec.path):
        return model
    folder = folder_of(spec.path)
    manifest = read_manifest(folder)
    if manifest is None or manifest.kind == "frames":
        inside = replace(spec, target=str(folder))
    elif changed := manifest.changed(folder):
        raise InputError(f"{spec.path}: {changed[0]} is not the file that was packed")
    else:
        inside = _model(parse(manifest.spec), folder)
    return f"{spec.name}={inside}" if spec.name else str(inside)


def _model(spec: Spec, folder: Path) -> Spec:
    """Return a packed model's spec with the paths that its files have now."""

    def placed(text: str) -> str:
        return f"{folder}/{text}" if text.startswith(f"{MODEL_FOLDER}/") else text

    if any(not placed(str(path)).startswith(str(folder)) for path in spec.paths):
        raise InputError(f"the packed model {spec} names files that are not in its submission")
    options: dict[str, str] = {key: placed(value) for key, value in spec.options.items()}
    return replace(spec, target=placed(spec.target), options=options)


def _wanted(name: PurePosixPath) -> bool:
    if len(name.parts) == 1 and name.name in (CARD_FILE, MANIFEST_FILE):
        return True
    return name.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES or name.parts[0] == MODEL_FOLDER


def as_json(manifest: Manifest, **facts: Any) -> bytes:
    """Return the manifest as the bytes of its file."""
    content = {"schema_version": 1, "kind": manifest.kind, "files": dict(manifest.files), **facts}
    if manifest.spec:
        content["spec"] = manifest.spec
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()
