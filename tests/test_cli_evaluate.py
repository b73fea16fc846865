"""The command as a user runs it: exit codes, one clear line, and nothing heavy before it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench import cli
from rvsd_bench.media.images import write_png

# Runs the command line and prints which heavy packages it has loaded by then.
PROBE = """
import sys
from rvsd_bench.cli import main
try:
    main()
finally:
    print("loaded:", *sorted({"torch", "pyiqa", "torchvision"} & set(sys.modules)))
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small paired dataset, and a home without weights."""
    rng = np.random.default_rng(0)
    for index in range(3):
        clean = rng.integers(0, 200, (40, 48, 3), dtype=np.uint8)
        for side, frame in (("clean", clean), ("snow", clean + np.uint8(5))):
            folder = tmp_path / "data" / "test" / side / "00000"
            folder.mkdir(parents=True, exist_ok=True)
            write_png(folder / f"{index:04d}.png", frame)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "TORCH_HOME", "RVSD_BENCH_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "data"


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> tuple[int, str, str]:
    """Return the exit code, stdout and stderr of a command."""
    monkeypatch.setattr(sys, "argv", ["rvsd-bench", "evaluate", *map(str, words)])
    with pytest.raises(SystemExit) as leave:
        cli.main()
    printed = capsys.readouterr()
    return int(leave.value.code or 0), printed.out, printed.err


Runner = tuple[pytest.CaptureFixture[str], pytest.MonkeyPatch]


@pytest.fixture
def runner(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    return capsys, monkeypatch


def test_the_table_is_on_stdout_and_talk_on_stderr(
    runner: Runner, data: Path, tmp_path: Path
) -> None:
    words = ("identity", "--data", data, "--out", tmp_path / "run", "--metrics", "psnr,ssim")
    code, out, err = run(*runner, *words)
    assert code == 0
    title, header, line = out.splitlines()
    assert title == "rvsd-2023 on data/test, 3 frames"
    assert header.split() == ["method", "psnr", "ssim"]
    assert line.split()[:2] == ["identity", "34.15"]  # 20 log10(255 / 5)
    assert "the run:" in err
    code, out, _ = run(*runner, *words, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["scored"] == 0
    assert found["rows"][0]["psnr"].startswith("34.15")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--metrics", "psnrr"], "no metric named 'psnrr'. Did you mean 'psnr'"),
        (["--metrics", "nima"], "does not define metric 'nima'"),
        (["--protocol", "rvsd"], "Did you mean 'rvsd-2023'"),
        (["--split", "val"], "no split val"),
        (["--data", "nowhere"], "nowhere"),
        (["--device", "warp"], "no device 'warp'"),
        (["--shard", "3/2"], "'3/2'"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    runner: Runner, data: Path, tmp_path: Path, words: list[str], text: str
) -> None:
    first = [] if "--data" in words else ["--data", str(data)]
    usual = [] if "--metrics" in words else ["--metrics", "psnr"]
    code, out, err = run(*runner, "identity", *first, "--out", tmp_path / "run", *usual, *words)
    assert (code, out) == (2, "")
    assert text in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_model_and_a_folder_are_asked_for(runner: Runner, data: Path) -> None:
    code, _, err = run(*runner, "--data", data, "--out", "run")
    assert code == 2 and "MODEL" in err
    code, _, err = run(*runner, "identity", "--data", data)
    assert code == 2 and "--out is missing" in err


def test_a_missing_frame_is_2_for_one_model_and_5_beside_a_sound_one(
    runner: Runner, data: Path, tmp_path: Path
) -> None:
    frames = data / "test" / "snow"
    target = tmp_path / "mine" / "00000"
    target.mkdir(parents=True)
    for path in sorted((frames / "00000").iterdir())[1:]:
        (target / path.name).write_bytes(path.read_bytes())
    usual = ("--data", data, "--metrics", "psnr", "--out")
    code, out, err = run(*runner, f"frames:{tmp_path / 'mine'}", *usual, tmp_path / "one")
    assert (code, out) == (2, "")
    assert "frames are missing: 0000" in err
    code, out, err = run(
        *runner, f"frames:{tmp_path / 'mine'}", "identity", *usual, tmp_path / "two"
    )
    assert code == 5
    assert "34.15" in out and "not ranked" in out
    assert "no headline for frames:mine" in err.splitlines()[-1]


def test_missing_weights_are_exit_code_3_before_torch_is_even_imported(
    data: Path, tmp_path: Path
) -> None:
    words = ["evaluate", "identity", "--data", str(data / "test" / "snow"), "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True, text=True, check=False, env=dict(os.environ), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.strip() == "loaded:"
    for part in ("'nima' needs NIMA_InceptionV2", "sha256", "looked in", "weights fetch nima"):
        assert part in done.stderr
    assert not (tmp_path / "run").exists()


def test_finished_frames_and_plain_metrics_need_no_torch(data: Path, tmp_path: Path) -> None:
    words = ["evaluate", f"frames:{data / 'test' / 'snow'}", "--data", str(data), "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words, "--metrics", "psnr,ssim"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_missing_weights_can_be_skipped_and_leave_cells_empty(
    runner: Runner, data: Path, tmp_path: Path
) -> None:
    words = ("identity", "--data", data, "--out", tmp_path / "run", "--skip-missing", "--json")
    code, out, _ = run(*runner, *words)
    (row,) = json.loads(out)["rows"]
    assert code == 0
    assert row["lpips"] == "" and row["psnr"].startswith("34.15")
    assert "lpips skipped" in row["notes"]
    unpaired = ("identity", "--data", data / "test" / "snow", "--out", tmp_path / "nr")
    code, _, err = run(*runner, *unpaired)
    assert code == 3 and "'nima' needs" in err and "'musiq' needs" in err
    assert not (tmp_path / "nr").exists()
    code, _, err = run(*runner, *unpaired, "--skip-missing")
    assert code == 0 and "left out: metric 'nima' needs" in err


def test_a_strangers_code_runs_only_if_trusted(runner: Runner, data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from rvsd_bench.baselines import ModelInfo\n"
        "class Model:\n"
        "    info = ModelInfo(name='mine', trained=False)\n"
        "    def __call__(self, clip):\n"
        "        return clip - 5 / 255\n"
        "def build():\n"
        "    return Model()\n"
    )
    words = (
        f"py:{tmp_path / 'mine.py'}",
        "--data",
        data,
        "--out",
        tmp_path / "r",
        "--metrics",
        "psnr",
    )
    code, _, err = run(*runner, *words)
    assert code == 2 and "--trust-code" in err
    code, _, err = run(*runner, *words, "--trust-code")
    assert code == 2 and "--allow-untrained" in err
    code, out, _ = run(*runner, *words, "--trust-code", "--allow-untrained", "--json")
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert (row["psnr"], row["trained"]) == ("80.0", "false")
    assert row["method_id"].startswith("py:mine.py:build@")


def test_a_dry_run_says_what_would_be_done(runner: Runner, data: Path, tmp_path: Path) -> None:
    words = (
        "identity",
        "--data",
        data,
        "--out",
        tmp_path / "run",
        "--metrics",
        "psnr",
        "--dry-run",
    )
    code, out, _ = run(*runner, *words)
    assert code == 0 and "1 videos, 3 frames" in out
    assert not (tmp_path / "run").exists()


def test_the_table_says_how_many_videos_of_a_method_are_whole(
    runner: Runner, data: Path, tmp_path: Path
) -> None:
    for side in ("clean", "snow"):
        shutil.copytree(data / "test" / side / "00000", data / "test" / side / "00001")
    shutil.copytree(data / "test" / "snow", tmp_path / "mine")
    broken = tmp_path / "mine" / "00001" / "0001.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    words = ("identity", f"frames:{tmp_path / 'mine'}", "--data", data, "--metrics", "psnr")
    code, out, err = run(*runner, *words, "--out", tmp_path / "run")
    assert code == 5
    assert out.splitlines()[-1].endswith("not ranked: 1 of 2 videos are whole")
    assert "00001: frame 0001: mine/00001/0001.png is damaged" in err.splitlines()[-1]
