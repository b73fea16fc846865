"""Hold PSNR and SSIM against closed forms, scikit-image, pyiqa and published values."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.metrics import CARDS, calibration, open_metric, open_temporal


def pictures(height: int = 48, width: int = 64, seed: int = 0) -> tuple[Frame, Frame]:
    """Return a smooth picture and a noisy copy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 9
    smooth = 128 + 90 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=2)
    noisy = smooth + rng.normal(0, 20, smooth.shape)
    return smooth.clip(0, 255).astype(np.uint8), noisy.clip(0, 255).astype(np.uint8)


def score(name: str, frame: Frame, clean: Frame, **params: object) -> float:
    metric = open_metric(name, params=params)
    return metric.score(frame, metric.prepare(clean))


def grey(level: int, height: int = 16, width: int = 16) -> Frame:
    return np.full((height, width, 3), level, np.uint8)


def test_one_grey_level_off_is_48_13_db() -> None:
    assert score("psnr", grey(101), grey(100), eps=0) == pytest.approx(20 * math.log10(255))
    with_eps = -10 * math.log10(1 / 255**2 + 1e-8)
    assert score("psnr", grey(101), grey(100)) == pytest.approx(with_eps, abs=1e-12)


def test_equal_frames_are_80_db_and_ssim_1() -> None:
    _, noisy = pictures()
    assert score("psnr", noisy, noisy) == 80.0
    assert score("psnr", noisy, noisy, color="y") == 80.0
    assert score("psnr", noisy, noisy, eps=0) == math.inf
    assert score("ssim", noisy, noisy) == pytest.approx(1, abs=1e-12)


def test_black_against_white_is_0_db() -> None:
    assert score("psnr", grey(0), grey(255), eps=0) == pytest.approx(0, abs=1e-12)


def test_psnr_is_that_of_scikit_image() -> None:
    from skimage.metrics import peak_signal_noise_ratio

    clean, noisy = pictures()
    expected = peak_signal_noise_ratio(clean, noisy, data_range=255)
    assert score("psnr", noisy, clean, eps=0) == pytest.approx(expected, abs=1e-9)


def luma(frame: Frame) -> NDArray[np.float64]:
    plane: NDArray[np.float64] = frame @ np.array([0.299, 0.587, 0.114])
    return plane


def skimage_ssim(frame: NDArray[np.generic], clean: NDArray[np.generic]) -> float:
    from skimage.metrics import structural_similarity

    _, full = structural_similarity(
        frame.astype(np.float64), clean.astype(np.float64), data_range=255, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    return float(full[5:-5, 5:-5].mean())


@pytest.mark.parametrize(("height", "width"), [(11, 11), (12, 33), (48, 64)])
def test_ssim_is_that_of_scikit_image_on_rounded_luma(height: int, width: int) -> None:
    clean, noisy = pictures(height, width)
    expected = skimage_ssim(np.rint(luma(noisy)), np.rint(luma(clean)))
    # One luma in a thousand is a tie at .5, which float32 rounds up or down.
    assert score("ssim", noisy, clean, clamp=False) == pytest.approx(expected, abs=5e-5)


def test_rgb_ssim_is_the_mean_of_scikit_image_over_the_channels() -> None:
    clean, noisy = pictures()
    expected = np.mean([skimage_ssim(noisy[..., c], clean[..., c]) for c in range(3)])
    assert score("ssim", noisy, clean, color="rgb", clamp=False) == pytest.approx(
        expected, abs=1e-9
    )


def test_ssim_counts_inverted_structure_as_zero_only_if_clamped() -> None:
    _, noisy = pictures()
    assert score("ssim", 255 - noisy, noisy, clamp=False) < -0.1
    assert score("ssim", 255 - noisy, noisy) >= 0


def test_psnr_and_ssim_do_not_care_which_frame_is_the_reference() -> None:
    clean, noisy = pictures()
    for name in ("psnr", "ssim"):
        assert score(name, noisy, clean) == pytest.approx(score(name, clean, noisy), abs=1e-12)


def test_views_of_frames_score_as_copies_do() -> None:
    clean, noisy = (frame[::2, ::-1] for frame in pictures())
    for name in ("psnr", "ssim"):
        assert score(name, noisy, clean) == score(name, noisy.copy(), clean.copy())


@pytest.mark.parametrize("name", ["psnr", "ssim"])
@pytest.mark.parametrize("color", ["rgb", "y"])
def test_pyiqa_agrees(name: str, color: str) -> None:
    pytest.importorskip("pyiqa")
    clean, noisy = pictures(61, 83)
    witness = open_metric(name, params={"color": color}, backend="pyiqa")
    expected = witness.score(noisy, witness.prepare(clean))
    assert score(name, noisy, clean, color=color) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_the_calibration_pairs_give_their_published_values(name: str) -> None:
    try:
        rows = calibration.calibrate([name])
    except MissingError as error:
        pytest.skip(str(error))
    calibration.require_right(rows)
    images = ["I03", "I04", "I06", "I08", "I19"]
    assert [(row.backend, row.image) for row in rows] == [
        (backend, image) for backend in CARDS[name].backends for image in images
    ]


def test_damage_inside_the_snow_is_not_seen_outside() -> None:
    clean, damaged = grey(100), grey(100)
    coverage = np.zeros((16, 16))
    coverage[4:8, 4:8] = 0.5
    damaged[4:8, 4:8] += 51
    snow, clear = (open_metric(name, params={"eps": 0}) for name in ("psnr_snow", "psnr_clear"))
    assert snow.score(damaged, snow.prepare(clean, coverage)) == pytest.approx(20 * math.log10(5))
    assert clear.score(damaged, clear.prepare(clean, coverage)) == math.inf


def test_squared_errors_inside_and_outside_add_up_to_the_whole() -> None:
    clean, noisy = pictures()
    coverage = np.random.default_rng(1).random(clean.shape[:2]) ** 4
    share = np.mean(coverage >= 0.01)
    mse = {}
    for name in ("psnr_snow", "psnr_clear", "psnr"):
        metric = open_metric(name, params={"eps": 0})
        mse[name] = 10 ** (-metric.score(noisy, metric.prepare(clean, coverage)) / 10)
    parts = share * mse["psnr_snow"] + (1 - share) * mse["psnr_clear"]
    assert 0.5 < share < 0.9
    assert parts == pytest.approx(mse["psnr"])


def test_an_empty_region_has_no_score() -> None:
    clean, noisy = pictures()
    for name, coverage in (("psnr_snow", 0.0), ("psnr_clear", 1.0)):
        metric = open_metric(name)
        prepared = metric.prepare(clean, np.full(clean.shape[:2], coverage))
        assert math.isnan(metric.score(noisy, prepared))


@pytest.mark.parametrize("coverage", [None, np.zeros((5, 5))])
def test_coverage_that_is_missing_or_of_another_size_is_refused(
    coverage: NDArray[np.float64] | None,
) -> None:
    with pytest.raises(InputError, match=r"'psnr_snow' needs the snow's coverage.*\[16, 16\]"):
        open_metric("psnr_snow").prepare(grey(1), coverage)


def test_a_frame_too_small_for_ssim_is_refused_with_both_sizes() -> None:
    with pytest.raises(InputError, match=r"'ssim' needs .* 11 x 11 pixels, got 64 x 10"):
        score("ssim", grey(1, 10, 64), grey(1, 10, 64))


@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_frames_of_unequal_size_are_never_resized(name: str) -> None:
    with pytest.raises(InputError, match=r"the frame is 16 x 20, its reference 16 x 16"):
        score(name, grey(1, 20), grey(1, 16))


def test_unknown_names_come_with_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match=r"metric named 'pnsr'.*'psnr'"):
        open_metric("pnsr")
    with pytest.raises(InputError, match=r"parameter of metric 'psnr' named 'colour'.*'color'"):
        open_metric("psnr", params={"colour": "rgb"})
    with pytest.raises(InputError, match=r"color must be 'rgb' or 'y', got 'bgr'"):
        open_metric("ssim", params={"color": "bgr"})


def test_every_card_opens_its_metric_or_says_what_is_missing() -> None:
    for name, card in CARDS.items():
        try:
            opened = open_temporal(name) if card.temporal else open_metric(name)
            assert opened.card == card
        except MissingError as error:
            assert repr(card.weights or name) in str(error)


def test_psnr_and_ssim_need_no_torch() -> None:
    code = (
        "import sys; from rvsd_bench.metrics import open_metric; open_metric('psnr');"
        "open_metric('ssim'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
