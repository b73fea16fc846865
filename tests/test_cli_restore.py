"""The command `restore`: names, containers, resuming, and one line for every mistake."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rvsd_bench import read_clip
from rvsd_bench.baselines import ModelInfo
from rvsd_bench.cli import main
from rvsd_bench.errors import OutputError, PartialError
from rvsd_bench.media.images import encode_png, read_image
from rvsd_bench.restoring.saving import plan_outputs, save_restored

COUNT = 5


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Make two folders of frames whose files are called frame_7.png to frame_11.png."""
    for seed, name in enumerate(("a", "b")):
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        frames = np.random.default_rng(seed).integers(0, 256, (COUNT, 8, 10, 3), np.uint8)
        for index, frame in enumerate(frames):
            (folder / f"frame_{index + 7}.png").write_bytes(encode_png(frame))
    return tmp_path / "clips"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Run the command line in this process; return its exit code."""

    def start(*words: object) -> int:
        monkeypatch.setattr("sys.argv", ["rvsd-bench", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    yield start


def test_frames_come_out_under_the_names_they_came_in(run, clips: Path, tmp_path: Path) -> None:
    assert run("restore", "identity", clips, "--out", tmp_path / "out", "--device", "cpu") == 0
    for name in ("a", "b"):
        found = sorted(path.name for path in (tmp_path / "out" / name).iterdir())
        assert found == sorted(f"frame_{i}.png" for i in range(7, 12))
        for file in found:
            restored = read_image(tmp_path / "out" / name / file)
            assert np.array_equal(restored, read_image(clips / name / file))
    assert not list((tmp_path / "out").glob(".tmp*"))


def test_the_median_of_a_clip_is_what_numpy_says(run, clips: Path, tmp_path: Path) -> None:
    assert run("restore", "median", clips / "a", "--out", tmp_path / "out") == 0
    frames = np.stack(list(read_clip(clips / "a")))
    middle = read_image(tmp_path / "out" / "a" / "frame_9.png")
    assert np.array_equal(middle, np.median(frames[1:4], axis=0).astype(np.uint8))


def test_jpegs_are_written_on_request(run, clips: Path, tmp_path: Path) -> None:
    words = ("restore", "identity", clips / "a", "--out", tmp_path / "out", "--container", "jpg")
    assert run(*words) == 0
    frames = list((tmp_path / "out" / "a").iterdir())
    assert {path.suffix for path in frames} == {".jpg"}
    assert len(frames) == COUNT


def test_a_lossless_video_holds_the_same_pixels(run, clips: Path, tmp_path: Path) -> None:
    words = ("restore", "identity", clips / "a", "--out", tmp_path / "out", "--container", "ffv1")
    assert run(*words) == 0
    restored = np.stack(list(read_clip(tmp_path / "out" / "a.mkv")))
    assert np.array_equal(restored, np.stack(list(read_clip(clips / "a"))))
    assert run(*words) == 0


def test_tiles_change_nothing_for_the_median(run, clips: Path, tmp_path: Path) -> None:
    for out, words in (("whole", ()), ("tiled", ("--tile", 8, "--overlap", 4))):
        assert run("restore", "median", clips / "a", "--out", tmp_path / out, *words) == 0
    whole, tiled = (np.stack(list(read_clip(tmp_path / out / "a"))) for out in ("whole", "tiled"))
    assert np.array_equal(whole, tiled)


def test_finished_clips_are_kept_and_the_rest_is_done(
    run, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("restore", "median", clips / "a", "--out", out) == 0
    times = {path: path.stat().st_mtime_ns for path in (out / "a").iterdir()}
    capsys.readouterr()
    assert run("restore", "median", clips, "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(clip["name"], clip["kept"], clip["frames"]) for clip in told] == [
        ("a", True, COUNT),
        ("b", False, COUNT),
    ]
    assert {path: path.stat().st_mtime_ns for path in (out / "a").iterdir()} == times


def test_another_model_or_input_on_resume_is_refused_unless_forced(
    run, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("restore", "median", clips / "a", "--out", out) == 0
    assert run("restore", "median?k=5", clips / "a", "--out", out) == 2
    assert "differs in facts, method" in capsys.readouterr().err
    (clips / "a" / "frame_8.png").write_bytes(encode_png(np.zeros((8, 10, 3), np.uint8)))
    assert run("restore", "median", clips / "a", "--out", out) == 2
    assert "differs in input_sha256; choose another --out" in capsys.readouterr().err
    assert run("restore", "identity", clips / "a", "--out", out, "--force") == 0
    assert read_image(out / "a" / "frame_8.png").max() == 0


def test_a_named_model_whose_file_or_weights_have_changed_is_refused(
    run, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, weights = tmp_path / "net.py", tmp_path / "net.pt"
    path.write_text(
        "import torch\nfrom rvsd_bench.baselines import FrameModel, ModelInfo\n\ndef build():\n"
        "    network = torch.nn.Conv2d(3, 3, 1)\n"
        f"    network.load_state_dict(torch.load({str(weights)!r}))\n"
        "    return FrameModel(network, ModelInfo('net'))\n"
    )
    conv = torch.nn.Conv2d(3, 3, 1)
    torch.save(conv.state_dict(), weights)
    words = ("restore", f"mine=py:{path}", clips / "a", "--out", tmp_path / "out", "--trust-code")
    assert run(*words) == run(*words) == 0
    torch.save({name: value / 2 for name, value in conv.state_dict().items()}, weights)
    assert run(*words) == 2
    assert "differs in learned_sha256" in capsys.readouterr().err
    torch.save(conv.state_dict(), weights)
    path.write_text(path.read_text() + "# another\n")
    assert run(*words) == 2
    assert "differs in spec" in capsys.readouterr().err


def test_what_restore_did_not_make_is_not_overwritten(
    run, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "out" / "a" / "precious.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    assert run("restore", "identity", clips / "a", "--out", tmp_path / "out") == 2
    assert mine.read_bytes() == b"mine"


def test_a_clip_that_fails_midway_leaves_nothing_and_the_others_are_done(
    clips: Path, tmp_path: Path
) -> None:
    path = clips / "a" / "frame_10.png"
    path.write_bytes(path.read_bytes()[:-10])
    out = tmp_path / "out"
    from rvsd_bench.baselines import load

    with pytest.raises(PartialError, match=r"1 clips are done, 1 failed: a: .*frame_10\.png"):
        save_restored(load("identity"), plan_outputs(clips, out), method="identity")
    assert not (out / "a").exists()
    assert len(list((out / "b").iterdir())) == COUNT
    assert not list(out.glob(".tmp*"))


def test_a_model_that_stops_midway_leaves_no_half_clip(run, clips: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "from rvsd_bench.baselines import FrameModel, ModelInfo\n"
        "calls = iter([1, 1, 0])\n"
        "def build():\n"
        "    return FrameModel(lambda x: x / next(calls), ModelInfo('dies'))\n"
    )
    words = ("restore", f"py:{net}", clips / "a", "--out", tmp_path / "out")
    assert run(*words) == 2
    assert run(*words, "--trust-code") == 2
    assert not list((tmp_path / "out").iterdir())


class Killed(BaseException):
    """Stands for a signal that nobody can catch."""


def test_a_forced_redoing_that_is_killed_leaves_no_half_clip_that_counts_as_done(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvsd_bench.baselines import load

    plan = plan_outputs(clips / "a", tmp_path / "out")

    def half(folder: Path, **_: object) -> None:
        (folder / "frame_8.png").unlink()
        raise Killed

    save_restored(load("identity"), plan, method="identity")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("rvsd_bench.files.shutil.rmtree", half)
        save_restored(load("identity"), plan, method="identity", force=True)
    (saved,) = save_restored(load("identity"), plan, method="identity")
    assert not saved.kept
    assert len(list((tmp_path / "out" / "a").iterdir())) == COUNT
    assert not list((tmp_path / "out").glob(".tmp*"))


def test_a_full_disk_stops_the_job_and_names_file_and_bytes(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvsd_bench.baselines import load

    out = tmp_path / "out"
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "frame_9.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    words = rf"cannot write {out}/a/frame_9\.png \(\d+ bytes are needed\): No space left"
    with pytest.raises(OutputError, match=words):
        save_restored(load("identity"), plan_outputs(clips, out), method="identity")
    assert not list(out.iterdir())


def test_a_dry_run_tells_the_plan_and_writes_nothing(
    run, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("restore", "identity", clips, "--out", tmp_path / "out", "--dry-run", "--json") == 0
    assert [Path(row["output"]).name for row in json.loads(capsys.readouterr().out)] == ["a", "b"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("medain", "{clips}"), 2, "Did you mean 'median'"),
        (("identity", "{clips}/none"), 2, "does not exist"),
        (("affine", "{clips}"), 2, "affine?from=DIR"),
        (("frames:{clips}", "{clips}"), 2, "only `evaluate` can use it"),
        (("identity", "{clips}", "--device", "gpu"), 2, "no device 'gpu'"),
        (("identity", "{clips}", "--tile", "16", "--overlap", "16"), 2, "cannot overlap by 16"),
        (("identity", "{clips}", "--container", "avi"), 2, "'avi' is not one of"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(
    run, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words, code, message
) -> None:
    filled = [word.format(clips=clips) for word in words]
    assert run("restore", *filled, "--out", tmp_path / "out") == code
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_clips_of_one_name_are_refused(run, clips: Path, tmp_path: Path, capsys) -> None:
    (clips / "a.mp4").write_bytes(b"")
    assert run("restore", "identity", clips, "--out", tmp_path / "out") == 2
    assert "have one name" in capsys.readouterr().err


def test_facts_with_numbers_survive_the_record(clips: Path, tmp_path: Path) -> None:
    """A record is compared as JSON: tuples and floats must not look changed on resume."""

    class Model:
        info = ModelInfo("net", facts={"gain": [1.1, 1 / 3], "sizes": (3, 5)})

        def __call__(self, clip):
            return clip

    outputs = plan_outputs(clips / "a", tmp_path / "out")
    first, second = (save_restored(Model(), outputs, method="net") for _ in range(2))
    assert (first[0].kept, second[0].kept) == (False, True)


def _tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_workers_and_shards_write_the_bytes_of_one_process(
    run, clips: Path, tmp_path: Path, capsys
) -> None:
    assert run("restore", "median?k=3", clips, "--out", tmp_path / "one") == 0
    assert run("restore", "median?k=3", clips, "--out", tmp_path / "two", "--workers", 2) == 0
    for shard in ("2/2", "1/2"):
        parts = ("--out", tmp_path / "parts", "--shard", shard)
        assert run("restore", "median?k=3", clips, *parts) == 0
    assert _tree(tmp_path / "one") == _tree(tmp_path / "two") == _tree(tmp_path / "parts")
    capsys.readouterr()
    assert run("restore", "median?k=3", clips, "--out", tmp_path / "two", "--workers", 2) == 0
    told = capsys.readouterr().err
    assert told.count("were done") == 2
    assert "frames restored" not in told


SLOW = """
import time
from rvsd_bench.baselines.info import FrameModel, ModelInfo

class Slow:
    info = ModelInfo(name="slow", window=1)
    def __call__(self, clip):
        if clip.mean() < {threshold}:
            time.sleep(600)
        return clip

def build():
    return Slow()
"""


def test_a_clip_that_takes_too_long_is_stopped_and_leaves_nothing(
    run, tmp_path: Path, capsys
) -> None:
    for name, level in (("dark", 0), ("light", 200)):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for index in range(2):
            frame = np.full((32, 32, 3), level, np.uint8)
            (tmp_path / "clips" / name / f"{index}.png").write_bytes(encode_png(frame))
    (tmp_path / "slow.py").write_text(SLOW.format(threshold=0.1))
    words = (f"py:{tmp_path}/slow.py:build", tmp_path / "clips", "--trust-code", "--timeout", 12)
    assert run("restore", *words, "--out", tmp_path / "out") == 5
    told = capsys.readouterr().err
    assert "rvsd-bench: 1 clips are done, 1 failed: dark: not done after 12 s" in told
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"light", "light.json"}
