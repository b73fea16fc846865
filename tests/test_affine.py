"""Six numbers by least squares: against numpy's solver, exactly, and from a dataset on disk."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench import restore
from rvsd_bench.baselines import load
from rvsd_bench.baselines.affine import AffineMap, build_affine, fit_affine
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.media.images import write_png


def hazy_pair(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return snowy and clean frames; each channel of the snowy ones has lost contrast."""
    random = np.random.default_rng(seed)
    clean = random.integers(0, 256, (count, 18, 26, 3), np.uint8)
    hazy = clean * np.array([0.5, 0.6, 0.7]) + [90, 70, 50] + random.normal(0, 4, clean.shape)
    return np.clip(np.rint(hazy), 0, 255).astype(np.uint8), clean


def write_dataset(root: Path, counts: dict[str, int], split: str = "train") -> None:
    for number, (name, count) in enumerate(counts.items()):
        snowy, clean = hazy_pair(count, seed=number)
        for side, frames in (("snow", snowy), ("clean", clean)):
            (root / split / side / name).mkdir(parents=True)
            for index, frame in enumerate(frames):
                write_png(root / split / side / name / f"{index:04d}.png", frame)


def test_the_fit_is_that_of_a_least_squares_solver() -> None:
    snowy, clean = hazy_pair(7)
    fitted = fit_affine(zip(snowy, clean))
    for channel in range(3):
        x, y = snowy[..., channel].ravel() / 255, clean[..., channel].ravel() / 255
        wanted = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)[0]
        assert np.allclose([fitted.gain[channel], fitted.offset[channel]], wanted, rtol=1e-9)
    assert fitted.frames == 7


def test_the_fit_is_the_rational_number_rounded_once() -> None:
    snowy, clean = hazy_pair(2)
    x = [Fraction(int(v)) for v in snowy[..., 1].ravel()]
    y = [Fraction(int(v)) for v in clean[..., 1].ravel()]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    gain = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum(
        (a - mean_x) ** 2 for a in x
    )
    fitted = fit_affine(zip(snowy, clean))
    assert fitted.gain[1] == float(gain)
    assert fitted.offset[1] == float((mean_y - gain * mean_x) / 255)


def test_the_order_of_the_pairs_does_not_matter() -> None:
    pairs = list(zip(*hazy_pair(5)))
    assert fit_affine(pairs) == fit_affine(reversed(pairs))


def test_sums_beyond_64_bits_are_exact() -> None:
    """Count each pair of levels as if a whole training set had been seen."""
    from rvsd_bench.baselines.affine import _line

    counts = np.zeros((256, 256), np.int64)
    for x in range(256):
        counts[x, 255 - x] = 10**10
    assert _line(counts) == (-1.0, 1.0)


def test_equal_sides_give_the_identity_and_a_constant_channel_gain_one() -> None:
    _, clean = hazy_pair(3)
    assert fit_affine(zip(clean, clean)) == AffineMap((1, 1, 1), (0, 0, 0), 3)
    flat = np.full_like(clean, 100)
    fitted = fit_affine(zip(flat, np.full_like(clean, 151)))
    assert fitted.gain == (1, 1, 1)
    assert np.allclose(fitted.offset, 0.2)


def test_no_pairs_and_pairs_of_two_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="not one pair"):
        fit_affine([])
    with pytest.raises(InputError, match="20x10 has a clean mate of 20x12"):
        fit_affine([(np.zeros((10, 20, 3), np.uint8), np.zeros((12, 20, 3), np.uint8))])


def test_the_map_and_the_restorer_give_the_same_bytes() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    fitted = AffineMap((1.7, 0.3, 1.0), (-0.2, 0.7, 0.001), 1)
    restored = restore(build_affine(fitted), ArrayClip(ramp))[0]
    assert np.array_equal(restored, fitted.apply(ramp[0]))
    for channel in range(3):
        wanted = ramp[0, ..., 0] * fitted.gain[channel] + 255 * fitted.offset[channel]
        error = restored[..., channel] - np.clip(wanted, 0, 255)
        assert np.abs(error).max() <= 0.5 + 1e-4


def test_haze_of_the_training_frames_is_taken_from_others() -> None:
    snowy, clean = hazy_pair(6)
    fitted = fit_affine(zip(snowy[:3], clean[:3]))
    before = np.mean((snowy[3:].astype(float) - clean[3:]) ** 2)
    after = np.mean(
        [(fitted.apply(s).astype(float) - c) ** 2 for s, c in zip(snowy[3:], clean[3:])]
    )
    assert after < before / 20


@pytest.mark.parametrize("spec", ["affine", "affine?from={root}"])
def test_every_tenth_frame_of_train_is_seen_and_nothing_of_test(tmp_path: Path, spec: str) -> None:
    write_dataset(tmp_path / "rvsd", {"00000": 21, "00001": 10})
    write_dataset(tmp_path / "rvsd", {"00000": 1}, split="test")
    given = None if "{" in spec else tmp_path / "rvsd"
    model = load(spec.format(root=tmp_path / "rvsd"), data=given)
    first, second = hazy_pair(21, seed=0), hazy_pair(10, seed=1)
    seen = [(first[0][i], first[1][i]) for i in (0, 10, 20)] + [(second[0][0], second[1][0])]
    wanted = fit_affine(seen)
    assert model.info.facts["gain"] == list(wanted.gain)
    assert model.info.facts["offset"] == list(wanted.offset)
    assert model.info.trained_on == "4 frames of 2 clips of rvsd/train"


def test_the_digest_belongs_to_the_six_numbers() -> None:
    maps = [AffineMap((1, 1, gain), (0, 0, 0), 3) for gain in (1.0, 1.0, 1.0 + 1e-15)]
    digests = [build_affine(fitted).info.weights_sha256 for fitted in maps]
    assert [a == b for a, b in pairwise(digests)] == [True, False]


def test_without_pairs_the_message_says_how_to_name_some(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"was given none.*affine\?from=DIR"):
        load("affine")
    write_dataset(tmp_path, {"00000": 1}, split="test")
    with pytest.raises(InputError, match=r"no split train.*affine\?from=DIR"):
        load("affine", data=tmp_path)
    with pytest.raises(InputError, match="only `evaluate`"):
        load("affine?oracle=1", data=tmp_path)
