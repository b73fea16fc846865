"""Fit Gaussian mixtures, and tell how far two distributions are apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.seeds import stream

LEAST_GAIN = 1e-5
"""Of the mean log density, in a step of a fit that goes on."""
Key = tuple[int | str, ...]
"""What a random stream is known by; see `seeds.stream`."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A weighted sum of K Gaussians in D dimensions."""

    weights: NDArray[np.float64]
    """[K], above 0, with the sum 1."""
    means: NDArray[np.float64]
    """[K, D]"""
    covariances: NDArray[np.float64]
    """[K, D, D]"""

    def log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the natural logarithm of the density at points [N, D], float64 [N]."""
        return self.expectation(points)[1]

    def responsibilities(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much of each point belongs to each Gaussian, [N, K]; rows have the sum 1."""
        return self.expectation(points)[0]

    def expectation(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the responsibilities [N, K] and the log density [N] of points [N, D]."""
        parts = self._log_parts(points)
        most = parts.max(axis=1, keepdims=True)
        np.exp(parts - most, out=parts)
        density = parts.sum(axis=1, keepdims=True)
        parts /= density
        return parts, (most + np.log(density))[:, 0]

    def sample(self, count: int, key: Key) -> NDArray[np.float64]:
        """Return `count` points drawn from the mixture, [count, D], from the stream of `key`."""
        from scipy.special import ndtri

        size = self.means.shape[1]
        numbers = stream(*key).random((count, 1 + size))
        chosen = np.searchsorted(np.cumsum(self.weights)[:-1], numbers[:, 0], side="right")
        normal = ndtri(np.clip(numbers[:, 1:], 1e-12, 1 - 1e-12))
        roots = np.linalg.cholesky(self.covariances)[chosen]
        return np.asarray(self.means[chosen] + np.einsum("nij,nj->ni", roots, normal))

    def _log_parts(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        roots = np.linalg.cholesky(self.covariances)
        whitening = np.linalg.inv(roots)
        volume = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
        constant = np.log(self.weights) - volume - 0.5 * points.shape[1] * math.log(2 * math.pi)
        parts = np.empty((len(points), len(constant)))
        for k, (mean, whiten) in enumerate(zip(self.means, whitening)):
            scaled = (points - mean) @ whiten.T
            parts[:, k] = constant[k] - 0.5 * np.einsum("ni,ni->n", scaled, scaled)
        return parts


def fit_mixture(
    points: NDArray[np.float64],
    components: int,
    key: Key,
    *,
    diagonal: bool = False,
    restarts: int = 3,
    floor: float = 1e-2,
) -> Mixture:
    """Fit a mixture to points [N, D] by expectation-maximisation; the same key, the same fit.

    Each of the `restarts` begins at centres spread by k-means++ (Arthur and Vassilvitskii 2007);
    the likeliest is kept. `floor` is added to every variance: without it a Gaussian collapses onto
    repeated values, and divergences lose their meaning. Raises InputError for values that are not
    finite, or fewer points than 2 per Gaussian.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) < 2 * components or components < 1:
        raise InputError(
            f"a mixture of {components} Gaussians needs a table of at least {2 * components} "
            f"points, got {list(points.shape)}"
        )
    if not np.isfinite(points).all():
        raise InputError("a mixture needs finite points")
    fits = [_climb(points, components, (*key, i), diagonal, floor) for i in range(restarts)]
    return max(fits, key=lambda fit: float(fit.log_density(points).sum()))


def symmetric_kl(p: Mixture, q: Mixture, key: Key, count: int = 20_000) -> float:
    """Return the Kullback-Leibler divergences p to q and q to p, added, in nats.

    Mixtures have no closed form; each is a mean over `count` points drawn from one of them.
    """
    ours, theirs = p.sample(count, (*key, "p")), q.sample(count, (*key, "q"))
    forth = np.mean(p.log_density(ours) - q.log_density(ours))
    back = np.mean(q.log_density(theirs) - p.log_density(theirs))
    return float(forth + back)


def jensen_shannon(p: NDArray[np.floating], q: NDArray[np.floating]) -> float:
    """Return the Jensen-Shannon divergence of two histograms of counts, from 0 to ln 2, in nats."""
    shares = [np.asarray(h, np.float64).ravel() / max(float(np.sum(h)), 1e-300) for h in (p, q)]
    middle = (shares[0] + shares[1]) / 2
    parts = (share[share > 0] @ np.log(share[share > 0] / middle[share > 0]) for share in shares)
    return 0.5 * float(sum(parts))


def _climb(
    points: NDArray[np.float64], components: int, key: Key, diagonal: bool, floor: float
) -> Mixture:
    size = points.shape[1]
    spread = np.cov(points.T).reshape(size, size) + floor * np.eye(size)
    if diagonal:
        spread = np.diag(np.diag(spread))
    mixture = Mixture(
        np.full(components, 1 / components),
        _spread_centres(points, components, key),
        np.repeat(spread[None], components, axis=0),
    )
    before = -math.inf
    for _ in range(200):
        parts, density = mixture.expectation(points)
        likelihood = float(density.mean())
        if likelihood - before < LEAST_GAIN:
            break
        before, mixture = likelihood, _better(points, parts, diagonal, floor)
    return mixture


def _better(
    points: NDArray[np.float64], parts: NDArray[np.float64], diagonal: bool, floor: float
) -> Mixture:
    mass = parts.sum(axis=0) + 1e-9
    means = parts.T @ points / mass[:, None]
    away = points[None] - means[:, None]
    weighted = away * parts.T[..., None]
    covariances = weighted.transpose(0, 2, 1) @ away / mass[:, None, None]
    if diagonal:
        covariances = covariances * np.eye(points.shape[1])
    return Mixture(mass / mass.sum(), means, covariances + floor * np.eye(points.shape[1]))


def _spread_centres(points: NDArray[np.float64], components: int, key: Key) -> NDArray[np.float64]:
    numbers = stream(*key, "centres").random(components)
    centres = [points[int(numbers[0] * len(points))]]
    for number in numbers[1:]:
        nearest = np.min([((points - c) ** 2).sum(axis=1) for c in centres], axis=0) + 1e-12
        share = np.cumsum(nearest)
        centres.append(points[min(np.searchsorted(share, number * share[-1]), len(points) - 1)])
    return np.stack(centres)
