"""Make one video of a dataset, and let it appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.files import make_folder, write_json
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.making.job import Job
from rvsd_bench.making.planning import open_clip
from rvsd_bench.making.stored import Reencoded, StoredVideo
from rvsd_bench.making.writing import opened_video

if TYPE_CHECKING:
    from rvsd_bench.generators import RenderedFrame, Shot
    from rvsd_bench.generators.degradation import Degradation, Degrader
    from rvsd_bench.generators.weather import Weather


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
    """Decode every frame once, write it, render snow into it as it was written, write that."""
    from rvsd_bench.making.manifest import describe

    clip = open_clip(job.video.source.path, job.options)
    shot = shoot(job, clip)
    frames = track(clip, total=len(clip), what=f"{place.label} {job.video.source.name}")
    chosen = degradation(job)
    with opened_video(
        place,
        clip.fps,
        layers=job.options.layers == "png16",
        degrader=degrader(job, chosen, clip),
    ) as video:
        for index, frame in enumerate(frames):
            video.add(drawn(shot, index, video.clean.write(frame), job.options.weather))
    make_folder(place.meta.parent)
    write_json(place.meta, describe(job, clip, shot.facts, video.digests, chosen))
    return len(clip)


def shoot(job: Job, clip: Clip) -> Shot:
    """Prepare the rendering of a job's video from its footage, as its clean side will show it."""
    from rvsd_bench.generators import prepare

    source = job.video.source
    return prepare(
        Reencoded(clip) if job.options.container == "jpg" else clip,
        job.recipe,
        seed=job.options.seed,
        source_id=source.id,
        variant=job.video.variant,
        depth=source.depth,
        motion=job.options.motion,
    )


def degradation(job: Job) -> Degradation | None:
    """Draw what a job's camera does to its snowy frames, if that was asked for."""
    asked = job.options.degrade
    return asked.draw(job.options.seed, job.video.source.id, job.video.variant) if asked else None


def degrader(job: Job, chosen: Degradation | None, clip: Clip) -> Degrader | None:
    """Return what degrades the frames of a job's video, if anything does."""
    from rvsd_bench.generators.degradation import Degrader

    key = (job.options.seed, job.video.source.id, job.video.variant)
    return Degrader(chosen, clip.size, clip.fps, *key) if chosen else None


def rendered(shot: Shot, clip: Clip, weather: Weather = "both") -> Iterator[RenderedFrame]:
    """Yield every frame of a clip in its weather."""
    for index, clean in enumerate(clip):
        yield drawn(shot, index, clean, weather)


def drawn(shot: Shot, index: int, clean: Frame, weather: Weather) -> RenderedFrame:
    """Render a frame with the haze alone, the flakes alone, or both."""
    from rvsd_bench.generators import in_weather, render_frame

    frame = render_frame(shot, index, clean)
    return frame if weather == "both" else in_weather(frame, weather)
