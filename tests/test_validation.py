"""Shifted, swapped, copied and frozen frames, made on purpose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.evaluation.runfiles import FrameScores
from rvsd_bench.evaluation.validation import Watch, copies, judge


@pytest.fixture(scope="module")
def moving() -> list[Frame]:
    """Return eight coloured frames of a pattern that moves by five pixels a frame."""
    wide = np.random.default_rng(0).integers(0, 256, (24, 80, 3), dtype=np.uint8)
    return [np.ascontiguousarray(wide[:, 5 * t : 5 * t + 40]) for t in range(8)]


def noisy(frames: Sequence[Frame], seed: int = 1) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [
        np.clip(frame + rng.normal(0, 12, frame.shape), 0, 255).astype(np.uint8) for frame in frames
    ]


def seen(frames: Sequence[Frame], clean: Sequence[Frame]) -> Watch:
    watch = Watch()
    for frame, truth in zip(frames, clean):
        watch.see(frame, truth)
    return watch


def codes(counts: dict[str, int], source: str = "measured") -> list[str]:
    return [problem.code for problem in judge("m", "v", counts, source=source)]


def test_sound_frames_raise_no_suspicion(moving: list[Frame]) -> None:
    counts = seen(noisy(moving), moving).counts
    assert counts["frames"] == 8 and counts["pairs"] == 7
    assert codes(counts) == []


@pytest.mark.parametrize(("step", "code"), [(1, "later"), (-1, "earlier")])
def test_frames_that_are_one_off_in_time_are_found(
    moving: list[Frame], step: int, code: str
) -> None:
    order = [min(max(t + step, 0), 7) for t in range(8)]
    counts = seen(noisy([moving[t] for t in order]), moving).counts
    assert counts[code] >= 6
    assert codes(counts) == ["shifted"]


def test_a_still_scene_cannot_look_shifted(moving: list[Frame]) -> None:
    still = [moving[0]] * 8
    assert codes(seen(noisy(still), still).counts) == []


def test_a_shift_that_the_input_shows_too_is_the_datasets(moving: list[Frame]) -> None:
    late = seen(noisy([*moving[1:], moving[7]]), moving).counts
    both = dict(late) | {f"input_{name}": count for name, count in late.items()}
    problems = list(judge("m", "v", both, source="measured"))
    assert [(p.level, p.code) for p in problems] == [("warning", "dataset_shifted")]


def test_swapped_channels_are_found(moving: list[Frame]) -> None:
    counts = seen(noisy([frame[..., ::-1] for frame in moving]), moving).counts
    assert codes(counts) == ["swapped"]


def test_swapped_channels_are_found_under_snow_that_outweighs_them(moving: list[Frame]) -> None:
    rng = np.random.default_rng(3)
    hidden = [
        np.where(rng.random((*f.shape[:2], 1)) < 0.5, 255, 40 + f[..., ::-1] // 2) for f in moving
    ]
    frames = [frame.astype(np.uint8) for frame in hidden]
    counts = seen(frames, moving).counts
    assert sum(float(np.square(f - 1.0 * m).sum()) for f, m in zip(frames, moving)) > 0.8 * sum(
        float(np.square(f[..., ::-1] - 1.0 * m).sum()) for f, m in zip(frames, moving)
    )
    assert codes(counts) == ["swapped"]
    right = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
    assert codes(seen(right, moving).counts) == []


def test_grey_frames_have_no_channels_to_swap(moving: list[Frame]) -> None:
    grey = [np.repeat(frame[..., :1], 3, axis=2) for frame in moving]
    assert codes(seen(noisy(grey), moving).counts) == []
    assert codes(seen(noisy(moving), grey).counts) == []
    red, blue = ([np.clip(frame, 9, 240) + np.uint8(9 * i) for frame in grey] for i in range(2))
    for one, other in zip(red, blue):  # a tint that rounding may leave is no colour either
        one[3, 3] = other[3, 3] = 100
        one[3, 3, 0] = other[3, 3, 2] = 101
    assert codes(seen(blue, red).counts) == []


def test_a_missing_frame_is_not_taken_for_a_neighbour(moving: list[Frame]) -> None:
    watch = Watch()
    watch.see(moving[0], moving[0])
    watch.miss()
    watch.see(moving[2], moving[2])
    assert watch.counts["pairs"] == 0


def rows(*pixels: tuple[str, str, str]) -> list[FrameScores]:
    return [
        FrameScores(str(index), 1, 1, pred, ref, snowy)
        for index, (pred, ref, snowy) in enumerate(pixels)
    ]


def test_copies_of_the_truth_and_of_the_input_are_counted() -> None:
    counts = copies(rows(("c0", "c0", "s0"), ("s1", "c1", "s1"), ("p2", "c2", "s2")))
    assert (counts["is_truth"], counts["is_input"], counts["frozen"]) == (1, 1, 0)


def test_a_frame_without_snow_is_no_copy_of_the_truth() -> None:
    assert copies(rows(("c0", "c0", "c0")))["is_truth"] == 0


def test_output_that_stands_still_while_the_input_moves_is_frozen() -> None:
    frozen = copies(rows(("p", "c0", "s0"), ("p", "c1", "s1"), ("", "c2", "s2"), ("p", "c3", "s3")))
    assert frozen["frozen"] == 1
    still = copies(rows(("p", "c", "s"), ("p", "c", "s")))
    assert still["frozen"] == 0


def test_one_copy_among_many_is_no_finding_where_there_is_no_truth(moving: list[Frame]) -> None:
    watch = Watch()
    for frame in moving:
        watch.see(frame, None)
    assert watch.counts == {"frames": len(moving)}
    assert codes({**watch.counts, "is_input": 1}) == []


def test_only_most_frames_make_a_finding_and_references_are_excused() -> None:
    assert codes({"frames": 10, "is_truth": 5}) == []
    assert codes({"frames": 10, "is_truth": 6}) == ["is_truth"]
    assert codes({"frames": 10, "is_truth": 6}, source="oracle") == []
    assert codes({"frames": 10, "is_input": 10}, source="input") == []
    assert codes({"frames": 10, "is_input": 10}) == ["is_input"]
