from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage, signal

from rvsd_bench.generators.flight import BLUR, DEPTH, DU, DV, GAIN, RADIUS, TURN, U, V
from rvsd_bench.generators.outlines import outlines
from rvsd_bench.generators.splat import splat

OUTLINES = outlines()
CLEAR = np.full(65536, 65535, np.uint16)


def _row(**columns: float) -> Any:
    named = {"u": U, "v": V, "du": DU, "dv": DV, "r": RADIUS, "coc": BLUR, "z": DEPTH}
    row = np.zeros(10)
    row[[U, V, RADIUS, DEPTH, GAIN, TURN]] = 60.3, 59.8, 1.0, 5.0, 1.0, 0.4
    for name, value in columns.items():
        row[{**named, "b": GAIN}[name]] = value
    return row


def _draw(
    rows: list[Any],
    *,
    psf: float = 0.5,
    opacity: float = 1.0,
    depth_m: float = 100.0,
    transmission: Any = CLEAR,
    size: tuple[int, int] = (120, 120),
) -> tuple[Any, Any]:
    C, P = np.ones(size, np.float32), np.zeros(size, np.float32)
    depth = np.full(size, round(depth_m / 100 * 65535), np.uint16)
    splat(np.array(rows), depth, transmission, OUTLINES, 100.0, psf, opacity, C, P)
    return C, P


@pytest.mark.parametrize("opacity", [0.9, 1.0])
def test_coverage_sums_to_the_area_whatever_blur_motion_and_place(opacity: float) -> None:
    draw = np.random.Generator(np.random.Philox(3))
    errors = []
    for u in draw.random((150, 6)):
        radius, angle = 0.2 * 60 ** u[0], 2 * np.pi * u[3]
        run = 50 * u[2] ** 2
        row = _row(u=60 + u[4], v=60 + u[5], r=radius, coc=30 * u[1] ** 2,
                   du=run * np.cos(angle), dv=run * np.sin(angle))  # fmt: skip
        C, _ = _draw([row], opacity=opacity, size=(160, 160))
        errors.append((1 - C.astype(np.float64)).sum() / (opacity * np.pi * radius**2) - 1)
    assert np.abs(errors).max() < 1e-3
    assert abs(np.mean(errors)) < 1e-5


@pytest.mark.parametrize(
    ("flake", "within"),
    [
        ({"r": 0.5}, 0.17),
        ({"r": 0.5, "du": 7.0, "dv": 3.0}, 0.12),
        ({"r": 1.5, "coc": 2.0, "du": -4.0, "dv": 6.0}, 0.17),
        ({"r": 3.0, "coc": 14.0}, 0.35),
        ({"r": 9.0, "du": 30.0, "dv": 10.0}, 0.25),
    ],
)
def test_a_flake_looks_as_its_parts_folded_with_each_other(
    flake: dict[str, float], within: float
) -> None:
    """The witness folds disc, blur circle, Gaussian, pixel and path on a grid 10 times as fine.

    Errors are summed, as a share of the flake's area.
    """
    psf, fine = 0.9, 10
    y, x = (np.mgrid[: 120 * fine, : 120 * fine] + 0.5) / fine
    path = np.linspace(0, 1, 60)
    seen = np.zeros((120 * fine, 120 * fine))
    for s in path:
        at = 60.3 + s * flake.get("du", 0), 59.8 + s * flake.get("dv", 0)
        seen += (np.hypot(x - at[0], y - at[1]) < flake["r"]) / len(path)
    if "coc" in flake:
        circle = np.hypot(*(np.mgrid[-80:81, -80:81] / fine)) < flake["coc"] / 2
        seen = signal.fftconvolve(seen, circle / circle.sum(), mode="same")
    seen = ndimage.gaussian_filter(seen, psf * fine).reshape(120, fine, 120, fine).mean(axis=(1, 3))
    C, _ = _draw([_row(**flake)], psf=psf)
    assert np.abs((1 - C) - seen).sum() < within * seen.sum()


def test_a_flake_at_the_edge_of_the_planes_looks_as_it_does_in_their_middle() -> None:
    draw = np.random.Generator(np.random.Philox(5))
    for u in draw.random((200, 4)):
        flake = {"v": 60 + u[1], "r": 0.2 + u[2], "du": 3 * u[3], "dv": 0.5}
        edge = _draw([_row(u=2 * u[0], **flake)], size=(120, 40))[0]
        whole = _draw([_row(u=2 * u[0] + 64, **flake)])[0]
        assert np.abs(edge - whole[:, 64:104]).max() < 1e-4


def test_nothing_is_drawn_where_the_scene_is_nearer() -> None:
    C, P = _draw([_row(z=5.0)], depth_m=2.0)
    assert C.min() == 1 and P.max() == 0
    assert _draw([_row(z=5.0)], depth_m=5.1)[0].min() < 1
    assert _draw([_row(z=101.0)], depth_m=100.0)[0].min() == 1  # the sky is at 100 m


def test_a_near_flake_covers_a_far_one() -> None:
    far, near = _row(z=50.0, r=8.0, b=1.0), _row(z=3.0, r=8.0, b=0.5)
    C, P = _draw([far, near])
    middle = (59, 60)
    assert C[middle] < 0.05
    assert P[middle] / (1 - C[middle]) == pytest.approx(0.5, abs=0.06)
    assert _draw([near, far])[1][middle] > 0.9  # the order is the list's


def test_a_flake_seen_through_haze_fades_into_the_air() -> None:
    """Radiance b·T + (1 - T) over the air's, where T is looked up at the flake's depth."""
    hazy = np.round(65535 * np.exp(-0.02 * np.linspace(0, 100, 65536))).astype(np.uint16)
    row = _row(z=40.0, r=3.0, b=0.6)
    C, P = _draw([row], transmission=hazy)
    expected = 1 + (0.6 - 1) * np.exp(-0.02 * 40)
    assert P.sum() / (1 - C.astype(np.float64)).sum() == pytest.approx(expected, rel=1e-3)


def test_outlines_hide_as_much_as_the_disc_they_stand_for_and_differ() -> None:
    axis = np.linspace(-1, 1, OUTLINES.shape[1])
    disc = np.hypot(*np.meshgrid(axis, axis)) <= 1
    assert OUTLINES[:, disc].mean(axis=1) == pytest.approx(0.8**2, abs=0.02)
    flat = OUTLINES.reshape(len(OUTLINES), -1)
    assert np.corrcoef(flat)[np.triu_indices(len(flat), 1)].max() < 0.95


def test_near_resting_flakes_have_different_outlines_of_equal_area() -> None:
    rows = [_row(r=9.0), _row(r=9.0)]
    rows[1][TURN] = 0.7
    one, other = (1 - _draw([row])[0].astype(np.float64) for row in rows)
    assert one.sum() == pytest.approx(other.sum(), rel=0.01)
    assert np.abs(one - other).sum() > 0.1 * one.sum()
