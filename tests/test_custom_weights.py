"""Score real clips of mixed sizes with weights that are not those on record: marked, kept apart."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.columns import read_csv
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.evaluation.evaluating import Evaluation, evaluate
from rvsd_bench.files import sha256_file
from rvsd_bench.leaderboard.build import build
from rvsd_bench.media.images import write_png
from rvsd_bench.weights import store as weights

torch = pytest.importorskip("torch")
pytest.importorskip("pyiqa")
FILE = "musiq_koniq_ckpt-e95806b9.pth"
SIZES = {"wide": (72, 128), "tall": (120, 56), "odd": (61, 97)}


def frame(video: str, index: int) -> Frame:
    height, width = SIZES[video]
    random = np.random.default_rng([height, index])
    return random.integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an unpaired root with clips of three sizes."""
    root = tmp_path_factory.mktemp("real") / "snow"
    for video in SIZES:
        (root / "test" / video).mkdir(parents=True)
        for index in range(3):
            write_png(root / "test" / video / f"{index:04d}.png", frame(video, index))
    return root


@pytest.fixture(scope="module")
def learned_nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a MUSIQ with random weights that says of itself that it is a test."""
    from rvsd_bench.metrics.noreference import NETWORKS

    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("test") / FILE
    state = NETWORKS["musiq"]().state_dict()
    torch.save({"params": state, "note": weights.TEST_NETWORK}, path)
    return path


@pytest.fixture(scope="module")
def anothers(learned_nothing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the same tensors as if somebody had trained them."""
    path = tmp_path_factory.mktemp("custom") / FILE
    torch.save(torch.load(learned_nothing, weights_only=True)["params"], path)
    return path


def score(real: Path, file: Path, out: Path, **options: Any) -> Evaluation:
    options = {"weights_allow": [f"musiq={sha256_file(file)}"], "device": "cpu", **options}
    return evaluate(
        ["identity", "median?k=3"],
        real,
        out=out,
        weights=file.parent,
        metrics=["musiq"],
        **options,
    )


@pytest.fixture(scope="module")
def nothing(real: Path, learned_nothing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score the clips by the network that learned nothing."""
    out = tmp_path_factory.mktemp("runs") / "test"
    score(real, learned_nothing, out)
    return out


def test_clips_of_different_sizes_are_each_scored_at_their_own(
    nothing: Path, learned_nothing: Path
) -> None:
    from rvsd_bench.metrics.noreference import open_no_reference

    file = weights.WeightsFile("musiq", learned_nothing, 0, "", "none")
    witness = open_no_reference("musiq", file, "cpu")
    rows = [r for r in read_csv(nothing / "per_frame.csv") if r["method_id"] == "identity"]
    assert len(rows) == 9
    for row in rows:
        seen = frame(row["video"], int(row["frame_id"]))
        assert (int(row["height"]), int(row["width"])) == seen.shape[:2]
        assert float(row["value"]) == witness.score(seen)


def test_the_headline_is_the_mean_of_the_videos_means(nothing: Path) -> None:
    frames = [r for r in read_csv(nothing / "per_frame.csv") if r["method_id"] == "identity"]
    by_video = [[float(r["value"]) for r in frames if r["video"] == video] for video in SIZES]
    (row,) = (r for r in read_csv(nothing / "leaderboard.csv") if r["method_id"] == "identity")
    expected = np.mean([np.mean(values) for values in by_video])
    assert float(row["musiq"]) == pytest.approx(expected, rel=1e-12)
    assert row["nima"] == ""


def test_a_test_networks_rows_say_so_and_no_exporter_takes_them(
    nothing: Path, learned_nothing: Path, tmp_path: Path
) -> None:
    rows = read_csv(nothing / "leaderboard.csv")
    assert {row["weights_status"] for row in rows} == {"test"}
    assert {row["valid"] for row in rows} == {"false"}
    assert {row["weights_musiq"] for row in rows} == {sha256_file(learned_nothing)}
    assert all("learned nothing" in row["notes"] for row in rows)
    with pytest.raises(InputError, match=r"was scored by a test network.* go into no table"):
        build([nothing], tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_custom_weights_make_a_protocol_of_their_own(
    real: Path, anothers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    score(real, anothers, out)
    rows = read_csv(out / "leaderboard.csv")
    assert {row["weights_status"] for row in rows} == {"custom"}
    (name,) = {row["protocol"] for row in rows}
    assert name.startswith("realsnow85-2024+custom-")
    groups = build([out], tmp_path / "board")
    assert [group.protocol for group in groups] == [name]
    with (tmp_path / "board" / "leaderboard.csv").open(newline="") as file:
        assert {row["weights_musiq"] for row in csv.DictReader(file)} == {sha256_file(anothers)}
    manifest = (out / "manifest.json").read_text()
    assert "--protocol realsnow85-2024 --metrics musiq --weights-allow musiq=" in manifest
    assert score(real, anothers, out).scored == 0  # nothing is scored again


def test_a_file_with_another_digest_than_the_allowed_one_is_refused(
    real: Path, learned_nothing: Path, anothers: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingError, match=r"which has sha256 [0-9a-f]{64}, not the one allowed"):
        score(real, anothers, tmp_path, weights_allow=[f"musiq={sha256_file(learned_nothing)}"])
    with pytest.raises(MissingError, match=r"which has sha256 [0-9a-f]{64}: delete it"):
        score(real, anothers, tmp_path, weights_allow=[])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("musiq", r"'musiq' does not allow a file: write musiq= and all 64"),
        ("musiq=e95806b9", "all 64 hexadecimal"),
        ("musiq=" + "E" * 64, "in small letters"),
        ("music=" + "0" * 64, "'music'.*'musiq'"),
    ],
)
def test_a_digest_is_allowed_whole_and_of_a_known_file(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        weights.parse_allowed([text])


def test_without_any_weights_everything_else_runs(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVSD_BENCH_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_: tmp_path / "data")
    with pytest.raises(MissingError) as caught:
        evaluate(["identity"], real, out=tmp_path / "run")
    text = str(caught.value)
    assert "'nima' needs" in text and "'musiq' needs" in text  # both are told at once
    assert text.endswith("--skip-missing")
    assert not (tmp_path / "run").exists()  # before any work

    broken = tmp_path / "restored"
    shutil.copytree(real / "test", broken / "test")
    (broken / "test" / "odd" / "0001.png").write_bytes(b"no picture")
    found = evaluate(
        ["identity", f"mine=frames:{broken}"], real, out=tmp_path / "run", skip_missing=True
    )
    rows = {row["method_name"]: row for row in found.rows}
    assert rows["identity"]["musiq"] == rows["identity"]["nima"] == ""
    assert rows["identity"]["valid"] == "true"
    assert rows["mine"]["valid"] == "false"  # frames are looked at all the same
    assert any("0001" in str(problem) for problem in found.problems)
