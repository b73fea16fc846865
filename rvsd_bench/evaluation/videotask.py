"""Say what is to be scored for one video, and whether it has been."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rvsd_bench.data.dataset import Video
from rvsd_bench.evaluation.measuring import Measure
from rvsd_bench.evaluation.methods import Method, restored_files
from rvsd_bench.evaluation.runfiles import read_part


@dataclass(frozen=True)
class VideoTask:
    """One video to be scored for some methods, and where the results go."""

    video: Video
    folder: str
    """The name of the video's files in the run."""
    methods: tuple[Method, ...]
    measures: tuple[Measure, ...]
    device: str
    parts: Path
    frames: Path | None = None
    """Where restored frames are saved, if they are."""
    audited: bool = False
    """Whether confined models restore the video twice."""

    def part(self, method: Method) -> Path:
        """Return the file of one method's scores."""
        return self.parts / method.slug / f"{self.folder}.json"

    def saved(self, method: Method) -> Path | None:
        """Return the folder of one method's saved frames, if they are saved."""
        return self.frames / method.slug / self.folder if self.frames else None

    def identities(self) -> dict[str, str]:
        """Return the metrics that apply to the video, each with all that decides its value."""
        paired, layers = self.video.clean is not None, bool(coverage_files(self.video))
        return {
            measure.name: measure.identity(self.device)
            for measure in self.measures
            if measure.card.kind == "nr" or (layers if measure.card.coverage else paired)
        }


def is_done(task: VideoTask, method: Method, *, whatever: bool = False) -> bool:
    """Tell whether the scores of a method, all or `whatever` there is, still hold for a video."""
    part = read_part(task.part(method))
    if part is None or method.digest is None or not (whatever or part.complete):
        return False
    folder = task.saved(method)
    saved = folder is None or (part.saved_frames and folder.is_dir())
    same = all(part.metrics.get(name) == known for name, known in task.identities().items())
    return saved and same and part.stamp == stamp(method, task.video)


def coverage_files(video: Video) -> tuple[Path, ...]:
    """Return the coverage layer of each frame; none where the dataset has no layers."""
    folder = video.layers / "coverage" if video.layers else None
    if folder is None or not folder.is_dir():
        return ()
    return tuple(folder / f"{frame_id}.png" for frame_id in video.frame_ids)


def stamp(method: Method, video: Video) -> dict[str, str]:
    """Return what a method's restored frames of a video depend on, as text to compare.

    Files are known by name, size and time of change; one that was merely touched costs a decoding,
    for values go by pixels.
    """
    sides = [video.snowy_files or (video.snowy,)]
    if video.clean is not None:
        sides.append(video.clean_files or (video.clean,))
    sides += [coverage_files(video), restored_files(method, video)]
    state = [[_state(path) for path in files] for files in sides]
    return {
        "method": method.digest or "",
        "files": hashlib.sha256(repr(state).encode()).hexdigest(),
    }


def _state(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return path.name, -1, -1
    return path.name, found.st_size, found.st_mtime_ns
