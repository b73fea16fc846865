"""One function opens any clip; a part of a clip keeps its place in time."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rvsd_bench
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.media.images import write_png
from rvsd_bench.media.reading import find_clips, read_clip
from rvsd_bench.media.video import write_ffv1

COUNT = 9


def frames(height: int = 24, width: int = 36) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(COUNT)]


@pytest.fixture(params=["folder", "video"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same frames as a folder of PNGs and as an FFV1 file, at 10 frames a second."""
    if request.param == "video":
        write_ffv1(tmp_path / "clip.mkv", frames(), 10)
        return tmp_path / "clip.mkv"
    return write_folder(tmp_path / "clip")


def write_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames()):
        write_png(folder / f"{number}.png", frame)
    return folder


def test_files_and_folders_give_the_same_clip(source: Path) -> None:
    clip = rvsd_bench.read_clip(str(source), fps=10)
    assert (clip.name, clip.size, clip.fps, len(clip)) == ("clip", (24, 36), 10.0, COUNT)
    assert clip.times == pytest.approx(np.arange(COUNT) / 10)
    assert all(np.array_equal(a, b) for a, b in zip(clip, frames(), strict=True))


@pytest.mark.parametrize(("start", "stop"), [(2, 7), (0, 1), (-3, None), (4, 99), (1, -1)])
def test_a_part_is_a_slice_and_keeps_the_time_of_the_source(
    source: Path, start: int, stop: int | None
) -> None:
    part = read_clip(source, fps=10, start=start, stop=stop)
    expected = frames()[start:stop]
    assert len(part) == len(expected)
    assert all(np.array_equal(a, b) for a, b in zip(part, expected, strict=True))
    assert np.array_equal(part[-1], expected[-1])
    assert np.array_equal(part[len(part) - 1], expected[-1])
    assert part.times == pytest.approx((np.arange(COUNT) / 10)[start:stop])
    assert part.facts["range"] == list(slice(start, stop).indices(COUNT)[:2])


def test_a_part_of_a_folder_lists_its_own_files(tmp_path: Path) -> None:
    part = read_clip(write_folder(tmp_path / "c"), start=3, stop=5)
    assert part.facts["frames"] == ["3.png", "4.png"]


def test_a_part_ends_where_it_ends(source: Path) -> None:
    part = read_clip(source, start=2, stop=5)
    for index in (3, -4):
        with pytest.raises(IndexError, match="has 3 frames"):
            part[index]


def test_a_smaller_size_averages_areas(source: Path) -> None:
    clip = read_clip(source, size=(12, 8))
    assert clip.size == (8, 12)
    blocks = frames()[4].reshape(8, 3, 12, 3, 3).astype(float).mean((1, 3))
    assert np.abs(clip[4] - blocks).max() <= 0.51
    assert clip.facts["resampled"] == {"from": [24, 36], "filter": "area"}


def test_a_larger_size_is_bicubic_and_says_so(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(0, 240, 10, dtype=np.uint8)[None, :, None], 8, 0).repeat(3, 2)
    for number in range(2):
        write_png(tmp_path / f"{number}.png", ramp)
    clip = read_clip(tmp_path, size=(48, 16))
    assert clip[1].shape == (16, 48, 3)
    inner = clip[1][8, 8:40, 0].astype(float)
    assert np.abs(inner - (np.arange(8, 40) + 0.5) * 5 + 5).max() <= 1  # a ramp stays a ramp
    assert clip.facts["resampled"]["filter"] == "cubic"


def test_the_same_size_changes_nothing(source: Path) -> None:
    clip = read_clip(source, size=(36, 24))
    assert np.array_equal(clip[0], frames()[0])
    assert "resampled" not in clip.facts


def test_a_part_goes_to_another_process(source: Path) -> None:
    part = read_clip(source, start=2, stop=6, size=(12, 8))
    again = pickle.loads(pickle.dumps(part))
    assert all(np.array_equal(a, b) for a, b in zip(part, again, strict=True))


def test_an_array_is_a_clip_like_any_other(source: Path) -> None:
    array = ArrayClip(np.stack(frames()), fps=10.0)
    clip = read_clip(source, fps=10)
    assert array.times == pytest.approx(clip.times)
    assert (array.size, array.fps, len(array)) == (clip.size, clip.fps, len(clip))


@pytest.mark.parametrize(("start", "stop"), [(9, None), (5, 5), (7, 2)])
def test_a_part_without_frames_is_refused(source: Path, start: int, stop: int | None) -> None:
    with pytest.raises(InputError, match=f"has 9 frames, none of them in {start}:{stop}"):
        read_clip(source, start=start, stop=stop)


@pytest.mark.parametrize("size", [(0, 8), (8, 8193), (-1, 4)])
def test_an_impossible_size_is_refused(source: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="size must be 1 to 8192"):
        read_clip(source, size=size)


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(source: Path, fps: float) -> None:
    with pytest.raises(InputError, match="fps must be above 0"):
        read_clip(source, fps=fps)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4 does not exist: give a video file or a fol"):
        read_clip(tmp_path / "gone.mp4")


def test_a_loop_of_links_and_a_name_too_long_are_input_errors(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "loop", tmp_path / ("x" * 300), tmp_path / "nul\0"):
        with pytest.raises(InputError, match=r"cannot read|does not exist"):
            read_clip(path)


def test_one_picture_is_no_clip(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", frames()[0])
    with pytest.raises(InputError, match=r"a\.png is one picture"):
        read_clip(tmp_path / "a.png")


def test_a_video_may_be_named_by_a_link(tmp_path: Path) -> None:
    write_ffv1(tmp_path / "real.mkv", frames(), 10)
    (tmp_path / "link.mkv").symlink_to(tmp_path / "real.mkv")
    assert len(read_clip(tmp_path / "link.mkv")) == COUNT


def test_clips_are_found_in_natural_order(tmp_path: Path) -> None:
    for name in ("clip10", "clip9"):
        write_folder(tmp_path / "all" / name)
    for name in ("clip2.mp4", "notes.txt", ".hidden.mp4", "CLIP3.MKV"):
        (tmp_path / "all" / name).write_bytes(b"")
    (tmp_path / "all" / "empty").mkdir()
    names = [path.name for path in find_clips([tmp_path / "all"])]
    assert names == ["CLIP3.MKV", "clip2.mp4", "clip9", "clip10"]


def test_depth_maps_beside_clips_are_no_frames(tmp_path: Path) -> None:
    write_folder(tmp_path / "all" / "walk")
    for name in ("drive.mp4", "drive_depth.png", "walk_depth.png"):
        (tmp_path / "all" / name).write_bytes(b"")
    assert [path.name for path in find_clips([tmp_path / "all"])] == ["drive.mp4", "walk"]
    (tmp_path / "all" / "0001.png").write_bytes(b"")
    assert find_clips([tmp_path / "all"]) == [tmp_path / "all"]


def test_a_folder_of_frames_and_a_file_are_clips_themselves(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a")
    video = tmp_path / "b.unusual"
    video.write_bytes(b"")
    assert find_clips([video, folder, folder]) == [video, folder]


def test_nothing_to_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither frames nor video files"):
        find_clips([tmp_path])
    with pytest.raises(InputError, match="does not exist"):
        find_clips([tmp_path / "gone"])
