"""Plan a dataset: which clips there are, who they are, which split and number each video gets."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.clip import Clip
from rvsd_bench.errors import InputError, RvsdBenchError
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.making.stored import SPLITS

if TYPE_CHECKING:
    from rvsd_bench.generators.degradation import DegradationRecipe
    from rvsd_bench.generators.weather import Weather


@dataclass(frozen=True)
class Options:
    """What decides a dataset's bytes besides the footage and the recipe."""

    seed: int = 0
    depth: str = "auto"
    motion: str = "auto"
    layers: str = "png16"
    container: str = "png"
    max_frames: int | None = None
    size: tuple[int, int] | None = None
    """Width and height to resample to."""
    fps: float | None = None
    """The rate of folders of frames; video files keep their own time stamps."""
    licence: str | None = None
    weather: Weather = "both"
    """`haze` or `snow` alone, or both: of one draw, so that they can be told apart."""
    degrade: DegradationRecipe | None = None
    """What a camera and its coder do to the snowy frames, as a further output."""


@dataclass(frozen=True)
class Source:
    """A clean clip that was opened once."""

    path: Path
    id: str
    """SHA-256 of its bytes; of a folder: of its frames' names and digests."""
    frames: int
    size: tuple[int, int]
    """Height and width, after resampling."""
    fps: float
    depth: str
    """The depth specification, with maps beside the clip already found."""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file or folder, without its place."""
        return self.path.absolute().name


@dataclass(frozen=True)
class PlannedVideo:
    """One video to make."""

    split: str
    number: int
    source: Source
    variant: int


@dataclass(frozen=True)
class Plan:
    """Every video of a dataset in the order of split and number."""

    videos: tuple[PlannedVideo, ...]
    unreadable: tuple[tuple[str, RvsdBenchError], ...] = ()
    """Clips that could not be opened and are no part of the plan, each with its error."""
    notices: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """The number of frames of all videos together."""
        return sum(video.source.frames for video in self.videos)


def open_clip(path: Path, options: Options) -> Clip:
    """Open a source clip as the dataset takes it: cut to `max_frames`, resampled to `size`."""
    from rvsd_bench.media.reading import read_clip

    return read_clip(path, fps=options.fps, stop=options.max_frames, size=options.size)


def make_plan(
    inputs: Sequence[Path],
    options: Options,
    *,
    variants: int = 1,
    shares: Mapping[str, float] | None = None,
    track: Track = untracked,
) -> Plan:
    """Open every clip once and lay down the whole dataset.

    Videos are numbered per split by the natural order of the clips' names, then by variant; where a
    clip lies does not matter. Footage that is given twice counts as further variants of one source.
    A clip that cannot be opened is left out and listed, unless it is the only one: then its error
    is raised.
    """
    from rvsd_bench.media.reading import find_clips

    clips = _without_depth_maps(find_clips(inputs))
    sources, unreadable = [], []
    for path in track(clips, total=len(clips), what="reading", unit="clip"):
        try:
            sources.append(_survey(path, options))
        except RvsdBenchError as error:
            if len(clips) == 1:
                raise
            unreadable.append((path.name, error))
    if not sources:
        names = "; ".join(str(error) for _, error in unreadable)
        raise InputError(f"none of the {len(clips)} clips can be read: {names}")
    sources.sort(key=_order)
    splits, notices = _splits(sources, shares, options.seed)
    notices += _notes(sources)
    return Plan(_number(sources, splits, variants), tuple(unreadable), tuple(notices))


def parse_split(text: str | None) -> dict[str, float] | None:
    """Read `train=0.73,test=0.27`; None stays None. Raises InputError for anything else."""
    if text is None:
        return None
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        try:
            share = float(number)
        except ValueError:
            share = float("nan")
        if name not in SPLITS or name in shares or not 0 < share <= 1:
            raise InputError(f"--split {text!r}: write it as train=0.73,test=0.27")
        shares[name] = share
    if abs(sum(shares.values()) - 1) > 1e-3:
        raise InputError(
            f"--split {text!r}: the shares must add up to 1, not {sum(shares.values()):g}"
        )
    return shares


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read `WxH` in pixels; None stays None. Raises InputError for anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)[xX×]([1-9]\d*)", text.strip())
    if not match:
        raise InputError(f"--size {text!r}: write width and height in pixels, as in 640x360")
    return int(match[1]), int(match[2])


def assign_splits(ids: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of each source id.

    Sources are put in the order of sha256(seed, id) and fill the splits one after another. Counts
    follow the shares by largest remainder, with at least one source each while there are enough.
    """
    names = [name for name in SPLITS if name in shares]
    total = sum(shares.values())
    exact = {name: shares[name] / total * len(ids) for name in names}
    counts = {name: int(exact[name] + 1e-9) for name in names}
    by_remainder = sorted(names, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: len(ids) - sum(counts.values())]:
        counts[name] += 1
    for name in names:
        if not counts[name] and len(ids) >= len(names):
            counts[max(names, key=counts.__getitem__)] -= 1
            counts[name] += 1
    shuffled = sorted(ids, key=lambda id_: hashlib.sha256(f"{seed}\x1f{id_}".encode()).hexdigest())
    filled = [name for name in names for _ in range(counts[name])]
    return dict(zip(shuffled, filled))


def _survey(path: Path, options: Options) -> Source:
    from rvsd_bench.files import digest_source
    from rvsd_bench.generators.depth import depth_beside

    clip = open_clip(path, options)
    beside = depth_beside(path) if options.depth == "auto" else None
    notes = list(clip.facts.get("notes", ()))
    if clip.facts.get("fps_assumed"):
        notes.append(f"a folder has no time stamps: {clip.fps:g} frames per second assumed (--fps)")
    depth = options.depth if beside is None else str(beside)
    return Source(
        path, digest_source(path), len(clip), clip.size, clip.fps, depth, tuple(map(str, notes))
    )


def _order(source: Source) -> tuple[object, ...]:
    from rvsd_bench.files import natural_key

    return natural_key(source.name), source.id


def _without_depth_maps(clips: list[Path]) -> list[Path]:
    """Leave out the folders `<stem>.depth` that lie beside a clip."""
    maps = {clip.with_name(f"{clip.name if clip.is_dir() else clip.stem}.depth") for clip in clips}
    return [clip for clip in clips if clip not in maps]


def _notes(sources: Sequence[Source]) -> Iterator[str]:
    """Yield each note once, however many clips it is about."""
    about: dict[str, list[str]] = {}
    for source in sources:
        for note in source.notes:
            about.setdefault(note, []).append(source.name)
    for note, (first, *others) in about.items():
        yield f"{first}{f' and {len(others)} more' if others else ''}: {note}"


def _splits(
    sources: Sequence[Source], shares: Mapping[str, float] | None, seed: int
) -> tuple[dict[str, str], list[str]]:
    ids = list(dict.fromkeys(source.id for source in sources))
    notices = []
    if len(ids) < len(sources):
        twice = [id_ for id_, count in Counter(s.id for s in sources).items() if count > 1]
        names = ", ".join(source.name for source in sources if source.id in twice)
        notices.append(f"the same footage under several names counts as variants: {names}")
    if shares is None:
        return dict.fromkeys(ids, "test"), notices
    if len(ids) == 1 and len(shares) > 1:
        notices.append("one source cannot be split: all of it goes to test")
        return dict.fromkeys(ids, "test"), notices
    return assign_splits(ids, shares, seed), notices


def _number(
    sources: Sequence[Source], splits: Mapping[str, str], variants: int
) -> tuple[PlannedVideo, ...]:
    videos = []
    drawn: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for source in sources:
        split = splits[source.id]
        for _ in range(variants):
            videos.append(PlannedVideo(split, counts[split], source, drawn[source.id]))
            counts[split] += 1
            drawn[source.id] += 1
    return tuple(sorted(videos, key=lambda video: (video.split, video.number)))
