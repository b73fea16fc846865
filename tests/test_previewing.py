"""Hold that a preview shows what it says: each layer in its row, clean left and snow right."""

from __future__ import annotations

from pathlib import Path

import cv2
import imageio.v3
import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import ArrayClip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.generators import Recipe, Shot, prepare, render_frame
from rvsd_bench.making.previewing import COLUMNS, contact_sheet, moving_divider, preview
from rvsd_bench.media.images import read_image, write_png

SPARSE = Recipe({"tiers": {"dust_ratio": 2.0}}, "sparse.toml")


@pytest.fixture(scope="module")
def clip() -> ArrayClip:
    """Return seven frames of a sky over a road, darker with time."""
    y, x = np.mgrid[:90, :160]
    first = np.stack([x, y, 220 - 2 * y], axis=-1)
    return ArrayClip(np.stack([np.clip(first - 4 * i, 0, 255) for i in range(7)]).astype(np.uint8))


@pytest.fixture(scope="module")
def shot(clip: ArrayClip) -> Shot:
    """Return the shot that sheet and divider draw from."""
    return prepare(clip, SPARSE, seed=0, depth="ground", motion="static")


def _cells(sheet: Frame) -> tuple[int, int, list[int], list[int]]:
    """Find the pictures: width, height, and the upper left corners by the dark gaps between."""
    busy = (sheet != np.array([18, 21, 26])).any(axis=2)
    tops, bottoms = _runs(busy[:, 300:600].mean(axis=1) > 0.95)
    lefts, rights = _runs(busy[tops[0] : bottoms[0]].mean(axis=0) > 0.95)
    return rights[0] - lefts[0], bottoms[0] - tops[0], tops, lefts


def _runs(there: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], there.astype(int), [0]]))).tolist()
    return edges[::2], edges[1::2]


def test_the_sheet_has_a_row_per_layer_and_a_column_per_time(clip: ArrayClip, shot: Shot) -> None:
    sheet = contact_sheet(clip, shot, title="a clip")
    width, height, tops, lefts = _cells(sheet)
    assert sheet.shape[1] == 1600
    assert (len(tops), len(lefts)) == (6, COLUMNS)
    assert width / height == pytest.approx(160 / 90, rel=0.01)

    def cell(row: int, column: int) -> NDArray[np.int64]:
        top, left = tops[row], lefts[column]
        return sheet[top : top + height, left : left + width].astype(np.int64)

    for column, index in enumerate((0, 3, 6)):
        frame = render_frame(shot, index, clip[index])
        for row, picture in ((0, clip[index]), (5, frame.snowy)):
            expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
            assert np.array_equal(cell(row, column), expected)
        snow, empty = cell(4, column), cell(3, column) == 0
        assert np.abs(snow[empty.all(axis=2)] - 127.5).max() <= 8  # bicubic enlargement rings
        assert np.abs(snow - 127.5).max() > 20
    transmission = cell(1, 0)[..., 0].mean(axis=1)
    assert transmission[-1] > transmission[0] + 5  # clear air before the camera, haze at the top
    air = cell(2, 0)[..., 0].mean(axis=1)
    assert air[0] > air[-1] + 20


def test_snow_that_darkens_is_darker_than_mid_grey(clip: ArrayClip) -> None:
    dim = Recipe({"tiers": {"dust_ratio": 2.0}, "light": {"airlight": [0.02, 0.02, 0.02]}}, "dim")
    shot = prepare(clip, dim, seed=0, depth="ground", motion="static")
    width, height, tops, lefts = _cells(sheet := contact_sheet(clip, shot))
    shown = sheet[tops[4] : tops[4] + height, lefts[0] : lefts[0] + width, 2].astype(float)
    S = cv2.resize(render_frame(shot, 0, clip[0]).S[..., 2], (width, height))
    assert (S < -0.02).any()
    assert (S[S < -0.02] * (shown[S < -0.02] - 127.5) > 0).all()


def test_the_divider_has_the_clean_frame_left_and_snow_right(clip: ArrayClip, shot: Shot) -> None:
    for index, picture in enumerate(moving_divider(clip, shot, 160)):
        white = np.flatnonzero((picture == 255).all(axis=(0, 2)))
        assert len(white) == 2
        left, right = white[0], white[1] + 1
        snowy = render_frame(shot, index, clip[index]).snowy
        assert np.array_equal(picture[:, :left], clip[index][:, :left])
        assert np.array_equal(picture[:, right:], snowy[:, right:])
    assert index == 6


def test_the_divider_sweeps_through_the_picture_and_back() -> None:
    frames = np.tile(np.arange(100, dtype=np.uint8)[:, None], (50, 16, 1, 3))
    clip = ArrayClip(frames, fps=10)
    shot = prepare(clip, SPARSE, seed=0, depth="ground", motion="static")
    pictures = moving_divider(clip, shot, 100)
    places = [np.flatnonzero((p == 255).all(axis=(0, 2))).mean() for p in pictures]
    assert (min(places), max(places)) == (pytest.approx(8, abs=2), pytest.approx(92, abs=2))
    assert places[0] == pytest.approx(50, abs=1)


def test_a_clip_of_one_frame_has_a_sheet_of_one_column(clip: ArrayClip) -> None:
    one = ArrayClip(clip.frames[:1])
    shot = prepare(one, SPARSE, seed=0, depth="ground", motion="static")
    assert len(_cells(contact_sheet(one, shot))[3]) == 1


@pytest.fixture
def folder(clip: ArrayClip, tmp_path: Path) -> Path:
    """Return the clip as a folder of frames."""
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(clip):
        write_png(tmp_path / "frames" / f"{index}.png", frame)
    return tmp_path / "frames"


@pytest.mark.parametrize("suffix", [".png", ".gif", ".mp4"])
def test_every_kind_of_preview_is_written(folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"look{suffix}"
    notes = preview(folder, out, recipe=SPARSE, motion="static", depth="ground", max_frames=4)
    if suffix == ".png":
        assert read_image(out).shape[1] == 1600
    else:
        pictures = imageio.v3.imread(out, plugin="pillow" if suffix == ".gif" else "pyav")
        assert pictures.shape[:3] == (4, 90, 160)
    assert notes == []


def test_the_snow_is_that_of_generate(folder: Path, tmp_path: Path) -> None:
    from rvsd_bench.making.generating import generate

    options = {"recipe": SPARSE, "motion": "static", "depth": "ground", "seed": 3}
    generate([folder], tmp_path / "set", **options)  # type: ignore[arg-type]
    preview(folder, tmp_path / "look.png", **options)  # type: ignore[arg-type]
    sheet = read_image(tmp_path / "look.png")
    width, height, tops, lefts = _cells(sheet)
    snowy = read_image(tmp_path / "set/test/snow/00000/0003.png")
    expected = cv2.resize(snowy, (width, height), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(sheet[tops[5] :, lefts[1] :][:height, :width], expected)


@pytest.mark.parametrize("name", ["look.jpg", "look", "look.avi"])
def test_another_suffix_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"ends in \.png"):
        preview(tmp_path / "nowhere", tmp_path / name)
