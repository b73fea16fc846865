"""The temporal median against scipy's filter and against what it is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from rvsd_bench import restore
from rvsd_bench.baselines import load
from rvsd_bench.baselines.median import temporal_median
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError


@pytest.mark.parametrize("k", [1, 3, 5, 9])
def test_it_is_the_median_over_time_with_repeated_ends(k: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 7, 5, 3), np.uint8)
    restored = np.stack(list(restore(load(f"median?k={k}"), ArrayClip(frames))))
    wanted = median_filter(frames, size=(k, 1, 1, 1), mode="nearest")
    assert np.array_equal(restored, wanted)


@pytest.mark.parametrize("frames", [1, 3, 7, 11])
def test_sorting_networks_find_the_median_that_torch_finds(frames: int) -> None:
    clip = torch.from_numpy(np.random.default_rng(1).integers(0, 5, (2, frames, 3, 6, 6)))
    assert torch.equal(temporal_median(clip), clip.median(dim=1).values)


def test_flakes_that_stay_one_frame_vanish_from_a_still_scene() -> None:
    random = np.random.default_rng(2)
    scene = random.integers(0, 200, (12, 16, 3), np.uint8)
    frames = np.stack([scene] * 9)
    where = random.permutation(12 * 16)[:90].reshape(9, 10)  # no pixel is hit twice
    for frame, hit in zip(frames, where):
        frame.reshape(-1, 3)[hit] = 255
    restored = restore(load("median"), ArrayClip(frames))
    assert all(np.array_equal(restored[i], scene) for i in range(1, 8))


@pytest.mark.parametrize("k", [0, 2, -1])
def test_an_even_number_of_frames_has_no_middle(k: int) -> None:
    with pytest.raises(InputError, match=f"odd number of frames, got {k}"):
        load(f"median?k={k}")
