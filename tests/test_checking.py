"""A check finds what was broken on purpose, says it by name, and stays silent otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.data import alignment, findings, leakage
from rvsd_bench.data.checking import Report, check
from rvsd_bench.media.images import encode_jpeg, encode_png
from rvsd_bench.media.reading import read_clip
from rvsd_bench.media.video import write_ffv1
from rvsd_bench.seeds import stream

SIZE = (72, 128)


def scene(seed: int) -> Frame:
    """Return a wide picture with structure at all scales, uint8 [2H, 3W, 3]."""
    random = stream("scene", seed)
    height, width = 2 * SIZE[0], 3 * SIZE[1]
    total = np.zeros((height, width, 3))
    for cells in (4, 12, 40, 120):
        coarse = random.random((cells, cells, 3)) - 0.5
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 90 * total, 0, 255).astype(np.uint8)


def drive(seed: int, frames: int = 20, step: float = 3.0) -> list[Frame]:
    """Return a clip that moves over a scene by `step` pixels a frame; 0: a fixed camera."""
    height, width = SIZE
    wide = scene(seed)
    moves = [np.float32([[1, 0, -step * i], [0, 1, -0.3 * step * i]]) for i in range(frames)]
    return [cv2.warpAffine(wide, move, (width, height)) for move in moves]


def snowed(clip: Sequence[Frame], seed: int = 0) -> list[Frame]:
    """Return the clip behind haze and with a fresh set of white dots in every frame."""
    random = stream("snow", seed)
    out = []
    for clean in clip:
        hazy = 0.55 * clean + 0.45 * 200
        for y, x, size in random.random((120, 3)):
            centre = int(x * SIZE[1]), int(y * SIZE[0])
            cv2.circle(hazy, centre, int(1 + 2 * size), (240.0, 240.0, 240.0), -1)
        out.append(np.clip(np.rint(hazy), 0, 255).astype(np.uint8))
    return out


def write(folder: Path, clip: Sequence[Frame], suffix: str = ".png", first: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    encode = encode_png if suffix == ".png" else encode_jpeg
    for index, frame in enumerate(clip, first):
        (folder / f"{index:04d}{suffix}").write_bytes(encode(frame))


def put(
    root: Path, clip: str, clean: Sequence[Frame], snowy: Sequence[Frame] | None = None
) -> Path:
    """Write a pair; `clip` is split/name. Without `snowy` the clean frames get snow."""
    split, name = clip.split("/")
    write(root / split / "clean" / name, clean)
    write(root / split / "snow" / name, snowed(clean) if snowy is None else snowy)
    return root


def found(report: Report, kind: str) -> list[str]:
    """Return the messages of one kind, after making sure that there are no others."""
    assert {problem.kind for problem in report.problems} <= {kind}, report.problems
    return [problem.message for problem in report.problems]


def test_pairs_in_order_pass(tmp_path: Path) -> None:
    put(tmp_path, "train/00000", drive(1))
    put(tmp_path, "test/00000", drive(2))
    report = check(tmp_path)
    assert (report.problems, report.notes) == ([], [])
    assert [(clip.frames, clip.size) for clip in report.clips] == [(20, SIZE)] * 2
    assert list(report.lines()) == [
        f"{tmp_path}: layout rvsd, snowy and clean",
        "test: 1 clip, 20 frames, 128x72",
        "train: 1 clip, 20 frames, 128x72",
    ]


def test_the_known_permutation_of_rvsd_is_named_and_its_mending_mends_it(tmp_path: Path) -> None:
    clean = drive(1)
    # Snowy 0, 1, 2, 3 belong to the files 3, 1, 0, 2: file 0 holds frame 2, file 2 frame 3, ...
    put(
        tmp_path, "train/00000", [clean[2], clean[1], clean[3], clean[0], *clean[4:]], snowed(clean)
    )
    report = check(tmp_path)
    [message] = found(report, "order")
    assert "RVSD's known permutation" in message
    assert "rename the clean frames 0003, 0001, 0000, 0002 to 0000, 0001, 0002, 0003" in message
    assert report.clips[0].shows == {"0000": "0003", "0002": "0000", "0003": "0002"}
    folder = tmp_path / "train/clean/00000"
    olds, news = ["0003", "0001", "0000", "0002"], ["0000", "0001", "0002", "0003"]
    held = {new: (folder / f"{old}.png").read_bytes() for old, new in zip(olds, news)}
    for new, data in held.items():
        (folder / f"{new}.png").write_bytes(data)
    assert check(tmp_path).problems == []


@pytest.mark.parametrize(("shift", "words"), [(1, "1 later"), (-1, "1 earlier"), (5, "5 later")])
def test_a_shifted_clip_is_found(tmp_path: Path, shift: int, words: str) -> None:
    frames = drive(1, frames=26)
    clean = frames[5:-5]
    snowy = snowed(frames)[5 + shift : len(frames) - 5 + shift]
    [message] = found(check(put(tmp_path, "test/00000", clean, snowy)), "order")
    assert f"the clean frame {words} than their own" in message
    assert f"number these clean frames {abs(shift)} {'lower' if shift > 0 else 'higher'}" in message


def test_two_swapped_frames_in_the_middle_are_named(tmp_path: Path) -> None:
    clean = drive(1)
    swapped = [*clean[:9], clean[11], clean[10], clean[9], *clean[12:]]
    [message] = found(check(put(tmp_path, "test/00000", swapped, snowed(clean))), "order")
    assert "snowy 0009 shows 0011, 0011 shows 0009" in message


def test_a_fixed_camera_raises_no_alarm(tmp_path: Path) -> None:
    noise = stream("sensor")
    still = drive(3, step=0.0)
    noisy = [
        np.clip(frame + 4 * (noise.random(frame.shape) - 0.5), 0, 255).astype(np.uint8)
        for frame in still
    ]
    put(tmp_path, "test/still", still, snowed(still))
    put(tmp_path, "test/noisy", noisy, snowed(still))
    report = check(tmp_path)
    assert report.problems == []
    assert [note.kind for note in report.notes] == ["duplicate"]
    assert report.notes[0].clip == "test/still"


def test_a_clean_frame_that_is_sharper_than_its_neighbours_attracts_none_of_them(
    tmp_path: Path,
) -> None:
    random = stream("codec")
    still = drive(4, frames=12, step=0.0)
    poor = [
        np.clip(f + 60 * (random.random(f.shape) - 0.5), 0, 255).astype(np.uint8) for f in still
    ]
    clean = [*poor[:6], still[6], *poor[7:]]
    assert check(put(tmp_path, "test/00000", clean, still)).problems == []


def test_the_mate_of_another_scene_is_found(tmp_path: Path) -> None:
    report = check(put(tmp_path, "test/00000", drive(1), snowed(drive(2))))
    assert found(report, "unrelated") == ["nothing of the clean frames is seen in the snowy ones"]


def test_black_frames_are_neither_leak_nor_disorder(tmp_path: Path) -> None:
    black = [np.zeros((*SIZE, 3), np.uint8)] * 3
    for clip in ("train/00000", "test/00000"):
        put(tmp_path, clip, black, black)
    report = check(tmp_path)
    assert (report.problems, report.notes) == ([], [])


def test_equal_clean_frames_in_two_splits_are_a_leak(tmp_path: Path) -> None:
    one, other = drive(1), drive(2)
    put(tmp_path, "train/00000", one)
    put(tmp_path, "test/00000", [*other[:10], *one[10:]])
    [message] = found(check(tmp_path), "leak")
    assert message.startswith("test/00000 shares 10 frames with train/00000: 0010 = 0010")


def test_the_same_scene_compressed_and_at_another_size_is_a_leak(tmp_path: Path) -> None:
    clean = drive(1)
    put(tmp_path, "train/00000", clean)
    half = [cv2.resize(f, (64, 36), interpolation=cv2.INTER_AREA) for f in clean]
    write(tmp_path / "test/clean/00000", half, ".jpg")
    write(tmp_path / "test/snow/00000", half, ".jpg")
    [message] = found(check(tmp_path), "leak")
    assert "test/00000 looks like train/00000 in 16 sampled frames" in message


def test_one_source_in_two_splits_is_a_leak_whatever_the_pictures(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "test")):
        put(tmp_path, f"{split}/00000", drive(seed))
        meta = tmp_path / split / "meta/00000.json"
        meta.parent.mkdir()
        meta.write_text(json.dumps({"source": {"sha256": "ab" * 32}, "fps": 25}))
    [message] = found(check(tmp_path), "leak")
    assert message.startswith("test/00000 and train/00000 were made from the same footage")


def test_the_same_scene_twice_in_one_split_is_no_leak() -> None:
    print_ = leakage.look("0000", scene(1))
    assert print_ is not None
    clips = [leakage.Content("test", name, "one source", {b"x": "0"}, (print_,)) for name in "ab"]
    assert leakage.find_leaks(clips) == []


def test_the_same_light_over_another_street_is_no_leak() -> None:
    """Coarse agreement makes equal hashes; fine structure decides."""
    random = stream("streets")
    light = cv2.resize((random.random((6, 6, 3)) * 255).astype(np.uint8), (320, 320))
    streets = [
        np.clip(light + 90.0 * (random.random((320, 320, 1)) > 0.5) - 45, 0, 255).astype(np.uint8)
        for _ in range(2)
    ]
    blocks = [cv2.resize(s[:32, :32], (320, 320), interpolation=cv2.INTER_NEAREST) for s in streets]
    looks = [leakage.look("0", cv2.addWeighted(light, 0.8, b, 0.2, 0)) for b in blocks]
    one, other = (look for look in looks if look is not None)
    assert (one.hash ^ other.hash).bit_count() <= 10
    clips = [leakage.Content(s, "a", None, {}, (p,)) for s, p in (("train", one), ("test", other))]
    assert leakage.find_leaks(clips) == []


def test_different_scenes_are_far_below_what_counts_as_alike() -> None:
    looks = [leakage.look(str(seed), scene(seed)) for seed in range(12)]
    contents = [
        leakage.Content(split, str(index), None, {}, (one,))
        for index, one in enumerate(looks)
        if one is not None
        for split in [("train", "test")[index % 2]]
    ]
    assert len(contents) == 12
    assert leakage.find_leaks(contents) == []


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("side", ["snow", "clean"])
def test_a_damaged_picture_is_named_and_the_others_are_still_checked(
    tmp_path: Path, damage: Callable[[Path], None], side: str
) -> None:
    clean = drive(1)
    put(tmp_path, "test/00000", [clean[1], clean[0], *clean[2:]], snowed(clean))
    bad = tmp_path / "test" / side / "00000" / "0010.png"
    damage(bad)
    report = check(tmp_path)
    assert [problem.kind for problem in report.problems] == ["unreadable", "order"]
    assert str(bad) in report.problems[0].message
    assert "0000 shows 0001, 0001 shows 0000" in report.problems[1].message


def test_missing_mates_are_named_on_both_sides(tmp_path: Path) -> None:
    put(tmp_path, "test/00000", drive(1))
    (tmp_path / "test/snow/00000/0004.png").unlink()
    (tmp_path / "test/clean/00000/0007.png").unlink()
    [message] = found(check(tmp_path), "missing")
    assert message == (
        "mates are missing; snowy without clean: 0007.png; clean without snowy: 0004.png"
    )


def test_a_clip_without_its_other_side_is_named(tmp_path: Path) -> None:
    put(tmp_path, "test/00000", drive(1))
    write(tmp_path / "test/snow/00001", drive(2, frames=2))
    report = check(tmp_path)
    assert [(p.kind, p.clip) for p in report.problems] == [("missing", "test/00001")]
    assert [clip.frames for clip in report.clips] == [20, 0]


def test_a_gap_on_both_sides_is_named(tmp_path: Path) -> None:
    put(tmp_path, "test/00000", drive(1))
    for side in ("snow", "clean"):
        (tmp_path / "test" / side / "00000" / "0005.png").unlink()
    [message] = found(check(tmp_path), "gap")
    assert "0004 is followed by 0006" in message


def test_two_sizes_are_named(tmp_path: Path) -> None:
    clean = drive(1)
    put(tmp_path, "test/00000", clean)
    narrow = [np.ascontiguousarray(clean[7][:, :100])]
    write(tmp_path / "test/snow/00000", narrow, first=7)
    messages = found(check(tmp_path), "size")
    assert messages[0].endswith("100x72: 0007")
    assert messages[1] == "snowy is 100x72, clean is 128x72: 0007"


def test_frozen_frames_are_noted_but_are_no_problem(tmp_path: Path) -> None:
    clean = drive(1)
    snowy = snowed(clean)
    frozen = [*snowy[:5], snowy[4], *snowy[6:]]
    report = check(put(tmp_path, "test/00000", clean, frozen))
    assert [note.message for note in report.notes] == ["snowy frames are equal: 0004 = 0005"]


def test_pictures_and_unpaired_clips_are_checked_too(tmp_path: Path) -> None:
    for seed in range(3):
        clean = drive(seed, frames=1)
        write(tmp_path / "csd/Train/Gt", clean, first=seed)
        write(tmp_path / "csd/Train/Snow", snowed(clean), first=seed)
    flip(tmp_path / "csd/Train/Gt/0001.png")
    [message] = found(check(tmp_path / "csd"), "unreadable")
    assert "0001.png is damaged" in message
    for split in ("train", "test"):
        write(tmp_path / "real" / split / "a", drive(9))
    [message] = found(check(tmp_path / "real"), "leak")
    assert "test/a shares 20 frames with train/a" in message


def test_video_files_are_checked_like_folders(tmp_path: Path) -> None:
    clean = drive(1)
    for side, clip in (("clean", [clean[1], clean[0], *clean[2:]]), ("snow", snowed(clean))):
        (tmp_path / "test" / side).mkdir(parents=True)
        write_ffv1(tmp_path / "test" / side / "00000.mkv", clip, 25)
    [message] = found(check(tmp_path), "order")
    assert "snowy 0000 shows 0001, 0001 shows 0000" in message
    with (tmp_path / "test/snow/00000.mkv").open("r+b") as file:
        file.seek(file.seek(0, 2) // 2)
        file.write(bytes(64))
    [message] = found(check(tmp_path), "unreadable")
    assert "snow/00000.mkv" in message


def test_workers_change_nothing(tmp_path: Path) -> None:
    put(tmp_path, "train/00000", drive(1))
    put(tmp_path, "test/00000", drive(1))
    assert check(tmp_path, workers=2).as_json() == check(tmp_path).as_json()


def test_a_report_is_json(tmp_path: Path) -> None:
    report = check(put(tmp_path, "test/00000", drive(1)))
    assert json.loads(json.dumps(report.as_json()))["clips"] == [
        {"split": "test", "name": "00000", "frames": 20, "size": "128x72", "shows": {}}
    ]


def real(shared_clips: Path, name: str) -> tuple[list[Frame], list[Frame]]:
    """Return ten frames of a real clip, and the same in dense snow."""
    clip = read_clip(shared_clips / f"{name}.mp4", stop=10)
    clean = [clip[index] for index in range(10)]
    random = stream("flakes")
    snowy = []
    for frame in clean:
        hazy = 0.6 * frame + 0.4 * 200
        for y, x, size in random.random((2000, 3)):
            centre = int(x * frame.shape[1]), int(y * frame.shape[0])
            cv2.circle(hazy, centre, int(1 + 4 * size), (240.0, 240.0, 240.0), -1)
        snowy.append(np.clip(np.rint(hazy), 0, 255).astype(np.uint8))
    return clean, snowy


@pytest.mark.parametrize("name", ["drive_udacity_720p_38f", "static_parking_intel_768x432_100f"])
def test_real_footage_raises_no_alarm(tmp_path: Path, shared_clips: Path, name: str) -> None:
    put(tmp_path, "test/00000", *real(shared_clips, name))
    assert check(tmp_path).problems == []


def test_permuted_frames_of_a_real_drive_are_found(tmp_path: Path, shared_clips: Path) -> None:
    clean, snowy = real(shared_clips, "drive_udacity_720p_38f")
    put(tmp_path, "test/00000", [clean[2], clean[1], clean[3], clean[0], *clean[4:]], snowy)
    assert "RVSD's known permutation" in found(check(tmp_path), "order")[0]


def test_a_frame_without_structure_has_no_fingerprint() -> None:
    grey = np.full((*SIZE, 3), 90, np.uint8)
    grey[::2] += 1
    assert alignment.fingerprint(grey) is None


def test_the_names_of_the_two_sides_are_not_mixed_up() -> None:
    snowy, clean = [f"in_{k}" for k in range(9)], [f"gt_{k}" for k in range(9)]
    [told] = findings.order("test/v", {5: 6, 6: 5}, snowy, clean)
    assert "snowy in_5 shows gt_6, in_6 shows gt_5" in told.message


def test_the_evidence_is_calibrated_in_standard_deviations() -> None:
    """Of pairs in order no candidate may look better by chance than a normal deviate does."""
    clean = drive(5, frames=60, step=0.05)
    prints = [
        (alignment.fingerprint(snowy), alignment.fingerprint(one))
        for snowy, one in zip(snowed(clean), clean)
    ]
    assert alignment.moved(alignment.agree(prints)) == {}
