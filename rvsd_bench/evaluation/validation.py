"""Find what is wrong with restored frames: shifted in time, channels swapped, copied, frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.data.alignment import Comparing, fingerprint, moved
from rvsd_bench.data.pairing import counted, names
from rvsd_bench.evaluation.runfiles import FrameScores

CLEARLY = 10**0.1
"""How many times smaller a squared error must be to count: 1 dB of PSNR."""
COLOURED = 1.0
"""Grey levels by which red minus blue must vary for its sense to tell anything."""
_SIDE = 160
_LISTED = 20
"""Frames out of order that are kept by number."""


@dataclass(frozen=True)
class Problem:
    """One finding. An error keeps a method out of the ranking, a warning does not."""

    level: Literal["error", "warning"]
    code: str
    method: str
    video: str
    """Empty for a method that could not even be opened."""
    message: str

    @property
    def withholds(self) -> bool:
        """Whether the numbers mean nothing. Frames copied from the truth are scored as they are."""
        return self.level == "error" and self.code != "is_truth"

    @property
    def told(self) -> str:
        """What is wrong, and in which video if it is in one."""
        return f"{self.video}: {self.message}" if self.video else self.message

    def __str__(self) -> str:
        return f"{self.method}: {self.told}"


@dataclass
class Watch:
    """Compare the frames of one video with their truth, one after another, and count oddities.

    `counts` has `frames`, `pairs` (frames with a neighbour before them), and how many frames are
    clearly closer to the truth one frame `later` or `earlier` or with channels `swapped`.
    Frames that somebody handed in are compared with the snowy ones as well, since their ids may be
    wrong by more than one, and the truth may not be at hand.
    """

    counts: Counter[str] = field(default_factory=Counter)
    _last: tuple[Frame, Frame, float] | None = None
    _comparing: Comparing = field(default_factory=Comparing)

    def see(self, frame: Frame, clean: Frame | None, snowy: Frame | None = None) -> None:
        """Take in the next frame, its truth and, of a handed-in one, the snowy frame.

        All are uint8 [H, W, 3]. Without truth and snowy frame it is only counted.
        """
        self.counts["frames"] += 1
        if snowy is not None:
            self._comparing.see(fingerprint(frame), fingerprint(snowy))
            self.counts["swapped"] += clean is None and is_turned(frame, snowy)
        if clean is not None:
            self._compare(frame, clean)

    def _compare(self, frame: Frame, clean: Frame) -> None:
        error = _squares(frame, clean)
        swapped = _squares(frame[..., ::-1], clean)
        turned = swapped < error and is_turned(frame, clean)
        self.counts["swapped"] += turned or _clearly_less(swapped, error)
        if self._last is not None:
            last_frame, last_clean, last_error = self._last
            self.counts["pairs"] += 1
            self.counts["earlier"] += _clearly_less(_squares(frame, last_clean), error)
            self.counts["later"] += _clearly_less(_squares(last_frame, clean), last_error)
        self._last = frame, clean, error

    def miss(self) -> None:
        """Note that the next frame is not there, so that its neighbours have no neighbour."""
        self._last = None
        self._comparing.see(None, None)

    def evidence(self) -> dict[str, int]:
        """Return the counts, and what they are of frames that show what another id's shows.

        `moved` are all of these; `moved_by` is how far most of them are off, and `moved_so` how
        many are; `moved 3` is the frame whose content the frame 3 shows, for the first few.
        """
        found = moved(self._comparing.agreement())
        if not found:
            return dict(self.counts)
        steps = Counter(mate - frame for frame, mate in found.items())
        by, so = steps.most_common(1)[0]
        told = {"moved": len(found), "moved_by": by, "moved_so": so}
        few = [*found.items()][:_LISTED]
        return {**self.counts, **told, **{f"moved {frame}": mate for frame, mate in few}}


def is_turned(frame: Frame, other: Frame) -> bool:
    """Tell whether red minus blue varies over one frame in the opposite sense to the other.

    Snow, haze and their removal change by how much it varies, but not in which sense: this finds
    swapped channels where what is left of the snow outweighs them in the squared error.
    """
    one, two = _red_minus_blue(frame), _red_minus_blue(other)
    if min(float(one.std()), float(two.std())) < COLOURED:
        return False
    together = ((one - one.mean()) * (two - two.mean())).mean()
    return float(together) < -float(one.std() * two.std()) / 2


def _red_minus_blue(frame: Frame) -> NDArray[np.float64]:
    height, width = frame.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.float64)
    return small[..., 0] - small[..., 2]


def _squares(a: Frame, b: Frame) -> float:
    return float(cv2.norm(np.ascontiguousarray(a), b, cv2.NORM_L2SQR))


def _clearly_less(error: float, other: float) -> bool:
    return error * CLEARLY < other


def copies(frames: Sequence[FrameScores]) -> Counter[str]:
    """Count the frames that equal their truth or input, or repeat the frame before (`frozen`).

    A frame whose input already equals its truth is no copy of the truth, and one whose input
    repeats itself is not frozen. Frames that are missing are passed over.
    """
    counts: Counter[str] = Counter()
    for index, this in enumerate(frames):
        if not this.pred_sha256:
            continue
        before = frames[index - 1] if index else this
        moved = this.input_sha256 != before.input_sha256
        counts["is_input"] += this.pred_sha256 == this.input_sha256
        counts["is_truth"] += this.pred_sha256 == this.ref_sha256 != this.input_sha256
        counts["frozen"] += this.pred_sha256 == before.pred_sha256 and moved
    return counts


def judge(
    method: str, video: str, seen: Mapping[str, int], *, source: str, ids: Sequence[str] = ()
) -> Iterator[Problem]:
    """Turn the counts of a video into findings; `source` is the method's, as in the tables.

    `seen` holds the evidence of `Watch` and the counts of `copies` for the restored frames and,
    under `input_...`, the counts of `Watch` for the snowy ones: what the input shows too is the
    dataset's fault. `ids` are those of the video's frames.
    """

    def mostly(code: str, of: str = "frames") -> bool:
        return 2 * seen.get(code, 0) > seen.get(of, 0)

    for code, direction in (("later", "after"), ("earlier", "before")):
        if not mostly(code, "pairs"):
            continue
        if mostly(f"input_{code}", "pairs"):
            text = f"the dataset's own snowy frames match the clean frames one {direction} them"
            yield Problem("warning", "dataset_shifted", method, video, f"{text}: see check")
        else:
            text = f"most frames match the clean frame one {direction} them: they look shifted"
            yield Problem("error", "shifted", method, video, f"{text} by a frame; check their ids")
            break
    else:
        yield from _of_order(method, video, seen, ids)
    if mostly("swapped") and not mostly("input_swapped"):
        text = "red and blue look swapped: frames must be RGB"
        yield Problem("error", "swapped", method, video, text)
    if mostly("is_truth") and source != "oracle":
        text = f"{seen['is_truth']} frames are byte for byte the clean ones"
        yield Problem("error", "is_truth", method, video, f"{text}: was the truth handed in?")
    if mostly("is_input") and source != "input":
        text = f"{seen['is_input']} frames are byte for byte the input"
        yield Problem("warning", "is_input", method, video, text)
    if seen.get("frozen", 0):
        text = f"{counted(seen['frozen'], 'time')} a frame repeats the one before"
        yield Problem("warning", "frozen", method, video, f"{text} although the input moves on")


def _of_order(
    method: str, video: str, seen: Mapping[str, int], ids: Sequence[str]
) -> Iterator[Problem]:
    """Say which frames show what the snowy frame of another id shows."""
    count, frames = seen.get("moved", 0), seen.get("frames", 0)
    if 2 * count > frames:
        by = seen["moved_by"]
        where = f"{abs(by)} {'after' if by > 0 else 'before'} them"
        text = f"{seen['moved_so']} of {frames} frames match the snowy frame {where}"
        yield Problem(
            "error", "shifted", method, video, f"{text}: they look shifted; check the ids"
        )
    elif count > seen.get("frozen", 0):  # a frame that repeats another looks as if it were it
        pairs = ((i, seen[f"moved {i}"]) for i in range(len(ids)) if f"moved {i}" in seen)
        text = names([f"{ids[frame]} shows {ids[mate]}" for frame, mate in pairs])
        text = f"{counted(count, 'frame')} out of order, it seems: {text}; check the ids"
        yield Problem("warning", "order", method, video, text)
