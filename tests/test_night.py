"""Datasets of the night: the light of the air is one more layer, and everything still adds up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.colour import encode_srgb
from rvsd_bench.errors import InputError
from rvsd_bench.files import tree_digest
from rvsd_bench.generators import Recipe, Scene, prepare, preset, read_layers, render_frame
from rvsd_bench.making.generating import generate
from rvsd_bench.making.manifest import read_meta
from rvsd_bench.making.previewing import layer_rows, preview
from rvsd_bench.making.verifying import verify
from rvsd_bench.media.images import read_gray16, read_image, read_rgb16, write_png
from rvsd_bench.media.reading import read_clip

H, W = 44, 60


def _scene(mode: str) -> Scene:
    scene = preset("headlight")
    light = dataclasses.replace(scene.light, mode=mode)
    return dataclasses.replace(
        scene, light=light, tiers=dataclasses.replace(scene.tiers, dust_ratio=2.0)
    )


def _clip(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    draw = np.random.Generator(np.random.Philox(seed)).random((3, H, W, 3))
    for index, frame in enumerate((40 * draw).astype(np.uint8)):
        frame[8:14, 20 + index : 26 + index] = (255, 210, 120)
        write_png(folder / f"{index}.png", frame)
    return folder


def _generate(tmp_path: Path, mode: str = "headlight", **options: Any) -> Path:
    if not (tmp_path / "clips").exists():
        _clip(tmp_path / "clips" / "a", 1)
        _clip(tmp_path / "clips" / "b", 2)
    out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    recipe = options.pop("recipe", _scene(mode))
    generate([tmp_path / "clips"], out, recipe=recipe, motion="static", fps=25.0, **options)
    return out


def test_every_byte_follows_from_the_stored_layers_in_python_integers(tmp_path: Path) -> None:
    """The equation anew: tables by the sRGB formula, the light between cells by hand."""
    home = _generate(tmp_path) / "test"
    meta = read_meta(home / "meta/00000.json")
    layers = home / "layers/00000"
    T, z, p = (
        read_gray16(layers / k / "0001.png") for k in ("transmission", "coverage", "radiance")
    )
    light = read_rgb16(layers / "light/0001.png").astype(int)
    clean, snowy = (read_image(home / side / "00000/0001.png") for side in ("clean", "snow"))
    assert light.shape == (6, 8, 3)
    for y, x in [(10, 20), (11, 23), (0, 0), (43, 59), (4, 30), (30, 41)]:
        i, down = divmod(2 * y - 7, 16)
        j, along = divmod(2 * x - 7, 16)
        cells = [light[np.clip(a, 0, 5), np.clip(b, 0, 7)] for a in (i, i + 1) for b in (j, j + 1)]
        shares = [
            (16 - down) * (16 - along),
            (16 - down) * along,
            down * (16 - along),
            down * along,
        ]
        for c in range(3):
            A = (sum(s * int(v[c]) for s, v in zip(shares, cells, strict=True)) + 128) // 256
            shown = int(clean[y, x, c]) / 255
            linear = shown / 12.92 if shown <= 0.04045 else ((shown + 0.055) / 1.055) ** 2.4
            L, t = int(np.floor(65535 * linear + 0.5)), int(T[y, x])
            hazy = (L * t + A * (65535 - t) + 32767) // 65535
            bright = meta["compose"]["gain"] * A * int(p[y, x])
            level = min((hazy * (65535 - int(z[y, x])) + bright + 32767) // 65535, 65535)
            encoded = 255 * float(encode_srgb(np.array(level / 65535)))
            assert snowy[y, x, c] == np.floor(encoded + 0.5)


@pytest.mark.parametrize(
    "options", [{}, {"layers": "none"}, {"container": "ffv1"}, {"container": "jpg"}]
)
def test_a_night_verifies_with_layers_and_by_rendering_again(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    out = _generate(tmp_path, **options)
    report = verify(out)
    assert report.problems == ()
    assert [video.frames for video in report.videos] == [3, 3]
    assert (out / "test/layers/00000/light").exists() == ("layers" not in options)


def test_a_night_is_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    one, two = _generate(tmp_path), _generate(tmp_path, workers=2)
    assert tree_digest(one) == tree_digest(two)


def test_a_light_that_was_changed_or_lost_is_found(tmp_path: Path) -> None:
    out = _generate(tmp_path)
    path = out / "test/layers/00001/light/0002.png"
    light = read_rgb16(path)
    write_png(path, np.minimum(light.astype(int) + 3000, 65535).astype(np.uint16))
    problems = " ".join(verify(out).problems)
    assert "light/0002.png was changed" in problems and "frames 2 differ" in problems
    write_png(path, light[:-1])
    assert "does not belong to a picture of (44, 60)" in " ".join(verify(out).problems)
    path.unlink()
    assert "light/0002.png is missing" in " ".join(verify(out).problems)
    with pytest.raises(InputError, match=r"there is no .*light/0002\.png"):
        read_layers(out, "test", 1, 2)


def test_the_layers_of_a_night_add_up_to_the_stored_frame(tmp_path: Path) -> None:
    out = _generate(tmp_path)
    for index in range(3):
        layers = read_layers(out, "test", 0, index)
        assert layers.A.shape == (H, W, 3) and np.ptp(layers.A) > 0.1
        whole = layers.J * layers.T + layers.A * (1 - layers.T) + layers.S
        assert np.abs(whole - layers.I).max() < 1e-12
        assert np.abs(255 * encode_srgb(whole) - layers.stored).max() <= 0.6
        assert layers.S.max() > 0.02
        shown = read_layers(out, "test", 0, index, target="network")
        assert pytest.approx(encode_srgb(layers.A)) == shown.A
        whole = shown.J * shown.T + shown.A * (1 - shown.T) + shown.S
        assert np.abs(whole - layers.stored / 255).max() < 1e-12


def test_the_card_and_meta_tell_of_the_light_where_it_varies(tmp_path: Path) -> None:
    night, day = _generate(tmp_path), _generate(tmp_path, mode="day")
    told = "layers/<video>/{transmission,coverage,radiance,light}/<frame>.png"
    assert told in (night / "README.md").read_text()
    assert "light" not in read_meta(day / "test/meta/00000.json")["files"]
    assert not (day / "test/layers/00000/light").exists()
    assert ",light}" not in (day / "README.md").read_text()
    files = read_meta(night / "test/meta/00000.json")["files"]
    assert sum(name.startswith("layers/00000/light/") for name in files) == 3


def test_a_dataset_may_hold_days_and_nights(tmp_path: Path) -> None:
    tree = dataclasses.asdict(_scene("day"))
    tree["light"]["mode"] = {"choice": ["day", "night"]}
    out = _generate(tmp_path, recipe=Recipe(tree, "both"), variants=4)
    report = verify(out)
    assert report.problems == ()
    maps = [
        "map" in read_meta(path)["atmospheric_light"] for path in (out / "test/meta").glob("*.json")
    ]
    assert len(maps) == 8 and 0 < sum(maps) < 8


def test_the_preview_shows_the_glow_of_lamps_at_night_only(tmp_path: Path) -> None:
    clip = read_clip(_clip(tmp_path / "clip"), fps=25.0)
    frame = render_frame(prepare(clip, _scene("night"), seed=1, motion="static"), 1, clip[1])
    (glow,) = [row for row in layer_rows(night=True) if row.symbol == "A"]
    shown = glow.picture(frame)
    assert np.abs(shown - 255 * encode_srgb(frame.A)).max() <= 0.6
    assert shown[11, 24].sum() > 3 * shown[43, 59].sum()
    assert all(row.symbol != "A" for row in layer_rows())


@pytest.mark.parametrize(("level", "mode", "warned"), [(150, "night", True), (150, "day", False),
                                                       (30, "headlight", False)])  # fmt: skip
def test_a_bright_clip_is_told_apart_from_a_night(
    tmp_path: Path, level: int, mode: str, warned: bool
) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(2):
        write_png(folder / f"{index}.png", np.full((H, W, 3), level, np.uint8))
    notes = preview(folder, tmp_path / "sheet.png", recipe=_scene(mode), motion="static", fps=25.0)
    assert notes == ["the clip is bright: snow at night expects footage of the night"] * warned
