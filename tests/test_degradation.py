"""Hold noise to the photon transfer curve, the coder to its rate, and both to their seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.colour import lin16
from rvsd_bench.data.dataset import load
from rvsd_bench.errors import InputError
from rvsd_bench.files import tree_digest
from rvsd_bench.generators import Recipe
from rvsd_bench.generators.degradation import (
    PRESETS,
    Codec,
    Degradation,
    Degrader,
    Sensor,
    open_degradation,
    with_noise,
)
from rvsd_bench.making import generating as making
from rvsd_bench.making.verifying import verify
from rvsd_bench.media.images import read_image, write_png
from rvsd_bench.media.reading import read_clip

FAST: dict[str, Any] = {
    "recipe": Recipe({"tiers": {"dust_ratio": 2.0}}, "sparse.toml"),
    "motion": "static",
    "depth": "ground",
}
Frames = list[NDArray[np.uint8]]


def _moving(count: int = 30, size: tuple[int, int] = (97, 131)) -> Frames:
    """Return a textured grey picture that moves: colour would lose its halved chroma besides."""
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.float32)
    grey = np.clip(128 + 5 * (smooth - smooth.mean()), 16, 240).astype(np.uint8)
    return [np.repeat(np.roll(grey, index, axis=1)[..., None], 3, axis=2) for index in range(count)]


def _degraded(frames: Iterable[NDArray[np.uint8]], codec: Codec, sensor: Sensor) -> Frames:
    taken = list(frames)
    degrader = Degrader(Degradation(sensor, codec), taken[0].shape[:2], 25.0, 1, "id", 0)
    return [out for frame in taken for out in degrader.push(frame)] + degrader.finish()


def _psnr(ours: Frames, theirs: Frames) -> float:
    error = np.stack(ours).astype(np.float64) - np.stack(theirs)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def test_noise_follows_the_photon_transfer_curve() -> None:
    """In electrons the variance is the mean plus the read noise's: a line of slope one."""
    white, read = 1500.0, 6.0
    levels = np.array([70, 100, 130, 160, 190, 215])
    means, variances = [], []
    for level in levels:
        flat = np.full((400, 300, 3), level, np.uint8)
        electrons = lin16()[with_noise(flat, Sensor(white, read), 7)] / 65535 * white
        # Rounding to 8 bits adds a twelfth of the squared step.
        step = float(lin16()[level + 1]) - float(lin16()[level - 1])
        rounding = (step / 2 / 65535 * white) ** 2 / 12
        means.append(electrons.mean())
        variances.append(electrons.var() - rounding)
    assert means == pytest.approx(lin16()[levels] / 65535 * white, rel=2e-3)
    slope, offset = np.polyfit(means, variances, 1)
    assert slope == pytest.approx(1, abs=0.02)
    assert offset == pytest.approx(read**2, abs=6)


def test_noise_is_new_in_every_frame_sample_and_channel_and_belongs_to_its_key() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    sensor = Sensor(1000.0, 2.0)
    first, again, other = (with_noise(flat, sensor, 3, index) for index in (0, 0, 1))
    assert np.array_equal(first, again)
    signals = [first[..., 0], first[..., 1], other[..., 0], np.roll(first[..., 0], 1, axis=1)]
    noise = np.stack([signal.ravel() - signal.mean() for signal in signals])
    correlation = np.corrcoef(noise) - np.eye(len(signals))
    assert np.abs(correlation).max() < 5 / 64


def test_no_gain_means_no_noise() -> None:
    frames = _moving(2)
    assert np.array_equal(_degraded(frames, Codec(), Sensor()), frames)


def test_a_coder_gives_back_every_frame_in_order_and_less_of_each_at_a_higher_crf() -> None:
    frames = _moving()
    quality = []
    for crf in (0, 12, 24, 36, 48):
        coded = _degraded(frames, Codec("h264", crf=crf), Sensor())
        assert len(coded) == len(frames)
        nearest = [np.argmin([np.mean(cv2.absdiff(out, f)) for f in frames]) for out in coded[::7]]
        assert nearest == list(range(0, 30, 7))
        quality.append(_psnr(coded, frames))
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 45
    assert quality[-1] < 30


_CODED = """
import hashlib
import numpy as np
from rvsd_bench.media.recoding import H264

random = np.random.default_rng(0)
world = random.integers(60, 200, (144, 240, 3), dtype=np.uint8)
coder, coded = H264((144, 208), 25.0, 26), []
for index in range(8):
    coded += coder.push(np.ascontiguousarray(world[:, 2 * index : 2 * index + 208]))
print(hashlib.sha256(np.stack(coded + coder.finish()).tobytes()).hexdigest())
"""


def test_a_coder_gives_the_same_bytes_whatever_was_in_memory_before() -> None:
    digests = set()
    for filling in ("1", "77", "200"):  # glibc fills all memory that it hands out with it
        environment = {**os.environ, "MALLOC_PERTURB_": filling}
        command = [sys.executable, "-c", _CODED]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.add(run.stdout)
    assert len(digests) == 1


def test_jpeg_is_that_of_another_decoder_and_falls_with_its_quality() -> None:
    from io import BytesIO

    from PIL import Image

    frames = _moving(2)
    by_quality = [
        _degraded(frames, Codec("jpeg", jpeg_quality=quality), Sensor()) for quality in (95, 60, 20)
    ]
    psnrs = [_psnr(coded, frames) for coded in by_quality]
    assert psnrs == sorted(psnrs, reverse=True)
    buffer = BytesIO()
    Image.fromarray(frames[0]).save(buffer, "JPEG", quality=60, subsampling=0)
    witness = np.asarray(Image.open(buffer))
    assert np.abs(by_quality[1][0].astype(int) - witness).max() <= 2


def test_odd_sizes_and_single_frames_come_back_as_they_were() -> None:
    for size, count in (((33, 47), 1), ((32, 48), 3)):
        coded = _degraded(_moving(count, size), Codec("h264", crf=20), Sensor(3000.0))
        assert [frame.shape for frame in coded] == [(*size, 3)] * count


def _clip(folder: Path, frames: int = 4) -> Path:
    folder.mkdir(parents=True)
    y, x = np.mgrid[:48, :64]
    for index in range(frames):
        frame = np.stack([x * 2, y * 2, 220 - 3 * y], axis=-1).astype(np.uint8)
        frame[20:30, 8 + 4 * index :][:, :4] = 250
        write_png(folder / f"{index}.png", frame)
    return folder


def test_the_degraded_output_lies_beside_and_changes_nothing_else(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    making.generate([clip], tmp_path / "plain", **FAST)
    making.generate([clip], tmp_path / "out", degrade="dashcam", **FAST)
    for kind in ("clean", "snow", "layers"):
        plain = tree_digest(tmp_path / "plain/test" / kind)
        assert tree_digest(tmp_path / "out/test" / kind) == plain
    degraded = sorted((tmp_path / "out/test/degraded/00000").iterdir())
    assert [path.name for path in degraded] == [f"000{index}.png" for index in range(4)]
    for path in degraded:
        snowy = read_image(tmp_path / "out/test/snow/00000" / path.name)
        assert 15 < _psnr([read_image(path)], [snowy]) < 40
    meta = json.loads((tmp_path / "out/test/meta/00000.json").read_text())
    assert meta["degradation"]["sensor"]["electrons_at_white"] == 2500
    assert meta["degradation"]["codec"]["kind"] == "h264"
    assert sum(name.startswith("degraded/") for name in meta["files"]) == 4
    assert "degraded/" in (tmp_path / "out/README.md").read_text()
    assert "degradation" not in (tmp_path / "plain/test/meta/00000.json").read_text()


def test_loaders_take_no_notice_and_verify_looks_after_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    making.generate([_clip(tmp_path / "clip")], out, degrade="webcam", **FAST)
    [video] = load(out).videos
    assert video.snowy == out / "test/snow/00000"
    assert video.clean == out / "test/clean/00000"
    assert verify(out).problems == ()
    write_png(out / "test/degraded/00000/0002.png", np.zeros((48, 64, 3), np.uint8))
    [problem] = verify(out).problems
    assert "degraded/00000/0002.png was changed" in problem
    (out / "test/degraded/00000/0002.png").unlink()
    assert any("0002.png is missing" in problem for problem in verify(out).problems)


@pytest.mark.parametrize("container", ["png", "jpg", "ffv1"])
def test_every_container_holds_it_and_the_number_of_workers_changes_no_byte(
    tmp_path: Path, container: str
) -> None:
    clips = [_clip(tmp_path / f"clip{number}", 2 + number) for number in range(2)]
    options = {**FAST, "container": container, "degrade": "dusk", "layers": "none"}
    making.generate(clips, tmp_path / "one", **options)
    if container == "png":
        making.generate(clips, tmp_path / "two", workers=2, **options)
        assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    suffix = ".mkv" if container == "ffv1" else ""
    assert len(read_clip(tmp_path / f"one/test/degraded/00001{suffix}")) == 3
    assert verify(tmp_path / "one").problems == ()


def test_another_degradation_is_another_dataset(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    making.generate([clip], tmp_path / "out", degrade="phone", **FAST)
    assert making.generate([clip], tmp_path / "out", degrade="phone", **FAST).kept
    with pytest.raises(InputError, match=r"its degrade was phone \(.*\), now webcam"):
        making.generate([clip], tmp_path / "out", degrade="webcam", **FAST)
    making.generate([clip], tmp_path / "out", force=True, **FAST)
    assert not (tmp_path / "out/test/degraded").exists()


def test_numbers_may_be_left_to_chance_and_are_drawn_per_video(tmp_path: Path) -> None:
    file = tmp_path / "camera.toml"
    file.write_text(
        "[sensor]\nelectrons_at_white = {log_uniform = [300, 9000]}\n"
        '[codec]\nkind = "h264"\ncrf = {choice = [23, 28, 33, 38]}\n'
    )
    recipe = open_degradation(str(file))
    drawn = [recipe.draw(0, "id", variant) for variant in range(40)]
    assert recipe.draw(0, "id", 3) == drawn[3]
    gains = [one.sensor.electrons_at_white for one in drawn]
    assert min(gains) < 700
    assert max(gains) > 4000
    assert {one.codec.crf for one in drawn} == {23, 28, 33, 38}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sensor]\nelectron_at_white = 3\n", "electrons_at_white"),
        ("[sensor]\nelectrons_at_white = -3\n", r"must lie in \[0, 1e\+06\]"),
        ("[sensor]\nread_electrons = true\n", "must be a number"),
        ("[codec]\nkind = 'h265'\n", "h264"),
        ("[codec]\ncrf = 52\n", r"codec\.crf is 52, must lie in \[0, 51\]"),
        ("[codec]\ncrf = {choice = [20, 60]}\n", r"codec\.crf is 60"),
        ("[codec]\njpeg_quality = 0\n", r"must lie in \[1, 100\]"),
        ("[codec\n", "not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "camera.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        making.generate([_clip(tmp_path / "clip")], tmp_path / "out", degrade=str(file), **FAST)
    assert "camera.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "told"), [("phones", "phone"), ("none.toml", "none.toml: cannot be read")]
)
def test_an_unknown_camera_ends_the_command_with_2(tmp_path: Path, name: str, told: str) -> None:
    command = [sys.executable, "-m", "rvsd_bench", "generate", str(_clip(tmp_path / "clip"))]
    command += ["--out", str(tmp_path / "out"), "--degrade", name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert told in done.stderr


def test_the_shipped_cameras_are_read_back_as_they_are() -> None:
    for name, camera in PRESETS.items():
        assert open_degradation(name).draw(0) == camera


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("codec = {kind = 'h264', crf = {uniform = [20, 30]}}", "codec.crf must be a whole number"),
        (
            "codec = {choice = [{kind = 'h264'}, {kind = 'jpeg', jpeg_quality = "
            "{choice = [50, 500]}}]}",
            "codec.jpeg_quality is 500",
        ),
    ],
    ids=["between whole numbers", "inside the second choice"],
)
def test_a_camera_that_some_draw_would_break_is_refused_at_once(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "camera.toml").write_text(text)
    with pytest.raises(InputError, match=told):
        open_degradation(str(tmp_path / "camera.toml"))
