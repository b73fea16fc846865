from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from rvsd_bench.generators.scene import Snow
from rvsd_bench.generators.size_law import (
    BINS,
    fall_speed,
    flake_diameter_mm,
    flux_mm_per_h,
    size_law,
)


@pytest.mark.parametrize("law", ["sekhon", "gunn_marshall"])
@pytest.mark.parametrize("rate", [0.3, 1.0, 5.0])
def test_normalised_flakes_carry_exactly_the_rate(law: str, rate: float) -> None:
    snow = Snow(rate_mm_per_h=rate, size_law=law)  # type: ignore[arg-type]
    made = size_law(snow)
    middle = (made.edges_mm[1:] + made.edges_mm[:-1]) / 2
    water_kg_per_m3 = made.number_per_m3 * np.pi / 6 * (middle / 1000) ** 3 * 1000
    assert 3600 * np.sum(water_kg_per_m3 * made.speed_m_per_s) == pytest.approx(rate, rel=1e-9)


def test_the_published_law_carries_about_its_rate_by_itself() -> None:
    """Integrated by quadrature: Sekhon and Srivastava's law at 1 mm/h carries 1.23 mm/h."""
    snow = Snow(rate_mm_per_h=1.0, normalise_flux=False, melted_max_mm=8.0)

    def carried(melted_mm: float) -> float:
        number = 2500 * np.exp(-2.29 * melted_mm)
        speed = float(fall_speed(flake_diameter_mm(melted_mm, snow), snow))
        return 3.6e-3 * np.pi / 6 * melted_mm**3 * number * speed

    expected = integrate.quad(carried, 0.15, 8)[0]
    law = size_law(snow)
    middle = (law.edges_mm[1:] + law.edges_mm[:-1]) / 2
    flux = flux_mm_per_h(law.number_per_m3, middle, law.speed_m_per_s)
    assert flux == pytest.approx(expected, rel=1e-3)
    assert flux == pytest.approx(1.23, abs=0.01)


def test_drawn_sizes_follow_the_truncated_exponential() -> None:
    law = size_law(Snow(rate_mm_per_h=2.0))
    edges = law.bin_edges_mm()
    number = law.number_per_m3.reshape(BINS, -1).sum(axis=1)
    u = np.random.Generator(np.random.Philox(5)).random((BINS, 4000))
    share = number / number.sum()
    drawn = [law.melted_at(u[i][: round(4000 * share[i])], i) for i in range(BINS)]
    lo, hi = edges[0], edges[-1]
    slope = 2.29 * 2.0**-0.45

    def cdf(d: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.expm1(-slope * (d - lo)) / np.expm1(-slope * (hi - lo))

    assert stats.kstest(np.concatenate(drawn), cdf).pvalue > 0.01


def test_half_of_the_flakes_of_a_bin_are_smaller_than_its_median() -> None:
    law = size_law(Snow(rate_mm_per_h=2.0))
    low, high = law.bin_edges_mm()[-2:]
    slope = 2.29 * 2.0**-0.45
    median = low - np.log((1 + np.exp(-slope * (high - low))) / 2) / slope
    assert law.melted_at(np.array([0.0, 0.5]), BINS - 1) == pytest.approx([low, median])


def test_a_drop_of_one_millimetre_is_a_flake_of_two_and_a_third() -> None:
    assert float(flake_diameter_mm(1.0, Snow())) == pytest.approx(2.3, abs=0.01)
    assert float(flake_diameter_mm(0.15, Snow())) >= 0.15  # never denser than ice allows


def test_wet_flakes_are_smaller_and_cold_ones_larger_at_equal_mass() -> None:
    wet, dry, cold = (
        float(flake_diameter_mm(2.0, Snow(temperature_c=t))) for t in (0.0, -4.0, -15.0)
    )
    assert wet < dry < cold


def test_extinction_scale_multiplies_the_extinction_of_unnormalised_snow() -> None:
    plain, thick = (
        size_law(Snow(extinction_scale=s, normalise_flux=False)).extinction_per_m for s in (1, 2)
    )
    assert thick == pytest.approx(2 * plain)


def test_visibility_in_snow_is_that_of_transmissometers() -> None:
    """Opaque flakes of efficiency 2: about 908 m at 1 mm/h by Sekhon and Srivastava's law."""
    law = size_law(Snow(rate_mm_per_h=1.0, opacity=1.0, normalise_flux=False, melted_max_mm=8.0))
    assert 3.912 / (2 * law.extinction_per_m) == pytest.approx(908, rel=0.01)
