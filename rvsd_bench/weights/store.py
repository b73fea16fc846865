"""Find the pretrained files that metrics and losses need, and trust none whose digest is not known.

Nothing here opens a network connection (see `fetching`), and a missing file is reported within
milliseconds: no heavy import comes before the search.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from zipfile import BadZipFile, ZipFile

from rvsd_bench.errors import InputError, MissingError, unknown
from rvsd_bench.files import sha256_bytes, sha256_file, write_json
from rvsd_bench.texts import parse_json, read_json, shortened

if TYPE_CHECKING:
    import torch

TEST_NETWORK = "rvsd-bench test network"
"""Stands in a checkpoint whose network learned nothing: `{"params": ..., "note": TEST_NETWORK}`."""


@dataclass(frozen=True)
class Part:
    """One file of an official source."""

    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Record:
    """What is known of one pretrained file before it is on this machine."""

    key: str
    file: str
    size: int
    """Bytes; of a file that is known by its first digits only, about."""
    sha256: str
    """All 64 digits, or the first ones where no more is published."""
    identity: Literal["file", "content"]
    """What the digest is taken of: the file's bytes, or its tensors (`content_digest`)."""
    needed_by: str
    licence: str
    source: str
    parts: Mapping[str, Part]


@dataclass(frozen=True)
class WeightsFile:
    """A pretrained file on this machine whose digest is right."""

    key: str
    path: Path
    size: int
    sha256: str
    """Of the file, or of its tensors if the file is a conversion."""
    licence: str
    status: Literal["verified", "custom", "test"] = "verified"
    """custom: not the file on record, but allowed by name; test: a network that learned nothing."""


@dataclass(frozen=True)
class Status:
    """Where a pretrained file lies, if it does, or how to get it."""

    key: str
    record: Record
    path: Path | None
    how_to_get: str


def records() -> dict[str, Record]:
    """Read the pretrained files that the package knows, by key."""
    text = resources.files("rvsd_bench").joinpath("weights.toml").read_text("utf-8")
    return {key: _record(key, table) for key, table in tomllib.loads(text).items()}


def _record(key: str, table: dict[str, Any]) -> Record:
    parts = {name: Part(**part) for name, part in table.pop("parts").items()}
    return Record(key=key, parts=parts, **table)


def record(key: str) -> Record:
    """Return the record of one key; an unknown one raises InputError."""
    known = records()
    if key not in known:
        raise unknown("weights file", key, known)
    return known[key]


def user_folder() -> Path:
    """Return the folder that `weights fetch` and `weights add` write to."""
    if given := os.environ.get("RVSD_BENCH_WEIGHTS"):
        return Path(given)
    from platformdirs import user_data_path

    return user_data_path("rvsd-bench") / "weights"


def folders(weights_dir: Path | None = None) -> list[Path]:
    """Return the folders that are searched, in order; torch's own cache comes last."""
    from platformdirs import user_data_path

    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    hub = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser() / "hub"
    ours = [user_folder(), user_data_path("rvsd-bench") / "weights"]
    wanted = [*([weights_dir] if weights_dir else []), *ours, hub / "pyiqa", hub / "checkpoints"]
    return list(dict.fromkeys(wanted))


def locate(key: str, weights_dir: Path | None = None) -> Path | None:
    """Return where a pretrained file lies, or None; its digest is not looked at."""
    paths = (folder / record(key).file for folder in folders(weights_dir))
    return next((path for path in paths if path.is_file()), None)


def statuses(weights_dir: Path | None = None) -> list[Status]:
    """Say of every pretrained file where it lies or how to get it."""
    return [
        Status(key, known, locate(key, weights_dir), f"rvsd-bench weights fetch {key}")
        for key, known in records().items()
    ]


def find(
    key: str,
    weights_dir: Path | None = None,
    *,
    again: bool = False,
    allowed: Mapping[str, str] = MappingProxyType({}),
) -> WeightsFile:
    """Return the first file of that name in `folders`, its digest checked.

    A digest that was taken before is recalled, unless it is to be taken `again`. `allowed` maps
    keys to the digest of another file that the user trusts (see `parse_allowed`). Raises
    MissingError that names the file, its digest, its source and the folders, if there is none, or
    if the one that is there is not what it should be.
    """
    known = record(key)
    path = locate(key, weights_dir)
    if path is None:
        looked = " ".join(str(folder) for folder in folders(weights_dir))
        raise MissingError(f"{_wanted(known)}\n  looked in : {looked}\n{_advice(known)}")
    return verify(known, path, again=again, allowed=allowed.get(key))


def verify(
    known: Record, path: Path, *, again: bool = True, allowed: str | None = None
) -> WeightsFile:
    """Return the file if it is the one on record, or has the digest that is `allowed` instead.

    Raises MissingError, saying what the file is, if not.
    """
    problem = _impostor(path)
    digest = "" if problem else _digest(path, known.identity, again)
    right = bool(digest) and digest.startswith(known.sha256)
    if not problem and not right and (not digest or digest != allowed):
        problem = f"has sha256 {digest}" if digest else "is damaged"
        problem += ", not the one allowed" if digest and allowed else ""
    if problem:
        raise MissingError(
            f"{_wanted(known)}\n  found     : {path}, which {problem}: delete it\n{_advice(known)}"
        )
    size = path.stat().st_size
    if right:
        return WeightsFile(known.key, path, size, digest, known.licence)
    return WeightsFile(known.key, path, size, digest, "unknown", _of_others(path))


def _of_others(path: Path) -> Literal["custom", "test"]:
    """Tell a network that was saved to test the machinery from one that somebody trained."""
    with suppress(OSError, BadZipFile), ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if any(TEST_NETWORK.encode() in archive.read(name) for name in pickles):
            return "test"
    return "custom"


def parse_allowed(texts: Iterable[str]) -> dict[str, str]:
    """Read `KEY=SHA256` texts: which other file may stand for the one on record, by key.

    The file must bear the name on record. What it scores is marked as custom wherever it goes.
    """
    allowed = {}
    for text in texts:
        key, _, digest = text.partition("=")
        known = record(key)
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise InputError(
                f"{text!r} does not allow a file: write {known.key}= and all 64 hexadecimal "
                "digits of its sha256, in small letters"
            )
        allowed[key] = digest
    return allowed


def _wanted(known: Record) -> str:
    of = "tensors' " if known.identity == "content" else ""
    return (
        f"{known.needed_by} needs {known.file} "
        f"({of}sha256 starts {known.sha256[:8]}, about {known.size / 1e6:.0f} MB)"
    )


def _advice(known: Record) -> str:
    return (
        f"  get it    : rvsd-bench weights fetch {known.key}\n"
        f"  or from   : {known.source} (licence {known.licence})\n"
        f"  put it in : {user_folder()}, or pass --weights DIR\n"
        f"  check     : rvsd-bench weights check {known.key}"
    )


def _impostor(path: Path) -> str | None:
    """Say what a file is that cannot be weights: what failed downloads and clones leave behind."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not start:
        return "is empty"
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file"
    if start.lstrip().startswith(b"<"):
        return "is a web page, not the file"
    return None


def content_digest(path: Path) -> str:
    """Return the SHA-256 over a safetensors file's sorted (name, dtype, shape, bytes).

    The order of the file and its notes do not count. A damaged file gives "".
    """
    with path.open("rb") as file:
        try:
            return _digest_tensors(file, path.stat().st_size)
        except (AttributeError, KeyError, TypeError, ValueError):
            return ""


def _digest_tensors(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    start = 8 + int.from_bytes(file.read(8), "little")
    if start > size:
        raise ValueError("the header is cut off")
    header = parse_json(file.read(start - 8).decode())
    for name in sorted(header.keys() - {"__metadata__"}):
        entry = header[name]
        begin, end = entry["data_offsets"]
        if not 0 <= begin <= end <= size - start:
            raise ValueError("the tensors are cut off")
        digest.update(f"{name}\0{entry['dtype']}\0{entry['shape']}\0".encode())
        file.seek(start + begin)
        digest.update(file.read(end - begin))
    return digest.hexdigest()


def _digest(path: Path, identity: str, again: bool) -> str:
    """Digest a file, or recall its digest if its path, size and time are as they were."""
    from platformdirs import user_cache_path

    stat = path.stat()
    state = [str(path.resolve()), stat.st_size, stat.st_mtime_ns, identity]
    name = sha256_bytes(str(path.resolve()).encode())[:16]
    note = user_cache_path("rvsd-bench") / "digests" / f"{name}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = read_json(note)
        if noted["state"] == state and not again:
            return str(noted["digest"])
    digest = content_digest(path) if identity == "content" else sha256_file(path)
    with suppress(OSError):  # a read-only home costs a second digest, nothing else
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {"state": state, "digest": digest})
    return digest


def read_tensors(file: WeightsFile) -> dict[str, torch.Tensor]:
    """Read a file's tensors on the CPU; a pickle may hold tensors and nothing else."""
    if file.path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file.path)
    return read_pickle(file.path)


def read_pickle(path: Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint that torch wrote, without running any code that it may name.

    `{"params": ...}` is unwrapped and the prefix `module.` of parallel training removed.
    """
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's bytes may raise anything
        reason = shortened(str(error).partition(".")[0]) or type(error).__name__
        raise MissingError(f"{path} cannot be read as plain tensors: {reason}") from error
    state = state.get("params", state) if isinstance(state, dict) else None
    if not isinstance(state, dict) or not all(isinstance(x, torch.Tensor) for x in state.values()):
        raise MissingError(f"{path} does not hold tensors by name")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
