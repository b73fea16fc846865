"""Test paired differences between two methods, source clip by source clip.

Every function takes the sums of the differences within each source clip, and where it needs them
the counts: the videos of one source share its content, and only sources are independent. What is
resampled and why is told in docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

ALPHA = 0.05
"""A difference with a larger p, after Holm's correction, is not told from chance."""
POWER = 0.8
"""How often the smallest detectable difference would be found."""
EXACT_UP_TO = 16
"""Up to this many source clips all sign patterns are counted."""
FLIPS = 20_000
"""How many sign patterns are drawn where there are too many to count."""
_CHUNK = 1_000_000  # signs held in memory at once
_ROUNDING = 1e-12  # of the sum of magnitudes: sums this close are one sum in another order


def sign_flip_p(sums: NDArray[np.float64]) -> float:
    """Return the two-sided p of the sign-flip test that the mean difference is zero.

    If neither method is better, the difference on a source clip is as likely to have either sign
    (Fisher 1935, section 21). All 2^n patterns are counted up to 16 sources; beyond, 20,000 are
    drawn and p = (k + 1) / (N + 1), which is valid and never zero (Phipson and Smyth 2010).
    """
    total = abs(float(sums.sum())) - _ROUNDING * float(np.abs(sums).sum())
    if len(sums) <= EXACT_UP_TO:
        return float(np.mean(np.abs(_all_signs(len(sums)) @ sums) >= total))
    random = stream("sign flips", len(sums))
    as_large = 0
    step = max(1, _CHUNK // len(sums))
    for start in range(0, FLIPS, step):
        drawn = random.random((min(step, FLIPS - start), len(sums)))
        signs = np.where(drawn < 0.5, -1.0, 1.0)
        as_large += int(np.count_nonzero(np.abs(signs @ sums) >= total))
    return (as_large + 1) / (FLIPS + 1)


@lru_cache(maxsize=1)
def _all_signs(n: int) -> NDArray[np.float64]:
    """Return half of all sign patterns, one a row: the other half has the same magnitudes."""
    bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
    return np.where(bits, -1.0, 1.0)


def smallest_p(n_sources: int) -> float:
    """Return the least p that the sign-flip test can give, however large the difference."""
    return 2.0 ** (1 - n_sources) if n_sources <= EXACT_UP_TO else 1 / (FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, in the order given (Holm 1979).

    Calling those below a level different errs anywhere among them with at most that probability.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def standard_error(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Return the standard error of `sum(sums) / sum(counts)` over two or more source clips.

    It is the linearised one of a ratio of cluster sums (Cochran 1977, chapter 6); with equal
    counts that is the usual error of the mean of the sources' means.
    """
    n = len(sums)
    residuals = sums - sums.sum() / counts.sum() * counts
    return float(np.sqrt(n / (n - 1) * np.sum(residuals**2)) / counts.sum())


def t_interval(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float]:
    """Return Student's 95 % interval of a mean, or of a mean difference.

    It is wider than the bootstrap's where sources are few, and there the one to believe.
    """
    from scipy.special import stdtrit

    mean = float(sums.sum() / counts.sum())
    reach = float(stdtrit(len(sums) - 1, 1 - ALPHA / 2)) * standard_error(sums, counts)
    return mean - reach, mean + reach


def detectable(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> float | None:
    """Return the true difference that one test at 0.05 on such clips would find 8 times of 10.

    From the spread of these differences, by the noncentral t distribution (Cohen 1988, chapter 2)
    at the level that few sign patterns leave. None where no difference could be found: with fewer
    than 6 sources no p of the sign-flip test is below 0.05.
    """
    shift = _detectable_shift(len(sums))
    return None if shift is None else shift * standard_error(sums, counts)


@cache
def _detectable_shift(n: int) -> float | None:
    """Return `detectable` in standard errors, which the number of source clips alone decides."""
    from scipy.optimize import brentq
    from scipy.special import nctdtr, stdtrit

    level = int(ALPHA / smallest_p(n)) * smallest_p(n)
    if not level:
        return None
    limit = stdtrit(n - 1, 1 - level / 2)

    def shortfall(shift: float) -> float:
        return float(POWER - (1 - nctdtr(n - 1, shift, limit)))

    return float(brentq(shortfall, 1.0, 8.0))
