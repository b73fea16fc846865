"""Decoded pictures become RGB by the formulas of the standards, rounded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.media.decoding import picture_rule

# Luma coefficients of red and blue: ITU-R BT.709, BT.601, BT.2020; and their numbers in H.273.
LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
TAGS = {"bt709": 1, "bt601": 6, "bt2020": 9}
LIMITED, FULL = 1, 2


def flat_frame(pixels: str, values: tuple[int, ...], height: int = 32, **tags: int) -> Any:
    frame = av.VideoFrame(32, height, pixels)
    deep = max(component.bits for component in frame.format.components) > 8
    for plane, value in zip(frame.planes, values, strict=True):
        count = plane.buffer_size // (2 if deep else 1)
        plane.update(np.full(count, value, np.uint16 if deep else np.uint8).tobytes())
    for name, tag in tags.items():
        setattr(frame, name, tag)
    return frame


def rgb(frame: Any) -> NDArray[np.float64]:
    pixels = picture_rule(frame, Path("clip")).to_rgb(frame, VideoReformatter())
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[0, 0]).all()
    return pixels[0, 0].astype(float)


def closed_form(
    values: NDArray[np.int64], bits: int, matrix: str, limited: bool
) -> NDArray[np.float64]:
    """Y'CbCr to R'G'B' of BT.709 section 3 and its kin, in 0..255."""
    step = 1 << (bits - 8)
    black, luma, chroma = (
        (16 * step, 219 * step, 224 * step) if limited else (0, *[2**bits - 1] * 2)
    )
    y = (values[0] - black) / luma
    blue, red = ((value - 128 * step) / chroma for value in values[1:])
    kr, kb = LUMA[matrix]
    r, b = y + 2 * (1 - kr) * red, y + 2 * (1 - kb) * blue
    return np.clip(255 * np.array([r, (y - kr * r - kb * b) / (1 - kr - kb), b]), 0, 255)


@pytest.mark.parametrize("limited", [True, False], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize(
    ("pixels", "bits"),
    [("yuv444p", 8), ("yuv420p10le", 10), ("yuv422p10le", 10), ("yuv420p12le", 12)],
)
def test_colours_follow_the_standard_to_half_a_level(
    pixels: str, bits: int, matrix: str, limited: bool
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(2 ** (bits - 2), 3 * 2 ** (bits - 2), 3)
        frame = flat_frame(
            pixels,
            tuple(values.tolist()),
            colorspace=TAGS[matrix],
            color_range=LIMITED if limited else FULL,
        )
        assert np.abs(rgb(frame) - closed_form(values, bits, matrix, limited)).max() < 0.55


@pytest.mark.parametrize(
    ("pixels", "white"),
    [
        ("yuv420p", (235, 128, 128)),
        ("yuvj420p", (255, 128, 128)),
        ("yuv420p10le", (940, 512, 512)),
        ("gbrp10le", (1023, 1023, 1023)),
        ("gray16le", (65535,)),
        ("gray", (255,)),
    ],
)
def test_white_is_255(pixels: str, white: tuple[int, ...]) -> None:
    assert rgb(flat_frame(pixels, white)).tolist() == [255, 255, 255]


@pytest.mark.parametrize(("height", "matrix"), [(718, "bt601"), (720, "bt709")])
def test_untagged_video_is_read_by_its_height_and_says_so(height: int, matrix: str) -> None:
    rule = picture_rule(flat_frame("yuv444p", (100, 90, 160), height=height), Path("clip"))
    assert (rule.matrix_name, rule.assumed) == (matrix, True)
    expected = closed_form(np.array([100, 90, 160]), 8, matrix, limited=True)
    frame = flat_frame("yuv444p", (100, 90, 160), height=height)
    assert np.abs(rgb(frame) - expected).max() < 0.55


def test_a_tag_is_believed_whatever_the_height() -> None:
    rule = picture_rule(flat_frame("yuv420p", (99, 99, 99), height=16, colorspace=1), Path("clip"))
    assert (rule.matrix_name, rule.assumed) == ("bt709", False)


def test_rgb_and_grey_need_no_matrix() -> None:
    for pixels, kind in (("gbrp", "rgb"), ("gray", "grey")):
        frame = flat_frame(pixels, (7,) * len(av.VideoFrame(2, 2, pixels).planes))
        rule = picture_rule(frame, Path("clip"))
        assert (rule.matrix_name, rule.full_range, rule.assumed) == (kind, True, False)


def test_constant_luminance_is_refused_by_its_number() -> None:
    with pytest.raises(InputError, match=r"clip has colour matrix 10 \(H\.273\)"):
        picture_rule(flat_frame("yuv420p", (9, 9, 9), colorspace=10), Path("clip"))


def test_float_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="32 bits a channel"):
        picture_rule(av.VideoFrame(8, 8, "gbrpf32le"), Path("clip"))
