"""Paired tests over source clips, against enumerations, scipy, simulations and known examples."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from rvsd_bench.leaderboard import statistics
from rvsd_bench.leaderboard.statistics import (
    detectable,
    holm,
    sign_flip_p,
    smallest_p,
    standard_error,
    t_interval,
)
from rvsd_bench.resampling import bootstrap

Array = NDArray[np.float64]


def _enumerated_p(sums: list[float]) -> float:
    """Count every sign pattern, one by one."""
    observed = abs(sum(sums)) - 1e-9
    patterns = list(product((-1, 1), repeat=len(sums)))
    extreme = sum(abs(sum(s * x for s, x in zip(p, sums))) >= observed for p in patterns)
    return extreme / len(patterns)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 9])
def test_the_sign_flip_test_counts_every_pattern(n: int) -> None:
    sums = np.random.default_rng(n).normal(0.4, 1, n)
    assert sign_flip_p(sums) == _enumerated_p(sums.tolist())


def test_ties_among_the_patterns_count_as_extreme() -> None:
    # 0.1 + 0.2 and 0.3 are the same sum, though not the same double.
    sums = [0.1, 0.2, -0.3, 0.3]
    assert sign_flip_p(np.array(sums)) == _enumerated_p(sums)


def test_the_sign_flip_test_is_scipys_permutation_test() -> None:
    sums = np.random.default_rng(4).normal(0.3, 1, 11)
    wanted = stats.permutation_test(
        (sums,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert sign_flip_p(sums) == pytest.approx(wanted, rel=1e-12)


def test_no_difference_has_p_one_and_a_constant_one_the_smallest_p() -> None:
    for n in (1, 2, 5, 10, 16):
        assert sign_flip_p(np.zeros(n)) == 1.0
        assert sign_flip_p(np.ones(n)) == smallest_p(n) == 2.0 / 2**n
    assert sign_flip_p(np.ones(40)) == smallest_p(40) == 1 / 20_001


def test_drawn_patterns_come_close_to_all_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(2).normal(0.5, 1, 14)
    exact = sign_flip_p(sums)
    monkeypatch.setattr(statistics, "EXACT_UP_TO", 0)
    drawn = sign_flip_p(sums)
    assert 0.01 < exact < 0.5
    assert drawn != exact
    # Four standard errors of a share of 20,000 draws.
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_p_does_not_depend_on_how_many_patterns_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums = np.random.default_rng(3).normal(0.3, 1, 25)
    whole = sign_flip_p(sums)
    monkeypatch.setattr(statistics, "_CHUNK", 999)
    assert sign_flip_p(sums) == whole


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=10), st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_p_changes_with_neither_side_unit_nor_order(whole: list[int], unit: int) -> None:
    sums = np.array(whole, dtype=float)
    p = sign_flip_p(sums)
    assert p == sign_flip_p(-sums) == sign_flip_p(sums * unit) == sign_flip_p(sums[::-1])
    assert smallest_p(len(whole)) <= p <= 1


def test_under_the_null_small_p_are_as_rare_as_they_say() -> None:
    random = np.random.default_rng(5)
    p = np.array([sign_flip_p(random.laplace(0, 1, 9)) for _ in range(800)])
    for level in (0.05, 0.2, 0.5):
        share = np.mean(p <= level)
        assert share <= level + 3 * np.sqrt(level * (1 - level) / 800)
        assert share >= level - 0.01 - 3 * np.sqrt(level * (1 - level) / 800)


def _literal_holm(p: list[float]) -> list[bool]:
    """Reject step by step at 0.05, as Holm wrote it."""
    rejected = [False] * len(p)
    for step, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[index] > 0.05 / (len(p) - step):
            break
        rejected[index] = True
    return rejected


def test_holm_gives_a_worked_example() -> None:
    # 4 * 0.005, 3 * 0.01, 2 * 0.03, then no less than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_the_stepwise_rule_rejects(p: list[float]) -> None:
    corrected = holm(p)
    near = [abs(c - 0.05) < 1e-9 for c in corrected]  # there rounding decides
    for c, literal, close in zip(corrected, _literal_holm(p), near):
        assert close or (c <= 0.05) == literal
    assert all(c >= own for c, own in zip(corrected, p))


def test_with_one_video_a_source_the_t_interval_is_students() -> None:
    values = np.random.default_rng(6).normal(1, 2, 13)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values, np.ones(13)) == pytest.approx((wanted.low, wanted.high), rel=1e-10)
    assert standard_error(values, np.ones(13)) == pytest.approx(stats.sem(values), rel=1e-12)
    assert t_interval(values * 3, np.full(13, 3.0)) == pytest.approx((wanted.low, wanted.high))


def test_the_error_of_a_ratio_is_the_one_of_many_repetitions() -> None:
    random = np.random.default_rng(7)
    ratios, errors = [], []
    for _ in range(600):
        counts = random.integers(1, 6, 40).astype(float)
        sums = counts * random.normal(5, 1, 40) + random.normal(0, 0.5, 40)
        ratios.append(sums.sum() / counts.sum())
        errors.append(standard_error(sums, counts))
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.1)


def _clustered(random: np.random.Generator, sources: int, variants: int, share: float) -> Array:
    """Return differences [sources, variants] of variance 1, correlated by `share` within a row."""
    common = random.normal(0, np.sqrt(share), (sources, 1))
    return common + random.normal(0, np.sqrt(1 - share), (sources, variants))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_variants_widen_the_interval_by_kishs_design_effect(share: float) -> None:
    # Kish 1965: the variance of the mean grows by 1 + (variants - 1) * correlation.
    values = _clustered(np.random.default_rng(8), 300, 4, share)
    low, high = bootstrap(values.sum(axis=1), np.full(300, 4.0), draws=2000)
    naive_low, naive_high = bootstrap(values.ravel(), np.ones(1200), draws=1000)
    ratio = (high - low) / (naive_high - naive_low)
    assert ratio == pytest.approx(np.sqrt(1 + 3 * share), rel=0.12)


def test_intervals_of_clustered_differences_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(9)
    trials, n = 300, 25
    hit, student, naive = 0, 0, 0
    for _ in range(trials):
        values = 0.3 + _clustered(random, n, 3, 0.7)
        sums, counts = values.sum(axis=1), np.full(n, 3.0)
        low, high = bootstrap(sums, counts, draws=600)
        t_low, t_high = t_interval(sums, counts)
        naive_low, naive_high = bootstrap(values.ravel(), np.ones(3 * n), draws=600)
        hit += low <= 0.3 <= high
        student += t_low <= 0.3 <= t_high
        naive += naive_low <= 0.3 <= naive_high
    # One standard error of a share of 300 is 1.3 %; the bootstrap of 25 sources is a bit narrow.
    assert 0.89 <= hit / trials <= 0.975
    assert 0.915 <= student / trials <= 0.985
    assert naive / trials < 0.86  # resampling variants as if they were clips


def test_the_bootstrap_of_a_paired_mean_is_scipys() -> None:
    values = np.random.default_rng(10).normal(0.4, 1, 30)
    wanted = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = bootstrap(values, np.ones(30), draws=10_000)
    assert found == pytest.approx((wanted.low, wanted.high), abs=0.02)


@pytest.mark.parametrize("n", [7, 12, 20])
def test_the_detectable_difference_is_found_eight_times_of_ten(n: int) -> None:
    random = np.random.default_rng(n)
    spread = random.normal(0, 1, n)
    spread = (spread - spread.mean()) / spread.std(ddof=1)
    wanted = detectable(spread, np.ones(n))
    assert wanted is not None
    found = [sign_flip_p(random.normal(wanted, 1, n)) <= 0.05 for _ in range(250)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.09)


def test_the_detectable_difference_solves_the_power_of_the_t_test() -> None:
    values = np.random.default_rng(11).normal(0, 2, 40)
    found = detectable(values, np.ones(40))
    assert found is not None
    shift = found / stats.sem(values)
    limit = stats.t.ppf(0.975, 39)  # 20,000 drawn patterns leave the level at 0.05
    assert stats.nct.sf(limit, 39, shift) == pytest.approx(0.8, abs=1e-3)


def test_with_fewer_than_six_sources_nothing_can_be_detected() -> None:
    values = np.random.default_rng(12).normal(0, 1, 6)
    assert detectable(values[:5], np.ones(5)) is None
    assert detectable(values, np.ones(6)) is not None
