from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.errors import InputError
from rvsd_bench.generators.compose import compose, tables
from rvsd_bench.generators.lightmap import cells, spread


def _map(rows: int, columns: int) -> NDArray[np.uint16]:
    draw = np.random.Generator(np.random.Philox(rows)).random((rows, columns, 3))
    return np.floor(65536 * draw).astype(np.uint16)


def _at(light: NDArray[np.uint16], y: int, x: int, c: int) -> int:
    """Interpolate in fractions, from the definition: the value of a cell stands for its middle."""

    def between(pixel: int, number: int) -> tuple[int, int, Fraction]:
        place = min(max((Fraction(2 * pixel + 1, 2) - 4) / 8, Fraction(0)), Fraction(number - 1))
        return floor(place), min(floor(place) + 1, number - 1), place - floor(place)

    i, k, down = between(y, light.shape[0])
    j, m, along = between(x, light.shape[1])
    upper = int(light[i, j, c]) * (1 - along) + int(light[i, m, c]) * along
    lower = int(light[k, j, c]) * (1 - along) + int(light[k, m, c]) * along
    return floor(upper * (1 - down) + lower * down + Fraction(1, 2))


@pytest.mark.parametrize("size", [(24, 32), (17, 35), (8, 9)])
def test_a_map_is_spread_as_fractions_say(size: tuple[int, int]) -> None:
    light = _map(*cells(size))
    wide = spread(light, size)
    for y, x, c in np.ndindex(*size, 3):
        assert wide[y, x, c] == _at(light, y, x, c)


def test_an_even_light_stays_even_up_to_white() -> None:
    assert (spread(np.full((3, 4, 3), 65535, np.uint16), (20, 30)) == 65535).all()


def test_a_map_of_another_picture_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, 4, 3\) does not belong to a picture of \(48, 64\)"):
        spread(_map(3, 4), (48, 64))


@pytest.mark.parametrize("gain", [1, 64])
def test_under_a_light_that_varies_every_byte_is_that_of_the_equation(gain: int) -> None:
    draw = np.random.Generator(np.random.Philox(gain))
    clean = (draw.random((16, 24, 3)) * 256).astype(np.uint8)
    T, z, p = (np.floor(draw.random((16, 24)) * 65536).astype(np.uint16) for _ in range(3))
    T[0], z[1], p[2], z[3], p[3] = 0, 65535, 65535, 0, 0
    p[8:] //= 512
    light = _map(2, 3)
    air = spread(light, (16, 24))
    decode, encode = tables("linear")
    snowy = compose(clean, T, z, p, air, gain)
    for y, x, c in np.ndindex(snowy.shape):
        lit, a, t = int(decode[clean[y, x, c]]), _at(light, y, x, c), int(T[y, x])
        hazy = (lit * t + a * (65535 - t) + 32767) // 65535
        level = (hazy * (65535 - int(z[y, x])) + gain * a * int(p[y, x]) + 32767) // 65535
        assert snowy[y, x, c] == encode[min(level, 65535)]


@pytest.mark.parametrize("domain", ["linear", "srgb"])
def test_an_even_map_composes_as_one_light_does(domain: str) -> None:
    draw = np.random.Generator(np.random.Philox(4))
    clean = (draw.random((16, 24, 3)) * 256).astype(np.uint8)
    T, z, p = (np.floor(draw.random((16, 24)) * 65536).astype(np.uint16) for _ in range(3))
    one = np.array([2000, 3000, 40000], np.uint16)
    air = spread(np.full((2, 3, 3), one), (16, 24))
    same = compose(clean, T, z, p, one, 4, domain)
    assert (compose(clean, T, z, p, air, 4, domain) == same).all()
