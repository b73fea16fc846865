"""The feed of training: a pure function of seed and step, sources held out, layers as stored."""

from __future__ import annotations

import colorsys
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from rvsd_bench.data import caching
from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_source
from rvsd_bench.generators import Recipe, pairs, prepare, read_layers
from rvsd_bench.making.generating import generate
from rvsd_bench.media import frame_cache, plane_cache
from rvsd_bench.media.images import read_image, write_png
from rvsd_bench.seeds import stream
from rvsd_bench.training.augmenting import mixed, strengthened, turned
from rvsd_bench.training.batches import Batch
from rvsd_bench.training.feeding import SampledFeed, open_feed
from rvsd_bench.training.holding import held_out
from rvsd_bench.training.paired import Paired
from rvsd_bench.training.recipe import Data, Semi, TrainingRecipe, Validation
from rvsd_bench.training.unlabelled import RealSnow

SNOW = """
[tiers]
dust_ratio = 2.0
[snow]
rate_mm_per_h = 2.0
[fog]
extinction_per_m = 0.01
"""


def _frames(folder: Path, number: int, size: tuple[int, int] = (72, 96), count: int = 5) -> Path:
    """Write a clip whose every pixel tells clip, frame and place: no two windows are alike."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[: size[0], : size[1]]
    for index in range(count):
        frame = np.stack([2 * x, 3 * y, 0 * x + 30 * number + 5 * index], axis=-1) % 256
        write_png(folder / f"{index:04d}.png", frame.astype(np.uint8))
    return folder


def _recipe(root: Path, **changes: Any) -> TrainingRecipe:
    snow = root / "snow.toml"
    snow.write_text(SNOW)
    data = Data(
        str(snow), per_snowfall=64, snowfalls=2, windows=2, depth="constant:30", motion="static"
    )
    plain = TrainingRecipe(
        "svdnet", 10, batch=2, frames=3, crop=32, losses={"charbonnier": 1.0}, data=data,
        validation=Validation(clips=3, size=48),
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four clean clips."""
    root = tmp_path_factory.mktemp("footage")
    for number in range(4):
        _frames(root / f"clip{number}", number)
    return root


@pytest.fixture(scope="module")
def snowing(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> SampledFeed:
    """Return the feed of clean footage."""
    return open_feed(footage, _recipe(tmp_path_factory.mktemp("recipe")))


@pytest.fixture(scope="module")
def dataset(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a generated dataset: three videos to train on, one to test."""
    root = tmp_path_factory.mktemp("made") / "set"
    snow = Recipe({"tiers": {"dust_ratio": 2.0}, "fog": {"extinction_per_m": 0.01}}, "snow")
    generate(
        [footage], root, recipe=snow, motion="static", depth="ground",
        split="train=0.75,test=0.25",
    )  # fmt: skip
    return root


def _same(one: Batch, other: Batch) -> bool:
    assert one.layers is not None
    assert other.layers is not None
    pairs = [(one.snowy, other.snowy), (one.clean, other.clean)]
    pairs += [(getattr(one.layers, name), getattr(other.layers, name)) for name in "STAz"]
    return one.videos == other.videos and all(torch.equal(a, b) for a, b in pairs)


def test_a_batch_depends_on_the_step_alone(snowing: SampledFeed) -> None:
    """Asked for in another order, by a copy as a worker has it, and once more."""
    inorder = [snowing.batch(step) for step in range(9)]
    copy: SampledFeed = pickle.loads(pickle.dumps(snowing))
    for step in (7, 2, 8, 2, 0):
        assert _same(copy.batch(step), inorder[step])
    assert _same(snowing.batch(3), inorder[3])
    assert not any(_same(inorder[step], inorder[step + 1]) for step in range(8))


def test_no_window_is_served_twice(snowing: SampledFeed) -> None:
    """A rendered window is learned from eight times, each time another part or mirrored."""
    seen = [frame for step in range(24) for frame in snowing.batch(step).snowy]
    alike = [torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i]]
    assert len(seen) == 48
    assert not any(alike)


def test_no_snowfall_is_begun_twice(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two windows of each; many more steps than it takes to go through all that are kept."""
    begun: list[int] = []

    def counted(*told: Any, **options: Any) -> Any:
        begun.append(options["variant"])
        return prepare(*told, **options)

    monkeypatch.setattr(pairs, "prepare", counted)
    data = replace(_recipe(tmp_path).data, per_snowfall=16, windows=16)
    feed = open_feed(footage, _recipe(tmp_path, data=data))
    for step in range(100):
        feed.batch(step)
    assert len(begun) > 12
    assert sorted(set(begun)) == sorted(begun)


def test_windows_under_one_snowfall_are_of_one_video(footage: Path, tmp_path: Path) -> None:
    """What is contrasted is snow: a clip under another snowfall is another video."""
    alone = tmp_path / "alone"
    shutil.copytree(footage / "clip0", alone / "clip0")
    batch = open_feed(alone, _recipe(tmp_path, batch=4)).batch(0)
    assert len(set(batch.videos)) == 2
    assert batch.videos[0] == batch.videos[2] != batch.videos[1] == batch.videos[3]


def test_windows_are_cut_from_the_clips_and_mirrored_whole(
    snowing: SampledFeed, footage: Path
) -> None:
    """Red rises by 2 from column to column, green by 3 from row to row: also where mirrored."""
    ways = set()
    for step in range(8):
        batch = snowing.batch(step)
        assert batch.clean.shape == (2, 3, 3, 32, 32)
        clean = (255 * batch.clean).round().int()
        right = (clean[:, :, 0].diff(dim=-1) % 256).unique().tolist()
        down = (clean[:, :, 1].diff(dim=-2) % 256).unique().tolist()
        assert set(right) <= {2, 254}
        assert down == [3]
        ways |= set(right)
        layers = batch.layers
        assert layers is not None
        again = batch.clean * layers.T + layers.A * (1 - layers.T) + layers.S
        assert torch.allclose(again, batch.snowy, atol=1e-6)
    assert ways == {2, 254}


def test_the_windows_of_a_batch_are_from_different_clips(
    footage: Path, snowing: SampledFeed, dataset: Path, tmp_path: Path
) -> None:
    made = open_feed(dataset, _recipe(tmp_path))
    assert made.snow == "" != snowing.snow
    for feed in (snowing, made):
        for step in range(20):
            batch = feed.batch(step)
            blue = (255 * batch.clean[:, 0, 2, 0, 0]).round().int() // 30
            assert len(set(batch.videos)) == 2
            assert len(set(blue.tolist())) == 2


def test_a_tenth_of_the_sources_is_held_out_by_hash() -> None:
    names = [f"source {number}" for number in range(40)]
    held = held_out(names * 3)
    assert len(held) == 4
    assert held == held_out(reversed(names))
    assert len(held & held_out(names[:39])) >= 3  # adding one source moves one at most
    assert len(held_out(names[:2])) == 1
    assert held_out(names[:1]) == frozenset()


def test_held_out_clips_are_looked_at_and_never_learned_from(
    snowing: SampledFeed, footage: Path
) -> None:
    roles = {source.name: source.role for source in snowing.sources}
    assert sorted(roles.values()) == ["held out", "train", "train", "train"]
    held = next(int(name[-1]) for name, role in roles.items() if role == "held out")
    steps = range(0, 200, 40)
    blue = torch.cat([snowing.batch(step).clean[:, :, 2].flatten() for step in steps])
    learned = set(((255 * blue).round().int() // 30).unique().tolist())
    assert learned == {0, 1, 2, 3} - {held}
    for snowy, clean in snowing.validation():
        assert snowy.shape == clean.shape == (3, 3, 48, 48)
        assert ((255 * clean[:, 2]).round().int() // 30 == held).all()
    digests = {source.digest for source in snowing.sources}
    assert digests == {digest_source(footage / name) for name in roles}


def test_variants_of_one_source_are_on_one_side(footage: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    snow = Recipe({"tiers": {"dust_ratio": 2.0}}, "snow")
    told: dict[str, Any] = {"motion": "static", "depth": "constant:20", "layers": "none"}
    generate([footage], root, recipe=snow, variants=2, max_frames=3, split="train=1", **told)
    feed = open_feed(root, _recipe(tmp_path))
    roles: dict[str, set[str]] = {}
    for source in feed.sources:
        roles.setdefault(source.digest, set()).add(source.role)
    assert len(feed.sources) == 8
    assert sorted(map(len, roles.values())) == [1, 1, 1, 1]
    assert feed.batch(0).layers is None


def test_layers_of_a_generated_dataset_are_the_stored_ones(dataset: Path, tmp_path: Path) -> None:
    recipe = _recipe(tmp_path, crop=72, data=Data(flips=False))
    feed = open_feed(dataset, recipe)
    samples = feed.samples
    assert isinstance(samples, Paired)
    batch = feed.batch(0)
    assert batch.layers is not None
    films = dict(film for several in samples._films.values() for film in several)
    for place, video in enumerate(batch.videos):
        film = films[video]
        clean = (255 * batch.clean[place]).round().byte()
        name = film.video.name
        whole = [
            read_image(dataset / "train" / "clean" / name / f"{frame}.png")
            for frame in film.video.frame_ids
        ]
        # The place is found by looking for it: all windows differ.
        (start, left) = next(
            (start, left)
            for start in range(3)
            for left in range(25)
            if np.array_equal(whole[start][:, left : left + 72], clean[0].permute(1, 2, 0))
        )
        for step in range(3):
            told = read_layers(dataset, "train", name, film.video.frame_ids[start + step],
                               target="network")  # fmt: skip
            for plane in "STAz":
                value = np.broadcast_to(
                    getattr(told, plane), (72, 96, getattr(told, plane).shape[-1])
                )
                cut = torch.from_numpy(value[:, left : left + 72].copy()).permute(2, 0, 1).float()
                found = getattr(batch.layers, plane)[place, step]
                assert torch.allclose(found, cut, atol=1e-6)


def test_the_command_cache_decodes_all_that_training_reads(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = caching.cache(caching.plan(dataset, out=tmp_path / "cache"))
    written = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*.npy"))
    assert written == done.bytes + 128 * len(done.entries)  # and NumPy's headers
    again = caching.plan(dataset, out=tmp_path / "cache")
    assert again.bytes_to_write == 0
    assert len(again.entries) == 4 * 2 + 4 * 2  # the sides, transmission and coverage
    for module in (frame_cache, plane_cache):
        name = "_write_frames" if module is frame_cache else "_write"
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("decoded again"))
    feed = open_feed(dataset, _recipe(tmp_path), cache=tmp_path / "cache")
    assert feed.batch(0).layers is not None


def test_the_test_split_is_never_opened(dataset: Path, tmp_path: Path) -> None:
    feed = open_feed(dataset, _recipe(tmp_path))
    names = {path.name for path in (dataset / "train" / "snow").iterdir()}
    assert {source.name for source in feed.sources} <= names
    assert not list((dataset / "test").rglob("*.npy"))
    with pytest.raises(InputError, match="no split validation"):
        open_feed(dataset, _recipe(tmp_path), split="validation")


def test_real_snow_is_seen_twice_at_the_same_places(footage: Path, tmp_path: Path) -> None:
    """Phase correlation finds no shift between weak and strong, and finds the mirrored unlike."""
    real = tmp_path / "real"
    for number in range(3):
        clip = _frames(real / f"real{number}", number)
        for index, file in enumerate(sorted(clip.iterdir())):
            noise = stream(number, "real", index).random((72, 96, 3)).astype(np.float32)
            write_png(file, (60 + 130 * cv2.GaussianBlur(noise, (0, 0), 1)).astype(np.uint8))
    feed = open_feed(footage, _recipe(tmp_path, semi=Semi(batch=3)), unlabelled=real, seed=4)
    assert isinstance(feed.unlabelled, RealSnow)
    changed = []
    for step in range(6):
        batch = feed.unlabelled.batch(step)
        assert torch.equal(batch.strong, feed.unlabelled.batch(step).strong)
        assert batch.weak.shape == batch.strong.shape == (3, 3, 3, 32, 32)
        assert len(set(batch.videos)) == 3
        assert 0 <= float(batch.strong.min()) <= float(batch.strong.max()) <= 1
        for weak, strong in zip(batch.weak, batch.strong, strict=True):
            changed.append(float((weak - strong).abs().max()))
            for one, other in zip(weak.mean(1).double(), strong.mean(1).double(), strict=True):
                shift, found = cv2.phaseCorrelate(one.numpy(), other.numpy())
                unlike = cv2.phaseCorrelate(one.flip(-1).numpy(), other.numpy())[1]
                assert np.hypot(*shift) < 0.5
                assert found > 1.5 * unlike
    assert max(changed) > 0.1
    assert [source.role for source in feed.sources].count("unlabelled") == 3


def test_strong_colours_change_alike_in_all_frames() -> None:
    """The frames of a window that stands still stay equal, and windows differ from each other."""
    still = np.repeat(stream("still").random((1, 16, 16, 3)).astype(np.float32), 3, axis=0)
    windows = [strengthened(still, stream("strong", number)) for number in range(20)]
    assert all((window == window[:1]).all() for window in windows)
    assert len({window.tobytes() for window in windows}) == 20


def test_each_change_of_colour_is_the_one_that_its_name_says() -> None:
    """Pillow's enhancers are the witness, colorsys that of the hue."""
    frame = (255 * stream("colours").random((8, 8, 3))).astype(np.uint8)
    shown, values = Image.fromarray(frame), frame[None] / np.float32(255)
    grey = np.asarray(shown.convert("L"))[None, ..., None] / np.float32(255)
    pale = np.asarray(ImageEnhance.Color(shown).enhance(0.7))
    assert np.abs(255 * mixed(values, grey, 0.7)[0] - pale).max() < 1.01
    turned_there = turned(values, 0.08)[0]
    for pixel, found in zip(values[0].reshape(-1, 3), turned_there.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*map(float, pixel))
        expected = colorsys.hsv_to_rgb((hue + 0.08) % 1, saturation, value)
        assert np.allclose(found, expected, atol=1e-3)


def test_labelled_and_unlabelled_streams_are_as_long_as_they_like(
    footage: Path, tmp_path: Path
) -> None:
    """One real clip serves for ever; the labelled batches are the same with and without."""
    real = _frames(tmp_path / "real" / "one", 3).parent
    with_it = open_feed(footage, _recipe(tmp_path, semi=Semi(batch=2)), unlabelled=real)
    without = open_feed(footage, _recipe(tmp_path))
    for step in (0, 1, 500):
        assert _same(with_it.batch(step), without.batch(step))
        unlabelled = with_it.batch(step).unlabelled
        assert unlabelled is not None
        assert unlabelled.videos == (0, 0)
    assert without.batch(0).unlabelled is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crop": 80}, r"clip\d.*96 x 72 pixels, too small for crops of 80"),
        ({"frames": 6}, r"clip\d.* has 5 frames, too few"),
    ],
)
def test_small_and_short_clips_are_refused_by_name(
    footage: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        open_feed(footage, _recipe(tmp_path, **changes))
    real = _frames(tmp_path / "real" / "short", 0, count=2).parent
    with pytest.raises(InputError, match="short has 2 frames of 96 x 72"):
        open_feed(footage, _recipe(tmp_path, semi=Semi(batch=1)), unlabelled=real)


def test_small_and_short_videos_of_a_dataset_are_refused_by_name(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"clip train/0\d+ is 96 x 72 pixels, too small"):
        open_feed(dataset, _recipe(tmp_path, crop=80))
    with pytest.raises(InputError, match=r"clip train/0\d+ has 5 frames, too few"):
        open_feed(dataset, _recipe(tmp_path, frames=6))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none"):
        open_feed(tmp_path / "none", _recipe(tmp_path))
