"""Hold the few looks at a clip to one decoding of each frame and to a bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import ArrayClip, Frame
from rvsd_bench.generators import glimpses, preset, rendering
from rvsd_bench.generators.depth import ClipWithDepth
from rvsd_bench.generators.glimpses import Glimpses, evenly, narrowed


class Counting(ArrayClip):
    """A clip that counts how often each of its frames is asked for."""

    asked: ClassVar[Counter[int]] = Counter()

    def __getitem__(self, index: int) -> Frame:
        self.asked[index] += 1
        return super().__getitem__(index)


class InOrder(Counting):
    """A clip like a video file."""

    in_order = True


@pytest.fixture
def clip() -> Iterator[Counting]:
    """Return 40 frames of a textured picture that grows, as before a camera that drives."""
    Counting.asked.clear()
    yield Counting(_driving(40))


def _driving(count: int) -> NDArray[np.uint8]:
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (72, 96, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(cv2.resize(noise, (192, 144)), (0, 0), 2)
    frames = []
    for index in range(count):
        grown = np.array([[1.0, 0, 0], [0, 1.0, 0]]) * 1.01**index
        grown[:, 2] = np.array([96, 65]) * (1 - 1.01**index)
        frames.append(cv2.warpAffine(picture, grown, (192, 144)))
    return np.stack(frames).astype(np.uint8)


def test_a_survey_decodes_each_frame_once(clip: Counting) -> None:
    rendering.survey(clip, preset("moderate"), depth="ground")
    assert set(clip.asked) >= set(evenly(40))
    assert max(clip.asked.values()) == 1


def test_nothing_is_kept_once_the_survey_is_over(clip: Counting) -> None:
    few = Glimpses(clip)
    assert np.array_equal(few[3], few[3])
    assert clip.asked[3] == 1
    few.close()
    assert np.array_equal(few[3], clip.frames[3])
    assert clip.asked[3] == 2


def test_no_more_is_kept_than_fits(clip: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glimpses, "MOST_BYTES", 2 * clip.frames[0].nbytes)
    few, four = Glimpses(clip), evenly(40)[:4]
    for _ in range(2):
        for index in four:
            assert np.array_equal(few[index], clip.frames[index])
    assert [clip.asked[index] for index in four] == [1, 1, 2, 2]


def test_what_is_decoded_on_the_way_is_kept_small_unless_the_camera_stands(clip: Counting) -> None:
    for frames, moves in ((clip.frames, True), (clip.frames[[0] * 40], False)):
        Counting.asked.clear()
        few = Glimpses(InOrder(frames))
        for index in (0, 1, 20):
            assert np.array_equal(few[index], frames[index])
        assert sorted(Counting.asked) == (list(range(21)) if moves else [0, 1, 20])
        assert np.array_equal(few.small(7), narrowed(frames[7]))
        assert max(Counting.asked.values()) == 1
        few.close()
        assert np.array_equal(few[7], frames[7])
        assert Counting.asked[7] == 2


def test_a_small_picture_is_the_mean_over_the_blocks_of_the_large_one() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    means = frame.reshape(180, 2, 320, 2, 3).mean(axis=(1, 3))
    assert np.abs(narrowed(frame) - means).max() <= 0.5
    assert np.array_equal(narrowed(frame[:, :320]), frame[:, :320])


def test_it_is_as_good_as_the_clip_itself(clip: Counting) -> None:
    few = Glimpses(clip)
    assert (few.name, few.size, few.fps, len(few)) == (clip.name, clip.size, clip.fps, len(clip))
    assert np.array_equal(few.times, clip.times)
    assert np.array_equal(np.stack(list(few)), clip.frames)
    assert not isinstance(few, ClipWithDepth)


@pytest.mark.parametrize("count", [1, 2, 3, 12, 13, 14, 1000])
def test_looks_are_spread_evenly_and_have_a_next_frame(count: int) -> None:
    looks = evenly(count)
    assert looks == sorted(set(looks))
    assert looks[0] == 0
    assert len(looks) == max(1, min(12, count - 1))
    assert looks[-1] == max(count - 2, 0)
    assert len(looks) < 3 or np.ptp(np.diff(looks)) <= 1
