"""The two tables against the standard's own numbers and against each other."""

from __future__ import annotations

import hashlib

import numpy as np
from skimage.color import rgb2xyz

from rvsd_bench.colour import decode_srgb, enc8, encode_srgb, lin16


def test_every_8_bit_value_survives_the_round_trip() -> None:
    assert np.array_equal(enc8()[lin16()], np.arange(256))


def test_linear_light_equals_what_another_library_computes() -> None:
    grey = np.repeat(np.linspace(0, 1, 256)[:, None, None], 3, axis=2)
    luminance = rgb2xyz(grey)[..., 1].ravel()  # its matrix gives Y = 1 for white
    assert np.abs(decode_srgb(np.linspace(0, 1, 256)) - luminance).max() < 1e-6


def test_middle_grey_has_the_published_linear_value() -> None:
    assert abs(decode_srgb(np.array([0.5]))[0] - 0.21404114) < 1e-8
    assert abs(encode_srgb(np.array([0.21404114]))[0] - 0.5) < 1e-8


def test_encoding_rounds_to_the_nearest_level() -> None:
    exact = 255 * encode_srgb(np.arange(65536) / 65535)
    assert np.abs(enc8() - exact).max() <= 0.5 + 1e-9


def test_the_tables_are_the_ones_that_every_stored_dataset_was_made_with() -> None:
    digest = hashlib.sha256(lin16().tobytes() + enc8().tobytes()).hexdigest()
    assert digest == "f584aa1e11976a4c98d36fc0f0f4e010ee86e5b1a192eef8d6d97b81201e273f"
