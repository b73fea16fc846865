"""A file is whole if its container's own lengths and checksums say so."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from rvsd_bench.media.containers import Damage, find_damage


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def wide_box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body


def element(name: str, body: bytes = b"", *, known: bool = True) -> bytes:
    length = (1 << 56 | len(body)).to_bytes(8, "big") if known else b"\x01" + b"\xff" * 7
    return bytes.fromhex(name) + length + body


def checked(body: bytes) -> bytes:
    return b"\xbf\x84" + zlib.crc32(body).to_bytes(4, "little") + body


HEAD, SEGMENT, CLUSTER, BLOCK = element("1a45dfa3", b"head"), "18538067", "1f43b675", "a3"
FTYP, MOOV = box(b"ftyp", b"isom"), box(b"moov", bytes(20))

WHOLE = {
    "index last": FTYP + box(b"mdat", bytes(9)) + MOOV,
    "wide box": FTYP + wide_box(b"mdat", bytes(9)) + MOOV,
    "open-ended last box": FTYP + MOOV + struct.pack(">I", 0) + b"mdat" + bytes(5),
    "padded with zeros": FTYP + MOOV + bytes(100),
    "riff": b"RIFF" + struct.pack("<I", 10) + bytes(10),
    "two riffs": (b"RIFF" + struct.pack("<I", 5) + bytes(6)) * 2,
    "matroska": HEAD + element(SEGMENT, element(CLUSTER, element(BLOCK, bytes(30)) * 3)),
    "matroska with checksums": HEAD
    + element(SEGMENT, element(CLUSTER, checked(element(BLOCK, b"frame"))) * 2),
    "live matroska": HEAD + element(SEGMENT, b"whatever", known=False),
    "live cluster": HEAD + element(SEGMENT, element(CLUSTER, b"whatever", known=False)),
    "no container we know": b"#EXTM3U\n" * 4,
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_shows_no_damage(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a").write_bytes(WHOLE[kind])
    assert find_damage(tmp_path / "a") is None


@pytest.mark.parametrize("kind", ["index last", "wide box", "riff", "two riffs", "matroska"])
def test_a_missing_end_is_counted_in_bytes(tmp_path: Path, kind: str) -> None:
    for missing in (1, 4):
        data = WHOLE[kind].removesuffix(b"\0" if kind == "two riffs" else b"")[:-missing]
        (tmp_path / "a").write_bytes(data)
        expected = Damage(len(data), f"the file ends {missing} bytes too early")
        assert find_damage(tmp_path / "a") == expected


def test_a_recording_without_its_index_was_never_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FTYP + box(b"mdat", bytes(99)))
    damage = find_damage(tmp_path / "a")
    assert damage is not None
    assert "moov" in damage.reason


def test_every_changed_byte_of_a_checked_cluster_is_seen(tmp_path: Path) -> None:
    data = WHOLE["matroska with checksums"]
    for at in range(len(HEAD) + 12, len(data)):
        (tmp_path / "a").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        damage = find_damage(tmp_path / "a")
        assert damage is not None, at
        assert len(HEAD) + 12 <= damage.at < len(data)


def test_a_broken_chain_of_unchecked_elements_is_seen(tmp_path: Path) -> None:
    data = bytearray(WHOLE["matroska"])
    second = data.index(bytes.fromhex(BLOCK), data.index(bytes.fromhex(BLOCK)) + 1)
    data[second + 8] += 3  # a longer block runs over its cluster's end, or into the next
    (tmp_path / "a").write_bytes(data)
    damage = find_damage(tmp_path / "a")
    assert damage is not None
    assert damage.at >= second
