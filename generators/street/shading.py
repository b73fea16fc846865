"""Colour what the rasteriser saw: textures in the light of an overcast sky, averaged to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rvsd_bench.generators.street.mesh import Mesh
from rvsd_bench.generators.street.raster import Pinhole, look
from rvsd_bench.generators.street.sampling import texel
from rvsd_bench.generators.street.surfaces import ASPHALT, CUT_OUT, LEAVES

Array = NDArray[np.float64]

COARSE = 0.137
"""Asphalt also varies at 1 / 0.137 times its tile, so that the repetition does not show."""


class Sky(NamedTuple):
    """An overcast sky, brightest above the horizon, and the sun behind it; all linear RGB."""

    horizon: Array
    zenith: Array
    ambient: Array
    """What falls on a level face under the open sky."""
    ground: Array
    sun: Array
    to_sun: Array
    haze_per_m: float


class Road(NamedTuple):
    """Painted lines: x0, x1, period, painted length, all in metres; and a map of soft shade."""

    lines: Array
    """float64 [L, 4]."""
    paint: Array
    """float64 [L, 3]: linear RGB of each line."""
    shade: NDArray[np.float32]
    """float32 [Z, X]: how much of the sky a place on the ground sees."""
    corner: Array
    """float64 [2]: x and z of the shade map's first texel."""
    cell_m: float


@dataclass(frozen=True)
class World:
    """All that a picture of the street depends on besides the camera."""

    mesh: Mesh
    sky: Sky
    road: Road
    pyramids: NDArray[np.uint8]
    """All textures, halved again and again; see `sampling.pyramid`."""
    opacity: NDArray[np.float32]
    """float32 [textures, SIDE, SIDE], for those with holes."""
    clouds: NDArray[np.float32]
    """float32 [SIDE, SIDE]: how much brighter the sky is there, relative."""


def picture(world: World, camera: Pinhole, samples: int = 2) -> NDArray[np.float32]:
    """Return linear RGB, float32 [H, W, 3], from samples x samples rays for each pixel."""
    fine = camera.finer(samples)
    seen, inverse_z, corners, forms = look(
        world.mesh, fine, world.opacity, cut_outs(len(world.opacity))
    )
    out = np.zeros((*camera.size, 3), np.float32)
    _shade(
        seen, inverse_z, corners[:, 0], forms, world.mesh.texture, world.mesh.tint,
        world.pyramids, world.sky, world.road, world.clouds,
        fine.focal_px, camera.pitch_rad, np.asarray(camera.place_m), samples, out,
    )  # fmt: skip
    return out


def depth(world: World, camera: Pinhole) -> NDArray[np.float32]:
    """Return the planar z of what each pixel's centre sees, float32 [H, W], infinite for sky."""
    _, inverse_z, _, _ = look(world.mesh, camera, world.opacity, cut_outs(len(world.opacity)))
    with np.errstate(divide="ignore"):
        return (1 / inverse_z).astype(np.float32)


def cut_outs(count: int) -> NDArray[np.bool_]:
    """Return which of the textures have holes, bool [count]."""
    return np.isin(np.arange(count), CUT_OUT)


@njit(cache=True, error_model="numpy")
def _sky(sky, clouds, x, y, z, out):  # type: ignore[no-untyped-def]
    """Write the radiance from direction (x, y up, z) into out[3]."""
    up = max(y, 0.0)
    rise = 1 - np.exp(-3.5 * up)
    cover = 0.0
    if up > 0.02:
        cover = _cloud(clouds, x / (up + 0.12), z / (up + 0.12)) * min(1.0, 5 * (up - 0.02))
    for channel in range(3):
        base = sky.horizon[channel] + (sky.zenith[channel] - sky.horizon[channel]) * rise
        out[channel] = base * (1 + cover * (0.4 + 0.6 * rise))


@njit(cache=True, error_model="numpy")
def _cloud(clouds, x, z):  # type: ignore[no-untyped-def]
    side = len(clouds)
    a, b = x * 0.07 % 1 * side, z * 0.07 % 1 * side
    i, j = int(b), int(a)
    p, q = a - j, b - i
    i, j = i % side, j % side
    k, m = (i + 1) % side, (j + 1) % side
    return (clouds[i, j] * (1 - p) + clouds[i, m] * p) * (1 - q) + (
        clouds[k, j] * (1 - p) + clouds[k, m] * p
    ) * q


@njit(cache=True, error_model="numpy")
def _painted(line, x, z, dx, dz):  # type: ignore[no-untyped-def]
    """Return the share of the rectangle dx by dz around (x, z) that a road line covers."""
    across = (min(x + dx / 2, line[1]) - max(x - dx / 2, line[0])) / dx
    if across <= 0:
        return 0.0
    low, high = (z - dz / 2) / line[2], (z + dz / 2) / line[2]
    share = line[3] / line[2]
    covered = np.floor(high) * share + min(high - np.floor(high), share)
    covered -= np.floor(low) * share + min(low - np.floor(low), share)
    return min(across, 1.0) * covered / (high - low)


@njit(cache=True, error_model="numpy")
def _shade_map(road, x, z):  # type: ignore[no-untyped-def]
    rows, columns = road.shade.shape
    a = min(max((x - road.corner[0]) / road.cell_m - 0.5, 0.0), columns - 1.001)
    b = min(max((z - road.corner[1]) / road.cell_m - 0.5, 0.0), rows - 1.001)
    i, j = int(b), int(a)
    p, q = a - j, b - i
    s = road.shade
    return (s[i, j] * (1 - p) + s[i, j + 1] * p) * (1 - q) + (
        s[i + 1, j] * (1 - p) + s[i + 1, j + 1] * p
    ) * q


@njit(cache=True, error_model="numpy")
def _shade(  # type: ignore[no-untyped-def]
    seen, inverse_z, corner, forms, texture, tint, pyramids, sky, road, clouds,
    focal, pitch, place, samples, out,
):  # fmt: skip
    height, width = seen.shape
    cosine, sine = np.cos(pitch), np.sin(pitch)
    value, colour, world, normal, ray = (
        np.empty(4), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    )  # fmt: skip
    for row in range(height):
        ray_y = (row + 0.5 - height / 2) / focal
        for column in range(width):
            ray_x = (column + 0.5 - width / 2) / focal
            _to_world(ray_x, ray_y, 1.0, cosine, sine, ray)
            face = seen[row, column]
            if face < 0:
                length = np.sqrt(ray_x * ray_x + ray_y * ray_y + 1)
                _sky(sky, clouds, ray[0] / length, ray[1] / length, ray[2] / length, colour)
            else:
                z, form = 1 / inverse_z[row, column], forms[face]
                _to_world(form[3, 0], form[3, 1], form[3, 2], cosine, sine, normal)
                side = -1.0 if _dot(normal, ray) > 0 else 1.0
                for axis in range(3):
                    world[axis] = place[axis] + ray[axis] * z
                    normal[axis] *= side
                laid = _laid(form, corner[face], ray_x, ray_y, z, z / focal)
                texels = pyramids[texture[face]]
                gloss = _own_colour(texels, texture[face], laid, tint[face], value, colour)
                if texture[face] == ASPHALT:
                    _paint(road, value[0], world, z / focal, z * z / focal / place[1], colour)
                _light(sky, road, texture[face], world, normal, colour)
                _reflect_and_haze(ray, normal, gloss, z, sky, clouds, colour)
            for channel in range(3):
                out[row // samples, column // samples, channel] += colour[channel] / samples**2


@njit(cache=True, error_model="numpy")
def _to_world(x, y, z, cosine, sine, out):  # type: ignore[no-untyped-def]
    """Write a direction, given in the camera's axes, in those of the world."""
    out[0], out[1], out[2] = x, -cosine * y - sine * z, cosine * z - sine * y


@njit(cache=True, error_model="numpy")
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, error_model="numpy")
def _laid(form, corner, ray_x, ray_y, z, scale):  # type: ignore[no-untyped-def]
    """Return the texture coordinates u, v where a ray meets a face, and their steps per sample."""
    u_ray = form[1, 0] * ray_x + form[1, 1] * ray_y + form[1, 2]
    v_ray = form[2, 0] * ray_x + form[2, 1] * ray_y + form[2, 2]
    u, v = u_ray * z, v_ray * z
    du = max(abs(form[1, 0] - u * form[0, 0]), abs(form[1, 1] - u * form[0, 1]))
    dv = max(abs(form[2, 0] - v * form[0, 0]), abs(form[2, 1] - v * form[0, 1]))
    return u - _dot(form[1], corner), v - _dot(form[2], corner), scale * du, scale * dv


@njit(cache=True, error_model="numpy")
def _own_colour(texels, texture, laid, tint, value, colour):  # type: ignore[no-untyped-def]
    """Write a face's own colour into colour[3], asphalt's wear into value[0]; return its gloss."""
    u, v, du, dv = laid
    texel(texels, u, v, du, dv, value)
    gloss = 0.0 if texture in CUT_OUT else value[3]
    for channel in range(3):
        colour[channel] = tint[channel] * value[channel]
    if texture == ASPHALT:
        texel(texels, u * COARSE, v * COARSE, du * COARSE, dv * COARSE, value)
    return gloss


@njit(cache=True, error_model="numpy")
def _paint(road, wear, world, dx, dz, colour):  # type: ignore[no-untyped-def]
    """Put the painted lines on the asphalt, averaged over dx by dz metres."""
    dz = max(dx, dz)
    for channel in range(3):
        colour[channel] *= 0.72 + 0.46 * wear
    for k in range(len(road.lines)):
        share = 0.85 * _painted(road.lines[k], world[0], world[2], dx, dz)
        if share > 0:
            for channel in range(3):
                worn = road.paint[k, channel] * (0.55 + 0.7 * wear)
                colour[channel] += share * (worn - colour[channel])


@njit(cache=True, error_model="numpy")
def _light(sky, road, texture, world, normal, colour):  # type: ignore[no-untyped-def]
    """Multiply by the light that falls on a place: sky, sun, and the shade at the ground."""
    open_sky = 1.0
    if texture != LEAVES and normal[1] < 0.9:
        open_sky = 1 - 0.45 * np.exp(-max(world[1], 0.0) / 0.7)
    elif texture != LEAVES and world[1] < 0.3:
        open_sky = _shade_map(road, world[0], world[2])
    facing = max(0.0, _dot(normal, sky.to_sun))
    up = 0.5 * (1 + normal[1])
    for channel in range(3):
        lit = up * sky.ambient[channel] + (1 - up) * sky.ground[channel]
        colour[channel] *= open_sky * (lit + facing * sky.sun[channel])


@njit(cache=True, error_model="numpy")
def _reflect_and_haze(ray, normal, gloss, z, sky, clouds, colour):  # type: ignore[no-untyped-def]
    """Mix in the sky that a glossy face mirrors, and the air in between."""
    if gloss > 0.02:
        length = np.sqrt(_dot(ray, ray))
        cosine = -_dot(ray, normal) / length
        y = ray[1] / length + 2 * cosine * normal[1]
        open_sky = min(1.0, max(0.12, (y + 0.02) * 4))
        fresnel = gloss * (0.10 + 0.90 * (1 - cosine) ** 3)
        rise = 1 - np.exp(-3.5 * max(y, 0.0))
        for channel in range(3):
            sky_there = sky.horizon[channel] + (sky.zenith[channel] - sky.horizon[channel]) * rise
            colour[channel] += fresnel * (open_sky * sky_there - colour[channel])
    clear = np.exp(-sky.haze_per_m * z)
    for channel in range(3):
        colour[channel] = colour[channel] * clear + sky.horizon[channel] * (1 - clear)
