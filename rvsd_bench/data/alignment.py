"""Find from content which clean frame a snowy frame was made from, where that can be told."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame

Fingerprint: TypeAlias = NDArray[np.float32]
"""A frame's fine structure as a vector of length 1."""

REACH = 8
"""Frames to either side among which a mate is sought."""

# A mate must beat a frame's own by this many standard deviations. With pairs that are in order the
# largest value seen was 3: falling snow, haze and codecs hit all candidates alike.
_CLEARLY = 6.0
# Frames of unrelated scenes agree by chance within +-8; heavy snow over a scene poor in texture
# still agrees by 9.
_RECOGNISED = 4.0
_SIDE = 160
_BLUR = 2.0
_NOISE = 8.0  # grey levels; fainter structure than this is not amplified
_FLAT = 0.5  # grey levels


@dataclass(frozen=True)
class Agreement:
    """Cosines between fingerprints, [frames, 2 REACH + 1]: column c is the frame c - REACH away."""

    snowy: NDArray[np.float64]
    """Snowy frame against clean frames; NaN where one of the two is missing or flat."""
    clean: NDArray[np.float64]
    """Clean frame against clean frames."""
    length: int
    """The number of values in a fingerprint."""


def fingerprint(frame: Frame) -> Fingerprint | None:
    """Return a frame's fine structure, made insensitive to haze and brightness; None if flat.

    The frame is reduced to 160 pixels, high-passed, divided by its local contrast and clipped.
    """
    height, width = frame.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), _BLUR)
    if float(fine.std()) < _FLAT:
        return None
    contrast = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 2 * _BLUR))
    even = np.clip(fine / (contrast + _NOISE), -3, 3)
    even -= even.mean()
    return np.asarray(even / np.linalg.norm(even), np.float32).ravel()


@dataclass
class Comparing:
    """Compares every snowy with the clean fingerprints around it; only REACH pairs are kept."""

    _recent: deque[tuple[Fingerprint | None, Fingerprint | None]] = field(
        default_factory=lambda: deque(maxlen=REACH + 1)
    )
    _rows: list[NDArray[np.float64]] = field(default_factory=list)
    _length: int = 0

    def see(self, snowy: Fingerprint | None, clean: Fingerprint | None) -> None:
        """Take in the next pair; None stands for a frame that is missing or flat."""
        sizes = (0 if one is None else one.size for one in (snowy, clean))
        self._length = max(self._length, *sizes)
        self._recent.appendleft((snowy, clean))
        self._rows.append(np.full((2, 2 * REACH + 1), np.nan))
        row = self._rows[-1]
        for lag, (earlier_snowy, earlier_clean) in enumerate(self._recent):
            earlier = self._rows[-1 - lag]
            row[0, REACH - lag] = _cosine(snowy, earlier_clean)
            earlier[0, REACH + lag] = _cosine(earlier_snowy, clean)
            row[1, REACH - lag] = earlier[1, REACH + lag] = _cosine(clean, earlier_clean)

    def agreement(self) -> Agreement:
        """Return the cosines of all pairs so far."""
        table = np.stack(self._rows) if self._rows else np.empty((0, 2, 2 * REACH + 1))
        return Agreement(table[:, 0], table[:, 1], self._length)


def agree(pairs: Iterable[tuple[Fingerprint | None, Fingerprint | None]]) -> Agreement:
    """Compare every snowy with the clean fingerprints around it."""
    comparing = Comparing()
    for snowy, clean in pairs:
        comparing.see(snowy, clean)
    return comparing.agreement()


def moved(agreement: Agreement) -> dict[int, int]:
    """Return {snowy frame: clean frame} for the frames that clearly show another than their own.

    Every clean frame is given to at most one snowy frame, so that all of them together agree best.
    A frame counts as moved if its mate beats its own beyond doubt, and if the frames among which
    mates were exchanged gain beyond doubt as well: a clean frame that a codec kept sharper than
    its neighbours attracts theirs, but what they gain by it the frame that gives it away loses.
    Where a scene hardly changes nothing can be told, and nothing is.
    """
    gain, noise = _gains(agreement)
    if not np.any(gain > _CLEARLY * noise):
        return {}
    mates = {f: mate for f, mate in _assign(agreement.snowy).items() if mate != f}
    steps = {frame: (frame, mate - frame + REACH) for frame, mate in mates.items()}
    found: dict[int, int] = {}
    for chain in _chains(mates, len(gain)):
        together = sum(gain[steps[frame]] for frame in chain)
        if together > _CLEARLY * sum(noise[steps[frame]] ** 2 for frame in chain) ** 0.5:
            clear = (
                frame for frame in chain if gain[steps[frame]] > _CLEARLY * noise[steps[frame]]
            )
            found |= {frame: mates[frame] for frame in clear}
    return dict(sorted(found.items()))


def unrelated(agreement: Agreement) -> bool:
    """Return whether no clean scene is recognised in the snowy frames at all."""
    best = np.max(np.nan_to_num(agreement.snowy, nan=-1.0), axis=1, initial=-1.0)
    compared = best[best > -1.0]
    return bool(compared.size) and float(compared.mean()) * agreement.length**0.5 < _RECOGNISED


def _cosine(one: Fingerprint | None, other: Fingerprint | None) -> float:
    if one is None or other is None or one.size != other.size:
        return float("nan")
    return float(one @ other)


def _gains(agreement: Agreement) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by how much each candidate beats a frame's own mate, and the noise in that.

    With s the snowy, c the clean fingerprint and n the snow, s = g c + n: what n adds to the
    difference s·c' - s·c has the variance (1 - g²) |c' - c|² / length. Where there is nothing to
    compare the gain is 0.
    """
    own = agreement.snowy[:, REACH : REACH + 1]
    variance = (1 - own**2) * 2 * (1 - agreement.clean) / max(agreement.length, 1)
    noise = np.sqrt(np.maximum(np.nan_to_num(variance), 1e-12))
    return np.nan_to_num(agreement.snowy - own), noise


def _chains(mates: Mapping[int, int], count: int) -> list[list[int]]:
    """Return the frames that passed their mates on to one another, group by group."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    links = csr_matrix((np.ones(len(mates)), (list(mates), list(mates.values()))), (count, count))
    _, labels = connected_components(links, directed=False)
    groups = defaultdict(list)
    for frame in mates:
        groups[labels[frame]].append(frame)
    return list(groups.values())


def _assign(cosines: NDArray[np.float64]) -> dict[int, int]:
    """Return the one-to-one assignment with the largest sum; a frame may also stay without mate."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    count = len(cosines)
    frames, columns = np.nonzero(~np.isnan(cosines))
    alone = np.arange(count)
    # Zeros would be no entries at all: everything is raised by 2. To have no mate is worth 0.
    weights = np.concatenate([2 + cosines[frames, columns], np.full(count, 2.0)])
    rows = np.concatenate([frames, alone])
    mates = np.concatenate([frames + columns - REACH, count + alone])
    table = csr_matrix((weights, (rows, mates)), shape=(count, 2 * count))
    chosen = zip(*min_weight_full_bipartite_matching(table, maximize=True))
    return {int(frame): int(mate) for frame, mate in chosen if mate < count}
