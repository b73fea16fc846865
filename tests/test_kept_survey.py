"""What was found out about a clip is found out once, and again when anything of it changed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.files import sha256_bytes, sha256_file, tree_digest
from rvsd_bench.generators import kept_survey, preset
from rvsd_bench.generators.haze import depth_index
from rvsd_bench.generators.kept_survey import Inquiry, make_survey, open_survey, surveyed
from rvsd_bench.generators.rendering import Footage, survey
from rvsd_bench.media.frame_cache import cache_clip
from rvsd_bench.media.images import write_png
from rvsd_bench.training.progress import Silent
from rvsd_bench.training.training import settle, train

SCENE = preset("moderate")
VELOCITIES = "vx,vy,vz\n" + "".join(f"0.1,0,{9 + index / 3}\n" for index in range(5))


def _write_clip(folder: Path, seed: int, size: tuple[int, int] = (96, 128), count: int = 5) -> Path:
    """Write a bright sky above blocks that the camera pans over."""
    blocks = np.random.default_rng(seed).integers(20, 200, (size[0] // 8, 40, 3))
    wide = np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8)
    wide[: size[0] // 3] = 215
    folder.mkdir(parents=True)
    for index in range(count):
        frame = wide[:, 3 * index : 3 * index + size[1]]
        write_png(folder / f"{index}.png", np.ascontiguousarray(frame))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return the folder of a clip."""
    return _write_clip(tmp_path / "clips" / "c0", 0)


def _ask(path: Path, motion: str = "drive:40", source: str = "ground", **scene: Any) -> Inquiry:
    cached = cache_clip(path, path.parent.parent / "cache")
    return Inquiry(cached, replace(SCENE, **scene), source, motion, path)


def _all_of(footage: Footage, inquiry: Inquiry) -> str:
    """Return all that was found, to the last bit, the depth as rendering rounds it."""
    source, (light, story), path = footage.depth, footage.light, footage.ride.path
    levels = [
        sha256_bytes(depth_index(source.at(i, frame), source.far_m).tobytes())
        for i, frame in enumerate(inquiry.clip)
    ]
    poses = None if path is None else [path.begin_s, path.time_s.dtype.str, path.facts()]
    depth = [source.name, source.far_m, dict(source.facts), levels]
    ride = asdict(replace(footage.ride, path=None))
    return json.dumps([depth, ride, poses, light.dtype.str, light.tolist(), story], sort_keys=True)


def _same(one: Footage, other: Footage, inquiry: Inquiry) -> bool:
    return _all_of(one, inquiry) == _all_of(other, inquiry)


@pytest.mark.parametrize("motion", ["static", "auto", "drive:40", "file"])
def test_what_is_kept_is_what_a_survey_finds(clip: Path, tmp_path: Path, motion: str) -> None:
    if motion == "file":
        motion = str(tmp_path / "velocities.csv")
        Path(motion).write_text(VELOCITIES)
    inquiry = _ask(clip, motion)
    assert open_survey(inquiry) is None
    made, kept = make_survey(inquiry), open_survey(inquiry)
    seen = survey(inquiry.clip, inquiry.scene, depth="ground", motion=motion, path=clip)
    assert kept is not None
    assert _same(kept, seen, inquiry)
    assert _same(made, seen, inquiry)
    assert (seen.ride.path is None) == (motion in ("static", "drive:40"))
    assert _same(pickle.loads(pickle.dumps(kept)), seen, inquiry)


def test_a_second_survey_looks_at_no_picture(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = surveyed([_ask(clip)])[0]
    monkeypatch.setattr(kept_survey, "survey", lambda *_, **__: pytest.fail("surveyed again"))
    assert _same(surveyed([_ask(clip)])[0], first, _ask(clip))


def test_only_what_is_found_out_is_shown(clip: Path) -> None:
    told: list[tuple[int, str]] = []

    def track(items: Iterable[Any], *, total: int, what: str, unit: str = "frame") -> Iterable[Any]:
        told.append((total, f"{what} {unit}"))
        return items

    surveyed([_ask(clip)])
    asked = [_ask(clip), _ask(clip, "drive:50")]
    first, second = surveyed(asked, track=track)
    assert told == [(1, "looking at clips clip")]
    assert first.ride.velocity_m_per_s != second.ride.velocity_m_per_s


@pytest.mark.parametrize(
    "changed",
    [
        {"motion": "drive:50"},
        {"source": "constant:30"},
        {"camera": replace(SCENE.camera, hfov_deg=41.0)},
        {"depth": replace(SCENE.depth, camera_height_m=3.0)},
        {"light": replace(SCENE.light, mode="night")},
        {"light": replace(SCENE.light, airlight=(0.5, 0.5, 0.5))},
    ],
    ids=str,
)
def test_all_that_a_survey_depends_on_is_asked_for(clip: Path, changed: dict[str, Any]) -> None:
    kept = [make_survey(_ask(clip))]
    other = _ask(clip, **changed)
    assert open_survey(other) is None
    kept += surveyed([other])
    assert not _same(*kept, other)
    assert open_survey(_ask(clip)) is not None


@pytest.mark.parametrize("what", ["clip", "velocities", "maps", "package"])
def test_what_changed_on_the_disk_is_surveyed_again(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    velocities, maps = tmp_path / "v.csv", tmp_path / "clips" / "c0_depth.npy"
    velocities.write_text(VELOCITIES)
    np.save(maps, np.full((96, 128), 50.0))

    def ask() -> Inquiry:
        return _ask(clip, str(velocities), "auto")

    kept = _all_of(make_survey(ask()), ask())
    assert open_survey(ask()) is not None
    if what == "clip":
        write_png(clip / "0.png", np.full((96, 128, 3), 140, np.uint8))
    elif what == "velocities":
        velocities.write_text(VELOCITIES.replace("0.1", "0.2"))
        os.utime(velocities, ns=(1, 1))
    elif what == "maps":
        np.save(maps, np.full((96, 128), 60.0))
    else:
        monkeypatch.setattr(kept_survey, "__version__", "0.0.0")
    assert open_survey(ask()) is None
    again, asked = surveyed([ask()])[0], ask()
    now = survey(asked.clip, SCENE, depth="auto", motion=asked.motion, path=clip)
    assert _same(again, now, asked)
    assert (_all_of(again, asked) == kept) == (what == "package")
    left = sorted(file.name for file in ask().file.parent.glob("c0.*.*.*"))
    assert len(left) == {"clip": 2, "velocities": 3, "maps": 4, "package": 3}[what]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "a digit": lambda data: data.replace(b'"confidence": 1.0', b'"confidence": 0.0'),
    "bytes": lambda data: b"\xff\xfe" + data,
    "a list": lambda data: b"[]",
    "a number": lambda data: b"1e999",
    "deep": lambda data: b'{"found": ' + b"[" * 10**5 + b"]" * 10**5 + b"}",
    "no digest": lambda data: json.dumps({"found": json.loads(data)["found"]}).encode(),
    "half": lambda data: json.dumps({"found": {}, "sha256": json.loads(data)["sha256"]}).encode(),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_made_anew(clip: Path, how: str) -> None:
    inquiry = _ask(clip)
    first = make_survey(inquiry)
    before = inquiry.file.read_bytes()
    damaged = DAMAGE[how](before)
    assert damaged != before
    inquiry.file.write_bytes(damaged)
    assert open_survey(inquiry) is None
    assert _same(surveyed([inquiry])[0], first, inquiry)
    assert inquiry.file.read_bytes() == before


def test_the_survey_of_another_clip_is_not_believed(clip: Path) -> None:
    other = _ask(_write_clip(clip.with_name("c1"), 1))
    inquiry = _ask(clip)
    surveyed([other, inquiry])
    assert open_survey(inquiry) is not None
    shutil.copy(other.file, inquiry.file)
    assert open_survey(inquiry) is None


def test_a_survey_whose_depth_is_gone_is_made_anew(clip: Path) -> None:
    inquiry = _ask(clip)
    first = make_survey(inquiry)
    (depth,) = inquiry.file.parent.glob("*.depth-*.npy")
    whole = depth.read_bytes()
    for left in (None, whole[: len(whole) // 2]):
        depth.unlink()  # not in place: somebody may have it mapped
        if left is not None:
            depth.write_bytes(left)
        assert open_survey(inquiry) is None
        assert _same(surveyed([inquiry])[0], first, inquiry)
        assert depth.read_bytes() == whole


def test_the_same_parallax_is_another_depth_at_another_speed(clip: Path) -> None:
    """What stands beside the road is as far away as the camera is fast."""
    slow, fast = (make_survey(_ask(clip, motion)) for motion in ("drive:40", "drive:80"))
    assert slow.depth.facts == fast.depth.facts
    assert slow.depth.facts["parallax"]
    inquiry = _ask(clip, "drive:80")
    assert _same(fast, survey(inquiry.clip, SCENE, depth="ground", motion="drive:80"), inquiry)


def test_an_interrupted_survey_keeps_what_it_found(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [clip, *(_write_clip(clip.with_name(f"c{number}"), number) for number in (1, 2))]
    asked = [_ask(path) for path in paths]

    def interrupted(found: Any, *words: Any, **told: Any) -> Footage:
        if found.source_id == asked[1].clip.source_id:
            raise KeyboardInterrupt
        return survey(found, *words, **told)

    with monkeypatch.context() as patch:
        patch.setattr(kept_survey, "survey", interrupted)
        with pytest.raises(KeyboardInterrupt):
            surveyed(asked)
    assert [open_survey(inquiry) is not None for inquiry in asked] == [True, False, False]


@pytest.mark.slow
def test_any_number_of_workers_leaves_the_same_files(clip: Path) -> None:
    paths = [clip, *(_write_clip(clip.with_name(f"c{number}"), number) for number in (1, 2))]
    left = []
    for workers in (1, 2):
        asked = [_ask(path, "auto") for path in paths]
        for found, inquiry in zip(surveyed(asked, workers=workers), asked, strict=True):
            assert _same(found, make_survey(inquiry), inquiry)
        left.append(tree_digest(clip.parent.parent / "cache"))
        shutil.rmtree(clip.parent.parent / "cache")
    assert left[0] == left[1]


def test_the_first_clip_that_cannot_be_surveyed_is_named(clip: Path) -> None:
    np.save(clip.with_name("c0_depth.npy"), np.ones((3, 3)))
    with pytest.raises(InputError, match=r"c0_depth\.npy: the depth map is \[3, 3\]"):
        surveyed([_ask(clip, source="auto")])


# ---------------------------------------------------------------- training

RECIPE = """
baseline = "svdnet"
steps = 4
batch = 2
frames = 3
crop = 32
[network]
channels = 8
unshuffle = 2
stem_blocks = 0
halvings = 1
encoder_blocks = 0
trunk_blocks = 1
heads = 2
queries = 2
flow = "none"
[losses]
charbonnier = 1.0
[data]
snowfalls = 2
motion = "drive:40"
[validation]
every = 4
clips = 2
size = 32
"""


class StopAt(Silent):
    """Press Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def step(self, outcome: Any) -> None:
        """Count down."""
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "workers", [0, pytest.param(2, marks=pytest.mark.slow)], ids=["alone", "two workers"]
)
def test_a_training_is_the_same_whether_its_clips_were_surveyed_before_or_now(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    for number in (1, 2):
        _write_clip(clip.with_name(f"c{number}"), number)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)

    def learn(out: str, cache: str, stop: int = 0, workers: int = 0) -> str:
        job = settle("svdnet", clip.parent, tmp_path / out, recipe=recipe, device="cpu",
                     cache=tmp_path / cache, workers=workers)  # fmt: skip
        if stop:
            with pytest.raises(KeyboardInterrupt):
                train(job, progress=StopAt(stop))
        else:
            train(job)
        return sha256_file(tmp_path / out / "checkpoint.safetensors")

    whole = learn("whole", "cache")
    assert learn("fresh", "other", stop=2, workers=workers) != whole
    shutil.rmtree(tmp_path / "other")
    assert learn("fresh", "other", workers=workers) == whole
    assert learn("kept", "other", stop=2, workers=workers) != whole
    monkeypatch.setattr(kept_survey, "survey", lambda *_, **__: pytest.fail("surveyed again"))
    assert learn("kept", "other", workers=workers) == whole
