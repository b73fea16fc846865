"""Rounding and layout of frames on their way to and from arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip, from_torch, to_float, to_torch, to_uint8
from rvsd_bench.errors import InputError
from rvsd_bench.seeds import stream


def _frames(count: int, height: int = 5, width: int = 7) -> np.ndarray:
    return (stream(0, "frames").random((count, height, width, 3)) * 256).astype(np.uint8)


def test_every_level_survives_float_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_uint8(to_float(levels)), levels)


def test_values_are_rounded_half_to_even_and_clipped_never_truncated() -> None:
    values = np.array([[-0.5, 0.5 / 255, 1.5 / 255, 2.5 / 255, 1.9 / 255, 7.0]])
    assert to_uint8(values).tolist() == [[0, 0, 2, 2, 2, 255]]


def test_a_torch_clip_holds_the_frames_channel_first_and_gives_them_back() -> None:
    frames = _frames(3)
    clip = to_torch(list(frames))
    assert tuple(clip.shape) == (1, 3, 3, 5, 7)
    assert float(clip[0, 2, 1, 4, 6]) == pytest.approx(frames[2, 4, 6, 1] / 255)
    assert np.array_equal(np.stack(from_torch(clip)), frames)


def test_an_array_clip_has_times_size_and_frames() -> None:
    clip = ArrayClip(_frames(4), fps=10)
    assert (len(clip), clip.size, clip.times.tolist()) == (4, (5, 7), [0.0, 0.1, 0.2, 0.3])
    assert np.array_equal(clip[-1], clip.frames[3])


def test_anything_but_8_bit_rgb_is_refused() -> None:
    with pytest.raises(InputError, match=r"uint8 \[N, H, W, 3\]"):
        ArrayClip(np.zeros((2, 5, 7, 3), np.float32))  # type: ignore[arg-type]
