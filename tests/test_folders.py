"""A folder of frames is a clip in the right order, with nothing missing, or an error."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rvsd_bench.errors import InputError
from rvsd_bench.media.folders import frame_number, open_folder


def flat(value: int, size: tuple[int, int] = (6, 8)) -> NDArray[np.uint8]:
    return np.full((*size, 3), value, np.uint8)


def make(folder: Path, names: Sequence[str]) -> Path:
    """Write frames whose grey value is their place in `names`."""
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        Image.fromarray(flat(value)).save(folder / name)
    return folder


def values(folder: Path) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in open_folder(folder)]


def test_nine_comes_before_ten(tmp_path: Path) -> None:
    folder = make(tmp_path / "clip", [f"{number}.png" for number in range(1, 13)])
    assert values(folder) == list(range(12))
    assert open_folder(folder).facts["frames"][8:10] == ["9.png", "10.png"]


def test_padded_names_need_not_begin_at_zero(tmp_path: Path) -> None:
    assert values(make(tmp_path / "c", ["f_0098.png", "f_0099.png", "f_0100.png"])) == [0, 1, 2]


def test_names_without_numbers_are_taken_in_natural_order(tmp_path: Path) -> None:
    assert values(make(tmp_path / "c", ["a.png", "b.png", "c.png"])) == [0, 1, 2]


def test_upper_case_suffixes_and_mixed_formats_are_frames(tmp_path: Path) -> None:
    assert values(make(tmp_path / "c", ["0.PNG", "1.bmp", "2.tif"])) == [0, 1, 2]


def test_indices_count_from_both_ends_and_no_further(tmp_path: Path) -> None:
    clip = open_folder(make(tmp_path / "c", ["0.png", "1.png", "2.png"]))
    assert clip[-1][0, 0, 0] == clip[2][0, 0, 0] == 2
    for index in (3, -4):
        with pytest.raises(IndexError, match="has 3 frames"):
            clip[index]


def test_a_clip_says_its_size_rate_and_name(tmp_path: Path) -> None:
    folder = make(tmp_path / "street", ["0.png", "1.png"])
    clip = open_folder(folder)
    assert (clip.name, clip.size, clip.fps, len(clip)) == ("street", (6, 8), 25.0, 2)
    assert clip.facts["fps_assumed"] is True
    told = open_folder(folder, fps=12.5)
    assert told.facts["fps_assumed"] is False
    assert told.times.tolist() == [0.0, 0.08]


def test_a_gap_in_the_numbering_names_the_missing_frame(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", ["0001.png", "0002.png", "0004.png"])
    with pytest.raises(InputError, match=r"has no frame 3 \(0002\.png is followed by 0004\.png\)"):
        open_folder(folder)


@pytest.mark.parametrize("twin", ["00001.png", "1.jpg", "x1.png"])
def test_two_files_for_one_frame_are_both_named(tmp_path: Path, twin: str) -> None:
    folder = make(tmp_path / "c", ["0.png", "1.png", twin])
    with pytest.raises(InputError, match="holds frame 1 twice") as caught:
        open_folder(folder)
    assert "1.png" in str(caught.value)
    assert twin in str(caught.value)


def test_a_stranger_without_a_number_is_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", ["1.png", "2.png", "cover.png"])
    with pytest.raises(InputError, match=r"cover\.png has no number"):
        open_folder(folder)


def test_other_files_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", ["1.png", "2.png"])
    for junk in ("Thumbs.db", ".DS_Store", "._1.png", "list.txt", ".tmp.3.png"):
        (folder / junk).write_bytes(b"junk")
    assert values(folder) == [0, 1]


def test_frames_of_two_sizes_are_refused_when_the_folder_is_opened(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", ["1.png", "2.png"])
    Image.fromarray(flat(0, (7, 8))).save(folder / "3.png")
    with pytest.raises(InputError, match=r"3\.png is 8 x 7 pixels, 1\.png is 8 x 6"):
        open_folder(folder)


def test_a_16_bit_frame_is_refused_when_the_folder_is_opened(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", ["1.png"])
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(folder / "2.png")
    with pytest.raises(InputError, match=r"2\.png is a grey16 picture"):
        open_folder(folder)


def test_a_corrupt_frame_in_the_middle_is_named_when_it_is_read(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", [f"{number}.png" for number in range(5)])
    data = bytearray((folder / "2.png").read_bytes())
    data[-20] ^= 1
    (folder / "2.png").write_bytes(data)
    clip = open_folder(folder)
    seen = []
    with pytest.raises(InputError, match=r"2\.png is damaged"):
        seen.extend(int(frame[0, 0, 0]) for frame in clip)
    assert clip[3][0, 0, 0] == 3


def test_a_frame_replaced_by_another_size_after_opening_is_refused(tmp_path: Path) -> None:
    clip = open_folder(make(tmp_path / "c", ["1.png", "2.png"]))
    Image.fromarray(flat(0, (7, 8))).save(tmp_path / "c" / "2.png")
    with pytest.raises(InputError, match=r"2\.png changed its size"):
        clip[1]


def test_symbolic_links_among_the_frames_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", ["1.png", "2.png"])
    (folder / "3.png").symlink_to(folder / "1.png")
    with pytest.raises(InputError, match=r"3\.png is a symbolic link"):
        open_folder(folder)


def test_a_folder_without_pictures_says_what_it_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no frames")
    with pytest.raises(InputError, match=r"holds no image files \(\.png, \.jpg"):
        open_folder(tmp_path)


def test_grey_and_alpha_frames_are_noted(tmp_path: Path) -> None:
    Image.fromarray(flat(9)).convert("L").save(tmp_path / "1.png")
    Image.fromarray(flat(9)).convert("RGBA").save(tmp_path / "2.png")
    clip = open_folder(tmp_path)
    assert clip.facts["notes"] == [
        "1 grey8 frames were made three-channel RGB",
        "the alpha channel of 1 frames was dropped",
    ]
    assert all(np.array_equal(frame, flat(9)) for frame in clip)


def test_a_clip_goes_to_another_process(tmp_path: Path) -> None:
    clip = open_folder(make(tmp_path / "c", ["1.png", "2.png"]), fps=30)
    again = pickle.loads(pickle.dumps(clip))
    assert again == clip
    assert np.array_equal(again[1], clip[1])


@pytest.mark.parametrize(
    ("name", "number"), [("0012.png", 12), ("v2_f7x.png", 7), ("a.png", None), ("3.1.jpg", 1)]
)
def test_the_frame_number_is_the_last_in_the_stem(name: str, number: int | None) -> None:
    assert frame_number(name) == number
