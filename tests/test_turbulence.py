from __future__ import annotations

import numpy as np
import pytest

from rvsd_bench.generators.flight import sine_of_turns, stir_block
from rvsd_bench.generators.scene import Wind
from rvsd_bench.generators.turbulence import modes


def test_the_eddies_are_free_of_divergence() -> None:
    waves = modes(Wind(turbulence_m_per_s=1.0), ("t", 1))
    assert np.abs(np.sum(waves[:, :3] * waves[:, 3:6], axis=1)).max() < 1e-12


def test_the_eddies_have_the_speed_that_was_asked_for() -> None:
    """The mean square over many places of the sum of waves, component by component."""
    squares = []
    places = np.random.Generator(np.random.Philox(1)).random((20000, 3)) * 100
    for seed in range(40):
        waves = modes(Wind(turbulence_m_per_s=0.7), ("t", seed))
        phase = 2 * np.pi * (places @ waves[:, :3].T + waves[:, 7])
        squares.append(np.mean((np.cos(phase) @ waves[:, 3:6]) ** 2))
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.7, rel=0.02)


def test_displacement_changes_as_fast_as_the_velocity_says() -> None:
    waves, wind = modes(Wind(turbulence_m_per_s=0.5), ("t", 2)), np.array([2.0, 0.0, 0.3])
    step = 0.02
    begun, moved = np.array([[1.0], [2.0], [3.0], [1.1]]), np.empty((3, 6, 1))
    for time_s, written in zip((4.0 - step, 4.0, 4.0 + step), moved, strict=True):
        stir_block(begun, time_s, waves, wind, written)
    before, now, after = moved[..., 0]
    change = (after[:3] - before[:3]) / (2 * step)
    assert change == pytest.approx(now[3:], abs=0.08)  # the sine is good to 1e-3 of a metre


def test_the_sine_is_a_sine() -> None:
    turns = np.linspace(-3, 3, 2001)
    drawn = np.array([sine_of_turns(t) for t in turns])
    assert np.abs(drawn - np.sin(2 * np.pi * turns)).max() < 1.2e-3
