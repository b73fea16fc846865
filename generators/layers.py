"""Read one frame of a generated dataset with all its layers, in the terms of the equation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.colour import encode_srgb
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.generators.compose import compose, tables
from rvsd_bench.generators.lightmap import spread
from rvsd_bench.generators.weather import Weather, planes_in
from rvsd_bench.texts import brief, read_json

if TYPE_CHECKING:
    from rvsd_bench.generators.rendering import RenderedFrame

LEAST_T = 0.05
"""Networks are given no smaller transmission: dividing by it would amplify noise 20 times."""


@dataclass(frozen=True, eq=False)
class Layers:
    """A frame taken apart: I = J·T + A·(1−T) + S.

    All but `stored` are float64. `J`, `S`, `I` are [H, W, 3], `T` and `z` [H, W, 1], `A` [3] or,
    where the light of the air varies, [H, W, 3]: they broadcast. `S` is negative where flakes are
    darker than what they hide.
    """

    J: NDArray[np.float64]
    T: NDArray[np.float64]
    A: NDArray[np.float64]
    z: NDArray[np.float64]
    S: NDArray[np.float64]
    I: NDArray[np.float64]
    stored: Frame
    """The snowy frame as the dataset holds it, uint8 [H, W, 3]."""


def read_layers(
    root: Path | str,
    split: str,
    video: int | str,
    frame: int | str,
    target: str | None = None,
    weather: Weather = "both",
) -> Layers:
    """Read a frame of a dataset that was generated with layers.

    Without `target` the layers are in the composing domain, linear light unless meta says `srgb`;
    `I` shown as 8-bit sRGB differs from `stored` by at most 0.6 of a level (of a JPEG, by what JPEG
    lost). With `target="network"` they are display-referred, as networks are supervised: `T` fits
    the hazy frame by least squares over RGB, within [0.05, 1], and `S` takes the rest, so that the
    sum is exact. With `weather="haze"` or `"snow"` the flakes or the haze are left out of all
    layers, and `stored` is what the dataset would hold without them.

    From `meta/<video>.json` it takes `compose.domain`, `compose.gain` and
    `atmospheric_light.value16`; if `atmospheric_light.map` is there, the light lies beside the
    other layers, at an eighth of the size. Raises InputError, naming the file, for what is absent
    or damaged.
    """
    if target not in (None, "network"):
        raise unknown("target", str(target), ["network"])
    home = Path(root) / split
    name = f"{video:05d}" if isinstance(video, int) else video
    number = f"{frame:04d}" if isinstance(frame, int) else frame
    domain, gain, a16 = _meta(home / "meta" / f"{name}.json")
    clean, stored = (_picture(home / side / name, number) for side in ("clean", "snow"))
    layers = (_plane(home / "layers" / name, plane, number, clean.shape) for plane in _PLANES)
    planes = planes_in(weather, *layers)
    if a16 is None:
        a16 = _light(home / "layers" / name / "light" / f"{number}.png", clean)
    if weather != "both":
        stored = compose(clean, *planes, a16, gain, domain)
    A = a16 / 65535
    T, z, p = (plane[..., None] / 65535 for plane in planes)
    J = tables(domain)[0][clean] / 65535
    hazy = J * T + A * (1 - T)
    if target == "network":
        return _for_networks(clean, stored, T, z, A, domain)
    S = A * (gain * p) - z * hazy
    return Layers(J, T, A, z, S, hazy + S, stored)


def network_layers(frame: RenderedFrame) -> Layers:
    """Return a rendered frame as `read_layers(..., target="network")` returns a stored one."""
    return _for_networks(frame.clean, frame.snowy, frame.T, frame.z, frame.A, frame.domain)


def stored_layers(
    clean: Frame,
    stored: Frame,
    t16: NDArray[np.uint16],
    z16: NDArray[np.uint16],
    a16: NDArray[np.uint16],
    domain: str,
) -> Layers:
    """Return what `read_layers(..., target="network")` returns, for a part of a stored frame.

    `clean` and `stored` are that part of the two sides, `t16` and `z16` of the layers
    `transmission` and `coverage`; `a16` is the light of the air, uint16 [3] or [H, W, 3].
    """
    T, z, A = t16[..., None] / 65535, z16[..., None] / 65535, a16 / 65535
    return _for_networks(clean, stored, T, z, A, domain)


def meta_of(path: Path) -> tuple[str, NDArray[np.uint16] | None]:
    """Return the domain in which a video was composed, and the light of its air, uint16 [3].

    The light is None where it varies, and lies among the layers. `path` is meta/<video>.json;
    raises InputError if it is not.
    """
    domain, _, a16 = _meta(path)
    return domain, a16


_PLANES = ("transmission", "coverage", "radiance")


def _for_networks(
    clean: Frame,
    stored: Frame,
    T: NDArray[np.float64],
    z: NDArray[np.float64],
    A: NDArray[np.float64],
    domain: str,
) -> Layers:
    """Return the layers in display values; `T`, `z` and `A` are in the composing domain."""
    decode, encode = _curves(domain)
    light = np.broadcast_to(A, clean.shape)
    shown = encode_srgb(A) if domain == "linear" else np.asarray(A)
    fitted, rest = np.empty(T.shape), np.empty(clean.shape)
    sides = np.ascontiguousarray(clean), np.ascontiguousarray(stored)
    wide = np.broadcast_to(shown, clean.shape)
    _fit(*sides, np.ascontiguousarray(T), light, wide, decode, encode, fitted, rest)
    return Layers(clean / 255, fitted, shown, z, rest, stored / 255, stored)


@lru_cache
def _curves(domain: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the composing value of each 8-bit value, and 65537 display values over [0, 1].

    Between two of the latter a straight line is within 1e-7 of the curve.
    """
    even = np.arange(65537) / 65536
    return tables(domain)[0] / 65535, encode_srgb(even) if domain == "linear" else even


@numba.njit(cache=True, error_model="numpy")
def _fit(
    clean: Any,
    stored: Any,
    T: Any,
    light: Any,
    shown: Any,
    decode: Any,
    encode: Any,
    fitted: Any,
    rest: Any,
) -> None:
    """Fit T to the hazy frame in display values, over RGB, and give S the rest."""
    for y in range(clean.shape[0]):
        for x in range(clean.shape[1]):
            power, kept = 0.0, 0.0
            for c in range(3):
                air = light[y, x, c]
                place = 65536 * (air + (decode[clean[y, x, c]] - air) * T[y, x, 0])
                first = min(int(place), 65535)
                hazy = encode[first] + (place - first) * (encode[first + 1] - encode[first])
                contrast = clean[y, x, c] / 255 - shown[y, x, c]
                power += contrast * contrast
                kept += (hazy - shown[y, x, c]) * contrast
            # Where the clean frame has the colour of the air, haze changes nothing: any T would do.
            best = kept / power if power > 1e-9 else T[y, x, 0]
            best = min(max(best, LEAST_T), 1.0)
            fitted[y, x, 0] = best
            for c in range(3):
                air = shown[y, x, c]
                hazy = air + (clean[y, x, c] / 255 - air) * best
                rest[y, x, c] = stored[y, x, c] / 255 - hazy


def _meta(path: Path) -> tuple[str, int, NDArray[np.uint16] | None]:
    """Return domain, gain and light of the air, which is None if it varies."""
    try:
        meta = read_json(path)
        told, light = meta["compose"], meta["atmospheric_light"]
        a16 = None if light.get("map") else np.array(light["value16"], np.uint16)
        if a16 is not None and a16.shape != (3,):
            raise ValueError("its atmospheric light is no colour")
        if told["domain"] not in ("linear", "srgb"):
            raise ValueError("its domain is unknown")
        return told["domain"], int(told["gain"]), a16
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} is not the meta file of a generated video: {brief(error)}"
        ) from error


def _picture(folder: Path, number: str) -> Frame:
    """Read a frame of one side, kept as PNG, as JPEG or in an FFV1 video."""
    from rvsd_bench.media.images import read_image
    from rvsd_bench.media.reading import read_clip

    for suffix in (".png", ".jpg"):
        file = folder / f"{number}{suffix}"
        if file.is_file():
            return read_image(file)
    video = folder.with_name(f"{folder.name}.mkv")
    if not video.is_file():
        raise InputError(f"there is neither {folder / number}.png, nor .jpg, nor {video}")
    clip = read_clip(video)
    if not number.isdigit() or int(number) >= len(clip):
        raise InputError(f"{video} has {len(clip)} frames, numbered from 0; there is no {number}")
    return clip[int(number)]


def _plane(folder: Path, plane: str, number: str, shape: Any) -> NDArray[np.uint16]:
    from rvsd_bench.media.images import read_gray16

    path = folder / plane / f"{number}.png"
    if not path.is_file():
        raise InputError(f"there is no {path}: was the dataset generated with --layers none?")
    values = read_gray16(path)
    if values.shape != shape[:2]:
        raise InputError(f"{path} is {values.shape}, its frame {shape[:2]}")
    return values


def _light(path: Path, clean: Frame) -> NDArray[np.uint16]:
    from rvsd_bench.media.images import read_rgb16

    if not path.is_file():
        raise InputError(f"there is no {path}: was the dataset generated with --layers none?")
    try:
        return spread(read_rgb16(path), clean.shape[:2])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
