"""Indexes of MP4 files that claim more than there is, each read by FFmpeg as a witness."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.media.mp4_index import require_modest_index
from rvsd_bench.media.video import open_video

FRAMES = 12


def _coded(**options: str) -> bytes:
    """Return a small MP4, with a sound track of PCM beside its frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov", options=options) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000)
        for index in range(FRAMES):
            pixels = np.full((32, 48, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 3840), np.int16), "s16", "mono")
        samples.rate = 8000
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    return file.getvalue()


def _changed(data: bytes, kind: bytes, offset: int, value: int) -> bytes:
    """Put a number into the body of the first box of a kind."""
    at = data.index(kind) + 4 + offset
    return data[:at] + struct.pack(">I", value) + data[at + 4 :]


def _with_edits(data: bytes, edits: int) -> bytes:
    """Repeat the first edit of the first track so often."""
    at = data.index(b"elst") - 4
    (length,) = struct.unpack_from(">I", data, at)
    entry = data[at + 16 : at + 28]
    box = struct.pack(">I4sII", 16 + 12 * edits, b"elst", 0, edits) + entry * edits
    found = data[:at] + box + data[at + length :]
    for holder in (b"edts", b"trak", b"moov"):
        place = found.index(holder) - 4
        (before,) = struct.unpack_from(">I", found, place)
        found = _changed(found, holder, -8, before + len(box) - length)
    return found


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe+empty_moov"}])
def test_a_whole_file_is_read(tmp_path: Path, options: dict[str, str]) -> None:
    (tmp_path / "whole.mov").write_bytes(_coded(**options))
    assert len(open_video(tmp_path / "whole.mov")) == FRAMES


@pytest.mark.parametrize("allow_partial", [False, True])
@pytest.mark.parametrize(
    ("kind", "offset", "options"),
    [(b"trun", 4, {"movflags": "frag_keyframe+empty_moov"}), (b"stsz", 8, {})],
)
def test_more_samples_than_bytes_are_refused(
    tmp_path: Path, kind: bytes, offset: int, options: dict[str, str], allow_partial: bool
) -> None:
    path = tmp_path / "greedy.mp4"
    path.write_bytes(_changed(_coded(**options), kind, offset, 33_554_432))
    with pytest.raises(InputError, match=r"greedy\.mp4 is damaged: it claims 335\d+ samples in"):
        open_video(path, allow_partial=allow_partial)


def test_a_box_with_a_long_length_is_seen_too(tmp_path: Path) -> None:
    data = _coded(movflags="frag_keyframe+empty_moov")
    data = _changed(data, b"trun", -8, 1)  # 64 bits of length follow
    data = _changed(_changed(data, b"trun", 0, 0), b"trun", 4, 500)
    (tmp_path / "long.mp4").write_bytes(_changed(data, b"trun", 12, 10_000_000))
    with pytest.raises(InputError, match=r"claims 100000\d\d samples"):
        require_modest_index(tmp_path / "long.mp4")


@pytest.mark.parametrize("first", [b"uuid", b"udta", b"pnot", b"junk"])
def test_whatever_comes_first_hides_nothing(tmp_path: Path, first: bytes) -> None:
    before, path = struct.pack(">I4s24x", 32, first), tmp_path / "hidden.mp4"
    path.write_bytes(before + _coded())
    with av.open(str(path)) as container:  # FFmpeg knows it all the same
        assert container.streams.video[0].frames == FRAMES
    path.write_bytes(before + _changed(_coded(), b"stsz", 8, 33_554_432))
    with pytest.raises(InputError, match="claims 335"):
        require_modest_index(path)


def test_a_box_longer_than_its_holder_is_cut_as_ffmpeg_cuts_it(tmp_path: Path) -> None:
    data = _changed(_coded(), b"stsz", 8, 2**31)
    (tmp_path / "cut.mov").write_bytes(_changed(data, b"stsz", -8, 2**31))
    with pytest.raises(InputError, match="claims 21474"):
        require_modest_index(tmp_path / "cut.mov")


def test_edits_that_repeat_every_sample_are_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "edits.mov", _coded()
    path.write_bytes(_with_edits(data, 90))
    require_modest_index(path)
    with av.open(str(path)) as container:  # FFmpeg takes an entry for every edit and sample
        assert len(container.streams.video[0].index_entries) >= 80 * FRAMES
    path.write_bytes(_with_edits(data, 20_000))
    with pytest.raises(InputError, match=r"claims 2000[01] edits of"):
        open_video(path)


def test_a_compressed_index_is_refused(tmp_path: Path) -> None:
    data = _coded().replace(b"mvhd", b"cmov")
    (tmp_path / "old.mov").write_bytes(data)
    with pytest.raises(InputError, match="compressed index"):
        require_modest_index(tmp_path / "old.mov")
