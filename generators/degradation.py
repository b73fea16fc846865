"""Do to a snowy frame what a camera and its coder would: noise of the sensor, loss of the coding.

Real footage is noisy and compressed, and a restorer must live with both. The degraded frames are an
output of their own: the snowy frame stays what its layers say. Noise comes first, the coder second.

Noise is that of a sensor (Janesick, Photon Transfer, 2007): a pixel of linear light L holds
N = gain·L electrons, which scatter by sqrt(N), as photons do, and by the read noise of the
electronics. Both are drawn as one normal number of variance N + read² per sample; below some ten
electrons Poisson's law would be a little skewed. Neighbouring samples are independent: demosaicking
and the camera's own smoothing are not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rvsd_bench.clip import Frame
from rvsd_bench.colour import enc8, lin16
from rvsd_bench.errors import unknown
from rvsd_bench.recipe import bounded, corners, distributions, load_toml, settle, structure
from rvsd_bench.seeds import stream


@dataclass(frozen=True)
class Sensor:
    """What a pixel of the camera adds to the light."""

    electrons_at_white: float = bounded(0.0, 0, 1e6)
    """The gain: electrons that linear light 1 sets free; 0 draws no noise. A phone by day has some
    5,000; each doubling of its ISO halves them."""
    read_electrons: float = bounded(2.0, 0, 100)
    """Standard deviation of reading a pixel out."""


@dataclass(frozen=True)
class Codec:
    """How the footage was coded."""

    kind: Literal["none", "h264", "jpeg"] = "none"
    """`h264` halves the chroma (4:2:0), `jpeg` does not."""
    crf: int = bounded(26, 0, 51)
    """H.264's constant rate factor; 18 looks clean, each 6 more halve the rate."""
    jpeg_quality: int = bounded(60, 1, 100)


@dataclass(frozen=True)
class Degradation:
    """What becomes of a frame on its way from the light to the file."""

    sensor: Sensor = Sensor()
    codec: Codec = Codec()

    def __str__(self) -> str:
        """Say it in a few words."""
        coder = {
            "none": "not coded",
            "h264": f"H.264 at crf {self.codec.crf}",
            "jpeg": f"JPEG at quality {self.codec.jpeg_quality}",
        }[self.codec.kind]
        noise = f"noise of {self.sensor.electrons_at_white:g} electrons at white"
        return f"{noise if self.sensor.electrons_at_white else 'no noise'}, {coder}"


PRESETS: Mapping[str, Degradation] = {
    "phone": Degradation(Sensor(5000.0, 2.0), Codec("h264", crf=23)),
    "dashcam": Degradation(Sensor(2500.0, 3.0), Codec("h264", crf=28)),
    "webcam": Degradation(Sensor(1200.0, 4.0), Codec("jpeg", jpeg_quality=50)),
    "dusk": Degradation(Sensor(400.0, 3.0), Codec("h264", crf=28)),
}
"""Cameras by name; numbers of a kind, not of a make."""


@dataclass(frozen=True)
class DegradationRecipe:
    """A degradation whose numbers may be distributions, as those of a `Recipe`."""

    tree: Mapping[str, Any]
    where: str

    def __post_init__(self) -> None:
        for tree in corners(self.tree, self.where):
            structure(Degradation, tree, self.where)

    def draw(self, *key: int | str) -> Degradation:
        """Return the degradation of one video, by the key of its random streams."""
        values = {
            path: chance.at(stream("degradation", *key, path).random())
            for path, chance in distributions(self.tree, self.where)
        }
        return structure(Degradation, settle(self.tree, values.__getitem__), self.where)


def open_degradation(name: str) -> DegradationRecipe:
    """Return a degradation by the name of a preset or the path of a TOML file.

    Raises InputError for an unknown name, and for every fault of a file with its key's path.
    """
    if name in PRESETS:
        return DegradationRecipe(asdict(PRESETS[name]), name)
    if not name.endswith(".toml") and not Path(name).exists():
        raise unknown("degradation", name, PRESETS)
    return DegradationRecipe(load_toml(name), name)


_LEAST = np.float32(2**-25)


class Degrader:
    """Degrades the frames of one video in their order; the coder may hold some back for a while."""

    def __init__(
        self, degradation: Degradation, size: tuple[int, int], fps: float, *key: int | str
    ) -> None:
        self._sensor, self._codec, self._key = degradation.sensor, degradation.codec, key
        self._count = 0
        self._h264 = None
        if self._codec.kind == "h264":
            from rvsd_bench.media.recoding import H264

            self._h264 = H264(size, fps, self._codec.crf)

    def push(self, frame: Frame) -> list[Frame]:
        """Take the next frame, and return those that are ready."""
        noisy = with_noise(frame, self._sensor, *self._key, self._count)
        self._count += 1
        if self._h264:
            return self._h264.push(noisy)
        if self._codec.kind == "jpeg":
            from rvsd_bench.media.images import decode_jpeg, encode_jpeg

            return [decode_jpeg(encode_jpeg(noisy, self._codec.jpeg_quality))]
        return [noisy]

    def finish(self) -> list[Frame]:
        """Return the frames that the coder still holds."""
        return self._h264.finish() if self._h264 else []


def with_noise(frame: Frame, sensor: Sensor, *key: int | str) -> Frame:
    """Return a frame as a sensor sees it; the noise belongs to the key alone."""
    from scipy.special import ndtri

    if not sensor.electrons_at_white:
        return frame
    # Each of the 256 values has its own mean and spread.
    light = lin16() / 65535.0
    spread = np.sqrt(light / sensor.electrons_at_white + _squared_read_noise(sensor))
    number = stream("noise", *key).random(frame.shape, np.float32)
    noise = ndtri(np.clip(number, _LEAST, 1 - 2 * _LEAST))  # of 0 and of 1 it would be endless
    noisy = light.astype(np.float32)[frame] + spread.astype(np.float32)[frame] * noise
    level = np.rint(np.clip(noisy, 0, 1) * np.float32(65535)).astype(np.uint16)
    seen: Frame = enc8()[level]
    return seen


def _squared_read_noise(sensor: Sensor) -> float:
    return (sensor.read_electrons / sensor.electrons_at_white) ** 2
