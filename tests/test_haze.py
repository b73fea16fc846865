from __future__ import annotations

import numpy as np
import pytest

from rvsd_bench.generators.haze import (
    depth_index,
    depth_levels,
    looked_up,
    transmission_table,
    veil_depth,
)
from rvsd_bench.generators.scene import Snow
from rvsd_bench.generators.size_law import size_law


def test_fog_alone_gives_bouguers_law_at_every_depth() -> None:
    levels = depth_levels(150.0)
    T = transmission_table(0.006 * levels) / 65535
    slope = -np.diff(np.log(T[::4096])) / np.diff(levels[::4096])
    assert slope == pytest.approx(0.006, rel=5e-4)
    assert T[-1] == pytest.approx(np.exp(-0.9), abs=1 / 65535)


def test_the_veil_is_nothing_near_and_all_flakes_far_away() -> None:
    law = size_law(Snow(rate_mm_per_h=2.0))
    starts = 60 * law.diameter_m / law.diameter_m.max() + 1
    near, far = veil_depth(law, starts, np.array([0.9, 1000.0, 1001.0]))[[0, 2]]
    assert near == 0
    by_hand = sum(
        c * max(1001.0 - s, 0) for c, s in zip(law.cross_section_per_m, starts, strict=True)
    )
    assert far == pytest.approx(by_hand)
    slope = np.diff(veil_depth(law, starts, np.array([1000.0, 1001.0])))
    assert slope == pytest.approx(law.extinction_per_m)


def test_transmission_never_rises_with_depth() -> None:
    law = size_law(Snow())
    tau = veil_depth(law, np.linspace(1, 90, len(law.diameter_m)), depth_levels(100.0))
    assert (np.diff(transmission_table(tau).astype(int)) <= 0).all()


def test_depths_are_tabulated_to_the_nearest_step_and_sky_is_the_last() -> None:
    index = depth_index(np.array([[0.0, 35.0, 70.0, 80.0]], np.float32), 70.0)
    assert index.tolist() == [[0, 32768, 65535, 65535]]


def test_depth_may_be_read_only_as_a_memory_map_is() -> None:
    table, depth = (
        np.arange(65536, dtype=np.uint16)[::-1],
        np.array([[0, 7], [9, 65535]], np.uint16),
    )
    depth.setflags(write=False)
    assert (looked_up(table, depth) == 65535 - depth).all()
