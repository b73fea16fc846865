"""Paint the surfaces of our rendered street: tileable textures, made from noise and geometry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.seeds import stream

Texture = NDArray[np.float64]
"""float64 [SIDE, SIDE, 4]: linear RGB factors in [0, 1], then gloss, or opacity for cut-outs."""

SIDE = 256
(
    PLAIN, ASPHALT, PAVING, BRICK, PLASTER, ROOF, WINDOW, CURTAIN, DOOR, SHOP,
    LEAVES, BARK, LAWN, WHEEL, GLASS, PAINT, COVER,
) = range(17)  # fmt: skip
CUT_OUT = (LEAVES, WHEEL, COVER)


def textures(seed: int) -> NDArray[np.float32]:
    """Return all textures, float32 [17, SIDE, SIDE, 4], in the order of the names above."""
    painters: list[Callable[[np.random.Generator], Texture]] = [
        _plain, _asphalt, _paving, _brick, _plaster, _roof, _window, _curtain, _door, _shop,
        _leaves, _bark, _lawn, _wheel, _glass, _paint, _cover,
    ]  # fmt: skip
    painted = [painter(stream(seed, "surface", painter.__name__)) for painter in painters]
    return np.clip(np.stack(painted), 0, 1).astype(np.float32)


def noise(random: np.random.Generator, power: float, side: int = SIDE) -> NDArray[np.float64]:
    """Return tileable noise with the spectrum 1 / frequency^power, mean 0, deviation 1."""
    spectrum = np.fft.rfft2(random.random((side, side)) - 0.5)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]) * side
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum / np.maximum(frequency, 1) ** power, s=(side, side))
    return np.asarray(field / field.std())


def _grey(values: NDArray[np.float64], gloss: float | NDArray[np.float64] = 0.0) -> Texture:
    return np.dstack([values, values, values, np.broadcast_to(gloss, values.shape)])


def _tone(texture: Texture, mask: NDArray[np.bool_], colour: tuple[float, ...]) -> None:
    """Paint a colour, or a colour and a gloss, where the mask is set."""
    texture[mask, : len(colour)] = colour


def _grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return u to the right and v upwards of the texel centres, in [0, 1]."""
    u, v = np.meshgrid((np.arange(SIDE) + 0.5) / SIDE, (np.arange(SIDE) + 0.5) / SIDE)
    return u, v


def _plain(random: np.random.Generator) -> Texture:
    return _grey(0.93 + 0.03 * noise(random, 1.0))


def _asphalt(random: np.random.Generator) -> Texture:
    stones = noise(random, 0.35)
    return _grey(0.60 + 0.075 * stones + 0.03 * noise(random, 1.2) + 0.14 * (stones > 2.3))


def _paving(random: np.random.Generator) -> Texture:
    u, v = _grid()
    row = np.floor(v * 4).astype(int)
    column = np.floor(u * 4 + 0.5 * (row % 2)).astype(int) % 4
    tone = 0.72 + 0.12 * (random.random((4, 4))[row, column] - 0.5)
    along, up = (u * 4 + 0.5 * (row % 2)) % 1, (v * 4) % 1
    joint = (np.minimum(along, 1 - along) < 0.02) | (np.minimum(up, 1 - up) < 0.02)
    values = tone + 0.04 * noise(random, 0.5) + 0.04 * noise(random, 1.5)
    return _grey(np.where(joint, 0.45, values))


def _brick(random: np.random.Generator) -> Texture:
    u, v = _grid()
    row = np.floor(v * 24).astype(int)
    along = u * 8 + 0.5 * (row % 2)
    column = np.floor(along).astype(int) % 8
    tone = 0.62 + 0.30 * (random.random((24, 8))[row, column] - 0.5)
    warm = 0.06 * (random.random((24, 8))[row, column] - 0.5)
    texture = _grey(tone + 0.04 * noise(random, 0.6))
    texture[..., 0] += warm
    texture[..., 2] -= warm
    up = (v * 24) % 1
    mortar = (np.abs(along % 1 - 0.5) > 0.47) | (np.abs(up - 0.5) > 0.40)
    _tone(texture, mortar, (0.74, 0.78, 0.80))
    texture[..., :3] *= 1 + 0.05 * noise(random, 1.8)[..., None]
    return texture


def _plaster(random: np.random.Generator) -> Texture:
    streaks = np.repeat(noise(random, 1.2).mean(axis=0)[None, :], SIDE, axis=0)
    values = 0.84 + 0.025 * noise(random, 0.6) + 0.035 * noise(random, 1.8) + 0.03 * streaks
    return _grey(values)


def _roof(random: np.random.Generator) -> Texture:
    u, v = _grid()
    row = np.floor(v * 12).astype(int)
    along = u * 10 + 0.5 * (row % 2)
    tone = 0.62 + 0.22 * (random.random((12, 10))[row, np.floor(along).astype(int) % 10] - 0.5)
    shade = 0.75 + 0.25 * np.minimum((v * 12) % 1 * 3, 1)
    return _grey(tone * shade * (1 + 0.06 * noise(random, 1.5)), 0.04)


def _pane(random: np.random.Generator, bars: tuple[int, int], edge: float) -> Texture:
    """Return a glossy dark pane in a light frame with glazing bars."""
    u, v = _grid()
    room = 0.055 + 0.05 * np.clip(noise(random, 2.0), -1, 2) * (v < 0.7)
    texture = _grey(room, 0.55)
    frame = (np.minimum(u, 1 - u) < edge) | (np.minimum(v, 1 - v) < edge * 0.8)
    for count, place, half in ((bars[0], u, 0.018), (bars[1], v, 0.014)):
        for k in range(1, count):
            frame |= np.abs(place - k / count) < half
    _tone(texture, frame, (0.86, 0.86, 0.84, 0.0))
    return texture


def _window(random: np.random.Generator) -> Texture:
    return _pane(random, (2, 2), 0.06)


def _curtain(random: np.random.Generator) -> Texture:
    texture = _pane(random, (2, 1), 0.06)
    u, v = _grid()
    folds = 0.42 + 0.06 * np.sin(u * 75 + 2 * np.sin(v * 3))
    cloth = (np.minimum(u, 1 - u) < 0.28 - 0.05 * np.sin(3 * v)) & (texture[..., 3] > 0)
    texture[cloth] = np.dstack([folds, 0.97 * folds, 0.9 * folds, np.full_like(folds, 0.3)])[cloth]
    return texture


def _door(random: np.random.Generator) -> Texture:
    u, v = _grid()
    texture = _grey(0.80 + 0.03 * noise(random, 1.2), 0.05)
    panel = (np.abs(np.abs(u - 0.5) - 0.2) < 0.14) & (np.abs(np.abs(v - 0.4) - 0.19) < 0.15)
    _tone(texture, panel, (0.68, 0.68, 0.68))
    _tone(texture, (v > 0.83) & (np.abs(u - 0.5) < 0.42), (0.08, 0.09, 0.1, 0.5))
    _tone(texture, np.minimum(u, 1 - u) < 0.04, (0.95, 0.95, 0.95, 0.0))
    return texture


def _shop(random: np.random.Generator) -> Texture:
    u, v = _grid()
    warm = np.exp(-(((v - 0.62) / 0.12) ** 2)) * (0.5 + 0.5 * np.sin(u * 40) ** 8)
    goods = 0.10 + 0.10 * np.clip(noise(random, 1.3), -0.8, 2) * (v < 0.5) + 0.22 * warm
    texture = np.dstack([goods * 1.15, goods, goods * 0.8, np.full_like(goods, 0.45)])
    bars = np.minimum((u * 3) % 1, 1 - (u * 3) % 1) < 0.03
    _tone(texture, bars | (v < 0.12) | (v > 0.95), (0.30, 0.30, 0.31, 0.05))
    return texture


def _leaves(random: np.random.Generator) -> Texture:
    u, v = _grid()
    clumps = noise(random, 0.9)
    reach = 1.25 - 2.6 * np.hypot(u - 0.5, v - 0.5)
    opacity = np.clip((clumps * 0.55 + 2.2 * reach - 0.55) * 2 + 0.5, 0, 1)
    values = 0.62 + 0.16 * noise(random, 0.7) + 0.12 * (v - 0.5)
    texture = _grey(values, opacity)
    texture[..., 0] += 0.05 * noise(random, 1.5)
    return texture


def _bark(random: np.random.Generator) -> Texture:
    streaks = noise(random, 1.0)
    return _grey(0.6 + 0.12 * np.roll(streaks, 3, axis=1) + 0.08 * noise(random, 0.6))


def _lawn(random: np.random.Generator) -> Texture:
    values = 0.62 + 0.14 * noise(random, 0.5) + 0.08 * noise(random, 1.6)
    texture = _grey(values)
    texture[..., 0] += 0.05 * noise(random, 1.4)
    return texture


def _wheel(random: np.random.Generator) -> Texture:
    u, v = _grid()
    radius, angle = np.hypot(u - 0.5, v - 0.5) * 2, np.arctan2(v - 0.5, u - 0.5)
    texture = _grey(0.10 + 0.01 * noise(random, 0.5), (radius < 0.98).astype(float))
    spokes = (radius < 0.60) & ((np.cos(5 * angle) > -0.35) | (radius < 0.18) | (radius > 0.52))
    texture[spokes, :3] = 0.72
    return texture


def _glass(random: np.random.Generator) -> Texture:
    return _grey(0.09 + 0.015 * noise(random, 1.5), 0.45)


def _paint(random: np.random.Generator) -> Texture:
    return _grey(0.95 + 0.015 * noise(random, 1.2), 0.22)


def _cover(random: np.random.Generator) -> Texture:
    u, v = _grid()
    radius = np.hypot(u - 0.5, v - 0.5) * 2
    texture = _grey(0.55 + 0.1 * noise(random, 0.8), (radius < 0.97).astype(float))
    studs = (np.sin(u * 60) * np.sin(v * 60) > 0.45) & (radius < 0.8)
    texture[studs, :3] *= 1.4
    texture[np.abs(radius - 0.86) < 0.04, :3] *= 0.4
    return texture
