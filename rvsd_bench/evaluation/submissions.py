"""Check restored frames before anybody scores them, with the clean frames or without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from rvsd_bench.baselines.frames import Submission
from rvsd_bench.clip import Frame
from rvsd_bench.columns import SCHEMA_VERSION
from rvsd_bench.data import dataset
from rvsd_bench.data.dataset import Dataset, Video, open_clean, open_snowy
from rvsd_bench.data.layouts import is_video
from rvsd_bench.data.pairing import counted, names
from rvsd_bench.errors import InputError, RvsdBenchError
from rvsd_bench.evaluation.contender import InOrder, pixels_sha256, told
from rvsd_bench.evaluation.environment import without_folders
from rvsd_bench.evaluation.handed_in import MANIFEST_FILE, opened, read_manifest
from rvsd_bench.evaluation.methods import submission
from rvsd_bench.evaluation.runfiles import FrameScores
from rvsd_bench.evaluation.validation import Problem, Watch, copies, judge
from rvsd_bench.files import natural_key
from rvsd_bench.jobs import Task, Track, run_tasks, untracked
from rvsd_bench.leaderboard.card import CARD_FILE, read_card
from rvsd_bench.media.images import read_image, read_size

Reader: TypeAlias = Callable[[int], Frame | None]

WITHOUT_TRUTH = (
    "whether frames are the clean ones: the clean frames are not here",
    "shifts and swapped channels against the clean frames: they were judged by the snowy ones",
)


@dataclass(frozen=True)
class Report:
    """Everything that is wrong with a submission, and what could not be looked at."""

    name: str
    dataset: str
    split: str
    videos: int
    frames: int
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...]

    @property
    def errors(self) -> list[Problem]:
        """The findings that keep a submission out of the ranking."""
        return [problem for problem in self.problems if problem.level == "error"]

    def as_json(self) -> dict[str, Any]:
        """Return the report as `validation.json` holds it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "submission": self.name,
            "dataset": self.dataset,
            "split": self.split,
            "videos": self.videos,
            "frames": self.frames,
            "ok": not self.errors,
            "problems": [asdict(problem) for problem in self.problems],
            "skipped": list(self.skipped),
        }

    def lines(self) -> Iterator[str]:
        """Yield the report as a table for people; a file's name cannot break its lines."""
        where = f"{self.dataset}/{self.split}"
        size = f"{counted(self.videos, 'video')}, {counted(self.frames, 'frame')}"
        yield f"{visible(self.name)} for {where}: {size}"
        rows = [(p.level, p.code, p.video or "-", p.message) for p in self.problems]
        if rows:
            table = [("level", "what", "video", "how"), *rows]
            cells = [[visible(cell) for cell in row] for row in table]
            widths = [max(len(row[i]) for row in cells) for i in range(3)]
            yield from ("  ".join([*map(str.ljust, row, widths), row[3]]) for row in cells)
        yield from (f"not checked: {what}" for what in self.skipped)
        warnings = len(self.problems) - len(self.errors)
        yield f"{counted(len(self.errors), 'error')}, {counted(warnings, 'warning')}"


def visible(text: str) -> str:
    """Return a text with all that would move or hide other text on a terminal written out."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)


def check(
    handed_in: Path | str,
    data: Path | str,
    *,
    split: str = "test",
    workers: int = 1,
    track: Track = untracked,
) -> Report:
    """Look at every frame of a submission, a folder or a zip, and report all that is wrong.

    `data` is the dataset, or its snowy frames alone: the checks that need the clean frames are then
    left out, and named in the report. Raises InputError if one of the two cannot be opened.
    """
    found = load_for_check(Path(data), split)
    with opened(Path(handed_in)) as folder:
        submission.cache_clear()
        tidy = partial(without_folders, roots=(folder, Path(data)))
        problems = [*_of_package(folder), *find_faults(found, found.videos, folder, "")]
        tasks = [Task(f"{v.split}/{v.name}", v) for v in found.videos]
        results = run_tasks(partial(examine, folder=folder), tasks, workers=workers)
        skipped = [] if found.paired else [*WITHOUT_TRUTH]
        for result in track(results, total=len(tasks), what="check", unit="video"):
            if result.value is None:
                raise result.error or RuntimeError(f"{result.id} was not looked at")
            problems += result.value.problems
            skipped += result.value.skipped
        problems.sort(key=lambda problem: natural_key(problem.video))
    name = Path(handed_in).resolve().name
    frames = sum(len(video.frame_ids) for video in found.videos)
    whole = tuple(replace(p, method=name, message=tidy(p.message)) for p in problems)
    return Report(name, found.name, split, len(found.videos), frames, whole, tuple(skipped))


def load_for_check(data: Path, split: str) -> Dataset:
    """Load a dataset of which only the snowy frames may be there: `<split>/snow/<video>/`."""
    for side, truth in (("snow", "clean"), ("blur", "gt")):
        snowy = data / split / side
        if snowy.is_dir() and not (data / split / truth).exists():
            found = dataset.load(snowy, layout="realsnow85")
            videos = tuple(replace(video, split=split) for video in found.videos)
            return replace(found, root=data, name=data.resolve().name, videos=videos)
    return dataset.load(data, splits=(split,))


def find_faults(
    data: Dataset, videos: Sequence[Video], frames: Path, label: str
) -> Iterator[Problem]:
    """Yield what names and headers tell of restored frames, and their card; none is decoded."""
    yield from _of_card(frames, label)
    for split in dict.fromkeys(video.split for video in videos):
        try:
            found = submission(frames, split)
        except InputError as error:
            yield Problem("error", "frames", label, "", str(error))
            continue
        of_split = [video for video in data.videos if video.split == split]
        for fault in found.strangers(of_split):
            yield Problem("warning", fault.code, label, fault.video, fault.message)
        for video in videos:
            for fault in found.faults(video) if video.split == split else ():
                yield Problem("error", fault.code, label, video.name, fault.message)


@dataclass
class Examination:
    """What was found in the frames of one video."""

    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass
class _Seen:
    rows: list[FrameScores] = field(default_factory=list)
    restored: Watch = field(default_factory=Watch)
    snowy: Watch = field(default_factory=Watch)
    damaged: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    """Frames of the dataset that cannot be read."""


def examine(video: Video, folder: Path) -> Examination:
    """Decode the frames of one video beside those of the dataset and say what is wrong."""
    found = Examination()
    try:
        home = submission(folder, video.split)
        restored = _reader(home, video)
    except InputError:  # told by find_faults
        return found
    seen = _Seen()
    _look_through(video, restored, seen)
    if seen.damaged:
        text = f"{names(list(seen.damaged))}: {next(iter(seen.damaged.values()))}"
        found.problems.append(Problem("error", "unreadable", "", video.name, text))
    if seen.unread:
        reason = next(iter(seen.unread.values()))
        found.skipped.append(f"{video.name}: {names(list(seen.unread))} of the dataset: {reason}")
    counts = {**seen.restored.evidence(), **copies(seen.rows)}
    counts |= {f"input_{name}": count for name, count in seen.snowy.counts.items()}
    found.problems += judge("", video.name, counts, source="measured", ids=video.frame_ids)
    found.problems += _lossy(home, video)
    return found


def _reader(home: Submission, video: Video) -> Reader:
    """Return what reads a restored frame; it gives None for one that is missing or unfit."""
    place = home.places.get(video.name.casefold())
    if place is not None and is_video(place):
        clip = None if home.faults(video) else InOrder(home.open(video))
        return lambda index: clip.read(index) if clip else None
    files, size = home.files(video), open_snowy(video).size

    def read(index: int) -> Frame | None:
        file = files.get(video.frame_ids[index])
        try:
            header = read_size(file) if file else None
        except InputError:  # told by find_faults
            return None
        if file is None or header is None or header[:2] != size or header.bits > 8:
            return None
        return read_image(file)

    return read


def _look_through(video: Video, restored: Reader, seen: _Seen) -> None:
    """Hold each restored frame against those of the dataset; put what is found into `seen`."""
    snowy = InOrder(open_snowy(video))
    clean = InOrder(open_clean(video)) if video.clean is not None else None
    for index, frame_id in enumerate(video.frame_ids):
        frame = given = truth = None
        try:
            frame = restored(index)
        except (RvsdBenchError, OSError) as error:
            seen.damaged[frame_id] = told(error)
        try:
            given = snowy.read(index)
            truth = clean.read(index) if clean else None
        except (RvsdBenchError, OSError) as error:
            seen.unread[frame_id] = told(error)
        _compare(frame_id, frame, given, truth, seen)


def _compare(
    frame_id: str, frame: Frame | None, given: Frame | None, truth: Frame | None, seen: _Seen
) -> None:
    if frame is None or given is None or (truth is not None and truth.shape != given.shape):
        seen.restored.miss()
        seen.snowy.miss()
        seen.rows.append(FrameScores(frame_id))
        return
    seen.restored.see(frame, truth, given)
    seen.snowy.see(given, truth)
    height, width = frame.shape[:2]
    mine, theirs = pixels_sha256(frame), pixels_sha256(given)
    ref = pixels_sha256(truth) if truth is not None else ""
    seen.rows.append(FrameScores(frame_id, width, height, mine, ref, theirs))


def _lossy(home: Submission, video: Video) -> Iterator[Problem]:
    lossy = (".jpg", ".jpeg")
    ours = [f for f in home.files(video).values() if f.suffix.lower() in lossy]
    if ours and not any(f.suffix.lower() in lossy for f in video.snowy_files or ()):
        text = f"frames are JPEGs, which lose some of the restoration: {names(ours)}"
        yield Problem("warning", "lossy", "", video.name, text)


def _of_card(folder: Path, label: str) -> Iterator[Problem]:
    if (folder / CARD_FILE).is_file():
        try:
            read_card(folder / CARD_FILE)
        except InputError as error:
            yield Problem("warning", "card", label, "", str(error))


def _of_package(folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with what `pack` packed."""
    manifest = read_manifest(folder)
    if manifest is not None and manifest.kind != "frames":
        raise InputError(f"{folder.name} holds a model and no frames: restore with it first")
    if manifest is not None and (changed := manifest.changed(folder)):
        text = f"files are not as they were packed ({MANIFEST_FILE}): {names(changed)}"
        yield Problem("error", "changed", "", "", text)
