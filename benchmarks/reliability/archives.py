"""Hand evil archives to the reader of submissions, and count those that were refused.

Each must be refused in one line that names the file, before a byte of it is unpacked, and leave
nothing behind: neither what it wanted to write elsewhere nor a folder of our own.

    python benchmarks/reliability/archives.py
"""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from rvsd_bench.archives import Limits, unpacked
from rvsd_bench.errors import InputError

CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"
SMALL = Limits(entries=50, total_bytes=200_000, ratio=200)


def pictures(name: PurePosixPath) -> bool:
    return name.suffix == ".png"


def made(*names: str, **settings: int) -> bytes:
    """Return an archive of small files, each holding its own name; settings go to all entries."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there already
        for name in names:
            info = zipfile.ZipInfo(name)
            for key, value in settings.items():
                setattr(info, key, value)
            archive.writestr(info, b"" if name.endswith("/") else os.fsencode(repr(name)))
    return buffer.getvalue()


def renamed(old: bytes, new: bytes, names: tuple[str, ...] = ("00000/0000.png",)) -> bytes:
    """Return an archive in both of whose headers a name was exchanged for one of equal length."""
    assert len(old) == len(new)
    return made(*names).replace(old, new)


def linked(kind: int) -> bytes:
    return made("00000/0000.png", external_attr=(kind | 0o777) << 16)


def patched(signature: bytes, offset: int, value: bytes, whole: bytes | None = None) -> bytes:
    """Return an archive with some bytes of its last header of a kind overwritten."""
    data = bytearray(whole or made("a/0.png", "a/1.png"))
    at = data.rfind(signature) + offset
    data[at : at + len(value)] = value
    return bytes(data)


def bomb(size: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("00000/0000.png", bytes(size))
    return buffer.getvalue()


def overlapping() -> bytes:
    """Return an archive whose directory names one file's bytes twice."""
    data = made("a/0.png", "a/1.png")
    local = data.index(b"PK\3\4", 4)
    directory = data.rfind(b"PK\1\2")
    return data[: directory + 42] + struct.pack("<I", 0) + data[directory + 46 :] if local else b""


def many_small() -> bytes:
    """Return an archive of files that are each allowed but together are too much."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(30):
            archive.writestr(f"a/{index}.png", os.urandom(10_000))
    return buffer.getvalue()


def zip64(size: int, packed: int, name: bytes = b"a/0.png") -> bytes:
    """Return an archive whose entry gives its sizes in the fields of 64 bits, as it likes."""
    body = b"0123456789"
    extra = struct.pack("<HHQQ", 1, 16, size, packed)
    lie, crc = 2**32 - 1, zlib.crc32(body)
    rest = struct.pack("<HH", len(name), len(extra))
    local = struct.pack("<4s5H3I", LOCAL, 45, 0, 0, 0, 33, crc, lie, lie) + rest + name + extra
    entry = struct.pack("<4s6H3I", CENTRAL, 45, 45, 0, 0, 0, 33, crc, lie, lie) + rest
    entry += struct.pack("<3H2I", 0, 0, 0, 0, 0) + name + extra
    end = struct.pack("<4s4H2IH", END, 0, 0, 1, 1, len(entry), len(local) + len(body), 0)
    return local + body + entry + end


def nested() -> bytes:
    """Return an archive that holds itself as it were: archives, and no frame."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("00000/0000.png", bomb(200_000))
        archive.writestr("00000/0000.PNG", bomb(200_000))
    return buffer.getvalue()


EVIL: dict[str, tuple[Callable[[], bytes], str]] = {
    "absolute": (lambda: made("/etc/0.png"), "absolute path"),
    "drive": (lambda: made("C:/0.png"), "absolute path"),
    "share": (lambda: made("//host/0.png"), "absolute path"),
    "parent": (lambda: made("../0.png"), "leaves its folder"),
    "parent inside": (lambda: made("00000/../../0.png"), "leaves its folder"),
    "backslashes": (lambda: made("..\\..\\0.png"), "backslash"),
    "dot": (lambda: made("./0.png"), "empty part"),
    "nothing between": (lambda: made("00000//0.png"), "empty part"),
    "NUL": (lambda: renamed(b"0000.png", b"00\0.sh\0\0"), "control characters"),
    "newline": (lambda: made("00000/0\n.png"), "control characters"),
    "escape": (lambda: made("00000/\x1b[2J.png"), "control characters"),
    "bidi": (lambda: made("00000/\u202egnp.exe"), "control characters"),
    "colon": (lambda: made("00000/0.png:stream"), "colon"),
    "trailing dot": (lambda: made("00000./0.png"), "ends in a dot"),
    "long part": (lambda: made("0" * 300 + ".png"), "too long"),
    "long path": (lambda: made("/".join(["0" * 200] * 6) + ".png"), "too long"),
    "deep": (lambda: made("a/" * 12 + "0.png"), "folders deep"),
    "symbolic link": (lambda: linked(stat.S_IFLNK), "link"),
    "character device": (lambda: linked(stat.S_IFCHR), "device"),
    "block device": (lambda: linked(stat.S_IFBLK), "device"),
    "pipe": (lambda: linked(stat.S_IFIFO), "pipe"),
    "socket": (lambda: linked(stat.S_IFSOCK), "no file"),
    "case": (lambda: made("a/0.png", "A/0.png"), "would be one file"),
    "composed": (lambda: made("\u00e9/0.png", "e\u0301/0.png"), "would be one file"),
    "file and folder": (lambda: made("a", "a/0.png"), "a file and a folder"),
    "folder with contents": (lambda: patched(CENTRAL, 24, b"\5\0\0\0", made("a/")), "folder with"),
    "bomb": (lambda: bomb(150_000), "grows more than 200 times"),
    "too much": (lambda: bomb(300_000, zipfile.ZIP_STORED), "at most 200000"),
    "too much together": (many_small, "at most 200000"),
    "too many": (lambda: made(*(f"a/{i}.png" for i in range(51))), "51 entries"),
    "overlapping": (overlapping, "shares its bytes"),
    "beyond the end": (lambda: patched(CENTRAL, 20, b"\xff\xff\0\0" * 2), "reaches beyond"),
    "two sizes": (lambda: patched(CENTRAL, 24, b"\xff"), "two sizes"),
    "encrypted": (lambda: patched(CENTRAL, 8, b"\1"), "encrypted"),
    "LZMA": (lambda: bomb(100, zipfile.ZIP_LZMA), "method 14"),
    "unknown method": (lambda: patched(CENTRAL, 10, b"\x63"), "method 99"),
    "wrong checksum": (lambda: patched(CENTRAL, 16, b"\0\0\0\0"), "not a whole zip"),
    "two names": (lambda: made("a/0.png").replace(b"a/0.png", b"a/9.png", 1), "not a whole zip"),
    "cut short": (lambda: made("a/0.png", "a/1.png")[:-30], "not a whole zip"),
    "cut in the middle": (lambda: made("a/0.png", "a/1.png")[60:], "not a whole zip"),
    "no archive": (lambda: b"\x89PNG" + bytes(100), "not a whole zip"),
    "no bytes": (lambda: b"", "not a whole zip"),
    "no files": (lambda: made(), "is empty"),
    "zip64 too much": (lambda: zip64(2**40, 2**40), "at most 200000"),
    "zip64 beyond the end": (lambda: zip64(5000, 5000), "reaches beyond"),
    "zip64 two sizes": (lambda: zip64(20, 10), "two sizes"),
    "zip64 bomb": (lambda: zip64(2**63, 10), "at most 200000"),
    "the same name twice": (lambda: made("a/0.png", "a/0.png"), "would be one file"),
    "two frames that hold archives": (nested, "would be one file"),
    "no name": (lambda: zip64(10, 10, b""), "not a whole zip"),
    "huge directory": (lambda: patched(END, 12, b"\0\0\0\x7f"), "directory takes"),
}  # fmt: skip
"""Name -> how the archive is made, and what the line of its refusal says."""


def attempt(path: Path, make: Callable[[], bytes]) -> str:
    """Hand in an archive and return the line of its refusal; an empty one if it was unpacked."""
    path.write_bytes(make())
    try:
        with unpacked(path, pictures, SMALL):
            return ""
    except InputError as error:
        return str(error)


def main() -> int:
    """Print how many were refused and what was not; return 1 if anything was not."""
    refused, broken = 0, []
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        home = Path(name)
        (home / "in").mkdir()
        (home / "temporary").mkdir()
        tempfile.tempdir = str(home / "temporary")
        for evil, (make, told) in EVIL.items():
            line = attempt(home / "in" / "mine.zip", make)
            left = [path for path in home.rglob("*") if path.name not in ("in", "temporary")]
            clean = left == [home / "in" / "mine.zip"]
            if told in line and "mine.zip" in line and line.isprintable() and clean:
                refused += 1
            else:
                broken.append(
                    f"{evil}: {line or 'it was unpacked'}" + ("" if clean else f"; {left}")
                )
        tempfile.tempdir = None
    print(f"{refused} of {len(EVIL)} evil archives were refused, and left nothing behind")
    for line in broken:
        print(line)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
