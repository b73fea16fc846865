"""Means, percentiles and intervals, against numpy, scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rvsd_bench.evaluation.summary import VideoScores, summarise, video_statistics
from rvsd_bench.resampling import bootstrap


def scores(
    source: str, *values: float, expected: int | None = None, complete: bool = True
) -> VideoScores:
    named = {f"{index:04d}": value for index, value in enumerate(values)}
    return VideoScores(source, named, len(values) if expected is None else expected, complete)


def test_statistics_of_a_video_are_those_of_numpy() -> None:
    values = np.random.default_rng(1).normal(25, 3, 37)
    row = video_statistics(scores("a", *values), lower_is_better=False)
    assert row["mean"] == pytest.approx(values.mean(), rel=1e-14)
    assert row["std"] == pytest.approx(values.std(), rel=1e-12)
    wanted = np.quantile(values, [0, 0.05, 0.5, 0.95, 1])
    got = [row[name] for name in ("min", "p05", "median", "p95", "max")]
    np.testing.assert_allclose(got, wanted, rtol=1e-14)
    assert row["worst_frame"] == f"{int(values.argmin()):04d}"
    assert (row["n_frames"], row["n_expected"], row["status"]) == (37, 37, "ok")


def test_the_worst_frame_of_a_distance_is_the_largest() -> None:
    row = video_statistics(scores("a", 0.1, 0.9, 0.2), lower_is_better=True)
    assert row["worst_frame"] == "0001"


def test_a_video_with_a_missing_frame_has_no_mean() -> None:
    row = video_statistics(
        scores("a", 30.0, 31.0, expected=3, complete=False), lower_is_better=False
    )
    assert row == {"n_frames": 2, "n_expected": 3, "status": "incomplete"}


def test_macro_is_the_mean_of_video_means_and_micro_that_of_all_frames() -> None:
    videos = [scores("a", 10, 20, 30, 40), scores("b", 50)]
    macro = summarise(videos, average="macro", draws=10)
    assert macro is not None
    assert (macro.macro, macro.micro, macro.n_sources) == (37.5, 30.0, 2)


def test_one_incomplete_video_withholds_the_score_of_all() -> None:
    videos = [scores("a", 10, 20), scores("b", 30, expected=2, complete=False)]
    assert summarise(videos, average="macro", draws=10) is None


def test_frames_and_videos_without_the_region_are_passed_over() -> None:
    videos = [scores("a", 10, 20, expected=3), scores("b", expected=3)]
    found = summarise(videos, average="macro", draws=10)
    assert found is not None
    assert (found.macro, found.micro, found.n_sources) == (15.0, 15.0, 1)


def test_one_source_has_no_interval() -> None:
    found = summarise([scores("a", 1, 2), scores("a", 3, 4)], average="macro", draws=100)
    assert found is not None
    assert (found.low, found.high) == (None, None)


def test_students_interval_is_scipys_of_the_sources_means() -> None:
    means = np.random.default_rng(3).normal(25, 2, 7)
    videos = [scores(str(index), value, value + 1) for index, value in enumerate(means)]
    found = summarise(videos, average="macro", draws=100)
    wanted = stats.t.interval(0.95, 6, means.mean() + 0.5, stats.sem(means))
    assert found is not None
    assert (found.t_low, found.t_high) == pytest.approx(wanted, rel=1e-10)
    assert found.low is not None and found.low > wanted[0]  # the bootstrap's is narrower
    one = summarise(videos[:1], average="macro", draws=100)
    assert one is not None and (one.t_low, one.t_high) == (None, None)


def test_two_sources_give_the_interval_that_can_be_counted_by_hand() -> None:
    # A resample of {0, 1} has the mean 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    assert bootstrap(np.array([0.0, 1.0]), np.ones(2), draws=10_000) == (0.0, 1.0)
    sums = np.arange(3.0)  # the mean is 0 with probability 1/27 > 2.5 %
    assert bootstrap(sums, np.ones(3), draws=20_000) == (0.0, 2.0)


def test_the_interval_is_that_of_scipy_up_to_the_draws() -> None:
    means = np.random.default_rng(2).normal(25, 2, 30)
    videos = [scores(str(index), value) for index, value in enumerate(means)]
    found = summarise(videos, average="macro", draws=10_000)
    reference = stats.bootstrap(
        (means,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    assert found is not None
    assert found.low == pytest.approx(reference.low, abs=0.03)
    assert found.high == pytest.approx(reference.high, abs=0.03)


def test_variants_of_one_source_do_not_make_the_interval_narrower() -> None:
    means = np.random.default_rng(4).normal(25, 2, 12)
    once = summarise([scores(str(i), m) for i, m in enumerate(means)], average="macro", draws=2000)
    thrice = summarise(
        [scores(str(i), m) for i, m in enumerate(means) for _ in range(3)],
        average="macro",
        draws=2000,
    )
    assert once is not None and thrice is not None
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high), rel=1e-12)


def test_the_micro_interval_is_scipys_for_a_ratio_of_sums() -> None:
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, 40, 25)
    clips = [rng.normal(20 + length / 4, 1, length) for length in lengths]
    videos = [scores(str(index), *clip) for index, clip in enumerate(clips)]
    found = summarise(videos, average="micro", draws=10_000)
    reference = stats.bootstrap(
        (np.array([clip.sum() for clip in clips]), lengths),
        lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis),
        paired=True, vectorized=True, n_resamples=10_000, method="percentile",
        rng=np.random.default_rng(8),
    ).confidence_interval  # fmt: skip
    assert found is not None
    assert found.micro == pytest.approx(np.concatenate(clips).mean(), rel=1e-12)
    assert found.low == pytest.approx(reference.low, abs=0.05)
    assert found.high == pytest.approx(reference.high, abs=0.05)


def test_equal_shifts_move_the_interval_and_nothing_else() -> None:
    means = np.random.default_rng(5).normal(25, 2, 20)
    lows = []
    for shift in (0.0, 1.0):
        videos = [scores(str(i), m + shift) for i, m in enumerate(means)]
        found = summarise(videos, average="macro", draws=3000)
        assert found is not None and found.low is not None
        lows.append(found.low)
    assert lows[1] - lows[0] == pytest.approx(1.0, abs=1e-9)


def test_the_order_of_videos_changes_no_digit() -> None:
    rng = np.random.default_rng(6)
    videos = [scores(f"s{i}", *rng.normal(25, 2, 5)) for i in range(9)]
    assert summarise(videos, average="macro", draws=500) == summarise(
        videos[::-1], average="macro", draws=500
    )
