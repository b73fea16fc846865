"""Our rendered street: exact depth, a camera that moves as it says, the same bytes for a seed."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.errors import InputError
from rvsd_bench.generators.street.clip import SCENES, StreetClip, render_street
from rvsd_bench.generators.street.mesh import boxes, faces, join, quads
from rvsd_bench.generators.street.raster import Pinhole, look
from rvsd_bench.generators.street.sampling import pyramid, texel
from rvsd_bench.generators.street.shading import _painted
from rvsd_bench.generators.street.surfaces import SIDE, textures
from rvsd_bench.seeds import stream

SIZE = (180, 320)
SOLID = np.ones((1, 4, 4), np.float32)
WHOLE = np.zeros(1, np.bool_)


@pytest.fixture(scope="module")
def street() -> StreetClip:
    return render_street(frames=12, size=SIZE, seed=3)


def rays(clip: StreetClip) -> NDArray[np.float64]:
    """Return the ray (x right, y down, 1) of every pixel's centre, float64 [H, W, 3]."""
    height, width = clip.size
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = (u - width / 2) / clip.focal_px, (v - height / 2) / clip.focal_px
    return np.dstack([x, y, np.ones_like(x)])


def test_the_road_has_the_depth_of_a_plane_below_a_pitched_camera(street: StreetClip) -> None:
    pitch = np.arctan((0.5 - 0.45) * SIZE[0] / street.focal_px)
    down = np.array([0, np.cos(pitch), np.sin(pitch)])  # the world's down in the camera's axes
    expected = 1.5 / (rays(street) @ down)
    middle = np.s_[150:, 120:160]  # the near lane, free of cars
    assert np.allclose(street.depth(4)[middle], expected[middle], rtol=1e-4)


def test_the_corner_of_a_box_is_seen_where_it_projects_and_as_far_as_it_is() -> None:
    camera = Pinhole((0.4, 1.5, -2.0), 0.05, 300.0, (200, 300))
    mesh = boxes((1.0, 0.0, 9.0), (3.0, 2.0, 11.0), 0, (1, 1, 1))
    seen, inverse_z, _, _ = look(mesh, camera, SOLID, WHOLE)
    x, y, z = 1.0 - 0.4, 1.5 - 2.0, 9.0 + 2.0  # the near top left corner: right, down, forward
    c, s = np.cos(0.05), np.sin(0.05)
    planar = s * y + c * z
    u, v = 300 * x / planar + 150, 300 * (c * y - s * z) / planar + 100
    inside = np.s_[int(v) + 1, int(u) + 1]
    assert seen[inside] >= 0
    assert seen[int(v) - 2, int(u) + 1] < 0  # one row above the corner lies nothing
    assert seen[int(v) + 1, int(u) - 2] < 0
    assert 1 / inverse_z[inside] == pytest.approx(planar, rel=5e-3)


def test_the_nearer_face_hides_the_farther_whatever_their_order() -> None:
    camera = Pinhole((0, 0, 0), 0.0, 100.0, (40, 40))
    near = quads((-0.5, -0.5, 4), (1, 0, 0), (0, 1, 0), 0, (1, 1, 1))
    far = quads((-9, -9, 8), (18, 0, 0), (0, 18, 0), 0, (1, 1, 1))
    for mesh, first in ((join([near, far]), 0), (join([far, near]), 1)):
        seen, inverse_z, _, _ = look(mesh, camera, SOLID, WHOLE)
        assert seen[20, 20] == first
        assert inverse_z[20, 20] == 0.25
        assert inverse_z[0, 0] == 0.125


def test_faces_that_share_an_edge_leave_no_gap_and_do_not_overlap() -> None:
    camera = Pinhole((0, 0, 0), 0.0, 77.0, (64, 64))
    corner = stream("fan").random((9, 2)) * 0.2 + 0.9
    angle = 2 * np.pi * np.arange(9) / 9
    rim = np.stack([corner[:, 0] * np.cos(angle), corner[:, 1] * np.sin(angle), np.full(9, 3.0)], 1)
    hub = np.array([0.013, 0.017, 3.0])
    fan = [[hub, rim[i], rim[(i + 1) % 9], rim[(i + 1) % 9]] for i in range(9)]
    together, _, _, _ = look(faces(fan, 0, (1, 1, 1)), camera, SOLID, WHOLE)
    single = sum(
        (look(faces(part, 0, (1, 1, 1)), camera, SOLID, WHOLE)[0] >= 0).astype(int) for part in fan
    )
    assert np.max(single) == 1
    assert np.array_equal(single == 1, together >= 0)
    assert (together[24:40, 24:40] >= 0).all()


def test_a_face_that_passes_the_camera_is_cut_not_turned_over() -> None:
    camera = Pinhole((0, 1.5, 0), 0.0, 90.0, (100, 100))
    road = quads((-50, 0, -30), (100, 0, 0), (0, 0, 400), 0, (1, 1, 1))
    seen, inverse_z, _, _ = look(road, camera, SOLID, WHOLE)
    assert (seen[:50] < 0).all()
    assert (seen[52:] == 0).all()
    assert 1 / inverse_z[99, 50] == pytest.approx(90 * 1.5 / 49.5)


def test_a_coarse_texel_is_the_mean_of_the_fine_ones() -> None:
    painted = stream("texture").random((1, SIDE, SIDE, 4)).astype(np.float32)
    levels, out = pyramid(painted)[0], np.empty(4)
    texel(levels, 5.5 / 64, 2.5 / 16, 4 / SIDE, 16 / SIDE, out)  # steps of 4 by 16 texels
    block = painted[0, 2 * 16 : 3 * 16, 5 * 4 : 6 * 4]
    assert np.allclose(out, block.mean(axis=(0, 1)), atol=1 / 255)


@pytest.mark.parametrize("place", [(0.0, 0.3), (0.05, 2.4), (0.2, 17.9), (-3.0, 1.0)])
def test_a_painted_line_covers_what_a_fine_grid_says(place: tuple[float, float]) -> None:
    line, dx, dz = np.array([-0.06, 0.11, 6.0, 2.5]), 0.21, 3.4
    grid = (np.arange(2000) + 0.5) / 2000 - 0.5
    across = np.mean((place[0] + dx * grid >= line[0]) & (place[0] + dx * grid <= line[1]))
    along = np.mean((place[1] + dz * grid) % line[2] < line[3])
    assert _painted(line, *place, dx, dz) == pytest.approx(across * along, abs=2e-3)


@pytest.mark.parametrize("scene", SCENES)
def test_depth_and_motion_carry_one_frame_onto_the_next(scene: str) -> None:
    clip = render_street(frames=6, size=SIZE, scene=scene)
    depth = np.minimum(clip.depth(2), 1e6)
    move = np.array(clip.velocity_m_per_s) / clip.fps
    point = rays(clip) * depth[..., None] - move
    u = clip.focal_px * point[..., 0] / point[..., 2] + SIZE[1] / 2 - 0.5
    v = clip.focal_px * point[..., 1] / point[..., 2] + SIZE[0] / 2 - 0.5
    there = (u >= 0) & (u <= SIZE[1] - 1) & (v >= 0) & (v <= SIZE[0] - 1)
    carried = cv2.remap(clip[3], u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    error = np.abs(carried.astype(int) - clip[2]).mean(axis=2)[there]
    unmoved = np.abs(clip[3].astype(int) - clip[2]).mean(axis=2)[there]
    assert np.median(error) <= 1.5
    assert error.mean() < 0.6 * unmoved.mean()


def test_one_seed_gives_the_same_bytes_and_another_another_street(street: StreetClip) -> None:
    again = render_street(frames=12, size=SIZE, seed=3)
    other = render_street(frames=12, size=SIZE, seed=4)
    assert again[7].tobytes() == street[7].tobytes()
    assert again.depth(7).tobytes() == street.depth(7).tobytes()
    assert np.abs(other[7].astype(int) - street[7]).mean() > 5


def test_the_scenes_differ(street: StreetClip) -> None:
    avenue = render_street(frames=12, size=SIZE, seed=3, scene="avenue")
    assert set(SCENES) == {"street", "avenue"}
    assert np.abs(avenue[0].astype(int) - street[0]).mean() > 5


def test_frames_do_not_depend_on_those_before_and_travel_to_other_processes(
    street: StreetClip,
) -> None:
    copy = pickle.loads(pickle.dumps(street))
    assert len(pickle.dumps(street)) < 1000
    assert copy[11].tobytes() == street[-1].tobytes() == list(street)[11].tobytes()


def test_the_street_is_a_clip(street: StreetClip) -> None:
    clip: Clip = street
    assert (len(clip), clip.size, clip.fps, clip.name) == (12, SIZE, 25.0, "street")
    assert clip[0].shape == (*SIZE, 3)
    assert clip[0].dtype == np.uint8
    assert np.allclose(np.diff(clip.times), 0.04)
    with pytest.raises(IndexError):
        clip[12]


def test_the_street_has_sky_above_dark_road_and_nothing_is_burnt(street: StreetClip) -> None:
    frame, depth = street[0], street.depth(0)
    assert np.isinf(depth).any()
    sky, road = frame[np.isinf(depth)].mean(), frame[160:, 130:150].mean()
    assert sky > 1.6 * road
    assert (frame == 255).mean() < 0.01


def test_the_camera_moves_at_the_given_speed() -> None:
    clip = render_street(frames=3, size=SIZE, fps=10, speed_m_per_s=14)
    assert np.linalg.norm(clip.velocity_m_per_s) == pytest.approx(14)
    first, last = clip.camera(0).place_m, clip.camera(2).place_m
    assert np.subtract(last, first) == pytest.approx((0, 0, 2.8))


@pytest.mark.parametrize(
    "wrong", [{"frames": 0}, {"size": (8, 8)}, {"fps": 0.0}, {"speed_m_per_s": -1.0}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="a street needs"):
        render_street(**wrong)  # type: ignore[arg-type]


def test_an_unknown_scene_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"no scene named 'strete'.*street"):
        render_street(scene="strete")


def test_every_texture_tiles_within_range() -> None:
    painted = textures(0)
    assert painted.min() >= 0
    assert painted.max() <= 1
    seam = np.abs(painted[:, :, 0] - painted[:, :, -1])[..., :3].mean()
    inner = np.abs(painted[:, :, 100] - painted[:, :, 101])[..., :3].mean()
    assert seam < 3 * inner
