"""Go through the frames of one clip once, and keep what a check needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, repeat
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.data import alignment, findings, leakage
from rvsd_bench.data.alignment import Fingerprint
from rvsd_bench.data.dataset import Video, open_clean, open_snowy, survey
from rvsd_bench.data.findings import Finding
from rvsd_bench.data.layouts import Place
from rvsd_bench.data.leakage import Content, Look
from rvsd_bench.data.pairing import Pairing, names
from rvsd_bench.errors import InputError
from rvsd_bench.media.images import read_image

Attempt: TypeAlias = Frame | InputError | None
"""A frame, the error if it cannot be read, or None in place of a side that is not there."""


@dataclass(frozen=True)
class Examination:
    """What one clip holds and what is wrong with it."""

    split: str
    name: str
    frames: int = 0
    size: tuple[int, int] | None = None
    """Height and width of most frames; None if none could be read."""
    shows: Mapping[str, str] = field(default_factory=dict)
    """Of the snowy frames that are out of order: the id -> the stem of the clean frame it shows."""
    problems: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    content: Content | None = None


@dataclass(frozen=True)
class _Side:
    """What is kept of one picture after its pixels are gone."""

    size: tuple[int, int] | None = None
    digest: bytes | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Seen:
    """What is kept of one frame and its mate."""

    id: str
    mate: str
    snowy: _Side
    clean: _Side
    look: Look | None


def examine(place: Place, *, paired: bool) -> Examination:
    """Decode every frame of a clip once and return what was found.

    A pair takes 40 to 80 ms at 1280x720 as PNG, most of it for decoding; a few frames are in
    memory, and 4 kB for each frame that was seen.
    """
    clip = f"{place.split}/{place.name}"
    try:
        video, mates = survey(place, paired=paired)
    except InputError as error:
        problem = Finding("unreadable", clip, str(error))
        return Examination(place.split, place.name, problems=(problem,))
    missing = (*findings.missing(clip, mates), *findings.gaps(clip, _all_ids(mates)))
    if video is None:
        return Examination(place.split, place.name, problems=missing)
    seen: list[_Seen] = []
    agreement = alignment.agree(_look_through(video, seen))
    moved = alignment.moved(agreement)
    unrelated = not moved and alignment.unrelated(agreement)
    sizes = Counter(one.snowy.size for one in seen if one.snowy.size)
    return Examination(
        place.split,
        place.name,
        len(seen),
        sizes.most_common(1)[0][0] if sizes else None,
        {seen[frame].id: seen[mate].mate for frame, mate in moved.items()},
        (*missing, *_problems(clip, seen, moved, unrelated)),
        tuple(_notes(clip, seen)),
        _content(video, seen),
    )


def _all_ids(mates: Pairing) -> list[str]:
    """Return the ids of all frames that lie on either side, those without a mate too."""
    snowy = (path for path, _ in mates.pairs)
    return [path.stem for path in (*snowy, *mates.snowy_alone, *mates.clean_alone)]


def _look_through(
    video: Video, seen: list[_Seen]
) -> Iterator[tuple[Fingerprint | None, Fingerprint | None]]:
    """Yield the fingerprints of every frame and of its mate, and put the rest into `seen`."""
    paired = video.clean is not None
    mates = [path.stem for path in video.clean_files or ()] or list(video.frame_ids)
    sampled = leakage.evenly(len(video.frame_ids))
    cleans = _decoded(video, open_clean, video.clean_files) if paired else repeat(None)
    both = zip(_decoded(video, open_snowy, video.snowy_files), cleans)
    for index, (snowy, clean) in enumerate(both):
        frame_id = video.frame_ids[index]
        shown = clean if paired else snowy
        look = None
        if isinstance(shown, np.ndarray) and index in sampled:
            look = leakage.look(frame_id, shown)
        seen.append(_Seen(frame_id, mates[index], _side(snowy), _side(clean), look))
        yield _fingerprint(snowy if paired else None), _fingerprint(clean)


def _decoded(
    video: Video, opener: Callable[[Video], Clip], files: Sequence[Path] | None
) -> Iterator[Attempt]:
    """Yield every frame of one side, or the error where it cannot be read.

    Of a video file nothing can be read behind the first damage.
    """
    if files is None:
        try:
            yield from opener(video)
        except InputError as error:
            yield error
        return
    for path, again in groupby(files):  # several frames may share one clean file
        frame = _attempt(path)
        yield from (frame for _ in again)


def _attempt(path: Path) -> Attempt:
    try:
        return read_image(path)
    except InputError as error:
        return error


def _fingerprint(frame: Attempt) -> Fingerprint | None:
    return alignment.fingerprint(frame) if isinstance(frame, np.ndarray) else None


def _side(frame: Attempt) -> _Side:
    if isinstance(frame, np.ndarray):
        return _Side((frame.shape[0], frame.shape[1]), leakage.digest(frame))
    return _Side(error=str(frame) if frame else None)


def _problems(
    clip: str, seen: Sequence[_Seen], moved: Mapping[int, int], unrelated: bool
) -> Iterator[Finding]:
    for text in dict.fromkeys(
        side.error for one in seen for side in (one.snowy, one.clean) if side.error
    ):
        yield Finding("unreadable", clip, text)
    yield from findings.sizes(
        clip, [(one.id, one.snowy.size) for one in seen if one.snowy.size], "snowy"
    )
    yield from findings.unequal(clip, [(one.id, one.snowy.size, one.clean.size) for one in seen])
    yield from findings.order(clip, moved, [one.id for one in seen], [one.mate for one in seen])
    if unrelated:
        yield Finding("unrelated", clip, "nothing of the clean frames is seen in the snowy ones")


def _notes(clip: str, seen: Sequence[_Seen]) -> Iterator[Finding]:
    ids = [one.id for one in seen]
    one_truth = len({one.mate for one in seen}) < len(seen)
    for side, digests in (
        ("snowy", [one.snowy.digest for one in seen]),
        ("clean", [] if one_truth else [one.clean.digest for one in seen]),
    ):
        if groups := findings.duplicates(ids, digests):
            yield Finding("duplicate", clip, f"{side} frames are equal: {names(groups)}")


def _content(video: Video, seen: Sequence[_Seen]) -> Content:
    digests = {}
    for one in seen:
        side = one.snowy if video.clean is None else one.clean
        if side.digest:
            digests[side.digest] = one.id
    looks = tuple(one.look for one in seen if one.look)
    return Content(video.split, video.name, video.source_id, digests, looks)
