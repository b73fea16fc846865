"""Depth: the ground plane, edges, files, and everything that is no depth map."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators.aligning import edge_align
from rvsd_bench.generators.depth import (
    WALLS_M,
    ground_plane,
    resolve_depth,
    side_walls,
)  # fmt: skip
from rvsd_bench.generators.haze import depth_index
from rvsd_bench.guided import guided_filter
from rvsd_bench.media.images import write_png
from rvsd_bench.media.reading import read_clip
from rvsd_bench.seeds import stream

H, W = 48, 64


def grey_clip(frames: int = 3, noise: float = 0.0) -> ArrayClip:
    values = 120 + noise * (stream("depth clip").random((frames, H, W, 3)) - 0.5)
    return ArrayClip(values.astype(np.uint8))


def ramp_depth() -> NDArray[np.float32]:
    return np.linspace(2, 60, H * W, dtype=np.float32).reshape(H, W)


@pytest.mark.parametrize("z", [4.0, 9.5, 31.0])
def test_a_point_on_the_road_has_its_own_depth_where_it_is_seen(z: float) -> None:
    focal, height, horizon = 300.0, 1.5, 0.45
    point = np.array([-0.7, height, z])  # x right, y down, z forward of the camera
    u, v = focal * point[:2] / point[2] + [160, horizon * 240]
    plane = ground_plane((240, 320), focal, height, horizon, 1e4)
    row = int(v)
    above, below = (
        plane[row - 1 : row + 1, int(u)] if v - row < 0.5 else plane[row : row + 2, int(u)]
    )
    part = (v - 0.5) % 1  # between the centres of the two rows; 1 / z is linear in the row
    assert 1 / ((1 - part) / above + part / below) == pytest.approx(z, rel=1e-5)


def test_the_road_is_farther_the_higher_and_ends_at_the_far_limit() -> None:
    plane = ground_plane((100, 8), 90.0, 1.5, 0.45, 70.0)
    assert (np.diff(plane[:, 0]) <= 0).all()
    assert (plane[:45] == 70).all()
    assert plane[99, 0] == pytest.approx(90 * 1.5 / (99.5 - 45))


def test_a_point_on_a_wall_has_its_own_depth_where_it_is_seen() -> None:
    walls = side_walls((4, 200), 180.0, 1e4)
    z = 180.0 * WALLS_M / 60.5  # a point of the wall at x = WALLS_M that is seen 60.5 px right
    assert walls[2, 160] == pytest.approx(z)
    assert walls[2, 39] == pytest.approx(z)


def test_the_guided_filter_is_the_mean_of_all_windows_local_fits() -> None:
    random, radius, eps = stream("guided"), 2, 1e-2
    guide, source = random.random((2, 15, 15)).astype(np.float32)
    fits = np.zeros((15, 15, 2))
    for y in range(radius, 15 - radius):
        for x in range(radius, 15 - radius):
            box = np.s_[y - radius : y + radius + 1, x - radius : x + radius + 1]
            g, s = guide[box].ravel(), source[box].ravel()
            slope = np.mean((g - g.mean()) * (s - s.mean())) / (g.var() + eps)
            fits[y, x] = slope, s.mean() - slope * g.mean()
    slope, offset = fits[5:10, 5:10].mean(axis=(0, 1))
    filtered = guided_filter(guide, source, radius=radius, eps=eps)
    assert filtered[7, 7] == pytest.approx(slope * guide[7, 7] + offset, abs=1e-5)


def test_a_step_of_depth_moves_to_the_edge_of_the_picture() -> None:
    frame = np.full((H, W, 3), 30, np.uint8)
    frame[:, 32:] = 220
    depth = np.where(np.arange(W) < 30, np.float32(5), np.float32(40)) * np.ones((H, 1), np.float32)
    aligned = edge_align(depth, frame, 50.0)[H // 2]
    steps = np.abs(np.diff(1 / aligned))
    assert steps.argmax() == 31
    assert aligned[10] == pytest.approx(5, rel=0.02)
    assert aligned[-10] == pytest.approx(40, rel=0.05)


def test_lines_found_at_half_the_size_follow_the_same_edges() -> None:
    """Against a bright sky stands a wall whose coarse depth ends 6 pixels beside its edge."""
    wall = np.arange(640) < 300
    frame = np.repeat(np.where(wall, 60, 200).astype(np.uint8)[None, :, None], 3, 2)
    frame = np.repeat(frame, 360, 0)
    far = np.where(np.arange(640) < 306, 10.0, 50.0).astype(np.float32)
    full = edge_align(np.repeat(far[None], 360, 0), frame, 50.0)
    half = edge_align(np.repeat(far[None, ::2], 180, 0), frame, 50.0)
    assert half.shape == full.shape == (360, 640)
    clear = np.abs(np.arange(640) - 300) > 1  # beside the one column where both brightnesses mix
    assert np.abs(1 / half - 1 / full)[:, clear].max() < 0.05 * (1 / 10 - 1 / 50)
    assert np.abs(np.diff(1 / half[180])).argmax() == 299


def test_the_steps_that_rendering_takes_are_what_the_metres_round_to() -> None:
    source = resolve_depth(grey_clip(1, noise=60), "ground")
    levels = source.levels(0)  # type: ignore[attr-defined]
    assert (levels == depth_index(source.at(0), source.far_m)).all()
    assert len(np.unique(levels)) > 50


def test_the_ground_is_steady_under_the_noise_of_a_fixed_camera() -> None:
    source = resolve_depth(grey_clip(8, noise=8), "ground")
    haze = np.exp(-0.02 * np.stack([source.at(i) for i in range(8)]))
    assert haze.std(axis=0).max() < 0.004  # one level of 255 at full contrast


def test_sky_is_far_and_what_stands_beside_the_road_is_not() -> None:
    frame = np.full((90, 160, 3), 60, np.uint8)
    frame[:40, :100] = (205, 215, 230)
    source = resolve_depth(ArrayClip(frame[None]), "ground")
    depth = source.at(0)
    assert depth[5, 10] == pytest.approx(source.far_m, rel=0.02)
    assert depth[5, 155] < 0.5 * source.far_m


def test_constant_depth_is_constant() -> None:
    source = resolve_depth(grey_clip(), "constant:12.5")
    assert (source.at(1) == 12.5).all()
    assert source.far_m == 12.5


@pytest.mark.parametrize("number", ["0", "-3", "nan", "near", "5001", "1e300"])
def test_a_constant_that_is_no_distance_is_refused(number: str) -> None:
    with pytest.raises(InputError, match="metres above 0 and up to 5000"):
        resolve_depth(grey_clip(), f"constant:{number}")


def test_a_png_holds_millimetres(tmp_path: Path) -> None:
    write_png(tmp_path / "d.png", np.full((H, W), 12_345, np.uint16))
    assert resolve_depth(grey_clip(), str(tmp_path / "d.png")).at(2)[0, 0] == np.float32(12.345)


def test_the_unit_of_a_png_can_be_given(tmp_path: Path) -> None:
    write_png(tmp_path / "d.png", np.full((H, W), 2560, np.uint16))
    source = resolve_depth(grey_clip(), f"{tmp_path / 'd.png'}?units_per_m=256")
    assert (source.at(0) == 10).all()
    with pytest.raises(InputError, match="units_per_m"):
        resolve_depth(grey_clip(), f"{tmp_path / 'd.png'}?units_per_m=0")


def test_an_npy_holds_metres(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", ramp_depth().astype(np.float64))
    assert np.array_equal(resolve_depth(grey_clip(), str(tmp_path / "d.npy")).at(0), ramp_depth())


def exr_of(depth: NDArray[np.float32], **options: str) -> bytes:
    """Return an EXR file as FFmpeg writes it."""
    height, width = depth.shape
    coder: Any = av.CodecContext.create("exr", "w")
    coder.width, coder.height, coder.pix_fmt = width, height, "grayf32le"
    coder.options, coder.time_base = options, Fraction(1, 25)
    frame = av.VideoFrame(width, height, "grayf32le")
    padded = np.zeros((height, frame.planes[0].line_size // 4), np.float32)
    padded[:, :width] = depth
    frame.planes[0].update(padded)
    return b"".join(bytes(packet) for packet in coder.encode(frame) + coder.encode(None))


@pytest.mark.parametrize("compression", ["none", "zip1", "zip16"])
@pytest.mark.parametrize(("kind", "tolerance"), [("float", 0.0), ("half", 1e-3)])
def test_an_exr_holds_metres(tmp_path: Path, compression: str, kind: str, tolerance: float) -> None:
    data = exr_of(ramp_depth(), compression=compression, format=kind)
    (tmp_path / "d.exr").write_bytes(data)
    depth = resolve_depth(grey_clip(), str(tmp_path / "d.exr")).at(0)
    assert np.allclose(depth, ramp_depth(), rtol=tolerance, atol=0)
    for damaged in (data[:-200], data[: len(data) // 3], data[:40], b""):
        (tmp_path / "d.exr").write_bytes(damaged)
        with pytest.raises(InputError, match=r"d\.exr is not a readable EXR file"):
            resolve_depth(grey_clip(), str(tmp_path / "d.exr"))


def test_an_exr_that_is_packed_otherwise_says_how_to_save_it(tmp_path: Path) -> None:
    (tmp_path / "d.exr").write_bytes(exr_of(ramp_depth(), compression="rle"))
    with pytest.raises(InputError, match="save with zip or none"):
        resolve_depth(grey_clip(), str(tmp_path / "d.exr"))


def test_one_map_per_frame_in_natural_order(tmp_path: Path) -> None:
    for i in range(11):
        np.save(tmp_path / f"{i}.npy", np.full((H, W), i + 1.0))
    source = resolve_depth(grey_clip(11), str(tmp_path))
    assert [source.at(i)[0, 0] for i in (1, 2, 10)] == [2, 3, 11]


def test_zero_nan_and_infinity_are_sky_and_nothing_is_beyond_it(tmp_path: Path) -> None:
    depth = ramp_depth()
    depth[0, :4] = 0, np.nan, np.inf, 9999
    np.save(tmp_path / "d.npy", depth)
    source = resolve_depth(grey_clip(), str(tmp_path / "d.npy"), far_m=80)
    assert (source.at(0)[0, :4] == 80).all()
    assert source.at(0)[0, 4] == depth[0, 4]


def _negative(depth: NDArray[np.float32]) -> NDArray[Any]:
    return np.where(np.arange(W) == 5, -1, depth)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda depth: depth[:, 1:], r"\[48, 63\], the frames are \[48, 64\]"),
        (lambda depth: depth * np.nan, "no pixel has a finite depth"),
        (_negative, "negative depth"),
        (lambda depth: depth.astype("U8"), "one array of numbers"),
        (lambda depth: np.array([{}]), "not a readable NPY file"),
    ],
)
def test_what_is_no_depth_map_is_refused_by_name(tmp_path: Path, spoil: Any, message: str) -> None:
    np.save(tmp_path / "d.npy", spoil(ramp_depth()), allow_pickle=True)
    with pytest.raises(InputError, match=message) as caught:
        resolve_depth(grey_clip(), str(tmp_path / "d.npy"))
    assert "d.npy" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("d.npy", "d.exr", "d.png"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(InputError, match=name):
            resolve_depth(grey_clip(), str(tmp_path / name))
    with pytest.raises(InputError, match="neither auto, ground"):
        resolve_depth(grey_clip(), "grund")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no depth maps"):
        resolve_depth(grey_clip(), str(tmp_path / "empty"))


def test_a_number_of_maps_that_fits_no_clip_is_refused(tmp_path: Path) -> None:
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", ramp_depth())
    with pytest.raises(InputError, match="2 depth maps for a clip of 3 frames"):
        resolve_depth(grey_clip(3), str(tmp_path))


def test_a_part_of_a_clip_takes_the_maps_of_its_own_frames(tmp_path: Path) -> None:
    (tmp_path / "clip.depth").mkdir()
    (tmp_path / "clip").mkdir()
    for i in range(6):
        write_png(tmp_path / "clip" / f"{i}.png", np.full((H, W, 3), 9, np.uint8))
        np.save(tmp_path / "clip.depth" / f"{i}.npy", np.full((H, W), i + 1.0))
    part = read_clip(tmp_path / "clip", fps=25, start=2, stop=5)
    source = resolve_depth(part, "auto", path_of_clip=tmp_path / "clip")
    assert [source.at(i)[0, 0] for i in range(3)] == [3, 4, 5]


def test_auto_takes_the_clips_own_depth_then_maps_beside_it_then_the_ground(tmp_path: Path) -> None:
    class Known(ArrayClip):
        def depth(self, index: int) -> NDArray[np.float32]:
            return np.full(self.size, 7.0 + index, np.float32)

    clip = grey_clip()
    assert resolve_depth(Known(clip.frames)).at(2)[0, 0] == 9
    assert resolve_depth(clip, path_of_clip=tmp_path / "a.mp4").name == "ground"
    np.save(tmp_path / "a_depth.npy", ramp_depth())
    beside = resolve_depth(clip, path_of_clip=tmp_path / "a.mp4")
    assert beside.name == "files"
    assert beside.facts["path"] == "a_depth.npy"


@pytest.mark.parametrize("spec", ["ground", "constant:9", "files"])
def test_sources_travel_to_other_processes(tmp_path: Path, spec: str) -> None:
    if spec == "files":
        np.save(tmp_path / "d.npy", ramp_depth())
        spec = str(tmp_path / "d.npy")
    source = resolve_depth(grey_clip(3, noise=40), spec)
    assert np.array_equal(pickle.loads(pickle.dumps(source)).at(1), source.at(1))


def test_sky_between_leaves_is_as_far_as_the_sky_around_the_tree() -> None:
    frame = np.full((180, 320, 3), 60, np.uint8)
    frame[:90] = (150, 185, 215)
    y, x = np.mgrid[:180, :320]
    leaves = (y < 90) & (x >= 120) & (x < 200) & ((y // 6 + x // 6) % 2 == 0)
    frame[leaves] = (45, 60, 30)
    source = resolve_depth(ArrayClip(frame[None]), "ground")
    depth = source.at(0)
    gap = (y > 9) & (y < 81) & (x > 130) & (x < 190) & ~leaves & (y % 6 > 1) & (y % 6 < 4)
    gap &= (x % 6 > 1) & (x % 6 < 4)
    assert np.median(depth[gap]) > 0.5 * source.far_m
    assert np.median(depth[leaves]) < 0.25 * source.far_m


def test_hard_snow_hides_the_blue_of_the_sky_but_not_the_road_ahead() -> None:
    frame = np.full((180, 320, 3), 60, np.uint8)
    frame[:60] = (150, 185, 215)
    source = resolve_depth(ArrayClip(frame[None]), "ground")
    beta = 3.912 / 376  # the visibility of the preset heavy
    through = np.exp(-beta * source.at(0))
    assert through[10, 160] < 0.03
    assert through[90:].min() > 0.45
