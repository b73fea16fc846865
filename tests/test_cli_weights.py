"""Run `rvsd-bench weights` as a user does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from rvsd_bench.cli import cli
from rvsd_bench.errors import RvsdBenchError, ValidationError
from rvsd_bench.metrics import calibration
from rvsd_bench.weights import converting as weights_convert
from rvsd_bench.weights import fetching as weights_fetch
from rvsd_bench.weights import store as weights


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, with no weights in it."""
    monkeypatch.setenv("RVSD_BENCH_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for what in ("data", "cache"):
        folder = tmp_path / what
        monkeypatch.setattr(f"platformdirs.user_{what}_path", lambda *_, folder=folder: folder)
    return tmp_path


@pytest.fixture
def right_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small file and put it on record as the LPIPS weights."""
    path = home / "some.safetensors"
    weights_convert.save({"a": np.ones(3, np.float32)}, path)
    records = weights.records()
    records["lpips"] = replace(records["lpips"], sha256=weights.content_digest(path))
    monkeypatch.setattr(weights, "records", lambda: records)
    monkeypatch.setattr(weights_fetch, "records", lambda: records)
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["weights", *words])


def exit_code(result: Result) -> int:
    assert isinstance(result.exception, RvsdBenchError), result.output
    return result.exception.exit_code


def test_list_says_of_every_file_where_it_is_or_how_to_get_it(home: Path) -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["lpips", "vgg16", "nima", "musiq"]
    assert all(row["path"] is None and row["licence"] and row["source"] for row in rows)
    text = run("list").stdout
    assert "absent; rvsd-bench weights fetch nima" in text
    assert "non-commercial" in text


def test_path_prints_the_folder_that_fetch_writes_to(home: Path) -> None:
    assert run("path").stdout.strip() == str(home / "mine")
    assert json.loads(run("path", "--weights", str(home), "--json").stdout) == {"path": str(home)}


def test_path_and_check_of_an_absent_file_end_with_3(home: Path) -> None:
    assert exit_code(run("path", "lpips")) == 3
    assert exit_code(run("check", "lpips")) == 3
    assert exit_code(run("check")) == 3


def test_an_unknown_name_ends_with_2(home: Path) -> None:
    for command in ("path", "check", "fetch"):
        assert exit_code(run(command, "lpisp")) == 2


def test_add_then_path_and_check_find_it(home: Path, right_file: Path) -> None:
    added = json.loads(run("add", str(right_file), "--json").stdout)
    target = home / "mine" / "lpips_alex_v0.1.safetensors"
    assert added["path"] == str(target)
    assert run("path", "lpips").stdout.strip() == str(target)
    checked = run("check", "--json")
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["lpips"]["sha256"] == added["sha256"]


def test_check_reads_the_file_even_if_its_size_and_time_are_as_they_were(
    home: Path, right_file: Path
) -> None:
    run("add", str(right_file))
    target = home / "mine" / "lpips_alex_v0.1.safetensors"
    stat = target.stat()
    assert run("path", "lpips").exit_code == 0
    target.write_bytes(target.read_bytes()[:-1] + b"!")
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run("path", "lpips").exit_code == 0  # the digest is recalled
    assert exit_code(run("check", "lpips")) == 3


def test_add_of_an_unknown_file_ends_with_2_and_stores_nothing(home: Path) -> None:
    (home / "x.pth").write_bytes(b"nonsense")
    assert exit_code(run("add", str(home / "x.pth"))) == 2
    assert not (home / "mine").exists()


def test_fetch_says_which_way_it_tries(home: Path) -> None:
    mirror = (home / "empty").as_uri()
    result = run("fetch", "musiq", "--mirror", mirror)
    assert exit_code(result) == 3
    assert f"musiq: trying {mirror}" in result.stderr
    assert "weights add FILE" in str(result.exception)


def test_fetch_keeps_what_is_here(home: Path, right_file: Path) -> None:
    run("add", str(right_file))
    result = run("fetch", "lpips", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["path"].startswith(str(home / "mine"))


@pytest.mark.weights
def test_check_calibrates_both_backends_against_the_official_values() -> None:
    if weights.locate("lpips") is None:
        pytest.skip("the LPIPS weights are not here: rvsd-bench weights fetch lpips")
    pytest.importorskip("pyiqa")
    result = run("check", "lpips", "--calibrate", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["calibration"]
    assert {(row["metric"], row["backend"]) for row in rows} == {
        (metric, backend) for metric in ("psnr", "ssim", "lpips") for backend in ("native", "pyiqa")
    }
    official = {row["image"]: row["official"] for row in rows if row["metric"] == "lpips"}
    assert list(official.values()) == [0.7237, 0.2572, 0.0508, 0.0521, 0.4253]
    assert all(abs(row["value"] - row["expected"]) < 1e-4 for row in rows)
    assert all(abs(row["value"] - row["official"]) < 5e-3 for row in rows)


def test_without_weights_calibration_says_what_it_could_not_compute(home: Path) -> None:
    pytest.importorskip("pyiqa")
    (home / "mine").mkdir()
    (home / "mine" / "musiq_koniq_ckpt-e95806b9.pth").write_bytes(b"PK something else")
    result = run("check", "--calibrate", "--weights", str(home / "mine"))
    assert exit_code(result) == 3  # the wrong file is an error of `check` itself
    (home / "mine" / "musiq_koniq_ckpt-e95806b9.pth").unlink()
    result = run("check", "--calibrate")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert sum(line.startswith(("psnr   here", "ssim   here")) for line in lines) == 4
    assert "lpips  nothing computed: its weights are not here: rvsd-bench weights fetch lpips" in (
        lines
    )
    assert "12.4785" in result.stdout  # what MUSIQ should give is told
    nima = next(line for line in lines if line.startswith("nima"))
    assert nima.endswith("fetch nima; nobody published values for these images")


def test_a_wrong_value_fails_the_calibration_and_is_marked() -> None:
    rows = [
        calibration.Row("psnr", "native", image, value + 0.01 * (image == "I06"), known, value)
        for image, value, known in zip(
            calibration.IMAGES, calibration.PYIQA["psnr"], calibration.OFFICIAL["psnr"]
        )
    ]
    assert calibration.table(rows, {}).endswith("1.0e-02 from pyiqa: WRONG")
    with pytest.raises(ValidationError, match=r"psnr \(native\) I06 27\.02385 instead of 27\.01$"):
        calibration.require_right(rows)
