"""Hold mixtures and divergences to closed forms, and to another library's likelihood."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.mixtures import Mixture, fit_mixture, jensen_shannon, symmetric_kl

TWO = Mixture(
    np.array([0.3, 0.7]),
    np.array([[0.0, 0.0], [5.0, -3.0]]),
    np.array([[[1.0, 0.6], [0.6, 2.0]], [[0.5, 0.0], [0.0, 0.25]]]),
)


def _gaussian(mean: float, variance: float) -> Mixture:
    return Mixture(np.ones(1), np.array([[mean]]), np.array([[[variance]]]))


def test_the_density_is_that_of_scipys_normals() -> None:
    from scipy.stats import multivariate_normal

    points = TWO.sample(50, ("points",))
    parts = zip(TWO.weights, TWO.means, TWO.covariances)
    density = sum(w * multivariate_normal(m, c).pdf(points) for w, m, c in parts)
    assert np.allclose(TWO.log_density(points), np.log(density))


def test_a_sample_has_the_moments_of_its_mixture() -> None:
    sample = TWO.sample(40_000, ("moments",))
    mean = TWO.weights @ TWO.means
    second = np.einsum("k,kij->ij", TWO.weights, TWO.covariances)
    away = TWO.means - mean
    covariance = second + np.einsum("k,ki,kj->ij", TWO.weights, away, away)
    assert sample.mean(axis=0) == pytest.approx(mean, abs=0.05)
    assert np.cov(sample.T) == pytest.approx(covariance, rel=0.05, abs=0.05)


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_fit_finds_the_mixture_that_points_were_drawn_from(diagonal: bool) -> None:
    fitted = fit_mixture(TWO.sample(6000, ("fit",)), 2, ("em",), diagonal=diagonal, floor=1e-6)
    order = np.argsort(fitted.means[:, 0])
    assert fitted.weights[order] == pytest.approx(TWO.weights, abs=0.02)
    assert fitted.means[order] == pytest.approx(TWO.means, abs=0.1)
    slanted = 0.0 if diagonal else 0.6
    assert fitted.covariances[order][0, 0, 1] == pytest.approx(slanted, abs=0.1)
    assert fitted.covariances[order][1] == pytest.approx(TWO.covariances[1], abs=0.05)


def test_the_same_key_gives_the_same_fit() -> None:
    points = TWO.sample(500, ("same",))
    ours, theirs = (fit_mixture(points, 3, ("em",)) for _ in range(2))
    assert np.array_equal(ours.means, theirs.means)


def test_the_floor_keeps_a_gaussian_from_collapsing_onto_repeated_values() -> None:
    points = np.repeat([[0.0], [1.0]], 50, axis=0)
    assert fit_mixture(points, 2, ("em",)).covariances.min() >= 1e-2


def test_divergence_between_gaussians_is_the_closed_form() -> None:
    p, q = _gaussian(0.0, 1.0), _gaussian(1.0, 4.0)
    # KL(N(m, s), N(n, t)) = (ln t/s - 1 + (s + (m - n)²)/t) / 2, both ways added
    expected = (math.log(4) - 1 + 2 / 4 + math.log(1 / 4) - 1 + 5 / 1) / 2
    assert symmetric_kl(p, q, ("kl",)) == pytest.approx(expected, rel=0.03)
    assert symmetric_kl(p, p, ("kl",)) == 0.0


def test_jensen_shannon_runs_from_nothing_to_the_logarithm_of_two() -> None:
    from scipy.spatial.distance import jensenshannon

    p, q = np.array([3, 5, 0, 2]), np.array([1, 1, 6, 2])
    assert jensen_shannon(p, q) == pytest.approx(float(jensenshannon(p, q)) ** 2)
    assert jensen_shannon(p, 7 * p) == pytest.approx(0.0, abs=1e-12)
    assert jensen_shannon(np.array([1, 0]), np.array([0, 9])) == pytest.approx(math.log(2))


def test_too_few_and_infinite_points_are_refused() -> None:
    with pytest.raises(InputError, match="at least 8"):
        fit_mixture(np.zeros((5, 2)), 4, ("em",))
    with pytest.raises(InputError, match="finite"):
        fit_mixture(np.full((9, 1), np.nan), 2, ("em",))
