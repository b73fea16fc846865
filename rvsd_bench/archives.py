"""Read archives of strangers without believing a word in them; write archives of equal bytes.

An archive is judged as a whole by its directory before one byte is unpacked, and only the files
that are wanted are unpacked, into a private temporary folder that is removed afterwards or into
one that is kept for the next time.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TypeAlias
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from rvsd_bench.errors import InputError, OutputError, RvsdBenchError
from rvsd_bench.files import (
    publish_file,
    publish_folder,
    readable,
    remove_orphans,
    sha256_bytes,
    sha256_file,
)

Entries: TypeAlias = dict[PurePosixPath, ZipInfo]
"""Where a file is unpacked to, below the folder -> what the archive says of it."""


@dataclass(frozen=True)
class Limits:
    """How much of an archive is taken."""

    entries: int = 200_000
    total_bytes: int = 200 * 10**9
    """Of all files, unpacked."""
    ratio: int = 200
    """Bytes of a file for each byte that it takes in the archive; PNG and FFV1 stay near 1."""


LIMITS = Limits()
_DIRECTORY_BYTES = 128 * 2**20
_NAME_BYTES, _PATH_BYTES, _DEPTH = 255, 1000, 8
_KINDS = (0, stat.S_IFREG, stat.S_IFDIR)
_FAULTS: tuple[type[Exception], ...] = (
    *(BadZipFile, ValueError, NotImplementedError, EOFError, struct.error, zlib.error),
    *(RuntimeError, OverflowError, LookupError),
)
"""What zipfile may raise over bytes that are no archive."""


def is_archive(path: Path) -> bool:
    """Tell whether a path is that of a zip file, by its suffix."""
    return path.suffix.lower() == ".zip" and path.is_file()


@contextmanager
def unpacked(
    path: Path, wanted: Callable[[PurePosixPath], bool], limits: Limits = LIMITS
) -> Iterator[Path]:
    """Lend a private folder, called as the archive, with its `wanted` files; remove it afterwards.

    A single folder around everything is left out. Each file's time of change is made of its
    checksum, so that a later run knows the same file again. Raises InputError for an archive that
    is damaged, or that holds anything which an honest one would not.
    """
    with TemporaryDirectory(prefix="rvsd-bench-") as private:
        folder = Path(private) / path.name
        with _judged(path, wanted, limits) as (archive, entries):
            folder.mkdir()
            _unpack(archive, entries, path, folder)
        yield folder


def kept(
    path: Path, wanted: Callable[[PurePosixPath], bool], home: Path, limits: Limits = LIMITS
) -> Path:
    """Return the folder `home/<key>/<name of the archive>` with its `wanted` files, as `unpacked`.

    The key is of the archive's name and bytes. The folder is taken as it is if it holds the wanted
    files and no others, each with the size and checksum that the archive gives it (the latter as
    its time of change); otherwise it is unpacked anew. The archive is judged every time.
    """
    key = sha256_bytes(f"{sha256_file(path)} {path.name}".encode())[:16]
    folder = home / key / path.name
    with _judged(path, wanted, limits) as (archive, entries):
        if not _holds(folder, entries):
            shutil.rmtree(folder.parent, ignore_errors=True)
            with publish_folder(folder.parent) as temporary:
                (temporary / path.name).mkdir()
                _unpack(archive, entries, path, temporary / path.name)
    return folder


def write_archive(path: Path, files: Mapping[str, Path | bytes]) -> None:
    """Write an archive whose bytes depend on names and contents alone; nothing is compressed."""
    remove_orphans(path.parent)
    with publish_file(path) as temporary, ZipFile(temporary, "w", ZIP_STORED) as archive:
        for name in sorted(files):
            source = files[name]
            info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            if isinstance(source, bytes):
                archive.writestr(info, source)
                continue
            with readable(source), source.open("rb") as file:
                info.file_size = os.fstat(file.fileno()).st_size
                with archive.open(info, "w") as target:
                    shutil.copyfileobj(file, target, 2**20)


@contextmanager
def _judged(
    path: Path, wanted: Callable[[PurePosixPath], bool], limits: Limits
) -> Iterator[tuple[ZipFile, Entries]]:
    """Lend an archive that passes as a whole, with its wanted files; name what is wrong with it."""
    try:
        _require_small_directory(path)
        with ZipFile(path) as archive:
            yield archive, _chosen(archive, path, wanted, limits)
    except RvsdBenchError:
        raise
    except OSError as error:
        raise InputError(f"cannot unpack {path}: {error.strerror or error}") from error
    except _FAULTS as error:
        raise InputError(f"{path} is not a whole zip file: {_cut(str(error))}") from error


def _chosen(
    archive: ZipFile, path: Path, wanted: Callable[[PurePosixPath], bool], limits: Limits
) -> Entries:
    """Return the wanted files by the names that they are unpacked to."""
    entries = archive.infolist()
    if problems := [*_problems(entries, archive.start_dir, limits)]:
        more = f" (and {len(problems) - 1} more faults)" if len(problems) > 1 else ""
        raise InputError(f"{path} is refused: {problems[0]}{more}")
    files = {PurePosixPath(e.filename): e for e in entries if not e.is_dir()}
    files = {name: entry for name, entry in files.items() if not _is_litter(name)}
    cut = _wrapped(list(files), wanted)
    files = {PurePosixPath(*name.parts[cut:]): entry for name, entry in files.items()}
    return {name: entry for name, entry in files.items() if wanted(name)}


def _unpack(archive: ZipFile, entries: Entries, path: Path, folder: Path) -> None:
    needed, free = sum(e.file_size for e in entries.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{path} needs {needed} bytes unpacked, {folder.parent.parent} has {free}: free some "
            "space, or use another folder (by --out of evaluate, else by TMPDIR)"
        )
    for name, entry in entries.items():
        _write(archive, entry, folder / name)


def _holds(folder: Path, entries: Entries) -> bool:
    """Tell whether a folder has exactly these files, as they were unpacked."""
    found = {PurePosixPath(p.relative_to(folder)): p for p in folder.rglob("*") if not p.is_dir()}
    if found.keys() != entries.keys() or any(path.is_symlink() for path in found.values()):
        return False
    states = ((found[name].stat(), entry) for name, entry in entries.items())
    return all(
        (state.st_size, state.st_mtime_ns) == (entry.file_size, _moment(entry) * 10**9)
        for state, entry in states
    )


def _write(archive: ZipFile, entry: ZipInfo, target: Path) -> None:
    """Write one file. zipfile gives no byte more than declared, and compares the checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 2**20)
    os.utime(target, (_moment(entry), _moment(entry)))


def _moment(entry: ZipInfo) -> int:
    """Return the time of change that stands for a file's checksum, in seconds."""
    return entry.CRC & 0x7FFFFFFF  # some file systems end in 2038


def _wrapped(names: Sequence[PurePosixPath], wanted: Callable[[PurePosixPath], bool]) -> int:
    """Return 1 if one folder holds everything and is no folder of frames itself, else 0."""
    inside = [name for name in names if wanted(name)]
    tops = {name.parts[0] for name in inside}
    if len(tops) != 1 or not all(len(name.parts) > 1 for name in inside):
        return 0
    return int(not all(len(name.parts) == 2 for name in inside))


def _is_litter(name: PurePosixPath) -> bool:
    return name.parts[0] == "__MACOSX" or any(part.startswith(".") for part in name.parts)


def _problems(entries: Sequence[ZipInfo], end: int, limits: Limits) -> Iterator[str]:
    if not entries:
        yield "it is empty"
    if len(entries) > limits.entries:
        yield f"it has {len(entries)} entries, at most {limits.entries} are taken"
        return
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        yield f"it would unpack to {total} bytes, at most {limits.total_bytes} are taken"
    for entry in entries:
        for fault in (fault_of_name(entry.orig_filename), _fault_of_entry(entry, limits)):
            if fault:
                yield f"{_cut(repr(entry.orig_filename))} {fault}"
    yield from _collisions(entries)
    yield from _overlaps(entries, end)


def fault_of_name(name: str) -> str:
    """Return why a name is not that of a file below the folder, in a form that all systems know."""
    if name.startswith("/") or name[1:2] == ":":
        return "is an absolute path"
    if "\\" in name:
        return "has a backslash: folders are separated by /"
    if any(unicodedata.category(mark) in ("Cc", "Cf", "Cs", "Co") for mark in name):
        return "has control characters"
    parts = name.removesuffix("/").split("/")
    if ".." in parts:
        return "leaves its folder"
    if "." in parts or "" in parts:
        return "has an empty part"
    if any(part.endswith((" ", ".")) or ":" in part for part in parts):
        return "has a part that ends in a dot or a blank, or holds a colon"
    if len(parts) > _DEPTH:
        return f"lies more than {_DEPTH} folders deep"
    longest = max(len(part.encode()) for part in parts)
    if longest > _NAME_BYTES or len(name.encode()) > _PATH_BYTES:
        return "is too long"
    return ""


def _fault_of_entry(entry: ZipInfo, limits: Limits) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in _KINDS:
        return "is a link, a device or a pipe, no file"
    if entry.flag_bits & 0x41:
        return "is encrypted"
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}: only deflate is read"
    if entry.is_dir() and entry.file_size:
        return "is a folder with contents of its own"
    if entry.compress_type == ZIP_STORED and entry.file_size != entry.compress_size:
        return "has two sizes"
    if entry.file_size > limits.ratio * max(entry.compress_size, 64):
        return f"grows more than {limits.ratio} times when unpacked"
    return ""


def _collisions(entries: Sequence[ZipInfo]) -> Iterator[str]:
    """Find names that are one name where letter case or Unicode's forms do not matter."""
    seen: dict[str, str] = {}
    folders: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        key = _key(name.removesuffix("/"))
        if key in seen:
            yield f"{_cut(repr(name))} and {_cut(repr(seen[key]))} would be one file"
        seen.setdefault(key, name)
        folders.update(str(parent) for parent in PurePosixPath(key).parents)
    for entry in entries:
        if not entry.is_dir() and _key(entry.orig_filename) in folders:
            yield f"{_cut(repr(entry.orig_filename))} is a file and a folder"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def _overlaps(entries: Sequence[ZipInfo], end: int) -> Iterator[str]:
    """Find files that share bytes of the archive, by which a small one can hold a large many."""
    last: ZipInfo | None = None
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if last is not None and _least_end(last) > entry.header_offset:
            yield f"{_cut(repr(entry.orig_filename))} shares its bytes with another file"
            return
        if entry.header_offset < 0:
            raise BadZipFile("its beginning is missing")
        last = entry
    if last is not None and _least_end(last) > end:
        yield f"{_cut(repr(last.orig_filename))} reaches beyond the end of the files"


def _least_end(entry: ZipInfo) -> int:
    return entry.header_offset + 30 + entry.compress_size


def _require_small_directory(path: Path) -> None:
    """Refuse a directory that would not fit into memory, before zipfile reads it whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_557 - 20))
        tail = file.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or at + 20 > len(tail):
            raise BadZipFile("it has no directory")
        (length,) = struct.unpack_from("<I", tail, at + 12)
        if length == 0xFFFFFFFF and tail[max(0, at - 20) : at][:4] == b"PK\6\7":
            file.seek(struct.unpack_from("<Q", tail, at - 12)[0])
            record = file.read(56)
            length = struct.unpack_from("<Q", record, 40)[0] if len(record) == 56 else size
    if length > _DIRECTORY_BYTES:
        raise InputError(f"{path} is refused: its directory takes {length} bytes")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."
