"""Hold SemiVDN's own losses to their formulas, to other libraries, and to their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import integrate, ndimage
from torch import Tensor

from rvsd_bench.baselines.losses import total_variation
from rvsd_bench.baselines.semivdn import losses
from rvsd_bench.errors import InputError
from rvsd_bench.mixtures import Mixture


def _pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


# --- priors


def test_the_dark_channel_is_scipys() -> None:
    pictures = _pictures(2, 3, 3, 20, 23)
    expected = [
        ndimage.minimum_filter(frame.min(axis=0), 15, mode="nearest").mean()
        for frame in pictures.flatten(0, 1).numpy()
    ]
    assert float(losses.dark_channel_prior(pictures)) == pytest.approx(np.mean(expected), abs=1e-7)
    assert float(losses.dark_channel_prior(pictures[0, 0])) == pytest.approx(expected[0], abs=1e-7)


def test_total_variation_adds_up_neighbours_one_by_one() -> None:
    picture = _pictures(1, 2, 4, 5)
    down = [
        abs(float(picture[0, c, y + 1, x] - picture[0, c, y, x]))
        for c in range(2) for y in range(3) for x in range(5)
    ]  # fmt: skip
    across = [
        abs(float(picture[0, c, y, x + 1] - picture[0, c, y, x]))
        for c in range(2) for y in range(4) for x in range(4)
    ]  # fmt: skip
    expected = sum(down) / len(down) + sum(across) / len(across)
    assert float(total_variation(picture)) == pytest.approx(expected, rel=1e-6)


# --- the weight of the unlabelled


def test_the_weight_of_unlabelled_clips_rises_from_almost_nothing_to_all() -> None:
    assert losses.warm_up(0, 300) == pytest.approx(math.exp(-5))
    assert losses.warm_up(300, 300, 0.7) == losses.warm_up(999, 300, 0.7) == 0.7
    assert losses.warm_up(150, 300) == pytest.approx(math.exp(-1.25))
    weights = [losses.warm_up(step, 300) for step in range(301)]
    assert weights == sorted(weights)


# --- contrasts


def test_a_contrast_is_zero_at_the_teacher_and_large_at_the_input() -> None:
    teacher, degraded = ([_pictures(1, 4, 3, 3, seed=i) for i in (n, n + 1, n + 2)] for n in (0, 9))
    between = [(a + b) / 2 for a, b in zip(teacher, degraded)]
    assert float(losses.perceptual_contrast(teacher, teacher, degraded)) == 0
    assert float(losses.perceptual_contrast(between, teacher, degraded)) == pytest.approx(
        sum(losses.CONTRAST_WEIGHTS), rel=1e-5
    )
    assert float(losses.perceptual_contrast(degraded, teacher, degraded)) > 1e5


def test_a_contrast_teaches_the_student_alone() -> None:
    sides = [[_pictures(1, 2, 3, 3, seed=i).requires_grad_()] for i in range(3)]
    losses.perceptual_contrast(*sides, weights=[1.0]).backward()
    assert [side[0].grad is not None for side in sides] == [True, False, False]


def test_a_contrast_of_unequal_layers_is_refused() -> None:
    one = [_pictures(1, 2, 3, 3)]
    with pytest.raises(InputError, match="as many weights"):
        losses.perceptual_contrast(one, one, one)


def _features() -> dict[str, Tensor]:
    names = (
        "teacher_background", "student_background", "student_snow", "labelled_background",
        "ultra_snow", "augmented_snow",
    )  # fmt: skip
    return {name: _pictures(1, 4, 3, 3, seed=i) for i, name in enumerate(names)}


def test_the_distribution_contrast_is_equation_12() -> None:
    f = {name: tensor.double().numpy() for name, tensor in _features().items()}
    anchor = f["teacher_background"] + f["student_snow"]
    near = np.abs(anchor - (f["student_background"] + f["ultra_snow"])).mean()
    far = np.abs(anchor - (f["labelled_background"] + f["augmented_snow"])).mean()
    found = float(losses.distribution_contrast(**_features()))
    assert found == pytest.approx(near / (far + 1e-7), rel=1e-5)


def test_the_distribution_contrast_vanishes_where_teacher_and_student_agree() -> None:
    features = _features()
    features["student_background"] = features["teacher_background"].clone()
    features["ultra_snow"] = features["student_snow"].clone()
    assert float(losses.distribution_contrast(**features)) == 0


def test_the_distribution_contrast_stays_small_before_any_snow_is_found() -> None:
    features = _features()
    nothing = torch.zeros(1, 4, 3, 3)
    same = dict.fromkeys(features, nothing) | {"student_background": nothing + 0.01}
    assert float(losses.distribution_contrast(**same)) == pytest.approx(10, rel=1e-3)


def test_the_distribution_contrast_leaves_teacher_and_ultra_positive_alone() -> None:
    features = {name: tensor.requires_grad_() for name, tensor in _features().items()}
    losses.distribution_contrast(**features).backward()
    taught = {name for name, tensor in features.items() if tensor.grad is not None}
    assert taught == {"student_background", "student_snow", "labelled_background"}


# --- the ultra-positive


def _mixture(*means: float, spread: float = 0.05) -> Mixture:
    count = len(means)
    return Mixture(
        np.full(count, 1 / count),
        np.array(means)[:, None],
        np.full((count, 1, 1), spread**2),
    )


def test_the_divergence_of_two_gaussians_is_the_closed_form() -> None:
    p, q = _mixture(0.2, spread=0.05), _mixture(0.3, spread=0.1)
    expected = math.log(0.1 / 0.05) + (0.05**2 + 0.1**2) / (2 * 0.1**2) - 0.5
    assert losses.divergence(p, q) == pytest.approx(expected, rel=1e-4)
    assert losses.divergence(p, p) == 0


def test_the_divergence_of_mixtures_is_scipys_integral() -> None:
    p, q = _mixture(0.1, 0.3, 0.7), _mixture(0.2, 0.5, 0.6, spread=0.08)

    def term(x: float) -> float:
        ours, theirs = (float(m.log_density(np.array([[x]]))[0]) for m in (p, q))
        return math.exp(ours) * (ours - theirs)

    expected = integrate.quad(term, -0.4, 1.2, points=[0.1, 0.3, 0.7], limit=200)[0]
    assert losses.divergence(p, q) == pytest.approx(expected, rel=1e-4)


def test_the_ultra_positive_is_the_snow_that_was_drawn_from_the_same_distribution() -> None:
    def drawn(centre: float, seed: int) -> NDArray[np.float64]:
        random = np.random.default_rng(seed)
        return np.abs(random.normal(centre, 0.05, (2000, 1)))

    real = losses.fit_snow(drawn(0.3, 0))
    synthetic = [losses.fit_snow(drawn(centre, 1)) for centre in (0.1, 0.31, 0.6)]
    assert losses.ultra_positive(real, synthetic) == 1
    again = losses.fit_snow(drawn(0.3, 0))
    assert np.array_equal(again.means, real.means)
    with pytest.raises(InputError, match="no synthetic snow"):
        losses.ultra_positive(real, [])


def test_snow_that_is_nowhere_still_has_a_distribution() -> None:
    """Before training the snow features are 0 everywhere."""
    magnitudes = losses.snow_magnitude(torch.zeros(3, 4, 40, 40))
    assert np.isfinite(losses.fit_snow(magnitudes).log_density(magnitudes)).all()


def test_the_magnitude_of_snow_is_its_mean_over_channels() -> None:
    snow = _pictures(3, 4, 10, 10) - 0.5
    magnitudes = losses.snow_magnitude(snow)
    assert np.allclose(magnitudes[:, 0], np.abs(snow.double().numpy()).mean(axis=1).ravel())
    assert losses.snow_magnitude(_pictures(3, 4, 100, 100)).shape == (4096, 1)
