from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_source
from rvsd_bench.generators import SnowPairs, pairs, prepare, preset, read_layers, render_frame
from rvsd_bench.generators.layers import network_layers
from rvsd_bench.generators.recipes import Recipe
from rvsd_bench.generators.rendering import RenderedFrame
from rvsd_bench.making.generating import generate
from rvsd_bench.media.images import write_png
from rvsd_bench.media.reading import read_clip

RECIPE = Recipe(
    {
        "snow": {"rate_mm_per_h": {"log_uniform": [1.0, 4.0]}},
        "fog": {"extinction_per_m": 0.01, "noise_amplitude": {"uniform": [0.1, 0.6]}},
        "camera": {"hfov_deg": {"uniform": [50, 80]}},
        "light": {"mode": {"choice": ["day", "day", "night"]}},
    },
    "test",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of frames, bright above and dark below, with a lamp."""
    root = tmp_path_factory.mktemp("clips")
    for number, (height, width) in enumerate([(60, 90), (72, 80)]):
        draw = np.random.Generator(np.random.Philox(number)).random((6, height, width, 3))
        frames = (90 * (0.5 + draw)).astype(np.uint8)
        frames[:, : height // 3] = 215
        frames[:, 40:46, 60:66] = 255
        (root / f"c{number}").mkdir()
        for index, frame in enumerate(frames):
            write_png(root / f"c{number}" / f"{index}.png", frame)
    return root


def _pairs(root: Path, **settings: Any) -> SnowPairs:
    told = {"frames": 3, "crop": 32, "seed": 5, "motion": "drive:40", "per_snowfall": 3}
    return SnowPairs([root], RECIPE, **{**told, "snowfalls": 4, **settings})


def test_a_sample_is_cut_from_the_frames_that_prepare_and_render_make(clips: Path) -> None:
    """From the clip itself, with no cache, every frame whole, and its own survey."""
    made = _pairs(clips)
    clean_files = [clips / "c0", clips / "c1"]
    modes, fields = set(), set()
    for index in (0, 1, 2, 3, 9, 30, 31):
        cut, sample = made.cut(index), made[index]
        path = clean_files[cut.clip]
        clip, scene = read_clip(path), made.scene(cut.clip, cut.variant)
        shot = prepare(
            clip,
            scene,
            seed=5,
            source_id=digest_source(path),
            variant=cut.variant,
            motion="drive:40",
        )
        modes.add(scene.light.mode)
        fields.add((cut.clip, scene.camera.hfov_deg))
        for k, number in enumerate(cut.frames):
            whole = render_frame(shot, number, clip[number])
            for name, side in (("snowy", whole.snowy), ("clean", whole.clean)):
                part = cut.region.of(side).transpose(2, 0, 1)
                assert (np.rint(255 * sample[name][k].numpy()) == part).all()
    assert modes == {"day", "night"} and {clip for clip, _ in fields} == {0, 1}
    assert len(fields) == 2  # a clip keeps its field of view


def test_samples_have_the_shape_and_range_that_networks_take(clips: Path) -> None:
    sample = _pairs(clips, frames=2, crop=24)[3]
    assert set(sample) == {"snowy", "clean"}
    for tensor in sample.values():
        assert tensor.shape == (2, 3, 24, 24) and tensor.dtype == torch.float32
        assert 0 <= tensor.min() < tensor.max() <= 1 and tensor.is_contiguous()
    assert (sample["snowy"] - sample["clean"]).abs().mean() > 0.02


def test_the_layers_of_a_sample_add_up_to_it_by_day_and_by_night(clips: Path) -> None:
    made = _pairs(clips, layers=True, seed=6)
    days = [made.scene(cut.clip, cut.variant).light.mode for cut in map(made.cut, range(4))]
    assert {"day", "night"} <= set(days)
    for sample in map(made.__getitem__, range(4)):
        S, T, A, z = (sample[name] for name in "STAz")
        assert (S.shape, A.shape, T.shape, z.shape) == (
            *[(3, 3, 32, 32)] * 2,
            *[(3, 1, 32, 32)] * 2,
        )
        again = sample["clean"] * T + A * (1 - T) + S
        assert torch.allclose(again, sample["snowy"], atol=1e-6)
        assert T.min() >= 0.05 and T.max() <= 1 and 0 <= z.min() < z.max() <= 1
        thin = z < torch.quantile(z, 0.2)
        assert S[thin.expand_as(S)].abs().mean() < 0.05  # S is what flakes add, not the haze


def test_layers_of_a_rendered_frame_are_those_that_are_read_from_a_dataset(
    clips: Path, tmp_path: Path
) -> None:
    generate([clips / "c0"], tmp_path / "set", recipe="heavy", seed=4, motion="static")
    stored = read_layers(tmp_path / "set", "test", 0, 2, target="network")
    clip = read_clip(clips / "c0")
    shot = prepare(
        clip, preset("heavy"), seed=4, source_id=digest_source(clips / "c0"), motion="static"
    )
    frame: RenderedFrame = render_frame(shot, 2, clip[2])
    for name, values in vars(network_layers(frame)).items():
        assert np.allclose(values, getattr(stored, name), atol=1e-12), name


def test_a_sample_depends_on_seed_and_index_alone(clips: Path) -> None:
    first = _pairs(clips)
    forward = [first[index]["snowy"] for index in range(14)]
    second = _pairs(clips)
    for index in (13, 2, 7, 2, 0):
        assert torch.equal(second[index]["snowy"], forward[index])
    assert not torch.equal(_pairs(clips, seed=6)[0]["snowy"], forward[0])


def test_any_number_of_workers_gives_the_same_samples(clips: Path) -> None:
    made = _pairs(clips, samples=12)
    alone = torch.utils.data.DataLoader(made, batch_size=3)
    shared = torch.utils.data.DataLoader(pickle.loads(pickle.dumps(made)), 3, num_workers=2)
    batches = [batch["snowy"] for batch in alone]
    assert len(batches) == 4 and batches[0].shape == (3, 3, 3, 32, 32)
    for mine, theirs in zip(batches, shared, strict=True):
        assert torch.equal(mine, theirs["snowy"])


def test_snow_is_endless_and_each_snowfall_serves_so_many_samples(clips: Path) -> None:
    made = _pairs(clips)
    cuts = [made.cut(index) for index in range(400)]
    counts = np.unique([cut.variant for cut in cuts], return_counts=True)[1]
    assert counts.max() == 3 and len(counts) > 400 / 3
    assert all(len({cut.variant for cut in cuts[i : i + 4]}) == 4 for i in range(0, 396, 4))
    assert made[10**9]["snowy"].shape == (3, 3, 32, 32)
    with pytest.raises(IndexError):
        made[-1]


def test_every_clip_frame_and_corner_is_reached_evenly(clips: Path) -> None:
    made = _pairs(clips)
    cuts = [made.cut(index) for index in range(6000)]
    small = [cut for cut in cuts if cut.clip == 0]
    assert 0.4 < len(small) / len(cuts) < 0.6
    for values, room in (
        ([cut.frames.start for cut in small], 6 - 3),
        ([cut.region.top for cut in small], 60 - 32),
        ([cut.region.left for cut in small], 90 - 32),
    ):
        counts = np.bincount(values, minlength=room + 1)
        expected = len(small) / (room + 1)
        assert len(counts) == room + 1
        assert np.sum((counts - expected) ** 2 / expected) < 2 * (room + 1) + 20  # chi-square


def test_depth_is_found_once_and_found_again_only_for_another_clip(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "own"
    shutil.copytree(clips / "c0", root / "c0")
    first = _pairs(root, cache=tmp_path / "fast")[1]["snowy"]
    files = sorted(file.name for file in (tmp_path / "fast").rglob("*.npy"))
    assert len(files) == 2 and not list(root.glob(".*"))
    with monkeypatch.context() as patch:
        patch.setattr(
            "rvsd_bench.generators.kept_depth.depth_index", lambda *_: pytest.fail("again")
        )
        assert torch.equal(_pairs(root, cache=tmp_path / "fast")[1]["snowy"], first)
    write_png(root / "c0" / "0.png", np.full((60, 90, 3), 9, np.uint8))
    changed = _pairs(root, cache=tmp_path / "fast")
    changed[1]
    left = sorted(file.name for file in (tmp_path / "fast").rglob("*.npy"))
    assert len(left) == 2 and not set(left) & set(files)


def test_the_kept_depth_rounds_to_the_steps_that_the_source_rounds_to(clips: Path) -> None:
    made = _pairs(clips)
    kept = next(iter(made._footage.values())).depth
    again = np.rint(kept.at(2) * np.float32(65535 / kept.far_m)).astype(np.uint16)
    assert (again == kept.levels(2)).all() and np.ptp(again) > 1000
    assert json.dumps(dict(kept.facts))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"crop": 61}, r"c0 is 90 x 60 pixels.*crops of 61"),
        ({"frames": 7}, r"c0 has 6 frames.*samples of 7"),
        ({"crop": 0}, "crop must be at least 1"),
        ({"per_snowfall": 0}, "per_snowfall must be at least 1"),
    ],
)
def test_what_no_sample_can_be_cut_from_is_refused(
    clips: Path, settings: dict[str, int], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        _pairs(clips, **settings)


def test_a_scene_serves_as_its_own_recipe(clips: Path) -> None:
    scene = preset("flurry")
    made = SnowPairs([str(clips)], scene, crop=32, seed=1, motion="static")
    assert made.scene(1, 77) == dataclasses.replace(scene)
    assert isinstance(made[0], dict) and pairs.SnowPairs is SnowPairs
