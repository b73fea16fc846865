"""Hold how a dataset is laid down: who the sources are, which split, which number."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.making.planning import (
    Options,
    Plan,
    assign_splits,
    make_plan,
    parse_size,
    parse_split,
)
from rvsd_bench.media.images import write_png


def _clip(folder: Path, frames: int = 2, value: int = 100) -> Path:
    folder.mkdir(parents=True)
    for index in range(frames):
        frame = np.full((24, 32, 3), value, np.uint8)
        frame[index, :, 0] = 255
        write_png(folder / f"{index}.png", frame)
    return folder


def _rows(plan: Plan) -> list[tuple[str, int, str, int]]:
    return [(v.split, v.number, v.source.name, v.variant) for v in plan.videos]


def _ids(count: int) -> list[str]:
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


@pytest.mark.parametrize(
    ("sources", "train", "expected"),
    [
        (100, 0.73, 73),
        (7, 0.5, 4),  # 3.5 each: the remainder goes to the first
        (10, 0.66, 7),  # 6.6 and 3.4
        (3, 0.99, 2),  # the test split keeps one
        (2, 0.5, 1),
    ],
)
def test_splits_follow_the_largest_remainder(sources: int, train: float, expected: int) -> None:
    splits = assign_splits(_ids(sources), {"train": train, "test": 1 - train}, seed=0)
    assert list(splits.values()).count("train") == expected
    assert len(splits) == sources


def test_the_order_of_sources_is_that_of_a_hash_of_seed_and_id() -> None:
    ids = _ids(20)
    splits = assign_splits(ids, {"train": 0.5, "test": 0.5}, seed=7)
    by_hash = sorted(ids, key=lambda i: hashlib.sha256(f"7\x1f{i}".encode()).digest())
    assert [splits[i] for i in by_hash] == ["train"] * 10 + ["test"] * 10
    assert splits == assign_splits(ids[::-1], {"test": 0.5, "train": 0.5}, seed=7)
    assert splits != assign_splits(ids, {"train": 0.5, "test": 0.5}, seed=8)


def test_videos_are_numbered_by_the_names_of_their_clips_not_by_their_place(
    tmp_path: Path,
) -> None:
    for number, name in enumerate(["clip10", "clip9", "clip1"]):
        _clip(tmp_path / "a" / name, value=10 * number)
    (tmp_path / "z").mkdir()
    shutil.copytree(tmp_path / "a" / "clip1", tmp_path / "z" / "clip1")
    expected = [("test", 0, "clip1", 0), ("test", 1, "clip9", 0), ("test", 2, "clip10", 0)]
    assert _rows(make_plan([tmp_path / "a"], Options())) == expected
    elsewhere = [tmp_path / "a/clip10", tmp_path / "z/clip1", tmp_path / "a/clip9"]
    assert _rows(make_plan(elsewhere, Options())) == expected


def test_variants_of_a_source_stay_in_its_split(tmp_path: Path) -> None:
    for name in range(4):
        _clip(tmp_path / str(name), value=name)
    plan = make_plan([tmp_path], Options(), variants=3, shares={"train": 0.5, "test": 0.5})
    assert len(plan.videos) == 12
    sides = {name: {v.split for v in plan.videos if v.source.name == name} for name in "0123"}
    assert all(len(side) == 1 for side in sides.values())
    assert [v.variant for v in plan.videos] == [0, 1, 2] * 4
    assert [v.number for v in plan.videos if v.split == "test"] == list(range(6))


def test_a_single_source_goes_to_test_and_the_user_is_told(tmp_path: Path) -> None:
    _clip(tmp_path / "only")
    plan = make_plan([tmp_path / "only"], Options(), shares={"train": 0.7, "test": 0.3})
    assert _rows(plan) == [("test", 0, "only", 0)]
    assert any("goes to test" in notice for notice in plan.notices)


def test_footage_given_twice_becomes_another_variant_in_the_same_split(tmp_path: Path) -> None:
    _clip(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    _clip(tmp_path / "c", value=3)
    plan = make_plan([tmp_path], Options(), shares={"train": 0.5, "test": 0.5})
    twice = {(v.source.name, v.variant, v.split) for v in plan.videos if v.source.name != "c"}
    assert {variant for _, variant, _ in twice} == {0, 1}
    assert len({split for _, _, split in twice}) == 1
    assert any("a, b" in notice for notice in plan.notices)


def test_what_is_noted_of_many_clips_is_told_once(tmp_path: Path) -> None:
    for number in range(3):
        _clip(tmp_path / f"c{number}", value=number)
    (told,) = make_plan([tmp_path], Options(), shares=None).notices
    assert told.startswith("c0 and 2 more: a folder has no time stamps")
    (alone,) = make_plan([tmp_path / "c1"], Options(), shares=None).notices
    assert alone.startswith("c1: a folder")


def test_an_unreadable_clip_is_named_and_the_others_are_planned(tmp_path: Path) -> None:
    _clip(tmp_path / "good")
    (tmp_path / "bad.mp4").write_text("no video")
    plan = make_plan([tmp_path], Options())
    assert [row[2] for row in _rows(plan)] == ["good"]
    assert [name for name, _ in plan.unreadable] == ["bad.mp4"]


def test_the_error_of_an_only_clip_is_raised(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    with pytest.raises(InputError, match=r"bad\.mp4"):
        make_plan([bad], Options())


def test_depth_maps_beside_a_clip_are_no_clip(tmp_path: Path) -> None:
    _clip(tmp_path / "drive")
    _clip(tmp_path / "drive.depth")
    plan = make_plan([tmp_path], Options())
    assert [row[2] for row in _rows(plan)] == ["drive"]
    assert plan.videos[0].source.depth == str(tmp_path / "drive.depth")
    ground = make_plan([tmp_path], Options(depth="ground"))
    assert ground.videos[0].source.depth == "ground"


def test_cutting_and_resampling_show_in_the_plan(tmp_path: Path) -> None:
    _clip(tmp_path / "clip", frames=5)
    plan = make_plan([tmp_path], Options(max_frames=3, size=(16, 12)))
    assert (plan.videos[0].source.frames, plan.videos[0].source.size) == (3, (12, 16))
    assert plan.frames == 3


def test_shares_and_sizes_are_read() -> None:
    assert parse_split("train=0.73,test=0.27") == {"train": 0.73, "test": 0.27}
    assert parse_split("test=1") == {"test": 1.0}
    assert parse_split(None) is None
    assert parse_size("640x360") == (640, 360)


@pytest.mark.parametrize(
    "text",
    [
        "train",
        "train=0.7",
        "train=0.7,test=0.2",
        "train=1,val=0",
        "train=nan,test=1",
        "test=1,test=1",
    ],
)
def test_shares_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--split"):
        parse_split(text)


@pytest.mark.parametrize("text", ["640", "640x", "0x3", "axb", "-1x4", "640x360x3"])
def test_sizes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--size"):
        parse_size(text)


@pytest.mark.parametrize("train", [0.7334, 0.7326])
def test_shares_that_were_rounded_still_give_every_source_a_split(train: float) -> None:
    ids = [f"{i:064x}" for i in range(4000)]
    splits = assign_splits(ids, {"train": train, "test": 0.267}, seed=0)
    assert set(splits) == set(ids)
    counts = [list(splits.values()).count(name) for name in ("train", "test")]
    assert counts == [round(4000 * share / (train + 0.267)) for share in (train, 0.267)]
