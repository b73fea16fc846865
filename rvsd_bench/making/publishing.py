"""Make one video of a dataset, and let it appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import OutputError
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.making.job import Job
from rvsd_bench.making.planning import open_clip
from rvsd_bench.making.stored import LIGHT, PLANES, StoredVideo, Timed, frame_name

if TYPE_CHECKING:
    from rvsd_bench.generators import RenderedFrame, Shot


def make_video(job: Job, track: Track = untracked) -> int:
    """Render one video and publish it; return its number of frames.

    Whatever an interrupted run left of it is removed first. Its folders appear by renaming, and
    meta/<video>.json last: without it the video does not count. On any error all of it is removed.
    """
    place = job.place
    try:
        place.discard()
        return _publish(job, place, track)
    except BaseException:
        place.discard()
        raise


def _publish(job: Job, place: StoredVideo, track: Track) -> int:
    from rvsd_bench.files import write_json
    from rvsd_bench.making.manifest import describe

    source, options = job.video.source, job.options
    clip = open_clip(source.path, options)
    with ExitStack() as stack:
        clean = _stage(place, place.side("clean"), stack)
        snow = _stage(place, place.side("snow"), stack)
        layers = _stage(place, place.layers, stack) if options.layers == "png16" else None
        digests = _named(place.side("clean"), write_side(clean, clip, place.container, clip.fps))
        stored = _as_stored(clip, clean, place.container)
        shot = shoot(job, stored)
        frames = track(rendered(shot, stored), total=len(clip), what=f"{place.label} {source.name}")
        if layers:
            frames = with_layers_written(frames, layers, f"layers/{place.name}", digests)
        snowy = (frame.snowy for frame in frames)
        digests |= _named(place.side("snow"), write_side(snow, snowy, place.container, clip.fps))
    make_folder(place.meta.parent)
    write_json(place.meta, describe(job, clip, shot.facts, digests))
    return len(clip)


def shoot(job: Job, clip: Clip) -> Shot:
    """Prepare the rendering of a job's video from its clean clip."""
    from rvsd_bench.generators import prepare

    source = job.video.source
    return prepare(
        clip,
        job.recipe,
        seed=job.options.seed,
        source_id=source.id,
        variant=job.video.variant,
        depth=source.depth,
        motion=job.options.motion,
    )


def rendered(shot: Shot, clip: Clip) -> Iterator[RenderedFrame]:
    """Yield every frame of a clip with its snow."""
    from rvsd_bench.generators import render_frame

    for index, clean in enumerate(clip):
        yield render_frame(shot, index, clean)


def write_side(target: Path, frames: Iterable[Frame], container: str, fps: float) -> dict[str, str]:
    """Write one side of a pair, and return the SHA-256 of each file by its name in `target`.

    For ffv1 `target` is the one file, and its name is empty.
    """
    from rvsd_bench.files import sha256_file

    if container == "ffv1":
        from rvsd_bench.media.video import write_ffv1

        write_ffv1(target, frames, fps)
        return {"": sha256_file(target)}
    from rvsd_bench.media.images import encode_jpeg, encode_png

    encode, suffix = (encode_jpeg, ".jpg") if container == "jpg" else (encode_png, ".png")
    return {
        (name := frame_name(index, suffix)): _write(target / name, encode(frame))
        for index, frame in enumerate(frames)
    }


def with_layers_written(
    frames: Iterable[RenderedFrame], folder: Path, prefix: str, digests: dict[str, str]
) -> Iterator[RenderedFrame]:
    """Yield the frames, each after its layers were written and their SHA-256 noted."""
    from rvsd_bench.media.images import encode_png

    for index, frame in enumerate(frames):
        name = frame_name(index)
        layers = dict(zip(PLANES, (frame.t16, frame.z16, frame.p16)))
        if frame.light16 is not None:
            layers[LIGHT] = frame.light16
        for plane, values in layers.items():
            (folder / plane).mkdir(exist_ok=True)
            digest = _write(folder / plane / name, encode_png(values))
            digests[f"{prefix}/{plane}/{name}"] = digest
        yield frame


def _stage(place: StoredVideo, target: Path, stack: ExitStack) -> Path:
    """Return where to write a part: a folder that is renamed at the end, or a file's own path."""
    from rvsd_bench.files import publish_folder

    if not target.suffix:
        return stack.enter_context(publish_folder(target))
    make_folder(target.parent)
    return target


def make_folder(path: Path) -> None:
    """Make a folder and those above it, or raise OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}") from error


def _as_stored(clip: Clip, clean: Path, container: str) -> Clip:
    """Return the clean side as its readers will see it: a JPEG is not what was encoded."""
    from rvsd_bench.media.reading import read_clip

    if container != "jpg":
        return clip
    return Timed(read_clip(clean), clip.times, clip.fps, clip.facts)


def _named(side: Path, digests: Mapping[str, str]) -> dict[str, str]:
    """Key the digests by their path below the folder of the split."""
    return {f"{side.parent.name}/{side.name}/{name}".rstrip("/"): d for name, d in digests.items()}


def _write(path: Path, data: bytes) -> str:
    from rvsd_bench.files import sha256_bytes, stage_bytes

    stage_bytes(path, data)
    return sha256_bytes(data)
