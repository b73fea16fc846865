"""Find which face every sample of a picture sees, and how far away it is, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rvsd_bench.generators.street.mesh import Mesh
from rvsd_bench.generators.street.surfaces import LEAVES

Array = NDArray[np.float64]

NEAR_M = 0.2
NOTHING = -1
EDGE_ON = 0.25


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion or roll, in a world of x right, y up, z forward."""

    place_m: tuple[float, float, float]
    pitch_rad: float
    focal_px: float
    size: tuple[int, int]

    def finer(self, factor: int) -> Pinhole:
        """Return the same view with `factor` samples along each side of a pixel."""
        height, width = self.size
        return Pinhole(
            self.place_m, self.pitch_rad, self.focal_px * factor, (height * factor, width * factor)
        )

    @property
    def turn(self) -> Array:
        """The matrix from the world's axes to the camera's (x right, y down, z forward)."""
        c, s = np.cos(self.pitch_rad), np.sin(self.pitch_rad)
        return np.array([[1, 0, 0], [0, -c, -s], [0, -s, c]])


def in_view(mesh: Mesh, camera: Pinhole) -> tuple[Array, Array]:
    """Return the corners in the camera's axes, float64 [F, 4, 3], and each face's forms [F, 4, 3].

    A form w belongs to a linear function of the ray r = ((u - W/2) / f, (v - H/2) / f, 1) through a
    pixel (u, v): forms 0 is 1/z = w0 · r; forms 1 and 2 are the texture's gradients, so that its
    coordinates are (w1 · r) z - w1 · corner 0, likewise w2; form 3 is the unit normal.
    """
    turn = camera.turn
    corners = (mesh.corners - np.asarray(camera.place_m)) @ turn.T
    along = mesh.along @ turn.T
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    distance = np.einsum("fi,fi->f", normal, corners[:, 0])
    edge_on = np.abs(distance) < 1e-6
    plane = normal / np.where(edge_on, np.inf, distance)[:, None]
    return corners, np.stack([plane, along[:, 0], along[:, 1], normal], axis=1)


def look(
    mesh: Mesh, camera: Pinhole, opacity: NDArray[np.float32], cut_out: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], Array, Array, Array]:
    """Return the face [H, W] (-1: none) and 1/z [H, W] (0: none) seen through each pixel's centre.

    Also returns what `in_view` does. `opacity`, float32 [textures, S, S], is tested for the
    textures marked in `cut_out`, bool [textures].
    """
    corners, forms = in_view(mesh, camera)
    tested = cut_out[mesh.texture]
    middle = corners.mean(axis=1)
    facing = np.abs(np.einsum("fi,fi->f", forms[:, 3], middle)) / np.linalg.norm(middle, axis=1)
    corners[(mesh.texture == LEAVES) & (facing < EDGE_ON)] = (
        0.0  # leaves seen edge-on would smear into needles
    )
    seen = np.full(camera.size, NOTHING, np.int32)
    inverse_z = np.zeros(camera.size)
    _draw(
        corners, forms, mesh.texture, tested, opacity, camera.focal_px,
        seen, inverse_z,
    )  # fmt: skip
    return seen, inverse_z, corners, forms


@njit(cache=True, error_model="numpy")
def _draw(  # type: ignore[no-untyped-def]
    corners, forms, texture, tested, opacity, focal, seen, inverse_z
):
    height, width = seen.shape
    outline = np.empty((6, 2))
    for face in range(len(corners)):
        count = _project(corners[face], focal, width, height, outline)
        if count < 3:
            continue
        top = max(0, int(np.ceil(outline[:count, 1].min() - 0.5)))
        bottom = min(height, int(np.ceil(outline[:count, 1].max() - 0.5)))
        for row in range(top, bottom):
            left, right = _span(outline, count, row + 0.5)
            first, last = max(0, int(np.ceil(left - 0.5))), min(width, int(np.ceil(right - 0.5)))
            if first < last:
                _fill(
                    face, forms[face], corners[face, 0], tested[face], opacity[texture[face]],
                    focal, row, first, last, seen, inverse_z,
                )  # fmt: skip


@njit(cache=True, error_model="numpy")
def _project(corners, focal, width, height, outline):  # type: ignore[no-untyped-def]
    """Cut a face at the near plane and project it; return the corners left, 0 if out of view."""
    nearest, furthest = corners[:, 2].min(), corners[:, 2].max()
    if furthest < NEAR_M:
        return 0
    count = 0
    for k in range(4):
        a, b = corners[k], corners[(k + 1) % 4]
        if a[2] >= NEAR_M:
            outline[count, 0] = focal * a[0] / a[2] + width / 2
            outline[count, 1] = focal * a[1] / a[2] + height / 2
            count += 1
        if (a[2] < NEAR_M) != (b[2] < NEAR_M) and nearest < NEAR_M:
            part = (NEAR_M - a[2]) / (b[2] - a[2])
            outline[count, 0] = focal * (a[0] + part * (b[0] - a[0])) / NEAR_M + width / 2
            outline[count, 1] = focal * (a[1] + part * (b[1] - a[1])) / NEAR_M + height / 2
            count += 1
    x, y = outline[:count, 0], outline[:count, 1]
    if x.max() < 0 or y.max() < 0 or x.min() > width or y.min() > height:
        return 0
    return count


@njit(cache=True, error_model="numpy")
def _span(outline, count, y):  # type: ignore[no-untyped-def]
    """Return where a horizontal line enters and leaves a convex outline."""
    left, right = np.inf, -np.inf
    for k in range(count):
        a, b = k, (k + 1) % count
        if outline[a, 1] > outline[b, 1]:  # the same order for both faces at an edge: no gaps
            a, b = b, a
        if outline[a, 1] <= y < outline[b, 1]:
            part = (y - outline[a, 1]) / (outline[b, 1] - outline[a, 1])
            x = outline[a, 0] + part * (outline[b, 0] - outline[a, 0])
            left, right = min(left, x), max(right, x)
    return left, right


@njit(cache=True, error_model="numpy")
def _fill(  # type: ignore[no-untyped-def]
    face, forms, corner, tested, opacity, focal, row, first, last, seen, inverse_z
):
    height, width = seen.shape
    ray_y = (row + 0.5 - height / 2) / focal
    side = len(opacity)
    for column in range(first, last):
        ray_x = (column + 0.5 - width / 2) / focal
        near = forms[0, 0] * ray_x + forms[0, 1] * ray_y + forms[0, 2]
        if near <= inverse_z[row, column]:
            continue
        if tested:
            x, y, z = ray_x / near - corner[0], ray_y / near - corner[1], 1 / near - corner[2]
            u = forms[1, 0] * x + forms[1, 1] * y + forms[1, 2] * z
            v = forms[2, 0] * x + forms[2, 1] * y + forms[2, 2] * z
            if opacity[int(v * side) % side, int(u * side) % side] < 0.5:
                continue
        inverse_z[row, column] = near
        seen[row, column] = face
