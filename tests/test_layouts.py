"""Layouts are recognised from folder names alone, as the public datasets have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rvsd_bench.data import layouts
from rvsd_bench.data.dataset import load
from rvsd_bench.errors import InputError


def grow(root: Path, *files: str) -> Path:
    """Make empty files: finding clips must not open any."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def mates(root: Path, layout: str = "auto") -> dict[str, list[tuple[str, str]]]:
    """Return {split/clip: [(snowy, clean), ...]} with paths relative to the root."""
    return {
        f"{video.split}/{video.name}": [
            (one.relative_to(root).as_posix(), other.relative_to(root).as_posix())
            for one, other in zip(video.snowy_files or (), video.clean_files or ())
        ]
        for video in load(root, layout=layout).videos
    }


# Each row: the layout, files as a public source shows them, and one clip with its first pair.
DOCUMENTED = {
    "rvsd": (
        ["test/snow/00003/0015.jpg", "test/clean/00003/0015.jpg"],
        ("test/00003", "test/snow/00003/0015.jpg", "test/clean/00003/0015.jpg"),
    ),
    "rvsd of its archive": (
        ["RVSD_train/train/snow/00000/0001.jpg", "RVSD_train/train/clean/00000/0001.png"],
        ("train/00000", "RVSD_train/train/snow/00000/0001.jpg",
         "RVSD_train/train/clean/00000/0001.png"),
    ),
    "rvsd as Turtle wants it": (
        ["train/blur/00000/0001.jpg", "train/gt/00000/0001.jpg"],
        ("train/00000", "train/blur/00000/0001.jpg", "train/gt/00000/0001.jpg"),
    ),
    "revide": (
        ["Train/hazy/W002/00000.JPG", "Train/gt/W002/00000.JPG"],
        ("train/W002", "Train/hazy/W002/00000.JPG", "Train/gt/W002/00000.JPG"),
    ),
    "viws": (
        ["Test/0014/00001.jpg", "Test_GT/0014/00001.png"],
        ("test/0014", "Test/0014/00001.jpg", "Test_GT/0014/00001.png"),
    ),
    "csd": (
        ["Train/Snow/1.tif", "Train/Gt/1.tif", "Train/Mask/1.tif"],
        ("train/1", "Train/Snow/1.tif", "Train/Gt/1.tif"),
    ),
    "csd in SFNet's package": (
        ["CSD/test2000/Snow/7.tif", "CSD/test2000/Gt/7.tif"],
        ("test/7", "CSD/test2000/Snow/7.tif", "CSD/test2000/Gt/7.tif"),
    ),
    "srrs": (
        ["Syn/12.tif", "gt/12.jpg", "Combine Snow/12.jpg"],
        ("test/12", "Syn/12.tif", "gt/12.jpg"),
    ),
    "snow100k": (
        ["all/gt/a b_01857.jpg", "all/synthetic/a b_01857.jpg", "all/mask/a b_01857.jpg"],
        ("test/a b_01857", "all/synthetic/a b_01857.jpg", "all/gt/a b_01857.jpg"),
    ),
    "snowcityscapes": (
        ["test/mediumSnow/cityscape-3.png", "test/gt/cityscape-3.png"],
        ("test/mediumSnow_cityscape-3", "test/mediumSnow/cityscape-3.png",
         "test/gt/cityscape-3.png"),
    ),
    "pairs of VideoDesnower": (
        ["input/v1/v1_input_9.png", "gt/v1/v1_gt_9.png"],
        ("test/v1", "input/v1/v1_input_9.png", "gt/v1/v1_gt_9.png"),
    ),
    "pairs of AllWeather": (
        ["input/im_1.png", "gt/im_1.png"],
        ("test/im_1", "input/im_1.png", "gt/im_1.png"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTED)
def test_a_documented_layout_is_recognised_and_paired(case: str, tmp_path: Path) -> None:
    files, (clip, snowy, clean) = DOCUMENTED[case]
    root = grow(tmp_path / "data", *files)
    name = case.split()[0]
    assert load(root).layout == name
    assert mates(root) == mates(root, name) == {clip: [(snowy, clean)]}


def test_every_layout_that_the_contract_names_is_offered() -> None:
    named = {"rvsd", "realsnow85", "pairs", "snow100k", "csd", "srrs", "revide", "viws"}
    assert {"auto", *named} <= set(layouts.names())


def test_the_three_parts_of_the_test_set_of_snow100k_keep_their_pictures_apart(
    tmp_path: Path,
) -> None:
    base = "media/jdway/GameSSD/overlapping/test/Snow100K"
    root = grow(
        tmp_path, *(f"{base}-{s}/{side}/x_1.jpg" for s in "SML" for side in ("gt", "synthetic"))
    )
    clips = mates(root)
    assert list(clips) == [f"test/Snow100K-{s}_x_1" for s in "LMS"]
    assert all(Path(a).parts[:-2] == Path(b).parts[:-2] for [(a, b)] in clips.values())


def test_in_training_pictures_of_snowcityscapes_three_share_one_truth(tmp_path: Path) -> None:
    root = grow(
        tmp_path,
        *(f"train/synthetic/cityscape-{k}.png" for k in (1, 2000, 2001, 6000)),
        *(f"train/gt/cityscape-{k}.png" for k in (1, 2000)),
    )
    truths = {clip: Path(pairs[0][1]).name for clip, pairs in mates(root).items()}
    assert truths == {
        "train/cityscape-1": "cityscape-1.png",
        "train/cityscape-2000": "cityscape-2000.png",
        "train/cityscape-2001": "cityscape-1.png",
        "train/cityscape-6000": "cityscape-2000.png",
    }


def test_a_scene_with_one_truth_has_it_in_every_frame(tmp_path: Path) -> None:
    root = grow(
        tmp_path, *(f"input/park/park-R-{k:03d}.png" for k in range(3)), "gt/park/park-C-000.png"
    )
    assert [other for _, other in mates(root)["test/park"]] == ["gt/park/park-C-000.png"] * 3


def test_the_word_clean_in_the_path_of_the_root_confuses_nothing(tmp_path: Path) -> None:
    root = grow(
        tmp_path / "snow clean" / "clean",
        "test/snow/00000/0000.png",
        "test/clean/00000/0000.png",
    )
    assert mates(root) == {
        "test/00000": [("test/snow/00000/0000.png", "test/clean/00000/0000.png")]
    }


def test_pictures_of_different_scenes_are_clips_of_one_frame(tmp_path: Path) -> None:
    root = grow(tmp_path, *(f"Test/{side}/{k}.tif" for side in ("Snow", "Gt") for k in range(12)))
    videos = load(root).videos
    assert [video.name for video in videos] == [str(k) for k in range(12)]
    assert {len(video.frame_ids) for video in videos} == {1}


def test_unpaired_clips_are_folders_of_frames_in_splits(tmp_path: Path) -> None:
    root = grow(
        tmp_path, "train/a/1.jpg", "test/b/1.jpg", "test/b/2.jpg", "test/Thumbs.db", "readme.txt"
    )
    data = load(root)
    assert (data.layout, data.paired) == ("realsnow85", False)
    assert [(v.split, v.name, len(v.frame_ids), v.clean) for v in data.videos] == [
        ("test", "b", 2, None),
        ("train", "a", 1, None),
    ]


def test_clips_without_split_folders_are_all_test(tmp_path: Path) -> None:
    root = grow(tmp_path, "b/1.jpg", "a/1.jpg", "notes/todo.txt")
    assert [(v.split, v.name) for v in load(root).videos] == [("test", "a"), ("test", "b")]


def test_the_folder_of_one_split_may_be_the_root(tmp_path: Path) -> None:
    root = grow(tmp_path / "train", "snow/00000/0000.png", "clean/00000/0000.png")
    assert [video.split for video in load(root).videos] == ["train"]


def test_a_folder_of_loose_frames_is_not_taken_for_a_dataset(tmp_path: Path) -> None:
    root = grow(tmp_path, "0000.png", "0001.png")
    with pytest.raises(InputError, match="a folder of its own"):
        load(root)
    assert len(load(root, layout="realsnow85").videos) == 2


def test_what_is_not_there_is_said_with_the_layout_that_was_sought(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'rvsd'"):
        load(tmp_path, layout="rsvd")
    with pytest.raises(InputError, match="there is no such folder"):
        load(tmp_path / "absent")
    with pytest.raises(InputError, match=r"laid out as revide; expected .*\{hazy,gt\}"):
        load(grow(tmp_path, "test/snow/0/0.png", "test/clean/0/0.png"), layout="revide")


def test_two_clips_of_one_name_are_refused(tmp_path: Path) -> None:
    sides = [f"{copy}/test/{side}/0/0.png" for copy in "ab" for side in ("snow", "clean")]
    with pytest.raises(InputError, match="two clips of test are named '0'"):
        load(grow(tmp_path, *sides))


def test_what_an_interrupted_job_left_is_passed_over(tmp_path: Path) -> None:
    root = grow(tmp_path, "test/snow/0/0.png", "test/clean/0/0.png", "test/snow/.tmp.1.ab/0.png")
    assert list(mates(root)) == ["test/0"]
