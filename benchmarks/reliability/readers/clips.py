"""Readers of videos, pictures and folders of frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from readers.route import Route, require

SIZE = (32, 48)
FRAMES = 4


def frames(count: int = FRAMES) -> list[Any]:
    """Return small frames of moving noise on a slope, uint8 [H, W, 3]."""
    height, width = SIZE
    wide = np.random.default_rng(0).integers(0, 90, (height, width + 2 * count, 3))
    slope = np.linspace(20, 160, height)[:, None, None]
    whole = (wide + slope).astype(np.uint8)
    return [np.ascontiguousarray(whole[:, 2 * t : 2 * t + width]) for t in range(count)]


def prepare(home: Path) -> None:
    """Make videos and pictures as we and others write them, and a folder of frames, `clip`."""
    from rvsd_bench.media.images import write_png

    _videos(home)
    _pictures(home)
    (home / "clip").mkdir(exist_ok=True)
    for index, frame in enumerate(frames()):
        write_png(home / "clip" / f"{index:04d}.png", frame)


def _videos(home: Path) -> None:
    from rvsd_bench.media.video_writing import write_ffv1

    _write_video(home / "end.mp4", "libx264", "yuv420p")
    _write_video(home / "fast.mp4", "libx264", "yuv420p", movflags="faststart")
    _write_video(home / "part4.mp4", "mpeg4", "yuv420p")
    _write_video(home / "pieces.mp4", "libx264", "yuv420p", movflags="frag_keyframe+empty_moov")
    write_ffv1(home / "ours.mkv", frames(), 25.0)
    _write_video(home / "h264.mkv", "libx264", "yuv444p")
    _write_video(home / "vp9.mkv", "libvpx-vp9", "yuv420p")


def _write_video(path: Path, codec: str, pixels: str, **options: str) -> None:
    """Write a small video; `options` are those of the container."""
    import av

    options["fflags"] = "+bitexact"  # no random identifiers: what is damaged follows from the seed
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, pixels
        for frame in frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _pictures(home: Path) -> None:
    from PIL import Image

    from rvsd_bench.media.images import encode_jpeg, encode_png

    frame = frames(1)[0]
    (home / "ours.png").write_bytes(encode_png(frame))
    (home / "grey16.png").write_bytes(encode_png(frame[..., 0].astype(np.uint16) * 257))
    Image.fromarray(frame).quantize(16).save(home / "palette.png")
    Image.fromarray(frame).save(home / "filtered.png", optimize=True, dpi=(72, 72))
    (home / "ours.jpg").write_bytes(encode_jpeg(frame))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(frame).save(home / "progressive.jpg", progressive=True, exif=exif)
    Image.fromarray(frame[..., 0]).save(home / "grey.jpg", restart_marker_blocks=2)


def routes(home: Path, work: Path) -> Iterator[Route]:
    """Yield the routes of videos, whole or in part, and of pictures, alone or among others."""
    from rvsd_bench.media.images import read_gray16, read_image

    for kind in ("mp4", "mkv"):
        bases = tuple(sorted(home.glob(f"*.{kind}")))
        yield Route(kind, "clip", bases, work / f"in.{kind}", _watch)
        yield Route(kind, "partial clip", bases, work / f"in.{kind}", _watch_partly)
    for kind in ("png", "jpg"):
        bases = tuple(sorted(home.glob(f"*.{kind}")))
        yield Route(kind, "picture", bases, work / f"in.{kind}", read_image)
        own = (home / f"ours.{kind}",)
        yield Route(kind, "frame of a clip", own, work / "clip" / f"0002.{kind}", _watch_folder)
    yield Route("png", "layer", (home / "grey16.png",), work / "in.png", read_gray16)


def look(clip: Any) -> None:
    """Decode every frame in order, and two out of order; each must be what the clip says."""
    count = 0
    for frame in clip:
        require(frame.dtype == np.uint8 and frame.shape == (*clip.size, 3), "a frame of no frame")
        count += 1
    require(count == len(clip) == len(clip.times), "another number of frames than it says")
    require(bool(np.isfinite(clip.times).all()) and 0 < clip.fps < 1e9, "times that are no times")
    require(np.array_equal(clip[-1], frame), "another last frame when it is asked for")
    require(clip[0].shape == frame.shape, "another first frame")


def _watch(path: Path) -> None:
    from rvsd_bench.media.reading import read_clip

    look(read_clip(path))


def _watch_partly(path: Path) -> None:
    from rvsd_bench.media.reading import read_clip

    look(read_clip(path, allow_partial=True))


def _watch_folder(path: Path) -> None:
    """Read a folder of frames one of which is damaged; a JPEG stands for the PNG of its name."""
    from rvsd_bench.media.reading import read_clip

    other = path.with_suffix(".png")
    kept = other.read_bytes() if path.suffix == ".jpg" and other.exists() else None
    try:
        if kept is not None:
            other.unlink()
        look(read_clip(path.parent))
    finally:
        if kept is not None:
            other.write_bytes(kept)
            path.unlink()
