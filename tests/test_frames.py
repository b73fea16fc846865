"""Restored frames that others hand in: matched by id, and every fault named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rvsd_bench.baselines.frames import Submission, open_submission
from rvsd_bench.data import dataset
from rvsd_bench.data.dataset import Video
from rvsd_bench.errors import InputError
from rvsd_bench.media.images import encode_png, write_jpeg, write_png
from rvsd_bench.media.video import write_ffv1, write_preview

COUNT = 12


def picture(index: int, height: int = 10, width: int = 14) -> np.ndarray:
    """Return a flat picture that tells its number."""
    return np.full((height, width, 3), 10 * index, np.uint8)


def write_frames(folder: Path, names: list[str], **size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        (folder / f"{name}.png").write_bytes(encode_png(picture(index, **size)))


@pytest.fixture
def videos(tmp_path: Path) -> tuple[Video, ...]:
    """Make a dataset of two test videos of twelve frames, named 0000 to 0011."""
    for name in ("00000", "00001"):
        for side in ("snow", "clean"):
            folder = tmp_path / "data" / "test" / side / name
            write_frames(folder, [f"{i:04d}" for i in range(COUNT)])
    return dataset.load(tmp_path / "data").videos


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Make a good submission for that dataset."""
    for name in ("00000", "00001"):
        write_frames(tmp_path / "out" / name, [f"{i:04d}" for i in range(COUNT)])
    return tmp_path / "out"


def problems(submission: Submission, videos: Sequence[Video]) -> list[str]:
    """Return all that names and headers tell against a submission."""
    faults = [*submission.strangers(videos), *(f for v in videos for f in submission.faults(v))]
    return [
        f"{fault.video}: {fault}" if fault.code == "stranger" else str(fault) for fault in faults
    ]


def order(submission: Submission, video: Video) -> list[int]:
    return [int(frame[0, 0, 0]) // 10 for frame in submission.open(video)]


def test_a_good_submission_has_no_problems_and_opens_in_order(
    videos: tuple[Video, ...], out: Path
) -> None:
    submission = open_submission(out)
    assert problems(submission, videos) == []
    clip = submission.open(videos[0])
    assert (len(clip), clip.size, clip.name) == (COUNT, (10, 14), "00000")
    assert order(submission, videos[0]) == list(range(COUNT))


@pytest.mark.parametrize(
    "name",
    [lambda i: f"{i:04d}", lambda i: f"out_{i}", lambda i: f"v2_frame{i:03d}", lambda i: str(i)],
)
def test_frames_match_by_stem_or_else_by_their_last_number(
    videos: tuple[Video, ...], tmp_path: Path, name: Callable[[int], str]
) -> None:
    for video in videos:
        write_frames(tmp_path / "named" / video.name, [name(i) for i in range(COUNT)])
    submission = open_submission(tmp_path / "named")
    assert problems(submission, videos) == []
    assert order(submission, videos[1]) == list(range(COUNT))


def test_splits_jpegs_letter_case_and_other_files_do_not_matter(
    videos: tuple[Video, ...], out: Path, tmp_path: Path
) -> None:
    shutil.move(out, tmp_path / "whole" / "test")
    first = tmp_path / "whole" / "test" / "00000"
    (first / "0000.png").unlink()
    write_jpeg(first / "0000.JPG", picture(0))
    (first / "Thumbs.db").write_text("")
    (first.parent / "notes.txt").write_text("made by us")
    submission = open_submission(tmp_path / "whole")
    assert problems(submission, videos) == []
    assert order(submission, videos[0]) == list(range(COUNT))


def spoil_missing(folder: Path) -> None:
    (folder / "0003.png").unlink()
    (folder / "0007.png").unlink()


def spoil_extra(folder: Path) -> None:
    write_png(folder / "0012.png", picture(12))


def spoil_shifted(folder: Path) -> None:
    for index in reversed(range(COUNT)):
        (folder / f"{index:04d}.png").rename(folder / f"{index + 1:04d}.png")


def spoil_twice(folder: Path) -> None:
    write_jpeg(folder / "0005.jpg", picture(5))


def spoil_size(folder: Path) -> None:
    write_png(folder / "0004.png", picture(4, height=20, width=28))


def spoil_depth(folder: Path) -> None:
    deep = np.zeros((10, 14, 3), np.uint16)
    (folder / "0004.png").write_bytes(encode_png(deep))


def spoil_alpha(folder: Path) -> None:
    Image.fromarray(picture(4)).convert("RGBA").save(folder / "0004.png")


def spoil_grey(folder: Path) -> None:
    Image.fromarray(picture(4)).convert("L").save(folder / "0004.png")


def spoil_palette(folder: Path) -> None:
    Image.fromarray(picture(4)).convert("P").save(folder / "0004.png")


def spoil_number(folder: Path) -> None:
    write_png(folder / "5.png", picture(5))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_missing, ["frames are missing: 0003, 0007"]),
        (spoil_extra, ["frames are not in the dataset: 0012.png"]),
        (spoil_shifted, ["frames are missing: 0000", "frames are not in the dataset: 0012.png"]),
        (spoil_twice, ["frames are there twice: 0005.jpg, 0005.png"]),
        (spoil_size, ["frames are 28x20 where the dataset's are 14x10: 0004.png"]),
        (spoil_depth, ["frames are rgb16 pictures, 8-bit RGB is needed: 0004.png"]),
        (spoil_alpha, ["frames are rgb+alpha8 pictures, 8-bit RGB is needed: 0004.png"]),
        (spoil_grey, ["frames are grey8 pictures, 8-bit RGB is needed: 0004.png"]),
        (spoil_palette, ["frames are palette8 pictures, 8-bit RGB is needed: 0004.png"]),
        (spoil_number, ["frames are there twice: 0005.png, 5.png"]),
    ],
)
def test_each_fault_of_a_video_is_named_with_its_frames(
    videos: tuple[Video, ...], out: Path, spoil: Callable[[Path], None], told: list[str]
) -> None:
    spoil(out / "00001")
    submission = open_submission(out)
    place = out / "00001"
    assert problems(submission, videos) == [f"{place}: {problem}" for problem in told]
    with pytest.raises(InputError, match=re.escape(told[0])):
        submission.open(videos[1])
    assert order(submission, videos[0]) == list(range(COUNT))


def test_all_faults_are_told_at_once(videos: tuple[Video, ...], out: Path) -> None:
    spoil_missing(out / "00000")
    spoil_size(out / "00000")
    shutil.move(out / "00001", out / "00002")
    told = "\n".join(problems(open_submission(out), videos))
    for part in (
        "no frames of the video '00001'",
        "00002: the dataset has no such video",
        "0003, 0007",
        "28x20",
    ):
        assert part in told


def test_many_names_are_cut_short(videos: tuple[Video, ...], out: Path) -> None:
    for index in range(9):
        (out / "00000" / f"{index:04d}.png").unlink()
    (problem,) = problems(open_submission(out), videos)
    assert problem.endswith("frames are missing: 0000, 0001, 0002, 0003, ... (9 in all)")


def test_a_truncated_picture_is_named_when_it_is_read(videos: tuple[Video, ...], out: Path) -> None:
    path = out / "00000" / "0002.png"
    path.write_bytes(path.read_bytes()[:-20])
    clip = open_submission(out).open(videos[0])
    assert clip[1] is not None
    with pytest.raises(InputError, match=r"0002\.png is damaged"):
        clip[2]


def test_a_lossless_video_stands_for_the_frames_of_a_clip(
    videos: tuple[Video, ...], out: Path
) -> None:
    shutil.rmtree(out / "00001")
    write_ffv1(out / "00001.mkv", [picture(index) for index in range(COUNT)], 25.0)
    submission = open_submission(out)
    assert problems(submission, videos) == []
    assert order(submission, videos[1]) == list(range(COUNT))


def test_a_video_of_another_length_size_or_colour_is_refused(
    videos: tuple[Video, ...], out: Path
) -> None:
    for name in ("00000", "00001"):
        shutil.rmtree(out / name)
    write_ffv1(out / "00000.mkv", [picture(index, 12, 14) for index in range(COUNT - 1)], 25.0)
    write_preview(out / "00001.mp4", [picture(index) for index in range(COUNT)], 25.0)
    short, small, yuv = problems(open_submission(out), videos)
    assert "has 11 frames, the dataset's video has 12" in short
    assert "is 14x12, the dataset's is 14x10" in small
    assert "yuv420p" in yuv and "-c:v ffv1" in yuv


def test_a_clip_of_one_frame_may_be_a_picture(tmp_path: Path) -> None:
    for side in ("Snow", "Gt"):
        write_frames(tmp_path / "csd" / "Test" / side, ["1", "2"])
    videos = dataset.load(tmp_path / "csd", layout="csd").videos
    write_frames(tmp_path / "out", ["1", "2"])
    submission = open_submission(tmp_path / "out")
    assert problems(submission, videos) == []
    assert [order(submission, video) for video in videos] == [[0], [1]]


def test_the_digest_follows_every_byte_and_no_path(out: Path, tmp_path: Path) -> None:
    before = open_submission(out).digest
    shutil.copytree(out, tmp_path / "copy")
    assert open_submission(tmp_path / "copy").digest == before
    write_png(tmp_path / "copy" / "00000" / "0000.png", picture(1))
    assert open_submission(tmp_path / "copy").digest != before


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_submission(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no restored clips: expected <video>/<frame>\.png"):
        open_submission(tmp_path)


def test_one_video_in_two_forms_is_refused(out: Path) -> None:
    (out / "00000.mkv").write_bytes(b"")
    with pytest.raises(InputError, match=r"one video twice: 00000 and 00000\.mkv"):
        open_submission(out)
