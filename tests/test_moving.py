"""Photographs under a moving camera: where it looks, that it stays inside, that it is smooth."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.ndimage import map_coordinates

from rvsd_bench.cli.samples import samples as command
from rvsd_bench.errors import InputError
from rvsd_bench.files import sha256_file
from rvsd_bench.media.images import write_png
from rvsd_bench.media.moving import CAMERAS, MovingPhotograph, Views, film, write_moving
from rvsd_bench.media.reading import read_clip
from rvsd_bench.seeds import stream

SIZE = (90, 160)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    noise = stream(3, "photograph").random((30, 44, 3))
    pixels = np.clip(cv2.resize(noise, (440, 300), interpolation=cv2.INTER_CUBIC), 0, 1)
    path = tmp_path_factory.mktemp("photographs") / "hill.png"
    write_png(path, (255 * pixels).astype(np.uint8))
    return path


def shifts(clip: MovingPhotograph) -> np.ndarray:
    """Return how far OpenCV finds the picture to move from each frame to the next, in pixels."""
    grey = [frame.mean(axis=2).astype(np.float64) for frame in clip]
    return np.array([cv2.phaseCorrelate(a, b)[0] for a, b in pairwise(grey)])


@pytest.mark.parametrize("camera", CAMERAS)
def test_no_view_leaves_the_photograph_or_magnifies_it(photograph: Path, camera: str) -> None:
    for seed in range(25):
        clip = film(photograph, camera=camera, size=SIZE, seed=seed)
        corners = clip.views.corners(SIZE)
        height, width = clip.photograph.shape[:2]
        assert corners.min() >= 1
        assert corners[..., 0].max() <= width - 1
        assert corners[..., 1].max() <= height - 1
        assert clip.views.scales.min() >= 0.99


def test_a_frame_is_the_mean_of_what_its_pixels_see() -> None:
    """SciPy's splines sampled at 8 x 8 points of each pixel are the witness."""
    rough = stream(4, "photograph").random((20, 24, 3))
    photo = 255 * np.clip(cv2.resize(rough, (240, 200), interpolation=cv2.INTER_CUBIC), 0, 1)
    photo = photo.astype(np.uint8)
    views = Views(np.array([[118.3, 96.7]]), np.array([0.09]), np.array([1.7]))
    frame = MovingPhotograph(photo, views, "made", (48, 64))[0]
    parts = (np.arange(8) + 0.5) / 8
    y, x = (grid.astype(float) for grid in np.mgrid[0:48, 0:64])
    seen = []
    for dy in parts:
        for dx in parts:
            across, down = 1.7 * (x + dx - 32), 1.7 * (y + dy - 24)
            u = 118.3 + np.cos(0.09) * across - np.sin(0.09) * down - 0.5
            v = 96.7 + np.sin(0.09) * across + np.cos(0.09) * down - 0.5
            seen.append([map_coordinates(photo[..., c].astype(float), [v, u]) for c in range(3)])
    expected = np.moveaxis(np.mean(seen, axis=0), 0, -1)
    assert np.abs(frame - expected).mean() < 0.5
    assert np.abs(frame - expected).max() < 4


def test_a_pan_goes_one_way_and_a_hand_trembles_about_a_place(photograph: Path) -> None:
    across = np.stack(
        [shifts(film(photograph, camera="pan", size=SIZE, seed=seed))[:, 0] for seed in range(4)]
    )
    assert (np.abs(np.sign(across).sum(axis=1)) >= 21).all()  # 23 steps
    steps = shifts(film(photograph, camera="handheld", size=SIZE, seed=1))
    assert 0.02 < np.abs(steps).mean() < 1.5
    assert np.abs(steps.sum(axis=0)).max() < np.abs(steps).sum(axis=0).max()


def test_a_drive_spreads_the_picture_from_a_point_inside(photograph: Path) -> None:
    views = film(photograph, camera="drive", size=SIZE, seed=2).views
    assert views.scales[-1] < 0.93 * views.scales[0]
    first, last = views.maps(SIZE)[[0, -1]]
    # The point of the photograph that both frames show at one place:
    place = np.linalg.solve(first[:, :2] - last[:, :2], last[:, 2] - first[:, 2])
    assert (place > 0).all()
    assert (place < (SIZE[1], SIZE[0])).all()


@pytest.mark.parametrize("camera", CAMERAS)
def test_no_camera_jerks(photograph: Path, camera: str) -> None:
    """Accelerations of a hand that sways below 4 Hz are far smaller than the way itself."""
    way = film(photograph, camera=camera, size=SIZE, frames=50, seed=5).views.centres
    assert np.abs(np.diff(way, 2, axis=0)).max() < 0.35 * np.ptp(way, axis=0).max()


def test_auto_draws_every_camera_and_one_seed_one_clip(photograph: Path) -> None:
    drawn = {film(photograph, size=SIZE, seed=seed).facts["camera"] for seed in range(12)}
    assert drawn == set(CAMERAS)
    one, same, other = (film(photograph, size=SIZE, seed=seed)[7] for seed in (6, 6, 7))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_clip_is_written_losslessly_with_what_is_known(photograph: Path, tmp_path: Path) -> None:
    clip = film(photograph, size=SIZE, frames=5, seed=1)
    video = write_moving(clip, tmp_path / "out", author="A. Name", licence="CC0-1.0")
    assert all(np.array_equal(a, b) for a, b in zip(read_clip(video), clip, strict=True))
    known = json.loads(video.with_suffix(".json").read_text())
    assert known["author"] == "A. Name"
    assert known["licence"] == "CC0-1.0"
    assert known["photograph"] == "hill.png"


def test_a_small_photograph_is_refused_with_the_size_needed(photograph: Path) -> None:
    with pytest.raises(InputError, match=r"hill.png is 440 x 300 pixels; this camera needs \d+ x"):
        film(photograph, size=(360, 640))
    with pytest.raises(InputError, match="no camera named 'crane'"):
        film(photograph, camera="crane", size=SIZE)


def test_the_command_writes_the_same_bytes_again(photograph: Path, tmp_path: Path) -> None:
    options = ["--camera", "pan", "--frames", "4", "--size", "160x90", "--json"]
    made = []
    for name in ("a", "b"):
        ran = CliRunner().invoke(
            command, ["move", str(photograph), "--out", str(tmp_path / name), *options]
        )
        assert ran.exit_code == 0, ran.output
        made += json.loads(ran.stdout)
    assert sha256_file(Path(made[0])) == sha256_file(Path(made[1]))
    assert len(read_clip(made[0])) == 4
