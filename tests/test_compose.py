from __future__ import annotations

import hashlib

import numpy as np
import pytest

from rvsd_bench.colour import enc8, lin16
from rvsd_bench.errors import InputError
from rvsd_bench.generators.compose import compose, facts, gain_for, tables


@pytest.mark.parametrize("domain", ["linear", "srgb"])
@pytest.mark.parametrize("gain", [1, 2, 64])
def test_every_byte_is_that_of_the_equation_in_python_integers(domain: str, gain: int) -> None:
    draw = np.random.Generator(np.random.Philox(gain))
    clean = (draw.random((8, 9, 3)) * 256).astype(np.uint8)
    T, z, p = (np.floor(draw.random((8, 9)) * 65536).astype(np.uint16) for _ in range(3))
    T[0], z[1], p[2], z[3], p[3] = 0, 65535, 65535, 0, 0
    A = np.array([20000, 40000, 65535], np.uint16)
    decode, encode = tables(domain)
    snowy = compose(clean, T, z, p, A, gain, domain)
    for y, x, c in np.ndindex(snowy.shape):
        light, air, t = int(decode[clean[y, x, c]]), int(A[c]), int(T[y, x])
        hazy = (light * t + air * (65535 - t) + 32767) // 65535
        level = (hazy * (65535 - int(z[y, x])) + gain * air * int(p[y, x]) + 32767) // 65535
        assert snowy[y, x, c] == encode[min(level, 65535)]


def test_without_air_and_flakes_the_frame_stays_as_it_is() -> None:
    clean = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    clear, none = np.full((16, 16), 65535, np.uint16), np.zeros((16, 16), np.uint16)
    A = np.array([30000, 30000, 30000], np.uint16)
    for domain in ("linear", "srgb"):
        assert (compose(clean, clear, none, none, A, 1, domain) == clean).all()


def test_the_gain_is_the_smallest_power_of_two_that_holds_the_brightest_flake() -> None:
    assert [gain_for(b) for b in (0.3, 1.0, 1.01, 2.0, 40.0, 900.0)] == [1, 1, 2, 2, 64, 64]


def test_the_record_names_the_tables_that_were_used() -> None:
    assert facts("linear", 2) == {
        "domain": "linear",
        "gain": 2,
        "enc8_sha256": hashlib.sha256(enc8().tobytes()).hexdigest(),
        "version": 1,
    }
    assert facts("srgb", 2)["enc8_sha256"] != facts("linear", 2)["enc8_sha256"]
    assert (tables("linear")[0] == lin16()).all()


def test_a_domain_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="composing domain named 'xyz'"):
        tables("xyz")
