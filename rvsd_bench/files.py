"""Write files whole or not at all, and digest what lies on disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError, OutputError
from rvsd_bench.texts import require_text, shortened

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
"""The suffixes, in lower case, of files that count as frames."""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"}
    | {".ogv", ".y4m"}
)
"""The suffixes, in lower case, by which video files are known among others."""

ADVICE = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space and run again")
"""What to do about the system's refusals that mean a full or closed disk, by their number."""
ADVICE |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "choose a writable folder")
_ELSEWHERE = "choose another place"

_DIGITS = re.compile(r"([0-9]+)")
_TEMPORARY = re.compile(r"\.tmp\..*\.[0-9a-f]{16}(\.[^.]*)?", re.DOTALL)
_FORGOTTEN_S = 86_400.0


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the system's refusal to read a path into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Return the key that sorts names with their numbers as numbers: 9 before 10."""
    parts = _DIGITS.split(name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), name


def image_files(folder: Path) -> list[Path]:
    """List a folder's image files in natural order; refuse a symbolic link, and a name of no text.

    Files of any other kind (Thumbs.db, .DS_Store, notes) and hidden files are passed over.
    """
    found = []
    with readable(folder), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in IMAGE_SUFFIXES:
                continue
            if entry.is_symlink():
                raise InputError(
                    f"{folder / entry.name} is a symbolic link; a folder of frames must hold the "
                    "files themselves: copy them in"
                )
            if entry.is_file():
                require_text(entry.name, f"{shortened(str(folder))}: the file")
                found.append(folder / entry.name)
    return sorted(found, key=lambda path: natural_key(path.name))


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys."""
    return sha256_bytes(json.dumps(value, sort_keys=True, allow_nan=False).encode())


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with readable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_source(path: Path) -> str:
    """Return the identity of a source clip: what it holds, whatever it is called.

    A file is known by the SHA-256 of its bytes, a folder by that of the lines "name\\0digest\\n" of
    its image files, sorted by name.
    """
    if not path.is_dir():
        return sha256_file(path)
    images = image_files(path)
    if not images:
        raise InputError(f"{path} holds no image files")
    return _digest_lines((image.name, sha256_file(image)) for image in images)


def tree_digest(root: Path) -> str:
    """Return one SHA-256 for all files below a folder: their relative paths and their bytes."""
    files = (path for path in root.rglob("*") if path.is_file())
    return _digest_lines((path.relative_to(root).as_posix(), sha256_file(path)) for path in files)


def _digest_lines(named: Iterator[tuple[str, str]]) -> str:
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(named))
    return sha256_bytes(lines.encode(errors="surrogateescape"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: after a crash or on a full disk the old one, or none, is there.

    Raises OutputError, naming the path and the bytes needed, if it cannot be written.
    """
    with publish_file(path, needed=len(data)) as temporary:
        temporary.write_bytes(data)


def stage_bytes(path: Path, data: bytes) -> None:
    """Write a file inside a folder that `publish_folder` lent and will synchronise as a whole."""
    with _writing(path, path, len(data)):
        path.write_bytes(data)


def append_text(path: Path, text: str) -> None:
    """Add text to the end of a file, all of it or, raising OutputError, nothing."""
    data = text.encode()
    with _writing(path, path, len(data)), path.open("ab") as file:
        size = file.seek(0, os.SEEK_END)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8 with the line ends that the text has."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a value atomically as JSON: sorted keys, indent 1, no NaN, a line feed at the end."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


@contextmanager
def publish_file(path: Path, *, needed: int | None = None) -> Iterator[Path]:
    """Lend an empty file beside `path`; synchronise and rename it at the end of the block.

    It has the suffix of `path`, since encoders go by it. If the block fails, it is removed, and a
    disk that is full or read-only raises OutputError with the number of bytes `needed`, or, where
    that is not known, those that were written so far. What a killed process leaves is for
    `remove_orphans`.
    """
    temporary = _temporary(path, path.stem, path.suffix)
    try:
        with _writing(path, temporary, needed), _alive(temporary, Path.touch):
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def publish_folder(target: Path) -> Iterator[Path]:
    """Lend a new folder `.tmp.<name>.<hex>` beside `target`; rename it at the end of the block.

    Nothing is at `target` until all of it is. If the block fails, the temporary folder is removed.
    A target that already exists is refused; one that another process finished in the meantime is
    kept, for equal inputs make equal outputs.
    """
    if target.exists():
        raise OutputError(f"{target} already exists: remove it, or choose another name")
    make_folder(target.parent)
    temporary = _temporary(target, target.name)
    try:
        with _writing(target, temporary, None), _alive(temporary, _make):
            yield temporary
            for path in temporary.rglob("*"):
                _sync(path)
            _sync(temporary)
            _rename_unless_lost(temporary, target)
            _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there, or raise OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, _ELSEWHERE)
        raise OutputError(f"cannot make the folder {path}: {error.strerror}; {advice}") from error


def discard(path: Path) -> None:
    """Remove a file or folder, if it is there, so that nobody ever finds a part of it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    gone = _temporary(path, path.name)
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def remove_orphans(*folders: Path) -> None:
    """Remove the temporaries that killed processes left in folders, never those of living ones.

    Living ones are known by the lock that they hold, on this machine or another. Where the file
    system has no locks, what nobody has changed for a day counts as left. A folder that is not
    there, or may not be read, is passed over.
    """
    for folder in folders:
        names: list[str] = []
        with suppress(OSError), os.scandir(folder) as entries:
            names += [e.name for e in entries if _TEMPORARY.fullmatch(e.name)]
        for name in names:
            if not (folder / name).is_symlink():
                _remove_if_dead(folder / name)


def free_bytes(path: Path) -> int:
    """Return the room on the disk that a path lies on, or will."""
    there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free


def _temporary(path: Path, name: str, suffix: str = "") -> Path:
    # 40 characters are at most 160 bytes: the name stays below the file system's 255.
    return path.with_name(f".tmp.{name[:40]}.{secrets.token_hex(8)}{suffix}")


def _make(path: Path) -> None:
    path.mkdir(exist_ok=True)


@contextmanager
def _alive(temporary: Path, make: Callable[[Path], None]) -> Iterator[None]:
    """Make a temporary and hold the lock by which `remove_orphans` knows that it is in use."""
    handle = None
    while handle is None:
        make(temporary)
        try:
            handle = _hold(temporary)  # None: it was taken for an orphan before it was locked
        except OSError:
            handle = os.open(temporary, os.O_RDONLY)  # no locks here: it is known by its age
    try:
        yield
    finally:
        os.close(handle)


def _hold(path: Path) -> int | None:
    """Lock a file or folder until the handle is closed; None if another has it, or it is gone.

    Raises OSError where there are no such locks.
    """
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            return handle
    except BlockingIOError:
        pass
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _remove_if_dead(temporary: Path) -> None:
    handle = None
    with suppress(OSError):
        try:
            handle = _hold(temporary)
            dead = handle is not None
        except OSError:
            dead = time.time() - temporary.stat().st_mtime > _FORGOTTEN_S
        if dead and temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        elif dead:
            temporary.unlink()
    if handle is not None:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename_unless_lost(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


@contextmanager
def _writing(path: Path, temporary: Path, needed: int | None) -> Iterator[None]:
    try:
        yield
    except OutputError as error:
        if str(temporary) not in str(error):
            raise
        # A file inside of a lent folder: people know it by the name that it would have had.
        raise OutputError(str(error).replace(str(temporary), str(path))) from error
    except OSError as error:
        # A failed write carries no file name, a failed open does. The block may also have failed
        # to read something; that is not ours to explain.
        named = str(error.filename or temporary)
        if error.errno is None or not named.startswith((str(temporary), f"file:{temporary}")):
            raise
        so_far = _size(temporary) if needed is None else 0
        size = f" (more than {so_far} bytes are needed)" if so_far else ""
        size = size if needed is None else f" ({needed} bytes are needed)"
        absent = "make its folder first" if error.errno == errno.ENOENT else _ELSEWHERE
        advice = ADVICE.get(error.errno, absent)
        reason = os.strerror(error.errno)
        raise OutputError(f"cannot write {path}{size}: {reason}; {advice}") from error


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
