from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from rvsd_bench.cli import cli
from rvsd_bench.errors import InputError, OutputError, PartialError
from rvsd_bench.media import frame_cache
from rvsd_bench.media.frame_cache import FOLDER, cache_clip, cache_folder, open_cached
from rvsd_bench.media.images import write_png
from rvsd_bench.media.video import write_ffv1


def _frames(seed: int = 1, count: int = 4) -> NDArray[np.uint8]:
    draw = np.random.Generator(np.random.Philox(seed)).random((count, 20, 26, 3))
    return (255 * draw).astype(np.uint8)


def _folder(path: Path, frames: NDArray[np.uint8]) -> Path:
    path.mkdir(parents=True)
    for index, frame in enumerate(frames):
        write_png(path / f"{index:04d}.png", frame)
    return path


def test_the_cached_frames_and_times_of_folders_and_videos_are_theirs(tmp_path: Path) -> None:
    frames = _frames()
    video = tmp_path / "a.mkv"
    write_ffv1(video, frames, fps=10)
    for path, fps in ((video, 10.0), (_folder(tmp_path / "b", frames), 25.0)):
        clip = cache_clip(path, cache_folder(path))
        assert clip.frames_file.parent == tmp_path / FOLDER
        assert (np.load(clip.frames_file) == frames).all()  # by NumPy's own reader
        assert (clip[2] == frames[2]).all() and len(clip) == 4 and clip.size == (20, 26)
        assert clip.times == pytest.approx(np.arange(4) / fps) and clip.fps == fps
        copy = pickle.dumps(clip)
        assert len(copy) < 3000 < frames.nbytes  # workers get the path and not the pixels
        assert (np.stack(list(pickle.loads(copy))) == frames).all()


def test_what_is_cached_is_not_decoded_again_until_the_clip_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, place = _folder(tmp_path / "b", _frames(1)), tmp_path / "cache"
    first = cache_clip(path, place)
    with monkeypatch.context() as patch:
        patch.setattr(frame_cache, "_write_frames", lambda *_: pytest.fail("decoded again"))
        assert cache_clip(path, place) == first
        os.utime(path / "0001.png", ns=(5, 5))  # touched, with the same bytes
        assert open_cached(path, place) is None
        assert cache_clip(path, place) == first
    shutil.rmtree(path)
    _folder(path, _frames(2))
    second = cache_clip(path, place)
    assert (second.frames == _frames(2)).all()
    assert [file.name for file in place.glob("*.npy")] == [second.frames_file.name]


def test_a_cache_that_was_cut_short_or_tampered_with_is_made_again(tmp_path: Path) -> None:
    path, place = _folder(tmp_path / "b", _frames()), tmp_path / "cache"
    made = cache_clip(path, place)
    for damage in ("{", "[]", '{"version": 1}'):
        (place / "b.json").write_text(damage)
        assert open_cached(path, place) is None
        assert cache_clip(path, place) == made
    made.frames_file.unlink()
    assert (cache_clip(path, place).frames == _frames()).all()
    made.frames_file.write_bytes(made.frames_file.read_bytes()[:1000])
    assert (cache_clip(path, place).frames == _frames()).all()


def test_a_clip_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    path, place = _folder(tmp_path / "b", _frames()), tmp_path / "cache"
    data = (path / "0002.png").read_bytes()
    (path / "0002.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"0002\.png"):
        cache_clip(path, place)
    assert list(place.iterdir()) == []


def test_frames_lie_beside_the_clip_or_below_out_as_the_clip_lies_in_the_root() -> None:
    root = Path("/data")
    assert cache_folder(root / "x" / "c.mp4") == root / "x" / FOLDER
    out = Path("/fast")
    assert cache_folder(root / "x" / "c.mp4", root, out) == out / "x"
    assert cache_folder(root / "c.mp4", root / "c.mp4", out) == out


def test_the_command_caches_a_dataset_and_then_keeps_it(tmp_path: Path) -> None:
    for side in ("clean", "snow"):
        for number in range(2):
            _folder(tmp_path / "set" / "test" / side / f"{number:05d}", _frames(number))
    words = ["cache", str(tmp_path / "set"), "--json", "--out", str(tmp_path / "fast")]
    planned = json.loads(CliRunner().invoke(cli, [*words, "--dry-run"]).stdout)
    assert planned["bytes_to_write"] == 4 * _frames().nbytes
    assert not (tmp_path / "fast").exists()
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "clips 4, frames 16" in done.stderr
    files = sorted((tmp_path / "fast").rglob("*.npy"))
    assert [str(file.parent.relative_to(tmp_path)) for file in files] == [
        "fast/test/clean", "fast/test/clean", "fast/test/snow", "fast/test/snow"
    ]  # fmt: skip
    again = json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).stdout)
    assert [entry["kept"] for entry in again["clips"]] == [True] * 4


def test_a_cache_beside_the_clips_is_no_stranger_to_the_dataset(tmp_path: Path) -> None:
    from rvsd_bench.data.dataset import load

    for side in ("clean", "snow"):
        _folder(tmp_path / "test" / side / "00000", _frames())
    before = load(tmp_path)
    CliRunner().invoke(cli, ["cache", str(tmp_path)], catch_exceptions=False)
    assert (tmp_path / "test" / "clean" / FOLDER / "00000.json").is_file()
    assert load(tmp_path) == before


def test_the_command_names_what_failed_and_does_the_rest(tmp_path: Path) -> None:
    _folder(tmp_path / "good", _frames())
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(PartialError, match=r"bad\.mp4"):
        CliRunner().invoke(
            cli, ["cache", str(tmp_path)], catch_exceptions=False, standalone_mode=False
        )
    assert len(list((tmp_path / FOLDER).glob("good.*.npy"))) == 1


def test_what_killed_runs_left_is_removed_and_a_full_disk_stops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvsd_bench.data import caching

    for name in "abc":
        _folder(tmp_path / name, _frames())
    left = tmp_path / FOLDER / ".tmp.a.0123456789abcdef.npy"
    left.parent.mkdir()
    left.write_bytes(b"half")
    tried = []

    def full(clip: Path, *_: object, **__: object) -> None:
        tried.append(clip.name)
        raise OutputError(f"cannot write {clip} (6240 bytes are needed): No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(caching, "cache_clip", full)
        with pytest.raises(OutputError, match="6240 bytes are needed"):
            caching.cache(caching.plan(tmp_path))
    assert tried == ["a"] and not left.exists()
    left.write_bytes(b"half")
    caching.cache(caching.plan(tmp_path))
    assert len(list((tmp_path / FOLDER).iterdir())) == 6


def test_a_disk_that_is_too_small_is_found_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvsd_bench.data import caching

    _folder(tmp_path / "good", _frames())
    monkeypatch.setattr(caching, "free_bytes", lambda folder: 6000)
    with pytest.raises(OutputError, match=r"6240 bytes.*room for 6000"):
        caching.cache(caching.plan(tmp_path))
    assert not (tmp_path / FOLDER).exists()
