"""Build scenes from flat faces with textures laid on them in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Flat convex faces of four corners (a triangle repeats its last), x right, y up, z forward."""

    corners: Array
    """float64 [F, 4, 3], metres."""
    along: Array
    """float64 [F, 2, 3]: texture coordinates (u, v) of a point p are along · (p - corner 0)."""
    texture: NDArray[np.int64]
    """int64 [F]: which of the textures of `surfaces`."""
    tint: Array
    """float64 [F, 3]: linear RGB that the texture is multiplied by."""

    def __len__(self) -> int:
        return len(self.corners)

    def moved(self, offset: ArrayLike, *, turned: bool = False) -> Mesh:
        """Return the mesh elsewhere; `turned` turns it half round the vertical first."""
        turn = np.array([-1.0, 1.0, -1.0]) if turned else np.ones(3)
        return replace(
            self, corners=self.corners * turn + np.asarray(offset), along=self.along * turn
        )

    def mirrored(self) -> Mesh:
        """Return the mesh with left and right exchanged."""
        flip = np.array([-1.0, 1.0, 1.0])
        return replace(self, corners=self.corners * flip, along=self.along * flip)


def vector(x: float, y: float, z: float) -> Array:
    """Return a place or an offset in metres, float64 [3]."""
    return np.array([x, y, z], np.float64)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Return all faces of several meshes in one."""
    return Mesh(
        np.concatenate([mesh.corners for mesh in meshes]),
        np.concatenate([mesh.along for mesh in meshes]),
        np.concatenate([mesh.texture for mesh in meshes]),
        np.concatenate([mesh.tint for mesh in meshes]),
    )


def faces(
    corners: ArrayLike, texture: int, tint: ArrayLike, *, tile_m: float | None = None
) -> Mesh:
    """Return faces from their corners [F, 4, 3].

    The texture covers each face once from corner 0 towards corners 1 (u) and 3 (v), or repeats
    every `tile_m` metres.
    """
    points = np.asarray(corners, np.float64).reshape(-1, 4, 3)
    along = np.stack([points[:, 1] - points[:, 0], points[:, 3] - points[:, 0]], axis=1)
    length = np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-6)
    along = along / length**2 if tile_m is None else along / length / tile_m
    count = len(points)
    tints = np.broadcast_to(np.asarray(tint, np.float64), (count, 3)).copy()
    return Mesh(points, along, np.full(count, texture), tints)


def quads(
    origin: ArrayLike,
    right: ArrayLike,
    up: ArrayLike,
    texture: int,
    tint: ArrayLike,
    *,
    tile_m: float | None = None,
) -> Mesh:
    """Return parallelograms, each from an origin [F, 3] and its two edges (broadcast)."""
    start, u, v = np.broadcast_arrays(
        *(np.atleast_2d(np.asarray(part, np.float64)) for part in (origin, right, up))
    )
    return faces(
        np.stack([start, start + u, start + u + v, start + v], axis=1), texture, tint, tile_m=tile_m
    )


def boxes(
    low: ArrayLike, high: ArrayLike, texture: int, tint: ArrayLike, *, tile_m: float | None = None
) -> Mesh:
    """Return upright boxes between opposite corners [N, 3], without their undersides."""
    a, b = np.broadcast_arrays(np.atleast_2d(np.asarray(low)), np.atleast_2d(np.asarray(high)))
    size = (b - a).astype(np.float64)
    x, y, z = (size * np.eye(3)[axis] for axis in range(3))
    sides = [(a, x, y), (a + z, x, y), (a, z, y), (a + x, z, y), (a + y, x, z)]
    count = len(a)
    tints = np.broadcast_to(np.asarray(tint, np.float64), (count, 3))
    return join([quads(o, u, v, texture, tints, tile_m=tile_m) for o, u, v in sides])


def prism(
    start: ArrayLike,
    end: ArrayLike,
    radius: tuple[float, float],
    texture: int,
    tint: ArrayLike,
    *,
    sides: int = 6,
) -> Mesh:
    """Return a tapered rod from `start` to `end` with the two radii in metres."""
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    axis = (b - a) / np.linalg.norm(b - a)
    across = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    other = np.cross(axis, across)
    angle = 2 * np.pi * np.arange(sides + 1) / sides
    ring = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * other
    low, high = a + radius[0] * ring, b + radius[1] * ring
    return faces(
        np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1), texture, tint, tile_m=1.0
    )
