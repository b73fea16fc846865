"""Lossless video comes back bit for bit; previews look like the frames."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rvsd_bench.errors import InputError
from rvsd_bench.media.video import open_video, write_ffv1, write_preview


def noise(count: int = 5, height: int = 31, width: int = 45) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def bars(height: int, width: int) -> NDArray[np.uint8]:
    frame = np.empty((height, width, 3), np.uint8)
    colours = [(200, 40, 30), (30, 180, 60), (40, 60, 200)]
    for colour, columns in zip(colours, np.array_split(np.arange(width), 3), strict=True):
        frame[:, columns] = colour
    return frame


@pytest.mark.parametrize(("height", "width"), [(31, 45), (1, 1), (1, 9), (9, 1), (2, 2), (64, 48)])
def test_ffv1_comes_back_bit_for_bit_at_any_size(tmp_path: Path, height: int, width: int) -> None:
    frames = noise(4, height, width)
    write_ffv1(tmp_path / "a.mkv", iter(frames), 30000 / 1001)
    clip = open_video(tmp_path / "a.mkv")
    assert clip.fps == pytest.approx(30000 / 1001)
    assert all(np.array_equal(a, b) for a, b in zip(clip, frames, strict=True))
    assert clip.facts["pixel_format"] == "bgr0"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_frames_that_are_views_come_back_too(tmp_path: Path) -> None:
    turned = [frame[:, ::-1] for frame in noise()]
    write_ffv1(tmp_path / "a.mkv", turned, 25)
    assert all(np.array_equal(a, b) for a, b in zip(open_video(tmp_path / "a.mkv"), turned))


def test_equal_frames_make_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        write_ffv1(tmp_path / name, noise(), 25)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_every_frame_stands_alone_and_every_slice_has_a_checksum(tmp_path: Path) -> None:
    """RFC 9043: a slice ends with its size (3 bytes), a status byte and a CRC that makes it 0."""
    write_ffv1(tmp_path / "a.mkv", noise(), 25)
    mirror = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
    with av.open(str(tmp_path / "a.mkv")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 5
    for packet in packets:
        assert packet.is_keyframe
        data, slices = bytes(packet), 0
        while data:
            size = int.from_bytes(data[-8:-5], "big") + 8
            last, data = data[-size:], data[:-size]
            # zlib's CRC reads bits from the other end and begins and ends inverted.
            assert zlib.crc32(last.translate(mirror), 0xFFFFFFFF) == 0xFFFFFFFF
            slices += 1
        assert slices == 4


def test_a_source_of_frames_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[NDArray[np.uint8]]:
        yield from noise(2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_ffv1(tmp_path / "a.mkv", failing(), 25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.gif"])
def test_frames_of_two_sizes_or_none_are_refused(tmp_path: Path, name: str) -> None:
    write = write_ffv1 if name == "a.mkv" else write_preview
    with pytest.raises(InputError, match=r"frame 1 is \(4, 6, 3\), the first is \(6, 4, 3\)"):
        write(tmp_path / name, [bars(6, 4), bars(4, 6)], 25)
    with pytest.raises(InputError, match="would hold no frames"):
        write(tmp_path / name, [], 25)
    with pytest.raises(InputError, match="frame 0 is not uint8"):
        write(tmp_path / name, [np.zeros((4, 4, 3))], 25)  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


FILL = """
import os, resource, sys
from pathlib import Path
import numpy as np
from rvsd_bench.errors import OutputError
from rvsd_bench.media.video import write_ffv1, write_preview
path = Path(sys.argv[1])
frames = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    (write_ffv1 if path.suffix == ".mkv" else write_preview)(path, frames, 25)
except OutputError as error:
    os.write(1, str(error).encode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.gif"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {tmp_path / name}")
    assert "File too large; free some space" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("height", "width"), [(60, 90), (720, 96)])
def test_a_preview_has_the_frames_and_colours_that_players_will_show(
    tmp_path: Path, height: int, width: int
) -> None:
    notes = write_preview(tmp_path / "a.mp4", [bars(height, width)] * 6, 12.5)
    assert notes == []
    clip = open_video(tmp_path / "a.mp4")
    assert (len(clip), clip.size, clip.fps) == (6, (height, width), 12.5)
    assert clip.facts["colour_matrix"] == ("bt709" if height >= 720 else "bt601")
    middle = np.s_[height // 2, [width // 6, width // 2, width * 5 // 6]]
    assert np.abs(clip[3][middle].astype(int) - bars(height, width)[middle]).max() <= 4


def test_an_odd_preview_is_padded_and_says_so(tmp_path: Path) -> None:
    notes = write_preview(tmp_path / "a.mp4", [bars(31, 45)] * 3, 25)
    assert notes == ["padded from 45 x 31 to 46 x 32: H.264 needs even sizes"]
    frame = open_video(tmp_path / "a.mp4")[0]
    assert frame.shape == (32, 46, 3)
    assert np.abs(frame[-1, -1].astype(int) - bars(31, 45)[-1, -1]).max() <= 4


def test_a_gif_moves_at_the_rate_asked_for(tmp_path: Path) -> None:
    frames = [np.roll(bars(31, 45), shift, axis=1) for shift in range(4)]
    assert write_preview(tmp_path / "a.gif", frames, 12.5) == []
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.size, image.n_frames) == ((45, 31), 4)  # type: ignore[attr-defined]
        assert image.info["duration"] == 80
        image.seek(2)
        shown = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(shown - frames[2]).max() <= 4


def test_another_kind_of_preview_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.avi: a moving preview is an \.mp4 or a \.gif"):
        write_preview(tmp_path / "a.avi", [bars(4, 4)], 25)
