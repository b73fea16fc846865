"""Score one video: each frame is decoded once, and its truth prepared once, for all methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from rvsd_bench.clip import Frame
from rvsd_bench.data.dataset import Video, open_clean, open_snowy
from rvsd_bench.errors import InputError, RvsdBenchError
from rvsd_bench.evaluation.contender import (
    Contender,
    InOrder,
    pixels_sha256,
    told,
)
from rvsd_bench.evaluation.environment import settled
from rvsd_bench.evaluation.judging import Given, Judging
from rvsd_bench.evaluation.validation import Watch
from rvsd_bench.evaluation.videotask import VideoTask, coverage_files
from rvsd_bench.files import discard, publish_folder
from rvsd_bench.media.images import read_gray16

Reader: TypeAlias = Callable[[int], Frame]


def score_video(task: VideoTask) -> None:
    """Score the methods on a video and write a part for each.

    What goes wrong with one frame or one method is written into its part, and the others are scored
    nevertheless. Values of an earlier part are taken over for frames with equal pixels.
    """
    snowy = open_snowy(task.video)
    clean = open_clean(task.video) if task.video.clean is not None else None
    read = InOrder(snowy).read, InOrder(clean).read if clean is not None else None
    wanted = task.identities()
    judging = Judging.open([m for m in task.measures if m.name in wanted], task.device)
    watch = Watch()
    with ExitStack() as stack, settled():
        contenders = [
            Contender.start(
                task, method, snowy, clean, stack.enter_context(_saving(task.saved(method)))
            )
            for method in task.methods
        ]
        for index in range(len(task.video.frame_ids)):
            try:
                given = _read(task.video, index, *read)
            except (RvsdBenchError, OSError) as error:
                watch.miss()
                judging.miss()
                for contender in contenders:
                    contender.pass_over(index, told(error))
                continue
            watch.see(given.snowy, given.clean)
            judges = judging.judges(index, given)
            for contender in contenders:
                contender.take(index, given, judges)
    for contender in contenders:
        contender.finish(watch)


@contextmanager
def _saving(folder: Path | None) -> Iterator[Path | None]:
    """Lend a folder for a video's restored frames; it appears when all of them are there."""
    if folder is None:
        yield None
        return
    discard(folder)
    with publish_folder(folder) as temporary:
        yield temporary


def _read(video: Video, index: int, snowy: Reader, clean: Reader | None) -> Given:
    """Decode one frame of the dataset with all that belongs to it."""
    frame = snowy(index)
    truth = clean(index) if clean is not None else None
    if truth is not None and truth.shape != frame.shape:
        raise InputError(
            f"{video.name}/{video.frame_ids[index]}: the snowy frame is {frame.shape[1]}x"
            f"{frame.shape[0]}, the clean one {truth.shape[1]}x{truth.shape[0]}"
        )
    layers = coverage_files(video)
    coverage = read_gray16(layers[index]) / 65535 if layers else None
    ref = pixels_sha256(truth) if truth is not None else ""
    return Given(frame, truth, coverage, pixels_sha256(frame), ref)
