"""A video file is read frame by frame as FFmpeg reads it, or not at all."""

from __future__ import annotations

import pickle
import shutil
import struct
import subprocess
import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.media.images import encode_jpeg
from rvsd_bench.media.video import open_video

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg program is not installed")
COUNT = 40


def scene(index: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A moving coloured pattern; every frame differs from every other."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + 3 * index) / 7), np.cos((y - 2 * index) / 5), np.sin((x + y + index) / 9)]
    return np.stack([120 + 100 * wave for wave in waves], -1).astype(np.uint8)


def encode(
    path: Path,
    frames: Sequence[NDArray[Any]],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    ticks: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    **tags: Any,
) -> Path:
    """Encode RGB frames, or planes as `pixels` wants them, at 25 a second or at 1/1000 s ticks."""
    options = options or {"g": "12", "bf": "3"}
    with av.open(str(path), "w", container_options=muxer or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options)
        stream.pix_fmt = pixels
        tick = Fraction(1, 1000) if ticks else Fraction(1, 25)
        stream.codec_context.time_base = tick
        shape = frames[0].shape
        stream.height, stream.width = shape[:2] if shape[-1] == 3 else shape[-2:]
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            form = "rgb24" if frame.shape[-1] == 3 else pixels
            picture = av.VideoFrame.from_ndarray(frame, format=form)
            picture.pts, picture.time_base = ticks[number] if ticks else number, tick
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def scenes(count: int = COUNT, **size: int) -> list[NDArray[np.uint8]]:
    return [scene(number, **size) for number in range(count)]


def ffmpeg(path: Path, shape: tuple[int, int], *filters: str) -> NDArray[np.uint8]:
    """Decode with the ffmpeg program: every frame once, packed RGB."""
    command = [str(FFMPEG), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", *filters, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, *shape, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("video")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """An MP4 with B-frames, several key frames and its index at the end."""
    return encode(folder / "plain.mp4", scenes())


@pytest.fixture(scope="module")
def fast(folder: Path) -> Path:
    """The same with its index at the start."""
    return encode(folder / "fast.mp4", scenes(), muxer={"movflags": "+faststart"})


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_every_frame_equals_what_the_ffmpeg_program_decodes(folder: Path, suffix: str) -> None:
    path = encode(folder / f"equal.{suffix}", scenes())
    clip = open_video(path)
    expected = ffmpeg(path, (48, 64))
    assert len(clip) == len(expected) == COUNT
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(clip, expected, strict=True))


@needs_ffmpeg
@pytest.mark.parametrize("pixels", ["yuv444p", "yuv422p", "yuvj420p"])
def test_other_chroma_and_full_range_equal_the_ffmpeg_program(folder: Path, pixels: str) -> None:
    path = encode(folder / f"{pixels}.mkv", scenes(6), pixels=pixels)
    for ours, theirs in zip(open_video(path), ffmpeg(path, (48, 64)), strict=True):
        assert np.array_equal(ours, theirs)


@needs_ffmpeg
def test_halved_chroma_at_an_odd_size_equals_the_ffmpeg_program(folder: Path) -> None:
    frames = scenes(3, height=47, width=63)
    path = encode(folder / "odd420.mkv", frames, codec="ffv1", options={"g": "1"})
    for ours, theirs in zip(open_video(path), ffmpeg(path, (47, 63)), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_clip_says_its_size_rate_name_and_length(plain: Path) -> None:
    clip = open_video(plain)
    assert (clip.name, clip.size, clip.fps, len(clip)) == ("plain", (48, 64), 25.0, COUNT)
    assert clip.times == pytest.approx(np.arange(COUNT) / 25)
    assert clip.facts["codec"] == "h264"
    assert clip.facts["header_frames"] == COUNT
    assert clip.facts["variable_frame_rate"] is False


def test_the_frames_are_those_that_were_encoded(plain: Path) -> None:
    for number, frame in enumerate(open_video(plain)):
        errors = [np.abs(frame.astype(int) - scene(near)).mean() for near in range(COUNT)]
        assert np.argmin(errors) == number


@pytest.mark.parametrize("kind", ["plain", "variable", "mkv", "ts", "avi", "open groups"])
def test_random_access_equals_going_through_in_order(folder: Path, kind: str) -> None:
    path = folder / f"random-{kind}.{kind if kind in ('mkv', 'ts', 'avi') else 'mp4'}"
    options: dict[str, Any] = {"avi": {"codec": "mpeg4"}}.get(kind, {})
    if kind == "variable":
        options["ticks"] = np.cumsum(np.random.default_rng(0).integers(1, 90, COUNT)).tolist()
    if kind == "open groups":
        options["options"] = {"x264-params": "open-gop=1:keyint=9:bframes=3:scenecut=0"}
    clip = open_video(encode(path, scenes(), **options))
    inorder = list(clip)
    for index in np.random.default_rng(1).integers(-COUNT, COUNT, 60):
        assert np.array_equal(clip[int(index)], inorder[index])
    assert all(np.array_equal(clip[index], inorder[index]) for index in range(COUNT))


def test_reading_forward_does_not_start_again(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = open_video(plain)
    opened = []
    really = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: opened.append(a) or really(*a, **k))
    for index in range(COUNT):
        clip[index]
    assert len(opened) <= 1 + np.ceil(COUNT / 12)  # at most once for each key frame


def test_a_far_frame_is_reached_through_its_key_frame(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = open_video(plain)
    seen = []
    really = type(clip)._check
    monkeypatch.setattr(type(clip), "_check", lambda *a: seen.append(a[2]) or really(*a))
    clip[0]
    clip[COUNT - 1]
    clip[13]
    assert seen == [0, COUNT - 1, 13]


@needs_ffmpeg
def test_a_video_without_usable_time_stamps_is_read_by_its_order(folder: Path, plain: Path) -> None:
    """Xvid in AVI packs two pictures into one packet; stamps of packets and pictures differ."""
    path = folder / "xvid.avi"
    command = [str(FFMPEG), "-nostdin", "-v", "error", "-i", str(plain), "-c:v", "libxvid"]
    if subprocess.run([*command, "-bf", "2", str(path)], check=False).returncode:
        pytest.skip("this ffmpeg has no Xvid encoder")
    clip = open_video(path)
    expected = ffmpeg(path, (48, 64))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(clip, expected, strict=True))
    assert np.array_equal(clip[20], expected[20])
    assert clip.times == pytest.approx(np.arange(len(expected)) / 25)
    assert clip.facts["notes"] == ["the file has no usable time stamps; frames are evenly spaced"]


def test_an_index_beyond_the_clip_is_an_index_error(plain: Path) -> None:
    for index in (COUNT, -COUNT - 1):
        with pytest.raises(IndexError, match=f"has {COUNT} frames"):
            open_video(plain)[index]


def test_a_clip_goes_to_another_process_while_it_is_being_read(plain: Path) -> None:
    clip = open_video(plain)
    third = clip[3]
    again = pickle.loads(pickle.dumps(clip))
    assert np.array_equal(again[3], third)
    assert np.array_equal(again.times, clip.times)


def test_uneven_time_stamps_are_kept(folder: Path) -> None:
    ticks = [0, 40, 80, 200, 210, 360, 400, 440]
    clip = open_video(encode(folder / "uneven.mp4", scenes(len(ticks)), ticks=ticks))
    assert clip.times == pytest.approx(np.array(ticks) / 1000, abs=1e-4)
    assert clip.facts["variable_frame_rate"] is True
    assert clip.fps == pytest.approx(25, abs=0.05)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_stamps_rounded_to_milliseconds_do_not_make_the_rate_variable(
    folder: Path, suffix: str
) -> None:
    ticks = [round(1000 * number / 29.97) for number in range(COUNT)]
    clip = open_video(encode(folder / f"rounded.{suffix}", scenes(), ticks=ticks))
    assert clip.facts["variable_frame_rate"] is False
    assert clip.fps == pytest.approx(29.97, abs=0.02)


def test_one_frame_is_a_clip(folder: Path) -> None:
    clip = open_video(encode(folder / "one.mp4", scenes(1)))
    assert (len(clip), clip.fps, clip.times.tolist()) == (1, 25.0, [0.0])
    assert np.array_equal(clip[0], next(iter(clip)))


@pytest.mark.parametrize(("height", "width"), [(47, 63), (1, 1), (2, 65)])
def test_odd_sizes_are_kept(folder: Path, height: int, width: int) -> None:
    frames = scenes(3, height=height, width=width)
    path = encode(
        folder / f"odd{width}.mkv", frames, codec="ffv1", pixels="bgr0", options={"g": "1"}
    )
    clip = open_video(path)
    assert clip.size == (height, width)
    assert all(np.array_equal(a, b) for a, b in zip(clip, frames, strict=True))


@needs_ffmpeg
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_as_players_do(folder: Path, plain: Path, degrees: int) -> None:
    path = folder / f"rotated{degrees}.mp4"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a rotation")
        stream.set_display_rotation(degrees)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    clip = open_video(path)
    assert clip.size == ((48, 64) if degrees == 180 else (64, 48))
    assert clip.facts["rotation"] == degrees
    for ours, theirs in zip(clip, ffmpeg(path, clip.size), strict=True):
        assert np.array_equal(ours, theirs)


@needs_ffmpeg
def test_an_edit_list_hides_frames_and_is_no_damage(folder: Path, plain: Path) -> None:
    path = folder / "edited.mp4"
    command = [str(FFMPEG), "-nostdin", "-v", "error", "-y", "-ss", "0.2", "-i", str(plain)]
    subprocess.run([*command, "-c", "copy", str(path)], check=True)
    clip = open_video(path)
    expected = ffmpeg(path, (48, 64))
    assert clip.facts["header_frames"] > len(clip) == len(expected)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(clip, expected, strict=True))
    assert np.array_equal(clip[7], expected[7])


def test_pixels_that_are_not_square_are_noted_and_kept(folder: Path) -> None:
    path = encode(folder / "sar.mp4", scenes(2), sample_aspect_ratio=Fraction(128, 117))
    clip = open_video(path)
    assert clip.size == (48, 64)
    assert clip.facts["notes"] == ["pixels are not square (128:117); kept so"]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(folder: Path, transfer: int, name: str) -> None:
    path = encode(
        folder / f"{name}.mp4", scenes(3), colorspace=9, color_primaries=9, color_trc=transfer
    )
    with pytest.raises(InputError, match=rf"{name}\.mp4 is high dynamic range video, {name}"):
        open_video(path)


def test_ten_thousand_frames_are_not_held_in_memory(folder: Path) -> None:
    clip = open_video(encode(folder / "long.mp4", scenes(300)))
    tracemalloc.start()
    for _ in clip:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * scene(0).nbytes


# What is no video, or no longer a whole one -----------------------------------------------------


def refusal(path: Path) -> str:
    """Return the one line with which a file is refused, whether on opening or while reading."""
    with pytest.raises(InputError) as caught:
        list(open_video(path))
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def test_a_text_file_named_mp4_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("This is not a video.\n" * 100)
    assert "is not a video that can be opened" in refusal(tmp_path / "a.mp4")


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert "is empty" in refusal(tmp_path / "a.mp4")


def test_a_folder_is_no_regular_file(tmp_path: Path) -> None:
    assert "not a regular file" in refusal(tmp_path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for start in range(0, 8 * 1024, 1024):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate, sound.pts = 16000, start
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert "holds no video stream" in refusal(path)


def test_a_playlist_is_not_followed(tmp_path: Path, plain: Path) -> None:
    shutil.copy(plain, tmp_path / "secret.mp4")
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(hls)
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    for name in ("list.mp4", "concat.mp4"):
        assert "is not a video that can be opened" in refusal(tmp_path / name)


def test_a_name_that_looks_like_an_address_is_only_a_file_name(tmp_path: Path, plain: Path) -> None:
    for name in ("a b'ü%d#1.mp4", "concat:x.mp4", "https:x.mp4"):
        shutil.copy(plain, tmp_path / name)
        assert len(open_video(tmp_path / name)) == COUNT


@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("kind", ["plain", "fast", "mkv", "avi"])
def test_a_cut_video_is_refused_wherever_it_is_cut(
    folder: Path, tmp_path: Path, plain: Path, fast: Path, kind: str, tenths: int
) -> None:
    if kind in ("mkv", "avi"):
        whole = folder / f"whole.{kind}"
        if not whole.exists():
            encode(whole, scenes(), codec="libx264" if kind == "mkv" else "mpeg4")
    else:
        whole = {"plain": plain, "fast": fast}[kind]
    data = whole.read_bytes()
    path = tmp_path / whole.name
    path.write_bytes(data[: len(data) * tenths // 10])
    assert "too early" in refusal(path)


def test_the_last_byte_counts(tmp_path: Path, plain: Path, fast: Path) -> None:
    for whole in (plain, fast):
        path = tmp_path / whole.name
        path.write_bytes(whole.read_bytes()[:-1])
        assert "ends 1 bytes too early" in refusal(path)


def test_an_index_that_was_never_written_is_named(tmp_path: Path, plain: Path) -> None:
    data = plain.read_bytes()
    path = tmp_path / "crashed.mp4"
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    assert "its index (moov) is missing" in refusal(path)


@pytest.mark.parametrize("where", ["inside a frame", "between frames"])
def test_a_video_whose_index_promises_more_than_there_is_names_the_frame(
    tmp_path: Path, fast: Path, where: str
) -> None:
    """Cut the data, then mend the length of its box: only the frames can tell."""
    data = fast.read_bytes()
    with av.open(str(fast)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    at = data.rindex(b"mdat") - 4
    end = starts[20] + (3 if where == "inside a frame" else 0)
    path = tmp_path / "mended.mp4"
    path.write_bytes(data[:at] + struct.pack(">I", end - at) + data[at + 4 : end])
    told = {"inside a frame": "frame 20 is cut short"}
    assert told.get(where, f"it declares {COUNT} frames and holds 20") in refusal(path)


@pytest.mark.parametrize("kind", ["fast.mp4", "x264.mkv", "ffv1.mkv", "vp9.webm"])
def test_garbage_in_the_middle_is_refused(
    folder: Path, tmp_path: Path, fast: Path, kind: str
) -> None:
    whole = folder / kind
    if not whole.exists():
        codec = {"x264.mkv": "libx264", "ffv1.mkv": "ffv1", "vp9.webm": "libvpx-vp9"}[kind]
        pixels = "bgr0" if codec == "ffv1" else "yuv420p"
        options = {"cpu-used": "8", "deadline": "realtime"} if codec == "libvpx-vp9" else {}
        encode(whole, scenes(height=96, width=128), codec=codec, pixels=pixels, options=options)
    data = bytearray(whole.read_bytes())
    rng = np.random.default_rng(0)
    for share in (0.3, 0.5, 0.7):
        broken = data.copy()
        at = int(share * len(data))
        broken[at : at + 1500] = rng.integers(0, 256, 1500, dtype=np.uint8).tobytes()
        path = tmp_path / kind
        path.write_bytes(broken)
        assert "frame" in refusal(path)


def test_a_flipped_bit_in_lossless_video_is_seen(folder: Path, tmp_path: Path) -> None:
    whole = encode(folder / "keep.mkv", scenes(6), codec="ffv1", pixels="bgr0", options={"g": "1"})
    data = whole.read_bytes()
    for at in range(len(data) // 4, len(data) * 3 // 4, len(data) // 13):
        path = tmp_path / "flipped.mkv"
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        assert "checksum does not match" in refusal(path)


def test_what_comes_before_the_damage_can_be_had(tmp_path: Path, fast: Path) -> None:
    data = fast.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) * 7 // 10])
    clip = open_video(path, allow_partial=True)
    kept = clip.facts["partial"]["kept"]
    assert clip.facts["partial"]["declared"] == COUNT
    assert 0 < kept == len(clip) == len(clip.times) < COUNT
    whole = list(open_video(fast))[:kept]
    assert all(np.array_equal(a, b) for a, b in zip(clip, whole, strict=True))


def test_of_lossless_video_with_a_flipped_bit_only_frames_before_it_are_had(
    tmp_path: Path,
) -> None:
    """FFV1 goes on after a broken slice, with what was in memory; such frames must not count."""
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(50)]
    path = encode(tmp_path / "keep.mkv", frames, codec="ffv1", pixels="bgr0", options={"g": "1"})
    data, kept = path.read_bytes(), []
    for at in (len(data) // 20, len(data) // 2, len(data) * 19 // 20):
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        try:
            clip = open_video(path, allow_partial=True)
        except InputError as error:
            assert "no frame before that" in str(error)
            continue
        kept.append(len(clip))
        assert all(np.array_equal(a, b) for a, b in zip(clip, frames))
        assert np.array_equal(clip[-1], frames[len(clip) - 1])
    assert kept and max(kept) < 50


def test_frames_that_a_file_wrongly_calls_key_frames_are_not_begun_at(folder: Path) -> None:
    """Without its table of key frames every frame of an MP4 counts as one."""
    path = encode(folder / "all.mp4", scenes(8), codec="mpeg4", options={"g": "8"})
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    inorder = list(open_video(path))
    assert all(np.array_equal(open_video(path)[i], inorder[i]) for i in range(8))


def test_a_whole_video_loses_nothing_to_allow_partial(plain: Path) -> None:
    clip = open_video(plain, allow_partial=True)
    assert len(clip) == COUNT
    assert "partial" not in clip.facts


def test_a_video_with_nothing_left_is_refused_even_so(tmp_path: Path, plain: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(plain.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"cut\.mp4 is damaged"):
        open_video(tmp_path / "cut.mp4", allow_partial=True)


def test_a_picture_larger_than_8192_is_refused_before_it_is_decoded(folder: Path) -> None:
    frames = [np.zeros((16, 8194, 3), np.uint8)]
    path = encode(folder / "wide.mkv", frames, codec="ffv1", pixels="bgr0", options={"g": "1"})
    with pytest.raises(InputError, match=r"wide\.mkv claims to be 8194 x 16 pixels"):
        open_video(path)


def write_jpegs(path: Path, frames: Sequence[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj444p"
        for number, frame in enumerate(frames):
            packet = av.Packet(encode_jpeg(frame))
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            container.mux(packet)
    return path


def test_a_change_of_size_in_mid_stream_is_refused(tmp_path: Path) -> None:
    frames = [*scenes(4), *scenes(2, height=64, width=80)]
    path = write_jpegs(tmp_path / "two.mkv", frames)
    assert "frame 4 of 6 is 80 x 64 yuvj444p, the first is 64 x 48" in refusal(path)


def test_a_decoder_that_meets_nonsense_does_not_go_on(tmp_path: Path) -> None:
    """Nonsense in entropy-coded data can decode by chance; mostly it must not."""
    rng, refused = np.random.default_rng(0), 0
    frames = [frame // 2 + rng.integers(0, 60, frame.shape, np.uint8) for frame in scenes(12)]
    data = write_jpegs(tmp_path / "whole.avi", frames).read_bytes()
    for _ in range(20):
        at = int(rng.integers(len(data) // 10, len(data) * 9 // 10))
        nonsense = rng.integers(0, 256, 300, dtype=np.uint8).tobytes()
        (tmp_path / "broken.avi").write_bytes(data[:at] + nonsense + data[at + 300 :])
        try:
            list(open_video(tmp_path / "broken.avi"))
        except InputError:
            refused += 1
    assert refused >= 14
