"""Hold that `verify` sees every change, and accepts what another machine may rightly give."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.errors import InputError, ValidationError
from rvsd_bench.generators import Recipe
from rvsd_bench.making import manifest
from rvsd_bench.making.generating import generate
from rvsd_bench.making.verifying import VerifyReport, verify
from rvsd_bench.media.images import read_gray16, read_image, write_png

FAST: dict[str, Any] = {
    "recipe": Recipe({"tiers": {"dust_ratio": 2.0}}, "sparse.toml"),
    "motion": "static",
    "depth": "ground",
}


def _clip(folder: Path, frames: int = 2) -> Path:
    folder.mkdir(parents=True)
    y, x = np.mgrid[:48, :64]
    for index in range(frames):
        frame = np.stack([x * 2 + index, y * 2, 220 - 3 * y], axis=-1).astype(np.uint8)
        write_png(folder / f"{index}.png", frame)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a dataset once for each set of options."""
    root = tmp_path_factory.mktemp("made")
    clip = _clip(root / "clip")

    def make(**options: Any) -> Path:
        out = root / hashlib.sha256(repr(options).encode()).hexdigest()[:8]
        if not out.exists():
            generate([clip], out, **{**FAST, **options})
        return out

    return make


@pytest.fixture
def dataset(made: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a dataset with layers that a test may spoil."""
    return Path(shutil.copytree(made(), tmp_path / "set"))


@pytest.fixture
def bare(made: Callable[..., Path], tmp_path: Path) -> Path:
    """Return a dataset without layers that a test may spoil."""
    return Path(shutil.copytree(made(layers="none"), tmp_path / "bare"))


def _edit_meta(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = root / "test/meta/00000.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    manifest.write_manifest(root)


def _bump(path: Path, by: int = 1) -> None:
    """Change one sample of a picture, and let meta know of it as a forger would."""
    pixels = read_image(path).copy()
    pixels[5, 7, 1] = (int(pixels[5, 7, 1]) + by) % 256
    write_png(path, pixels)
    root = path.parents[3]
    name = path.relative_to(root / "test").as_posix()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _edit_meta(root, lambda meta: meta["files"].update({name: digest}))


def _problems(root: Path, **options: Any) -> str:
    report = verify(root, **options)
    with pytest.raises(ValidationError):
        report.raise_problems()
    return "\n".join(report.problems)


def _only(report: VerifyReport) -> Any:
    report.raise_problems()
    (video,) = report.videos
    return video


@pytest.mark.parametrize(
    ("options", "how", "frames"),
    [
        ({}, "recomputed from clean frames and layers, byte for byte", 2),
        ({"layers": "none"}, "rendered again, byte for byte", 2),
        ({"container": "ffv1"}, "recomputed from clean frames and layers, byte for byte", 2),
        ({"container": "ffv1", "layers": "none"}, "rendered again, byte for byte", 2),
        ({"container": "jpg"}, "through JPEG: up to 2 levels", 2),
        ({"container": "jpg", "layers": "none"}, "through JPEG: up to 2 levels", 2),
        ({"layers": "none", "motion": "drive:30"}, "rendered again, byte for byte", 2),
        ({"layers": "none", "depth": "constant:25"}, "rendered again, byte for byte", 2),
    ],
)
def test_an_untouched_dataset_verifies_and_says_how(
    made: Callable[..., Path], options: dict[str, Any], how: str, frames: int
) -> None:
    video = _only(verify(made(**options)))
    assert how in video.how
    assert (video.frames, video.largest_difference, video.differing_share) == (frames, 0, 0.0)


def test_more_workers_find_the_same(made: Callable[..., Path]) -> None:
    root = made(variants=2)
    assert verify(root) == verify(root, workers=2)


def test_one_sample_of_a_snowy_frame_is_seen_even_with_its_digest_forged(dataset: Path) -> None:
    _bump(dataset / "test/snow/00000/0001.png")
    assert _problems(dataset) == "test/00000: frames 1 differ by up to 1 levels"


def test_one_sample_of_a_clean_frame_is_seen_even_with_its_digest_forged(dataset: Path) -> None:
    _bump(dataset / "test/clean/00000/0000.png", by=40)
    assert "test/00000: frames 0 differ" in _problems(dataset)


def test_a_changed_layer_is_named(dataset: Path) -> None:
    path = dataset / "test/layers/00000/coverage/0001.png"
    write_png(path, np.minimum(read_gray16(path).astype(np.int64) + 9000, 65535).astype(np.uint16))
    found = _problems(dataset)
    assert f"{path} was changed" in found
    assert "frames 1 differ" in found


def test_a_layer_of_another_size_is_refused_before_it_is_read(dataset: Path) -> None:
    path = dataset / "test/layers/00000/transmission/0000.png"
    write_png(path, np.zeros((4, 4), np.uint16))
    assert "another size than its frame" in _problems(dataset)


def test_missing_and_damaged_files_are_named(dataset: Path) -> None:
    missing = dataset / "test/layers/00000/radiance/0000.png"
    missing.unlink()
    damaged = dataset / "test/snow/00000/0001.png"
    damaged.write_bytes(damaged.read_bytes()[:-30])
    found = _problems(dataset)
    assert f"{missing} is missing" in found
    assert f"{damaged} was changed" in found


@pytest.mark.parametrize("layers", ["png16", "none"])
@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta["scene"]["snow"].update(rate_mm_per_h=2.0),
        lambda meta: meta["times_s"].__setitem__(0, 0.001),
        lambda meta: meta["motion"]["velocity_m_per_s"].__setitem__(0, 1.0),
        lambda meta: meta["depth"].update(far_m=60.0),
        lambda meta: meta["snowfall"].update(flakes=1),
        lambda meta: meta["scales"].update(radiance=4),
        lambda meta: meta["compose"].update(gain=4),
        lambda meta: meta["versions"].update(numpy="1.0"),
    ],
)
def test_every_number_of_a_meta_file_is_held_by_the_manifest(
    made: Callable[..., Path], tmp_path: Path, layers: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    root = Path(shutil.copytree(made(layers=layers), tmp_path / "set"))
    path = root / "test/meta/00000.json"
    meta = json.loads(path.read_text())
    path.write_text(json.dumps(meta))
    _only(verify(root))  # in other words the same numbers
    change(meta)
    path.write_text(json.dumps(meta))
    assert "manifest.json does not fit the meta files" in _problems(root)


def test_frames_of_another_size_are_a_problem_not_a_crash(bare: Path) -> None:
    for path in sorted((bare / "test/snow/00000").iterdir()):
        write_png(path, read_image(path)[:40])
    assert f"{bare / 'test/snow/00000'} is 64 x 40 pixels, its meta 64 x 48" in _problems(bare)


def test_a_card_that_is_gone_and_strangers_in_a_split_are_named(dataset: Path) -> None:
    (dataset / "README.md").unlink()
    (dataset / "test/notes.txt").write_text("mine")
    (dataset / "CITATION.bib").write_text("what lies beside the splits is the publisher's own")
    report = verify(dataset)
    assert report.problems == (
        f"{dataset / 'test/notes.txt'} is no part of a dataset: remove it",
        f"{dataset / 'README.md'} is missing: generate was interrupted; run it again",
    )


def test_files_that_belong_to_nothing_are_named(dataset: Path) -> None:
    extra = dataset / "test/snow/00000/0002.png"
    shutil.copy(dataset / "test/snow/00000/0001.png", extra)
    (dataset / "test/clean/00007").mkdir()
    (dataset / "test/layers/.tmp.00001.abc").mkdir()
    found = _problems(dataset)
    assert f"{extra} is not in its meta file" in found
    assert f"{dataset / 'test/clean/00007'} belongs to no finished video" in found
    assert ".tmp.00001.abc belongs to no finished video" in found


def test_frames_removed_from_disk_and_meta_alike_are_missed(dataset: Path) -> None:
    def forget(meta: dict[str, Any]) -> None:
        for name in [name for name in meta["files"] if name.endswith("0001.png")]:
            (dataset / "test" / name).unlink()
            del meta["files"][name]

    _edit_meta(dataset, forget)
    assert "its list of files does not fit its 2 frames" in _problems(dataset)


@pytest.mark.parametrize(
    ("name", "true", "false"),
    [("manifest.json", '"frames": 2', '"frames": 3'), ("README.md", "| test |", "| train |")],
)
def test_what_is_derived_is_named_if_it_is_stale_or_missing(
    dataset: Path, name: str, true: str, false: str
) -> None:
    path = dataset / name
    assert true in path.read_text()
    path.write_text(path.read_text().replace(true, false))
    assert f"{path} does not fit the meta files" in _problems(dataset)
    path.unlink()
    assert f"{path} is missing" in _problems(dataset)


def test_a_manifest_without_an_end_is_named(dataset: Path) -> None:
    (dataset / "manifest.json").write_text("[" * 100_000)
    assert "manifest.json cannot be compared with the meta files" in _problems(dataset)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta["compose"].update(gain=3),
        lambda meta: meta["compose"].update(gain=-1),
        lambda meta: meta["compose"].update(domain="xyz"),
        lambda meta: meta["compose"].update(version=0),
        lambda meta: meta["atmospheric_light"].update(value16=[1, 2]),
        lambda meta: meta["atmospheric_light"].update(value16=[0] * 1000),
        lambda meta: meta["atmospheric_light"].update(value16=[1, 2, 70000]),
        lambda meta: meta.update(times_s=[]),
        lambda meta: meta.pop("compose"),
        lambda meta: meta.update(format=99),
        lambda meta: meta.update(request={}),
    ],
)
def test_a_meta_file_that_makes_no_sense_is_a_problem_not_a_crash(
    dataset: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    path = dataset / "test/meta/00000.json"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    assert "00000" in _problems(dataset)
    assert len(_problems(dataset)) < 1000
    path.write_text("{")
    assert "is not JSON" in _problems(dataset)


def test_another_processor_may_change_one_level_on_few_samples(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(made(layers="none", size=(160, 120)), tmp_path / "set"))
    _bump(root / "test/snow/00000/0000.png")
    assert "frames 0 differ by up to 1 levels" in _problems(root)
    _edit_meta(root, lambda meta: meta["versions"].update(processor="abacus"))
    video = _only(verify(root))
    assert "processor was abacus" in video.how
    assert (video.largest_difference, video.differing_share) == (1, pytest.approx(1 / 115200))
    _bump(root / "test/snow/00000/0001.png", by=2)
    assert "frames 1 differ by up to 2 levels" in _problems(root)


def test_another_processor_may_not_change_many_samples(bare: Path) -> None:
    _edit_meta(bare, lambda meta: meta["versions"].update(numpy="1.0"))
    _bump(bare / "test/snow/00000/0001.png")  # 1 of 18432: more than 1e-4 would be two
    _only(verify(bare))
    for name in ("0000.png", "0001.png"):
        path = bare / "test/snow/00000" / name
        pixels = read_image(path).astype(np.int64)
        pixels[10] += np.where(pixels[10] < 128, 1, -1)
        write_png(path, pixels.astype(np.uint8))
    assert "of its samples differ, allowed 0.0001" in _problems(bare)


def test_depth_maps_are_asked_for_where_they_are_needed(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    maps = tmp_path / "maps.png"
    write_png(maps, (np.mgrid[:48, :64][0] * 500 + 2000).astype(np.uint16))
    bare, full = tmp_path / "bare", tmp_path / "full"
    generate([clip], bare, layers="none", **{**FAST, "depth": str(maps)})
    generate([clip], full, **{**FAST, "depth": str(maps)})
    _only(verify(full))
    assert "maps.png" in _problems(bare)
    assert "--depth" in _problems(bare)
    _only(verify(bare, depth=maps))
    write_png(maps, np.full((48, 64), 9000, np.uint16))
    assert "its depth was" in _problems(bare, depth=maps)


def test_depth_maps_in_another_unit_are_read_in_it_again(tmp_path: Path) -> None:
    clip, maps, out = _clip(tmp_path / "clip"), tmp_path / "maps.png", tmp_path / "out"
    write_png(maps, (np.mgrid[:48, :64][0] * 100 + 2000).astype(np.uint16))
    depth = f"{maps}?units_per_m=256"
    generate([clip], out, layers="none", **{**FAST, "depth": depth})
    assert "rendered again, byte for byte" in _only(verify(out, depth=maps)).how


@pytest.mark.parametrize("options", [{"layers": "none"}, {"container": "jpg"}])
def test_a_cut_clip_takes_the_maps_of_its_own_frames_again(
    tmp_path: Path, options: dict[str, str]
) -> None:
    clip, maps, out = _clip(tmp_path / "clip", 3), tmp_path / "maps", tmp_path / "out"
    maps.mkdir()
    for index in range(3):
        write_png(maps / f"{index}.png", np.full((48, 64), 9000 + index, np.uint16))
    generate([clip], out, max_frames=2, **{**FAST, "depth": str(maps), **options})
    assert _only(verify(out, depth=maps)).frames == 2


def test_a_folder_that_is_called_like_a_motion_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("static", "ground"):
        (tmp_path / name).mkdir()
    generate([_clip(tmp_path / "clip")], tmp_path / "out", layers="none", **FAST)
    _only(verify(tmp_path / "out"))


def test_a_motion_from_a_file_is_rendered_again_without_the_file(tmp_path: Path) -> None:
    clip, motion = _clip(tmp_path / "clip"), tmp_path / "velocity.csv"
    motion.write_text("vx,vy,vz\n0.5,0,7\n")
    out = tmp_path / "out"
    generate([clip], out, layers="none", **{**FAST, "motion": str(motion)})
    motion.unlink()
    assert "rendered again, byte for byte" in _only(verify(out)).how


def test_poses_are_stored_so_that_a_pan_is_rendered_again_without_their_file(
    tmp_path: Path,
) -> None:
    clip, motion = _clip(tmp_path / "clip", 3), tmp_path / "poses.txt"
    turned = [f"{1e9 + i / 25} 0 0 {i / 3} 0 {np.sin(i / 30)} 0 {np.cos(i / 30)}" for i in range(4)]
    motion.write_text("\n".join(turned))
    out = tmp_path / "out"
    generate([clip], out, layers="none", **{**FAST, "motion": str(motion)})
    motion.unlink()
    assert "rendered again, byte for byte" in _only(verify(out)).how
    (meta,) = out.glob("*/meta/*.json")
    told = json.loads(meta.read_text())
    assert told["motion"]["path"]["time_s"] == pytest.approx([0, 0.04, 0.08, 0.12])
    told["motion"]["path"]["position_m"][2][0] += 0.02
    meta.write_text(json.dumps(told))
    assert "differ by up to" in _problems(out)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_dataset_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a dataset made by"):
        verify(tmp_path / name)
