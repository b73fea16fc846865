from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.colour import encode_srgb
from rvsd_bench.errors import InputError
from rvsd_bench.files import write_json
from rvsd_bench.generators import in_weather, preset, read_layers, render
from rvsd_bench.generators.compose import facts
from rvsd_bench.media.images import write_jpeg, write_png
from rvsd_bench.media.video import write_ffv1


def _store(root: Path, domain: str = "linear", container: str = "png") -> list[Any]:
    """Write a dataset of one video of two frames, as the contract lays it out."""
    draw = np.random.Generator(np.random.Philox(2)).random((2, 48, 64, 3))
    clip = ArrayClip((255 * draw).astype(np.uint8), fps=25.0)
    scene = dataclasses.replace(
        preset("heavy"), compose=dataclasses.replace(preset("heavy").compose, domain=domain)
    )
    frames = list(render(clip, scene, 1, motion="static"))
    home = root / "test"
    for kind in ("clean/00000", "snow/00000", "meta", *(f"layers/00000/{p}" for p in _PLANES)):
        (home / kind).mkdir(parents=True)
    for index, frame in enumerate(frames):
        for plane, values in zip(_PLANES, (frame.t16, frame.z16, frame.p16), strict=True):
            write_png(home / "layers/00000" / plane / f"{index:04d}.png", values)
        for kind, picture in (("clean", frame.clean), ("snow", frame.snowy)):
            if container == "png":
                write_png(home / kind / "00000" / f"{index:04d}.png", picture)
            elif container == "jpg":
                write_jpeg(home / kind / "00000" / f"{index:04d}.jpg", picture)
    if container == "ffv1":
        for kind in ("clean", "snow"):
            (home / kind / "00000").rmdir()
        write_ffv1(home / "clean/00000.mkv", [f.clean for f in frames], 25)
        write_ffv1(home / "snow/00000.mkv", [f.snowy for f in frames], 25)
    light = {"value16": frames[0].a16.tolist()}
    write_json(
        home / "meta/00000.json",
        {"compose": facts(domain, frames[0].gain), "atmospheric_light": light},
    )
    return frames


_PLANES = ("transmission", "coverage", "radiance")


@pytest.mark.parametrize("domain", ["linear", "srgb"])
@pytest.mark.parametrize("container", ["png", "ffv1"])
def test_the_parts_add_up_and_the_whole_is_the_stored_frame(
    tmp_path: Path, domain: str, container: str
) -> None:
    frames = _store(tmp_path, domain, container)
    for index in (0, 1):
        layers = read_layers(tmp_path, "test", 0, index)
        whole = layers.J * layers.T + layers.A * (1 - layers.T) + layers.S
        assert np.abs(whole - layers.I).max() < 1e-12
        shown = encode_srgb(np.clip(whole, 0, 1)) if domain == "linear" else whole
        assert np.abs(255 * shown - layers.stored).max() <= 0.6
        assert (layers.stored == frames[index].snowy).all()
        assert layers.z == pytest.approx(frames[index].z)
        assert layers.S.min() < 0 < layers.S.max()


def test_frames_may_be_named_as_their_files_are(tmp_path: Path) -> None:
    _store(tmp_path)
    one, same = read_layers(tmp_path, "test", 0, 1), read_layers(tmp_path, "test", "00000", "0001")
    assert (one.I == same.I).all()


def test_jpeg_frames_are_read_too(tmp_path: Path) -> None:
    frames = _store(tmp_path, container="jpg")
    layers = read_layers(tmp_path, "test", 0, 0)
    assert np.abs(layers.stored.astype(int) - frames[0].snowy).mean() < 2


def test_networks_get_display_values_whose_sum_is_exact(tmp_path: Path) -> None:
    frames = _store(tmp_path)
    layers = read_layers(tmp_path, "test", 0, 0, target="network")
    whole = layers.J * layers.T + layers.A * (1 - layers.T) + layers.S
    assert np.abs(whole - frames[0].snowy / 255).max() < 1e-12
    assert (frames[0].clean / 255 == layers.J).all()
    assert pytest.approx(encode_srgb(frames[0].A), abs=1e-6) == layers.A
    assert layers.T.shape == (48, 64, 1) and 0.05 <= layers.T.min() <= layers.T.max() <= 1


def test_the_transmission_for_networks_fits_the_hazy_frame_best(tmp_path: Path) -> None:
    """No other number on a grid of T explains the frame without flakes better, pixel by pixel."""
    frame = _store(tmp_path)[0]
    layers = read_layers(tmp_path, "test", 0, 0, target="network")
    hazy = encode_srgb(frame.J * frame.T + frame.A * (1 - frame.T))

    def error(T: Any) -> Any:
        return np.sum((layers.J * T + layers.A * (1 - T) - hazy) ** 2, axis=2)

    least = np.min([error(t) for t in np.linspace(0.05, 1, 96)], axis=0)
    assert (error(layers.T) <= least + 1e-6).all()


@pytest.mark.parametrize("domain", ["linear", "srgb"])
def test_haze_and_snow_can_be_had_alone_from_the_same_layers(tmp_path: Path, domain: str) -> None:
    """Against the equation on the layers of the whole frame, in real numbers."""
    frames = _store(tmp_path, domain)
    whole = read_layers(tmp_path, "test", 0, 1)
    hazy = whole.J * whole.T + whole.A * (1 - whole.T)
    expected = {"haze": hazy, "snow": whole.J + whole.S + whole.z * (hazy - whole.J)}
    for weather in ("haze", "snow"):
        layers = read_layers(tmp_path, "test", 0, 1, weather=weather)
        assert np.abs(layers.I - expected[weather]).max() < 1e-12
        assert (np.ptp(layers.T) == 0) == (weather == "snow")
        assert (layers.S == 0).all() == (weather == "haze")
        shown = np.clip(layers.I, 0, 1)
        shown = encode_srgb(shown) if domain == "linear" else shown
        assert np.abs(255 * shown - layers.stored).max() <= 0.6
        assert (in_weather(frames[1], weather).snowy == layers.stored).all()
        network = read_layers(tmp_path, "test", 0, 1, "network", weather)
        total = network.J * network.T + network.A * (1 - network.T) + network.S
        assert np.abs(255 * total - layers.stored).max() < 1e-9
    assert (in_weather(frames[1], "both").snowy == frames[1].snowy).all()
    with pytest.raises(InputError, match="Did you mean 'haze'"):
        read_layers(tmp_path, "test", 0, 1, weather="hazy")


def test_at_night_haze_and_snow_alone_are_lit_as_together() -> None:
    night = np.full((1, 64, 96, 3), 8, np.uint8)
    night[:, 20:26, 30:36] = 255
    frame = next(render(ArrayClip(night, fps=25.0), preset("night"), 1, depth="constant:40"))
    assert np.ptp(frame.A) > 0.05
    hazy = frame.J * frame.T + frame.A * (1 - frame.T)
    expected = {"haze": hazy, "snow": frame.J + frame.S + frame.z * (hazy - frame.J)}
    for weather, light in expected.items():
        shown = 255 * encode_srgb(np.clip(light, 0, 1))
        assert np.abs(shown - in_weather(frame, weather).snowy).max() <= 0.6


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    _store(tmp_path)
    with pytest.raises(InputError, match=r"0007\.png"):
        read_layers(tmp_path, "test", 0, 7)
    with pytest.raises(InputError, match=r"00003\.json"):
        read_layers(tmp_path, "test", 3, 0)
    with pytest.raises(InputError, match="no target named 'net'"):
        read_layers(tmp_path, "test", 0, 0, target="net")
    (tmp_path / "test/layers/00000/coverage/0001.png").unlink()
    with pytest.raises(InputError, match="--layers none"):
        read_layers(tmp_path, "test", 0, 1)
    meta = tmp_path / "test/meta/00000.json"
    told = json.loads(meta.read_text())
    told["atmospheric_light"] = {"value16": [22937, 22937]}
    meta.write_text(json.dumps(told))
    with pytest.raises(InputError, match="its atmospheric light is no colour"):
        read_layers(tmp_path, "test", 0, 0)
    told |= {"compose": {"domain": "log", "gain": 1}, "atmospheric_light": {"value16": [1, 2, 3]}}
    meta.write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"00000\.json is not .*its domain is unknown"):
        read_layers(tmp_path, "test", 0, 0)
    meta.write_text("{}")
    with pytest.raises(InputError, match=r"00000\.json is not the meta file"):
        read_layers(tmp_path, "test", 0, 0)
