"""Find scenes that lie in two splits of a dataset: a model trained on one has seen the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame

# Between different scenes the hashes of real clips differed in 18 of 64 bits or more and the fine
# structure correlated by 0.16 or less; a copy, scaled or compressed, differs in 2 and correlates
# by 0.99, one cropped by 5 % in 8 and by 0.83.
_BITS = 10
_ALIKE = 0.8
_THUMBNAIL = 32
_FLAT = 2.0  # grey levels; a black frame is no scene


@dataclass(frozen=True)
class Look:
    """What is kept of a sampled frame: where it is, a 64-bit hash, and a small picture of it."""

    frame: str
    hash: int
    detail: NDArray[np.float16]
    """[1024], high-passed, of length 1."""


@dataclass(frozen=True)
class Content:
    """What is kept of a clip's clean side (of its snowy side where there is no other)."""

    split: str
    name: str
    source_id: str | None
    digests: dict[bytes, str]
    """Digest of a frame's pixels -> its id; flat frames are left out."""
    looks: tuple[Look, ...]

    @property
    def label(self) -> str:
        """The clip's split and name."""
        return f"{self.split}/{self.name}"


@dataclass(frozen=True)
class Leak:
    """Two clips of different splits that show the same."""

    kind: str
    """source: made from the same footage; identical: equal pixels; similar: nearly the same."""
    clips: tuple[str, str]
    frames: tuple[tuple[str, str], ...] = ()
    """Ids of frames that match, at most three."""
    count: int = 0
    """How many frames of the first clip match (of those sampled, where `similar`)."""


def digest(frame: Frame) -> bytes | None:
    """Return the SHA-256 of a frame's pixels, or None if the frame is flat."""
    if float(frame[::8, ::8].std()) < _FLAT:
        return None
    return sha256(np.ascontiguousarray(frame).data).digest()


def look(frame_id: str, frame: Frame) -> Look | None:
    """Return the perceptual hash of a frame and its fine structure at 32 x 32; None if it is flat.

    The hash has one bit for each of the 64 lowest DCT coefficients: whether it is above their
    median (the pHash of Zauner, 2010).
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    small = small.astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), 1.5)
    fine -= fine.mean()
    length = float(np.linalg.norm(fine))
    if length < _THUMBNAIL * 0.5 or float(small.std()) < _FLAT:
        return None
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return Look(
        frame_id,
        int.from_bytes(np.packbits(bits).tobytes(), "big"),
        (fine / length).astype(np.float16).ravel(),
    )


def find_leaks(clips: Sequence[Content]) -> list[Leak]:
    """Return the leaks between splits: by source, else by equal frames, else by similar ones.

    A pair of clips is named once, under the strongest of the three.
    """
    found: dict[tuple[str, str], Leak] = {}
    for leak in (*_by_source(clips), *_by_digest(clips), *_by_look(clips)):
        found.setdefault(leak.clips, leak)
    return list(found.values())


def _by_source(clips: Sequence[Content]) -> Iterator[Leak]:
    sources = defaultdict(list)
    for clip in clips:
        if clip.source_id is not None:
            sources[clip.source_id].append(clip)
    for sharing in sources.values():
        for one, other in combinations(sharing, 2):
            if one.split != other.split:
                yield Leak("source", (one.label, other.label))


def _by_digest(clips: Sequence[Content]) -> list[Leak]:
    holders = defaultdict(list)
    for clip in clips:
        for key in clip.digests:
            holders[key].append(clip)
    shared: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for key, sharing in holders.items():
        for one, other in combinations(sharing, 2):
            if one.split != other.split:
                frames = one.digests[key], other.digests[key]
                shared[one.label, other.label].append(frames)
    return _leaks("identical", shared)


def _by_look(clips: Sequence[Content]) -> list[Leak]:
    by_split: dict[str, list[tuple[Content, Look]]] = defaultdict(list)
    for clip in clips:
        by_split[clip.split] += [(clip, seen) for seen in clip.looks]
    shared: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for one, other in combinations(by_split.values(), 2):
        for (first, seen), (second, again) in _similar(one, other):
            shared[first.label, second.label].append((seen.frame, again.frame))
    return _leaks("similar", shared)


def _similar(
    one: Sequence[tuple[Content, Look]], other: Sequence[tuple[Content, Look]]
) -> Iterator[tuple[tuple[Content, Look], tuple[Content, Look]]]:
    """Yield the pairs of near hashes whose fine structure agrees as well.

    Only the hashes are compared all with all: 50,000 pictures with 50,000 take five seconds.
    """
    hashes = np.array([seen.hash for _, seen in other], np.uint64)
    for first in one:
        near = np.bitwise_count(hashes ^ np.uint64(first[1].hash)) <= _BITS
        for index in np.flatnonzero(near).tolist():
            second = other[index]
            if float(first[1].detail.astype(np.float32) @ second[1].detail) >= _ALIKE:
                yield first, second


def _leaks(kind: str, shared: dict[tuple[str, str], list[tuple[str, str]]]) -> list[Leak]:
    return [Leak(kind, clips, tuple(all_[:3]), len(dict(all_))) for clips, all_ in shared.items()]


def evenly(count: int, most: int = 16) -> set[int]:
    """Return at most `most` indices spread evenly over `count` frames, the first among them."""
    return {int(index) for index in np.linspace(0, count - 1, min(count, most)).round()}
