"""FFV1 frames whose slices do not match their own checksums are refused; all others are read."""

from __future__ import annotations

import pickle
import re
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.media.containers import find_damage
from rvsd_bench.media.slices import checksum_start, slices_hold
from rvsd_bench.media.video import open_video, write_ffv1

COUNT = 6
STARTS = {"1": 0, "2": 0x79408C7A}
"""What the checksums of FFmpeg's slicecrc=1 and slicecrc=2 begin with, highest bit first."""


def scene(index: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:48, :64]
    waves = [np.sin((x + 3 * index) / 7), np.cos((y - 2 * index) / 5), np.sin((x + y + index) / 9)]
    return np.stack([120 + 100 * wave for wave in waves], -1).astype(np.uint8)


SCENES = [scene(index) for index in range(COUNT)]


def encode(path: Path, pixels: str = "bgr0", muxer: str = "", **options: str) -> Path:
    """Encode the scenes by FFV1; Matroska clusters get no checksums if `muxer` is "bare"."""
    bare = {"write_crc32": "0"} if muxer == "bare" else {}
    options = {"strict": "experimental", "g": "1"} | options
    with av.open(str(path), "w", container_options=bare) as container:
        stream: Any = container.add_stream("ffv1", rate=25, options=options)
        stream.pix_fmt, stream.height, stream.width = pixels, 48, 64
        for number, frame in enumerate(SCENES):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def packets(path: Path) -> tuple[bytes | None, list[bytes]]:
    """Return a stream's configuration record and its packets."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        found = [bytes(packet) for packet in container.demux(stream) if packet.size]
        return stream.codec_context.extradata, found


def slices(packet: bytes, footer: int = 8) -> list[slice]:
    """Return where the slices of a packet lie, in order."""
    found, end = [], len(packet)
    while end:
        length = int.from_bytes(packet[end - footer : end - footer + 3], "big")
        found.append(slice(end - footer - length, end))
        end -= footer + length
    return found[::-1]


def crc(data: bytes, start: int) -> int:
    """CRC-32, bit by bit: generator 0x04C11DB7, highest bit first, nothing inverted."""
    for byte in data:
        start ^= byte << 24
        for _ in range(8):
            start = (start << 1 ^ (0x104C11DB7 if start >> 31 else 0)) & 0xFFFFFFFF
    return start


def before_zeros(value: int) -> int:
    """Return from which value 32 bits of zeros lead a CRC to this one."""
    for _ in range(32):
        value = (value ^ 0x104C11DB7) >> 1 | 1 << 31 if value & 1 else value >> 1
    return value


def closed(content: bytes, start: int) -> bytes:
    """Return a slice with a footer of length, status and checksum."""
    body = content + len(content).to_bytes(3, "big") + b"\0"
    return body + (crc(body, start) ^ before_zeros(start)).to_bytes(4, "big")


def mirrored(number: int) -> int:
    return int(f"{number:032b}"[::-1], 2)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]


def break_slice(path: Path, frame: int, number: int) -> None:
    """Flip a bit in the middle of a slice, and make the checksums of all clusters anew."""
    packet = packets(path)[1][frame]
    where = slices(packet)[number]
    data = path.read_bytes()
    assert data.count(packet) == 1
    data = flipped(data, data.index(packet) + (where.start + where.stop) // 2)
    path.write_bytes(forged(data))


def forged(data: bytes) -> bytes:
    for head in re.finditer(
        rb"\x1f\x43\xb6\x75([\x40-\x7f].|[\x20-\x3f]..)\xbf\x84", data, re.DOTALL
    ):
        length = int.from_bytes(head[1], "big") & ((1 << 7 * len(head[1])) - 1)
        body = data[head.end() + 4 : head.end(1) + length]
        data = data[: head.end()] + zlib.crc32(body).to_bytes(4, "little") + data[head.end() + 4 :]
    return data


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_video(path)
    return str(caught.value)


# The checksums themselves -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("count", ["1", "4", "24"])
def test_what_ffmpeg_writes_returns_to_the_start_bit_by_bit(
    tmp_path: Path, kind: str, count: str
) -> None:
    path = encode(tmp_path / "a.mkv", level="3", slices=count, slicecrc=kind)
    record, found = packets(path)
    assert record is not None
    assert crc(record, STARTS[kind]) == STARTS[kind]
    assert checksum_start("ffv1", record) == mirrored(STARTS[kind])
    for packet in found[:2]:
        assert len(slices(packet)) == int(count)
        assert {crc(packet[where], STARTS[kind]) for where in slices(packet)} == {STARTS[kind]}


@pytest.mark.parametrize("start", STARTS.values())
def test_every_flipped_bit_of_checked_slices_is_seen(start: int) -> None:
    rng = np.random.default_rng(0)
    packet = b"".join(closed(rng.bytes(size), start) for size in (40, 1, 17))
    assert slices_hold(packet, mirrored(start))
    assert not slices_hold(packet, mirrored(start) ^ 1)
    for bit in range(8 * len(packet)):
        broken = bytearray(packet)
        broken[bit // 8] ^= 1 << bit % 8
        assert not slices_hold(bytes(broken), mirrored(start)), bit


def test_slices_without_checksums_hold_if_they_fill_the_packet() -> None:
    plain = b"".join(bytes([9]) * size + size.to_bytes(3, "big") for size in (30, 300))
    assert slices_hold(plain, 0)
    assert not slices_hold(b"\0" + plain, 0)
    assert not slices_hold(plain[1:], 0)
    assert not slices_hold(plain[:-1], 0)
    assert slices_hold(b"", 0)  # a frame that repeats the one before it


def test_only_a_sound_record_of_a_version_with_footers_tells_of_checksums(tmp_path: Path) -> None:
    record = packets(encode(tmp_path / "3.mkv", level="3"))[0]
    assert record is not None
    assert checksum_start("ffv1", record) == 0
    assert checksum_start("h264", record) is None
    assert checksum_start("ffv1", None) is None
    assert checksum_start("ffv1", b"") is None
    assert all(checksum_start("ffv1", flipped(record, at)) is None for at in range(len(record)))
    second = packets(encode(tmp_path / "2.mkv", level="2", slicecrc="0", slices="4"))[0]
    assert second is not None
    assert crc(second, 0) == 0
    assert checksum_start("ffv1", second) is None


# Files that are whole ---------------------------------------------------------------------------

SETTINGS = {
    "version 0": {"level": "0", "slicecrc": "0"},
    "version 1": {"level": "1", "slicecrc": "0"},
    "version 1, dependent": {"level": "1", "slicecrc": "0", "g": "12"},
    "version 1, Golomb": {"level": "1", "slicecrc": "0", "coder": "0"},
    "version 2": {"level": "2", "slicecrc": "0", "slices": "4"},
    "unchecked": {"level": "3", "slicecrc": "0", "slices": "4"},
    "unchecked, 1 slice": {"level": "3", "slicecrc": "0", "slices": "1"},
    "unchecked, 24 slices": {"level": "3", "slicecrc": "0", "slices": "24"},
    "unchecked, dependent": {"level": "3", "slicecrc": "0", "slices": "9", "g": "12"},
    "unchecked, Golomb": {"level": "3", "slicecrc": "0", "slices": "4", "coder": "0"},
    "checked": {"level": "3", "slicecrc": "1", "slices": "4"},
    "checked, 1 slice": {"level": "3", "slicecrc": "1", "slices": "1"},
    "checked, 24 slices": {"level": "3", "slicecrc": "1", "slices": "24"},
    "checked, dependent": {"level": "3", "slicecrc": "1", "slices": "9", "g": "12"},
    "checked, Golomb": {"level": "3", "slicecrc": "1", "slices": "4", "coder": "0"},
    "checked, own table": {"level": "3", "slicecrc": "1", "slices": "4", "coder": "2"},
    "checked, large context": {"level": "3", "slicecrc": "1", "slices": "4", "context": "1"},
    "version 4, unchecked": {"level": "4", "slicecrc": "0", "slices": "4"},
    "version 4": {"level": "4", "slicecrc": "1", "slices": "4"},
    "version 4, other start": {"level": "4", "slicecrc": "2", "slices": "4", "g": "12"},
}


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
@pytest.mark.parametrize("name", SETTINGS)
def test_whole_files_of_every_setting_are_read(tmp_path: Path, name: str, suffix: str) -> None:
    clip = open_video(encode(tmp_path / f"a.{suffix}", **SETTINGS[name]))
    assert len(clip) == COUNT
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(clip, SCENES, strict=True))
    assert np.array_equal(clip[4], SCENES[4])


@pytest.mark.parametrize("pixels", ["gray", "yuv420p", "yuv422p10le", "bgra", "gray16le", "gbrp12"])
@pytest.mark.parametrize("checks", ["0", "1"])
def test_whole_files_of_other_pixels_are_read(tmp_path: Path, pixels: str, checks: str) -> None:
    path = encode(tmp_path / "a.mkv", pixels, level="3", slices="4", slicecrc=checks)
    assert len(list(open_video(path))) == COUNT


# Files with a slice that is broken --------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("frame", [0, 3, COUNT - 1])
def test_a_flipped_bit_in_any_slice_of_ours_names_the_frame(
    tmp_path: Path, frame: int, number: int
) -> None:
    path = tmp_path / "ours.mkv"
    write_ffv1(path, SCENES, 25)
    break_slice(path, frame, number)
    assert find_damage(path) is None
    told = refusal(path)
    assert told.startswith(f"{path} is damaged: frame {frame} does not match its checksums; ")
    assert [refusal(path) for _ in range(3)] == [told] * 3


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
@pytest.mark.parametrize("name", [name for name in SETTINGS if SETTINGS[name]["slicecrc"] != "0"])
def test_a_flipped_bit_in_the_files_of_others_names_the_frame(
    tmp_path: Path, name: str, suffix: str
) -> None:
    path = encode(tmp_path / f"a.{suffix}", muxer="bare" * (suffix == "mkv"), **SETTINGS[name])
    break_slice(path, 2, -1)
    assert "frame 2 does not match its checksums" in refusal(path)


def test_lengths_of_unchecked_slices_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", muxer="bare", level="3", slices="4", slicecrc="0")
    packet = packets(path)[1][2]
    data = path.read_bytes()
    path.write_bytes(flipped(data, data.index(packet) + slices(packet, 3)[1].stop - 1))
    assert "frame 2 does not match its checksums" in refusal(path)


@pytest.mark.parametrize("group", ["1", "12"])
def test_only_the_frames_before_a_broken_slice_can_be_had(tmp_path: Path, group: str) -> None:
    path = encode(tmp_path / "a.mkv", level="3", slices="4", slicecrc="1", g=group)
    break_slice(path, 4, 1)
    for _ in range(3):
        clip = open_video(path, allow_partial=True)
        assert clip.facts["partial"] == {"declared": COUNT, "kept": 4}
        assert np.array_equal(clip[-1], SCENES[3])
        again = pickle.loads(pickle.dumps(clip))
        assert all(np.array_equal(a, b) for a, b in zip(again, SCENES[:4], strict=True))


def test_of_a_video_whose_first_frame_is_broken_nothing_can_be_had(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", level="3", slices="4", slicecrc="1")
    break_slice(path, 0, 2)
    with pytest.raises(InputError, match=r"frame 0 does not match .* no frame before that"):
        open_video(path, allow_partial=True)


def test_the_damage_that_comes_first_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ours.mkv"
    write_ffv1(path, SCENES, 25)
    whole = path.read_bytes()
    break_slice(path, 3, 0)
    broken = path.read_bytes()
    path.write_bytes(broken[:-10])
    assert "frame 3 does not match its checksums" in refusal(path)
    path.write_bytes(flipped(broken, whole.index(packets(path)[1][1])))
    assert "a checksum does not match (near frame 0)" in refusal(path)


def test_frames_are_kept_in_their_order_where_time_stamps_say_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", muxer="bare", level="3", slices="4", slicecrc="1")
    last = packets(path)[1][5]
    data = path.read_bytes()
    at = data.index(last) - 3  # milliseconds from the cluster's start; one byte of flags follows
    (stamp,) = struct.unpack(">h", data[at : at + 2])
    path.write_bytes(data[:at] + struct.pack(">h", stamp - 200) + data[at + 2 :])
    break_slice(path, 4, 0)
    clip = open_video(path, allow_partial=True)
    assert not clip.index.seekable
    assert all(np.array_equal(a, b) for a, b in zip(clip, SCENES[:4], strict=True))
