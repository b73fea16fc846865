"""Hold what `generate` promises: the layout, the equation, resuming, and nothing half-done."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rvsd_bench.clip import Clip
from rvsd_bench.colour import enc8, lin16
from rvsd_bench.errors import InputError, OutputError, PartialError
from rvsd_bench.files import tree_digest, write_json
from rvsd_bench.generators import Recipe, Shot, load_recipe
from rvsd_bench.generators.weather import Weather
from rvsd_bench.making import claiming, estimating, publishing, writing
from rvsd_bench.making import generating as making
from rvsd_bench.making.verifying import verify
from rvsd_bench.media.images import read_gray16, read_image, write_png

# Little grain: its tiles are what takes time.
SPARSE = Recipe({"tiers": {"dust_ratio": 2.0}}, "sparse.toml")
FAST: dict[str, Any] = {"recipe": SPARSE, "motion": "static", "depth": "ground"}

_shots: dict[tuple[Any, ...], Shot] = {}


@pytest.fixture(autouse=True)
def _prepare_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare equal shots once for all tests: these are about what becomes of the frames."""
    shoot = publishing.shoot

    def remembered(job: publishing.Job, clip: Clip) -> Shot:
        key = (json.dumps(job.request, sort_keys=True), clip.size, len(clip))
        if key not in _shots:
            _shots[key] = shoot(job, clip)
        return _shots[key]

    monkeypatch.setattr(publishing, "shoot", remembered)


def _clip(folder: Path, frames: int = 3, seed: int = 0) -> Path:
    """Make a folder of frames: a sky over a road, with a bar that moves."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[:48, :64]
    for index in range(frames):
        frame = np.stack([x * 2, y * 2, 220 - 3 * y], axis=-1).astype(np.uint8)
        frame[20:30, (8 + 4 * index + seed) % 60 :][:, :4] = 250
        write_png(folder / f"{index}.png", frame)
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder of three clips."""
    for number in range(3):
        _clip(tmp_path / "clips" / f"clip{number}", frames=2 + number, seed=number)
    return tmp_path / "clips"


def _files(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def _meta(root: Path, video: str = "test/00000") -> dict[str, Any]:
    split, name = video.split("/")
    meta: dict[str, Any] = json.loads((root / split / "meta" / f"{name}.json").read_text())
    return meta


def _written(root: Path) -> dict[str, int]:
    return {name: (root / name).stat().st_mtime_ns for name in _files(root)}


def test_the_files_are_those_of_the_contract_and_no_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    making.generate([_clip(tmp_path / "clip", 2)], out, **FAST)
    planes = ("transmission", "coverage", "radiance")
    names = ("0000.png", "0001.png")
    expected = ["README.md", "manifest.json", "test/meta/00000.json"]
    expected += [f"test/{side}/00000/{name}" for side in ("clean", "snow") for name in names]
    expected += [f"test/layers/00000/{plane}/{name}" for plane in planes for name in names]
    assert _files(out) == sorted(expected)
    assert sorted(_meta(out)["files"]) == sorted(n[5:] for n in expected if "0/" in n)


def _recomputed(root: Path, frame: str) -> NDArray[np.uint8]:
    """Follow the contract's integer equation in plain NumPy."""
    meta = _meta(root)
    clean = read_image(root / "test/clean/00000" / frame)
    T, z, p = (
        read_gray16(root / "test/layers/00000" / plane / frame).astype(np.int64)[..., None]
        for plane in ("transmission", "coverage", "radiance")
    )
    A = np.array(meta["atmospheric_light"]["value16"], np.int64)
    L = lin16().astype(np.int64)[clean]
    hazy = (L * T + A * (65535 - T) + 32767) // 65535
    snowy = (hazy * (65535 - z) + meta["compose"]["gain"] * A * p + 32767) // 65535
    return enc8()[np.minimum(snowy, 65535)]


def test_every_snowy_frame_follows_from_its_clean_frame_and_layers(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip", 3)
    making.generate([clip], tmp_path / "out", **FAST)
    for index in range(3):
        name = f"{index:04d}.png"
        clean = read_image(tmp_path / "out/test/clean/00000" / name)
        assert np.array_equal(clean, read_image(clip / f"{index}.png"))
        snowy = read_image(tmp_path / "out/test/snow/00000" / name)
        assert np.array_equal(snowy, _recomputed(tmp_path / "out", name))
        assert not np.array_equal(snowy, clean)
        assert read_gray16(tmp_path / "out/test/layers/00000/coverage" / name).any()


def test_meta_and_card_tell_the_source_but_not_the_machine(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "secret place" / "my clip")
    making.generate([clip], tmp_path / "out", seed=5, licence="CC BY 4.0 | by me", **FAST)
    meta = _meta(tmp_path / "out")
    assert meta["source"]["name"] == "my clip"
    assert (meta["seed"], meta["variant"], meta["frames"]) == (5, 0, 3)
    assert meta["scene"]["snow"]["rate_mm_per_h"] > 0
    assert meta["times_s"] == [0.0, 0.04, 0.08]
    texts = [p.read_text() for p in (tmp_path / "out").rglob("*") if p.suffix in (".md", ".json")]
    assert all("secret place" not in text for text in texts)
    assert all(os.uname().nodename not in text for text in texts)
    assert "CC BY 4.0 \\| by me" in (tmp_path / "out/README.md").read_text()


def test_the_number_of_workers_and_the_place_of_the_clips_change_no_byte(
    clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(clips, tmp_path / "elsewhere")
    split = "train=0.5,test=0.5"
    making.generate([clips], tmp_path / "one", split=split, variants=2, **FAST)
    elsewhere = tmp_path / "elsewhere"
    making.generate([elsewhere], tmp_path / "two", split=split, variants=2, workers=2, **FAST)
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")
    assert len(list((tmp_path / "one").glob("*/meta/*.json"))) == 6


def test_variants_and_seeds_differ(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    making.generate([clip], tmp_path / "a", variants=2, **FAST)
    making.generate([clip], tmp_path / "b", seed=1, **FAST)
    snow = [tmp_path / f"{d}/test/snow/{v}/0000.png" for d, v in (("a", "00000"), ("a", "00001"))]
    snow.append(tmp_path / "b/test/snow/00000/0000.png")
    assert len({path.read_bytes() for path in snow}) == 3


def test_shards_together_are_the_whole(clips: Path, tmp_path: Path) -> None:
    making.generate([clips], tmp_path / "whole", **FAST)
    for part in ("2/2", "1/2"):
        making.generate([clips], tmp_path / "parts", shard=part, **FAST)
    assert tree_digest(tmp_path / "whole") == tree_digest(tmp_path / "parts")


def test_a_finished_dataset_is_kept_untouched(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    making.generate([clips], out, **FAST)
    before = _written(out)
    again = making.generate([clips], out, **FAST)
    assert (again.made, len(again.kept)) == ((), 3)
    after = _written(out)
    del before["manifest.json"], before["README.md"], after["manifest.json"], after["README.md"]
    assert before == after


def test_what_lacks_its_meta_is_made_again_and_nothing_else(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    making.generate([clips], out, **FAST)
    whole = tree_digest(out)
    (out / "test/meta/00001.json").unlink()
    (out / "test/clean/00001/0000.png").write_bytes(b"half")
    (out / "test/snow/.tmp.00001.ab").mkdir()
    summary = making.generate([clips], out, **FAST)
    assert summary.made == ("test/00001",)
    assert tree_digest(out) == whole


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": "flurry"}, r"recipe was sparse\.toml .* now flurry"),
        ({"seed": 9}, "seed was 0, now 9"),
        ({"depth": "constant:20"}, "depth was ground, now constant:20"),
        ({"layers": "none"}, "layers was png16, now none"),
        ({"max_frames": 2}, "max_frames was None, now 2"),
        ({"container": "jpg"}, "container was png, now jpg"),
    ],
)
def test_a_changed_option_is_refused_and_named(
    clips: Path, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    out = tmp_path / "out"
    making.generate([clips / "clip1"], out, **FAST)
    before = _written(out)
    with pytest.raises(InputError, match=named):
        making.generate([clips / "clip1"], out, **{**FAST, **change})
    assert _written(out) == before
    making.generate([clips / "clip1"], out, force=True, **{**FAST, **change})
    making.generate([clips / "clip1"], tmp_path / "fresh", **{**FAST, **change})
    assert tree_digest(out) == tree_digest(tmp_path / "fresh")


def test_changed_footage_is_refused_and_named(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    making.generate([clips], out, **FAST)
    write_png(clips / "clip1" / "0.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"test/00001.*source was"):
        making.generate([clips], out, **FAST)
    shutil.rmtree(clips / "clip1")
    with pytest.raises(InputError, match=r"test/0000[12]"):
        making.generate([clips], out, **FAST)
    making.generate([clips], out, force=True, **FAST)
    making.generate([clips], tmp_path / "fresh", **FAST)
    assert tree_digest(out) == tree_digest(tmp_path / "fresh")


def test_a_recipe_is_known_by_its_content(tmp_path: Path) -> None:
    clip, recipe = _clip(tmp_path / "clip"), tmp_path / "mine.toml"
    recipe.write_text("[snow]\nrate_mm_per_h = 1.0\n")
    making.generate([clip], tmp_path / "out", **{**FAST, "recipe": recipe})
    other = shutil.copy(recipe, tmp_path / "renamed.toml")
    assert making.generate([clip], tmp_path / "out", **{**FAST, "recipe": Path(other)}).kept
    recipe.write_text("[snow]\nrate_mm_per_h = 2.0\n")
    with pytest.raises(InputError, match=r"recipe was mine\.toml"):
        making.generate([clip], tmp_path / "out", **{**FAST, "recipe": recipe})


def test_a_recipe_with_distributions_gives_each_variant_its_own_scene(tmp_path: Path) -> None:
    recipe = tmp_path / "wide.toml"
    recipe.write_text("[snow]\nrate_mm_per_h = {uniform = [0.5, 3.0]}\n[tiers]\ndust_ratio = 2.0\n")
    out = tmp_path / "out"
    making.generate([_clip(tmp_path / "clip")], out, variants=3, **{**FAST, "recipe": recipe})
    metas = [_meta(out, f"test/0000{n}") for n in range(3)]
    rates = [meta["scene"]["snow"]["rate_mm_per_h"] for meta in metas]
    assert len(set(rates)) == 3
    assert all(0.5 <= rate <= 3 for rate in rates)


def test_every_number_that_a_shipped_corpus_draws_is_in_meta(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shipped = {**FAST, "recipe": Path("rvsd_like.toml")}
    making.generate([_clip(tmp_path / "clip", 1)], out, variants=2, seed=3, **shipped)
    for variant in range(2):
        meta = _meta(out, f"test/0000{variant}")
        drawn = load_recipe("rvsd_like.toml").draw(3, meta["source_id"], variant)
        assert meta["scene"] == json.loads(json.dumps(dataclasses.asdict(drawn)))


def test_one_damaged_clip_fails_by_name_and_the_others_are_made(
    clips: Path, tmp_path: Path
) -> None:
    damaged = clips / "clip1" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    summary = making.generate([clips], tmp_path / "out", **FAST)
    assert summary.made == ("test/00000", "test/00002")
    with pytest.raises(PartialError, match=r"clip1.*1\.png is damaged"):
        summary.raise_failures()
    assert not [name for name in _files(tmp_path / "out") if "00001" in name.split("/")[2:3]]
    assert not list((tmp_path / "out").rglob(".tmp*"))


def test_an_only_clip_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    (clip / "2.png").write_bytes((clip / "2.png").read_bytes()[:-40])
    with pytest.raises(InputError, match=r"2\.png is damaged"):
        making.generate([clip], tmp_path / "out", **FAST)
    assert not (tmp_path / "out").exists()


def _failing_after(calls: int, error: BaseException) -> Callable[..., Any]:
    left = [calls]
    write = writing._write

    def fail(*args: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return write(*args)

    return fail


@pytest.mark.parametrize("calls", [0, 3, 5, 14, 17])
@pytest.mark.parametrize("error", [OutputError("cannot write x: disk full"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_leaves_only_whole_videos(
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    calls: int,
    error: BaseException,
) -> None:
    making.generate([clips], tmp_path / "whole", **FAST)
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_write", _failing_after(calls, error))
        with pytest.raises(type(error)):
            making.generate([clips], out, **FAST)
    finished = {path.stem for path in out.glob("test/meta/*.json")}
    there = {
        path.name for side in ("clean", "snow", "layers") for path in out.glob(f"test/{side}/*")
    }
    assert there == finished
    assert len(finished) == (1 if calls >= 10 else 0)
    making.generate([clips], out, **FAST)
    assert tree_digest(out) == tree_digest(tmp_path / "whole")


def test_a_video_file_does_not_stay_when_its_layers_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = _clip(tmp_path / "clip")
    monkeypatch.setattr(writing, "_write", _failing_after(4, InputError("no such depth")))
    with pytest.raises(InputError, match="no such depth"):
        making.generate([clip], tmp_path / "out", container="ffv1", **FAST)
    assert not (tmp_path / "out").exists()


def test_meta_is_written_when_all_else_is_in_place(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, seen = tmp_path / "out/test", []

    def watched(path: Path, value: Any) -> None:
        if path.parent.name == "meta":
            seen.append(all((place / name).is_file() for name in value["files"]))
        write_json(path, value)

    monkeypatch.setattr(publishing, "write_json", watched)
    making.generate([clips], tmp_path / "out", **FAST)
    assert seen == [True, True, True]


def test_a_killed_job_goes_on_to_the_same_bytes(clips: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "sparse.toml"
    recipe.write_text("[tiers]\ndust_ratio = 2.0\n")
    making.generate([clips], tmp_path / "whole", variants=3, **FAST)
    out = tmp_path / "out"
    code = (
        "from pathlib import Path\nfrom rvsd_bench.making.generating import generate\n"
        "if __name__ == '__main__':\n"
        f"    generate([{str(clips)!r}], {str(out)!r}, recipe=Path({str(recipe)!r}), variants=3,"
        " workers=2, motion='static', depth='ground')"
    )
    for videos in (1, 4):
        job = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        deadline = time.monotonic() + 30
        while len(list(out.glob("test/meta/*.json"))) < videos and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    for name in ("manifest.0123456789abcdef.json", "README.0123456789abcdef.md"):
        (out / f".tmp.{name}").write_text("{")  # as if killed in its last moment
    making.generate([clips], out, variants=3, **FAST)
    assert tree_digest(out) == tree_digest(tmp_path / "whole")


def test_a_disk_that_is_clearly_too_small_is_found_before_any_work(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    foreseen = making.generate([clips], out, dry_run=True, **FAST).estimate
    assert foreseen is not None
    room = [foreseen.bytes // 2]
    monkeypatch.setattr(estimating, "free_bytes", lambda path: room[0])
    words = rf"3 videos take about {foreseen.bytes} bytes, but there is room for {room[0]}"
    with pytest.raises(OutputError, match=words):
        making.generate([clips], out, **FAST)
    assert not out.exists()
    room[0] = foreseen.bytes  # an estimate may be off: it refuses only what is clear
    making.generate([clips], out, **FAST)
    size = sum(path.stat().st_size for path in out.glob("test/*/**/*.png"))
    assert size == pytest.approx(foreseen.bytes, rel=0.3)


def test_layers_that_were_lost_are_made_again(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    out = tmp_path / "out"
    making.generate([clip], out, **FAST)
    before = tree_digest(out)
    shutil.rmtree(out / "test/layers/00000")
    assert making.generate([clip], out, **FAST).made == ("test/00000",)
    assert tree_digest(out) == before


def test_a_dry_run_estimates_and_writes_nothing(clips: Path, tmp_path: Path) -> None:
    summary = making.generate([clips], tmp_path / "out", dry_run=True, **FAST)
    assert not (tmp_path / "out").exists()
    assert summary.plan.frames == 9
    making.generate([clips], tmp_path / "out", **FAST)
    images = list((tmp_path / "out").rglob("*.png"))
    size = sum(path.stat().st_size for path in images)
    assert summary.estimate is not None
    assert summary.estimate.bytes == pytest.approx(size, rel=0.3)
    assert summary.estimate.seconds > 0


def test_a_jpeg_dataset_takes_the_decoded_jpeg_as_truth(tmp_path: Path) -> None:
    making.generate([_clip(tmp_path / "clip", 2)], tmp_path / "out", container="jpg", **FAST)
    clean = read_image(tmp_path / "out/test/clean/00000/0001.jpg")
    layers = tmp_path / "out/test/layers/00000"
    assert read_gray16(layers / "coverage/0001.png").shape == clean.shape[:2]
    shutil.copy(tmp_path / "out/test/clean/00000/0001.jpg", tmp_path / "j.jpg")
    write_png(tmp_path / "out/test/clean/00000/0001.png", clean)
    made = _recomputed(tmp_path / "out", "0001.png")
    stored = read_image(tmp_path / "out/test/snow/00000/0001.jpg")
    assert np.abs(stored.astype(int) - made).mean() < 1
    assert _meta(tmp_path / "out")["request"]["container"] == "jpg"


def test_an_ffv1_dataset_is_two_lossless_videos_and_its_layers(tmp_path: Path) -> None:
    from rvsd_bench.media.reading import read_clip

    clip = _clip(tmp_path / "clip", 3)
    making.generate([clip], tmp_path / "out", container="ffv1", **FAST)
    making.generate([clip], tmp_path / "png", **FAST)
    for side in ("clean", "snow"):
        video = read_clip(tmp_path / f"out/test/{side}/00000.mkv")
        frames = [read_image(p) for p in sorted((tmp_path / f"png/test/{side}/00000").iterdir())]
        assert np.array_equal(np.stack(list(video)), np.stack(frames))
    assert _meta(tmp_path / "out")["files"].keys() > {"clean/00000.mkv", "snow/00000.mkv"}


def test_without_layers_there_are_none(tmp_path: Path) -> None:
    making.generate([_clip(tmp_path / "clip")], tmp_path / "out", layers="none", **FAST)
    assert not (tmp_path / "out/test/layers").exists()
    assert _meta(tmp_path / "out")["request"]["layers"] == "none"


def test_cut_and_resampled_clips_are_what_was_asked_for(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip", 4)
    making.generate([clip], tmp_path / "out", max_frames=2, size=(32, 24), fps=10, **FAST)
    meta = _meta(tmp_path / "out")
    assert (meta["frames"], meta["width"], meta["height"]) == (2, 32, 24)
    assert meta["times_s"] == [0.0, 0.1]
    assert read_image(tmp_path / "out/test/snow/00000/0001.png").shape == (24, 32, 3)


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not empty"):
        making.generate([clip], tmp_path / "mine", force=True, **FAST)
    assert _files(tmp_path / "mine") == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        making.generate([clip], tmp_path / "mine/thesis.txt", **FAST)


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip")
    with (
        claiming.locked(tmp_path / "out", "1-of-1"),
        pytest.raises(InputError, match="another run"),
    ):
        making.generate([clip], tmp_path / "out", **FAST)
    making.generate([clip], tmp_path / "out", **FAST)
    assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    "wrong", [{"layers": "png8"}, {"container": "mp4"}, {"variants": 0}, {"max_frames": 0}]
)
def test_values_that_do_not_exist_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        making.generate([_clip(tmp_path / "clip")], tmp_path / "out", **{**FAST, **wrong})
    assert not (tmp_path / "out").exists()


def test_snow_by_night_over_footage_of_the_day_is_warned_of(tmp_path: Path) -> None:
    night = Recipe({"tiers": {"dust_ratio": 2.0}, "light": {"mode": "night"}}, "night.toml")
    for recipe, warns in ((night, True), (SPARSE, False)):
        clip, said = tmp_path / "one", list[str]()
        clip.mkdir(exist_ok=True)
        write_png(clip / "0.png", np.full((48, 64, 3), 180, np.uint8))
        out = tmp_path / recipe.where
        making.generate([clip], out, **(FAST | {"recipe": recipe}), report=said.append)
        assert any(line.startswith("one: the clip is bright") for line in said) == warns


@pytest.mark.parametrize("weather", ["snow", "haze"])
def test_a_dataset_of_one_weather_is_verified_from_its_layers_and_by_rendering(
    tmp_path: Path, clips: Path, weather: Weather
) -> None:
    for layers in ("png16", "none"):
        out = tmp_path / layers
        making.generate([clips / "clip0"], out, weather=weather, layers=layers, **FAST)
        assert not verify(out).problems
    planes = tmp_path / "png16" / "test" / "layers" / "00000"
    T, z = (read_gray16(planes / name / "0000.png") for name in ("transmission", "coverage"))
    assert bool((T == 65535).all()) == (weather == "snow")
    assert bool((z == 0).all()) == (weather == "haze")
    with pytest.raises(InputError, match="weather"):
        making.generate([clips / "clip0"], tmp_path / "png16", **FAST)
