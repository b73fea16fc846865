"""Hold the metrics of time against closed forms, known motion, and other ways to compute them."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.metrics import CARDS, open_metric, open_temporal
from rvsd_bench.metrics.temporal import Moment, Step

SIZE = (72, 96)
CHEAP = ("warp_err", "tof", "flicker")


def texture(
    seed: int = 0, blur: float = 2.0, size: tuple[int, int] = (140, 160)
) -> NDArray[np.float64]:
    """Return a smooth random surface in colour, larger than a frame, in 0..255."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3))
    smooth = ndimage.gaussian_filter(noise, (blur, blur, 0))
    low, high = smooth.min(), smooth.max()
    return np.asarray(20 + 200 * (smooth - low) / (high - low))


def view(surface: NDArray[np.float64], y: int, x: int) -> Frame:
    """Return the frame of a camera that looks at the surface from one place."""
    return np.ascontiguousarray(surface[y : y + SIZE[0], x : x + SIZE[1]]).astype(np.uint8)


def step(before: Frame, now: Frame) -> Step:
    return Step(Moment(before), Moment(now))


def score(name: str, restored: Step, truth: Step) -> float:
    return open_temporal(name).score(restored, truth)


@pytest.fixture
def moving() -> Step:
    """Make a clean pair whose content moves by exactly 3 pixels right and 2 down."""
    surface = texture()
    return step(view(surface, 20, 30), view(surface, 18, 27))


@pytest.mark.parametrize("name", CHEAP)
def test_a_clip_that_stands_still_and_is_restored_exactly_scores_zero(name: str) -> None:
    still = view(texture(), 20, 30)
    truth = step(still, still.copy())
    assert score(name, step(still.copy(), still.copy()), truth) == 0
    assert open_temporal(name).own(truth) == 0


@pytest.mark.parametrize("name", ["tof", "flicker"])
def test_the_truth_itself_is_at_no_distance_from_its_own_changes(name: str, moving: Step) -> None:
    assert score(name, step(moving.before.frame, moving.now.frame), moving) == 0
    assert open_temporal(name).own(moving) > 0


def test_the_flow_of_a_shifted_texture_is_the_shift(moving: Step) -> None:
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(moving.flow[inner] - (3, 2)).max() < 0.3
    assert np.abs(moving.back[inner] + (3, 2)).max() < 0.3
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    assert np.abs(moving.origin[inner] - np.dstack((x - 3, y - 2))[inner]).max() < 0.3


def test_what_a_motion_brings_into_view_is_not_compared(moving: Step) -> None:
    visible = moving.visible.astype(bool)
    assert not visible[:2].any() and not visible[:, :2].any()
    assert visible[8:-8, 8:-8].all()


def test_an_object_hides_what_it_moves_over() -> None:
    ground, thing = texture(5, 3, (240, 320)), texture(6, 2, (140, 110))
    frames = []
    for left in (90, 106):
        frame = ground.astype(np.uint8)
        frame[50:190, left : left + 110] = thing
        frames.append(frame)
    visible = step(*frames).visible
    assert visible[60:180, 92:104].mean() < 0.2  # the ground that the object has uncovered
    assert visible[70:170, 120:200].mean() > 0.95  # the object itself
    assert visible[:, :70].mean() > 0.95 < visible[:, 260:].mean()


def test_the_truth_warps_onto_itself_along_its_own_motion(moving: Step) -> None:
    own = open_temporal("warp_err").own(moving)
    unmoved = np.mean((moving.now.frame / 255 - moving.before.frame / 255) ** 2)
    assert own < 1e-4 < 0.02 * unmoved


def test_alternating_brightness_warps_and_flickers_by_its_step() -> None:
    still = view(texture(), 20, 30)
    truth = step(still, still.copy())
    brighter = step(still, still + np.uint8(10))
    assert score("warp_err", brighter, truth) == pytest.approx((10 / 255) ** 2, rel=1e-9)
    assert score("flicker", brighter, truth) == pytest.approx(10 / 255, rel=1e-12)
    back = step(still + np.uint8(10), still)
    assert score("flicker", back, truth) == pytest.approx(10 / 255, rel=1e-12)


def test_flicker_that_the_truth_has_too_is_none() -> None:
    still = view(texture(), 20, 30)
    lamp = step(still, still + np.uint8(7))
    darker = step(still - np.uint8(5), still + np.uint8(2))
    assert score("flicker", darker, lamp) == 0
    assert open_temporal("flicker").own(lamp) == pytest.approx(7 / 255, rel=1e-12)


def test_tof_of_a_clip_that_moves_elsewhere_is_the_difference_of_the_shifts(moving: Step) -> None:
    surface = texture()
    other = step(view(surface, 20, 30), view(surface, 21, 31))  # 1 left and 1 up
    found = score("tof", other, moving)
    assert found == pytest.approx(math.hypot(3 + 1, 2 + 1), rel=0.05)


@pytest.mark.parametrize("name", CHEAP)
def test_a_clip_that_does_not_move_scores_what_the_truth_moves(name: str, moving: Step) -> None:
    frozen = step(moving.before.frame, moving.before.frame.copy())
    metric = open_temporal(name)
    if name == "warp_err":
        assert metric.score(frozen, moving) > 10 * metric.own(moving)
    else:
        assert metric.score(frozen, moving) == pytest.approx(metric.own(moving), rel=1e-9)


def test_a_blur_wins_the_raw_warping_error_and_falls_below_the_floor() -> None:
    rng = np.random.default_rng(3)
    surface = texture(blur=0.8)
    clean = [
        np.clip(view(surface, 20 - 2 * t, 30 - 3 * t) + rng.normal(0, 3, (*SIZE, 3)), 0, 255)
        for t in (0, 1)
    ]
    truth = step(*(frame.astype(np.uint8) for frame in clean))
    metric = open_temporal("warp_err")

    def of(change: Callable[[Frame], Frame]) -> float:
        return metric.score(step(*(change(m.frame) for m in (truth.before, truth.now))), truth)

    faithful = of(lambda frame: np.clip(frame.astype(int) + 1, 0, 255).astype(np.uint8))
    blurred = of(lambda frame: np.asarray(cv2.GaussianBlur(frame, (0, 0), 4), np.uint8))
    grey = of(lambda frame: np.full_like(frame, 128))
    floor = metric.own(truth)
    assert grey < blurred < faithful
    assert abs(faithful - floor) < abs(blurred - floor) / 10
    assert abs(blurred - floor) < abs(grey - floor)


def test_the_warping_error_is_that_of_an_interpolation_by_scipy(moving: Step) -> None:
    rng = np.random.default_rng(1)
    before, now = (
        np.clip(m.frame + rng.integers(-9, 10, (*SIZE, 3)), 0, 255).astype(np.uint8)
        for m in (moving.before, moving.now)
    )
    places = np.moveaxis(moving.origin, 2, 0)[::-1].astype(np.float64)
    moved = np.dstack(
        [
            ndimage.map_coordinates(before[..., c].astype(float), places, order=1, mode="nearest")
            for c in range(3)
        ]
    )
    squares = ((now - moved) / 255)[moving.visible > 0] ** 2
    # OpenCV places its weights on a grid of 1/32 of a pixel.
    assert score("warp_err", step(before, now), moving) == pytest.approx(squares.mean(), rel=2e-3)


def test_visibility_is_what_plain_loops_make_of_both_flows(moving: Step) -> None:
    height, width = SIZE
    places = np.moveaxis(moving.origin, 2, 0)[::-1].astype(np.float64)
    there = np.dstack(
        [
            ndimage.map_coordinates(moving.flow[..., c], places, order=1, mode="nearest")
            for c in range(2)
        ]
    ).astype(np.float64)
    wanted = np.zeros(SIZE, bool)
    for y in range(height):
        for x in range(width):
            b, f = moving.back[y, x].astype(float), there[y, x]
            inside = 0 <= x + b[0] <= width - 1 and 0 <= y + b[1] <= height - 1
            lengths = b @ b + f @ f
            wanted[y, x] = inside and (b + f) @ (b + f) < 0.01 * lengths + 0.5
    assert np.mean(wanted != (moving.visible > 0)) < 0.002


def test_flicker_is_the_mean_of_the_differences_of_the_changes(moving: Step) -> None:
    rng = np.random.default_rng(2)
    p = rng.integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    g = np.stack([moving.before.frame, moving.now.frame]) / 255
    wanted = np.abs((p[1] / 255 - p[0] / 255) - (g[1] - g[0])).mean()
    assert score("flicker", step(p[0], p[1]), moving) == pytest.approx(wanted, rel=1e-12)


def test_tlp_is_the_difference_of_two_distances_each_seen_by_lpips(moving: Step) -> None:
    try:
        lpips, tlp = open_metric("lpips"), open_temporal("tlp")
    except MissingError as error:
        pytest.skip(str(error).splitlines()[0])
    blurred = step(
        *(np.asarray(cv2.blur(m.frame, (5, 5)), np.uint8) for m in (moving.before, moving.now))
    )

    def change(of: Step) -> float:
        return lpips.score(of.now.frame, lpips.prepare(of.before.frame))

    wanted = abs(change(blurred) - change(moving))
    assert wanted > 1e-3
    assert tlp.score(blurred, moving) == pytest.approx(wanted, rel=1e-5)
    assert tlp.own(moving) == pytest.approx(change(moving), rel=1e-5)
    frozen = step(moving.now.frame, moving.now.frame.copy())
    assert tlp.score(frozen, moving) == pytest.approx(tlp.own(moving), rel=1e-6)


def test_nothing_seen_twice_has_no_warping_error(moving: Step) -> None:
    moving.visible[:] = 0
    assert math.isnan(open_temporal("warp_err").own(moving))


@pytest.mark.parametrize("size", [(1, 1), (9, 200), (17, 64), (31, 100), (33, 20), (40, 41)])
def test_frames_of_any_size_have_a_flow(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2))
    truth = step(one, other)
    assert truth.flow.shape == (*size, 2) and np.isfinite(truth.flow).all()
    assert all(math.isfinite(score(name, truth, truth)) for name in ("tof", "flicker"))
    assert np.array_equal(truth.flow, step(one, other).flow)


def test_frames_of_another_size_and_single_frames_are_refused(moving: Step) -> None:
    small = np.zeros((40, 50, 3), np.uint8)
    with pytest.raises(InputError, match="50 x 40, its reference 96 x 72"):
        score("flicker", step(small, small), moving)
    with pytest.raises(InputError, match="two frames in succession"):
        open_metric("tof")
    with pytest.raises(InputError, match="no temporal metric named 'psnr'"):
        open_temporal("psnr")
    with pytest.raises(InputError, match="'colour'"):
        open_temporal("tof", params={"colour": 1})


def test_the_cards_say_that_less_is_better_and_that_a_clean_clip_is_needed() -> None:
    for name in (*CHEAP, "tlp"):
        card = CARDS[name]
        assert (card.temporal, card.kind, card.direction) == (True, "fr", "lower")
