"""A dataset knows which clean frame belongs to which snowy one, and refuses to guess."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.data.dataset import load, open_clean, open_snowy
from rvsd_bench.data.pairing import last_number, names, pair, pair_with_one_truth
from rvsd_bench.errors import InputError
from rvsd_bench.media.images import write_jpeg, write_png
from rvsd_bench.media.video import write_ffv1


def plain(level: int, size: tuple[int, int] = (16, 24)) -> Frame:
    return np.full((*size, 3), level, np.uint8)


def write_clip(folder: Path, stems: list[str], levels: list[int], suffix: str = ".png") -> None:
    folder.mkdir(parents=True)
    for stem, level in zip(stems, levels):
        write = write_png if suffix.lower() == ".png" else write_jpeg
        write(folder / f"{stem}{suffix}", plain(level))


def levels(clip: object) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in clip]  # type: ignore[attr-defined]


def paths(*texts: str) -> list[Path]:
    return [Path(text) for text in texts]


def test_unpadded_numbers_are_in_natural_order_and_meet_padded_ones(tmp_path: Path) -> None:
    write_clip(tmp_path / "test/snow/v", [str(k) for k in range(8, 12)], [80, 90, 100, 110])
    write_clip(tmp_path / "test/clean/v", [f"{k:05d}" for k in range(8, 12)], [8, 9, 10, 11])
    [video] = load(tmp_path).videos
    assert video.frame_ids == ("8", "9", "10", "11")
    assert levels(open_snowy(video)) == [80, 90, 100, 110]
    assert levels(open_clean(video)) == [8, 9, 10, 11]


def test_jpeg_frames_have_png_mates_in_any_letter_case(tmp_path: Path) -> None:
    write_clip(tmp_path / "Test/Snow/v", ["0000", "0001"], [100, 101], ".JPG")
    write_clip(tmp_path / "Test/CLEAN/V", ["0000", "0001"], [50, 51], ".png")
    [video] = load(tmp_path).videos
    assert levels(open_clean(video)) == [50, 51]
    assert levels(open_snowy(video)) == [100, 101]


def test_a_missing_mate_stops_with_the_names_of_both_sides(tmp_path: Path) -> None:
    write_clip(tmp_path / "test/snow/v", ["0000", "0001", "0002"], [1, 2, 3])
    write_clip(tmp_path / "test/clean/v", ["0001", "0002", "0003"], [1, 2, 3])
    with pytest.raises(InputError, match=r"test/v.*without clean: 0000.*without snowy: 0003") as e:
        load(tmp_path)
    assert "\n" not in str(e.value)


def test_a_missing_clip_stops_too(tmp_path: Path) -> None:
    write_clip(tmp_path / "test/snow/a", ["0000"], [1])
    write_clip(tmp_path / "test/clean/a", ["0000"], [1])
    write_clip(tmp_path / "test/clean/b", ["0000"], [1])
    with pytest.raises(InputError, match=r"test/b.*clean without snowy: 0000"):
        load(tmp_path)


def test_a_split_that_was_not_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_clip(tmp_path / split / "snow/v", ["0000"], [1])
        write_clip(tmp_path / split / "clean/v", ["0000"], [1])
    (tmp_path / "train/clean/v/0000.png").unlink()
    assert [video.split for video in load(tmp_path, splits=["test"]).videos] == ["test"]
    with pytest.raises(InputError, match="no image files"):
        load(tmp_path)
    with pytest.raises(InputError, match="has no split val; it has test, train"):
        load(tmp_path, splits=["val"])


def test_numbers_decide_only_where_stems_do_not() -> None:
    by_stem = pair(paths("a/b1_2.png", "a/b2_1.png"), paths("b/b1_2.jpg", "b/b2_1.jpg"))
    assert [other.name for _, other in by_stem.pairs] == ["b1_2.jpg", "b2_1.jpg"]
    by_number = pair(paths("v_input_9.png", "v_input_10.png"), paths("v_gt_10.png", "v_gt_9.png"))
    assert [other.name for _, other in by_number.pairs] == ["v_gt_9.png", "v_gt_10.png"]


def test_stems_win_where_they_leave_fewer_alone() -> None:
    found = pair(paths("a_1.png", "b_1.png", "c_2.png"), paths("A_1.JPG", "b_1.jpg"))
    assert [other.name for _, other in found.pairs] == ["A_1.JPG", "b_1.jpg"]
    assert [path.name for path in found.snowy_alone] == ["c_2.png"]


def test_equal_numbers_of_one_side_match_nothing() -> None:
    found = pair(paths("a_1.png", "b_1.png"), paths("gt_1.png"))
    assert (found.pairs, found.alone) == ((), 3)


def test_equal_counts_are_no_reason_to_pair() -> None:
    assert pair(paths("rain.png", "sun.png"), paths("x.png", "y.png")).pairs == ()


def test_the_last_clean_frame_left_is_not_taken_for_the_truth_of_all() -> None:
    found = pair_with_one_truth(paths("0000.png", "0001.png"), paths("0000.png"))
    assert [path.name for path in found.snowy_alone] == ["0001.png"]


def test_helpers_of_messages() -> None:
    assert last_number("scene_2_input_017") == 17
    assert last_number("fog") is None
    assert names([]) == "none"
    assert names([str(k) for k in range(9)]) == "0, 1, 2, 3, ... (9 in all)"


def generated(root: Path) -> Path:
    """Make a tree as `generate` leaves it, of one clip."""
    write_clip(root / "test/snow/00000", ["0000"], [9])
    write_clip(root / "test/clean/00000", ["0000"], [5])
    (root / "test/layers/00000/coverage").mkdir(parents=True)
    (root / "test/meta").mkdir()
    meta = {"source": {"name": "a.mp4", "sha256": "ab" * 32}, "fps": 12.5}
    (root / "test/meta/00000.json").write_text(json.dumps(meta))
    return root


def test_a_generated_dataset_brings_layers_source_and_frame_rate(tmp_path: Path) -> None:
    [video] = load(generated(tmp_path)).videos
    assert video.layers == tmp_path / "test/layers/00000"
    assert video.source_id == "ab" * 32
    assert open_clean(video).fps == 12.5


def test_a_clip_that_generate_did_not_finish_is_refused(tmp_path: Path) -> None:
    root = generated(tmp_path)
    (root / "test/meta/00000.json").unlink()
    with pytest.raises(InputError, match="not finished: run `generate` again"):
        load(root)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "{}", '{"source": 3}', '{"source": {}, "fps": "x"}', "[" * 100_000),
        *(
            f'{{"source": {{}}, "fps": {fps}}}'
            for fps in ("0", "-1", "NaN", "1e999", "1" + "0" * 400)
        ),
        '{"source": {"sha256": ["a"]}}',
    ],
)
def test_a_meta_file_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    root = generated(tmp_path)
    (root / "test/meta/00000.json").write_text(text)
    with pytest.raises(InputError, match=r"meta/00000\.json is not a clip's meta file"):
        load(root)


def test_other_datasets_have_neither_layers_nor_source(tmp_path: Path) -> None:
    write_clip(tmp_path / "test/snow/v", ["0000"], [9])
    write_clip(tmp_path / "test/clean/v", ["0000"], [5])
    [video] = load(tmp_path).videos
    assert (video.layers, video.source_id, video.fps) == (None, None, 25.0)


def test_a_split_file_names_the_test_clips_by_name_or_path(tmp_path: Path) -> None:
    for name in ("a", "b", "c 1"):
        write_clip(tmp_path / "data" / name, ["0000"], [9])
    listed = tmp_path / "test.txt"
    listed.write_text("/somewhere/else/c 1\n\na\n")
    data = load(tmp_path / "data", split_file=listed)
    assert {video.name: video.split for video in data.videos} == {
        "a": "test",
        "b": "train",
        "c 1": "test",
    }
    listed.write_text("a\nd\n")
    with pytest.raises(InputError, match="names clips that are not there: d"):
        load(tmp_path / "data", split_file=listed)


def test_an_unpaired_clip_has_no_clean_side_to_open(tmp_path: Path) -> None:
    write_clip(tmp_path / "a", ["0000"], [9])
    [video] = load(tmp_path).videos
    with pytest.raises(InputError, match="unpaired"):
        open_clean(video)


def test_a_frame_of_another_size_is_named_when_it_is_read(tmp_path: Path) -> None:
    write_clip(tmp_path / "a", ["0000", "0001"], [9, 9])
    write_png(tmp_path / "a/0001.png", plain(9, (16, 16)))
    [video] = load(tmp_path).videos
    clip = open_snowy(video)
    assert clip[0].shape == (16, 24, 3)
    with pytest.raises(InputError, match=r"0001\.png is 16x16, but the clip is 24x16"):
        clip[1]


def test_two_files_for_one_frame_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "a", ["0000"], [9])
    write_jpeg(tmp_path / "a/0000.jpg", plain(9))
    with pytest.raises(InputError, match="two frames have one stem"):
        load(tmp_path)


def test_clips_travel_to_other_processes(tmp_path: Path) -> None:
    write_clip(tmp_path / "a", ["0000"], [9])
    [video] = pickle.loads(pickle.dumps(load(tmp_path).videos))
    clip = pickle.loads(pickle.dumps(open_snowy(video)))
    assert (levels(clip), len(clip), clip.times.tolist()) == ([9], 1, [0.0])


def write_video(path: Path, levels_: list[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_ffv1(path, [plain(level) for level in levels_], 10.0)


def test_video_files_are_paired_frame_by_frame(tmp_path: Path) -> None:
    write_video(tmp_path / "test/snow/00000.mkv", [90, 100, 110])
    write_video(tmp_path / "test/clean/00000.mkv", [9, 10, 11])
    data = load(tmp_path)
    [video] = data.videos
    assert (data.layout, video.name, video.frame_ids) == ("rvsd", "00000", ("0000", "0001", "0002"))
    assert (levels(open_snowy(video)), levels(open_clean(video))) == ([90, 100, 110], [9, 10, 11])
    assert open_snowy(video).fps == 10


def test_video_files_of_unequal_length_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "test/snow/00000.mkv", [90, 100, 110])
    write_video(tmp_path / "test/clean/00000.mkv", [9, 10])
    with pytest.raises(InputError, match=r"00000\.mkv has 3 frames, but .*00000\.mkv has 2"):
        load(tmp_path)


def test_a_video_file_has_no_folder_for_a_mate(tmp_path: Path) -> None:
    write_video(tmp_path / "test/snow/v.mkv", [90])
    write_clip(tmp_path / "test/clean/v", ["0000"], [9])
    with pytest.raises(InputError, match="one is a video file and the other is not"):
        load(tmp_path)


def test_a_video_file_without_its_mate_is_named(tmp_path: Path) -> None:
    for name in ("snow/a", "clean/a", "snow/b"):
        write_video(tmp_path / f"test/{name}.mkv", [90])
    with pytest.raises(InputError, match=r"test/b: .*Snowy without clean: b\.mkv"):
        load(tmp_path)


def test_unpaired_video_files_are_clips(tmp_path: Path) -> None:
    write_video(tmp_path / "train/a.mkv", [9, 10])
    write_video(tmp_path / "test/b.mkv", [9, 10])
    data = load(tmp_path)
    assert data.layout == "realsnow85"
    assert [(v.split, v.name, len(v.frame_ids), v.clean) for v in data.videos] == [
        ("test", "b", 2, None),
        ("train", "a", 2, None),
    ]
