"""Join shards: what comes out is what one command would have made, or what is missing is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.columns import read_csv
from rvsd_bench.errors import InputError, PartialError
from rvsd_bench.evaluation import evaluating
from rvsd_bench.files import tree_digest
from rvsd_bench.generators import Recipe
from rvsd_bench.making import generating, publishing
from rvsd_bench.media.images import write_png

# Little grain: its tiles are what takes time.
SPARSE = Recipe({"tiers": {"dust_ratio": 2.0}}, "sparse.toml")
FAST: dict[str, Any] = {"recipe": SPARSE, "motion": "static", "depth": "ground"}
SHARDS = ("1/3", "2/3", "3/3")


_shots: dict[tuple[str, int], Any] = {}


@pytest.fixture(autouse=True)
def _prepare_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare equal shots once for all tests: these are about what becomes of the videos."""
    shoot = publishing.shoot

    def remembered(job: publishing.Job, clip: Any) -> Any:
        key = job.video.source.id, job.options.seed
        if key not in _shots:
            _shots[key] = shoot(job, clip)
        return _shots[key]

    monkeypatch.setattr(publishing, "shoot", remembered)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder of four small clips."""
    y, x = np.mgrid[:48, :64]
    for number in range(4):
        (tmp_path / f"clips/clip{number}").mkdir(parents=True)
        for index in range(2):
            frame = np.stack([x * 2, y * 2 + number, 220 - 3 * y], axis=-1).astype(np.uint8)
            write_png(tmp_path / f"clips/clip{number}/{index}.png", frame)
    return tmp_path / "clips"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a paired dataset of four videos."""
    rng = np.random.default_rng(0)
    for video in range(4):
        for index in range(2):
            clean = rng.integers(10, 200, (24, 32, 3), dtype=np.uint8)
            for side, frame in (("clean", clean), ("snow", clean + np.uint8(1 + video))):
                folder = tmp_path / f"data/test/{side}/{video:05d}"
                folder.mkdir(parents=True, exist_ok=True)
                write_png(folder / f"{index:04d}.png", frame)
    return tmp_path / "data"


def test_shards_of_machines_that_share_no_disk_become_one_dataset(
    run, clips: Path, tmp_path: Path
) -> None:
    generating.generate([clips], tmp_path / "whole", **FAST)
    for at, shard in enumerate(SHARDS):
        generating.generate([clips], tmp_path / f"machine{at}", shard=shard, **FAST)
        shutil.copytree(tmp_path / f"machine{at}", tmp_path / "joined", dirs_exist_ok=True)
    assert tree_digest(tmp_path / "joined") != tree_digest(tmp_path / "whole")
    done = run("merge", tmp_path / "joined", "--json")
    assert (done.code, json.loads(done.out)["videos"]) == (0, 4)
    assert tree_digest(tmp_path / "joined") == tree_digest(tmp_path / "whole")
    assert run("merge", tmp_path / "joined").code == 0  # again: there is nothing more to do
    assert tree_digest(tmp_path / "joined") == tree_digest(tmp_path / "whole")


def test_missing_shards_of_a_dataset_are_named_and_nothing_is_written(
    run, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    generating.generate([clips], out, shard="2/3", **FAST)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "shoot", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generating.generate([clips], out, shard="1/3", **FAST)
    before = tree_digest(out)
    done = run("merge", out)
    assert done.code == 2
    assert "never began: 3/3; not finished: 1/3" in done.complaint
    assert tree_digest(out) == before
    for shard in ("1/3", "3/3"):
        generating.generate([clips], out, shard=shard, **FAST)
    generating.generate([clips], tmp_path / "whole", **FAST)
    assert tree_digest(out) == tree_digest(tmp_path / "whole")  # the last shard joins by itself


def test_a_video_that_was_not_copied_is_named_with_its_shard(clips: Path, tmp_path: Path) -> None:
    for at, shard in enumerate(SHARDS):
        generating.generate([clips], tmp_path / f"machine{at}", shard=shard, **FAST)
        shutil.copytree(tmp_path / f"machine{at}", tmp_path / "joined", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "joined/test/snow/00001")
    with pytest.raises(InputError, match="lacks test/00001 of shard 2/3"):
        generating_merge(tmp_path / "joined")


def generating_merge(out: Path) -> int:
    from rvsd_bench.making.merging import merge

    return merge(out)


def test_a_clip_that_failed_in_its_shard_is_told_again(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, shoot = tmp_path / "out", publishing.shoot

    def choosy(job: publishing.Job, clip: Any) -> Any:
        if job.video.source.name == "clip2":
            raise InputError("clip2 is odd")
        return shoot(job, clip)

    monkeypatch.setattr(publishing, "shoot", choosy)
    for shard in ("1/2", "2/2"):
        generating.generate([clips], out, shard=shard, **FAST)
    with pytest.raises(PartialError, match=r"videos done 3, failed 1: test/00002: clip2 is odd"):
        generating_merge(out)


def test_shards_that_were_asked_for_otherwise_are_not_joined(clips: Path, tmp_path: Path) -> None:
    for seed, shard in ((1, "1/2"), (2, "2/2")):
        generating.generate([clips], tmp_path / f"{seed}", shard=shard, seed=seed, **FAST)
        shutil.copytree(tmp_path / f"{seed}", tmp_path / "joined", dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"several jobs \(1/2, 2/2\)"):
        generating_merge(tmp_path / "joined")


def _tables(run_folder: Path) -> dict[str, object]:
    """Return the tables without the times at which they were made."""
    board = read_csv(run_folder / "leaderboard.csv")
    for row in board:
        del row["created_utc"]
    names = ("per_frame.csv", "per_video.csv", "validation.json")
    return {"board": board} | {name: (run_folder / name).read_bytes() for name in names}


def _score(data: Path, out: Path, shard: str | None = None) -> evaluating.Evaluation:
    models = ["identity", "median?k=3"]
    return evaluating.evaluate(models, data, out=out, metrics=["psnr", "ssim"], shard=shard)


def test_the_tables_of_joined_shards_are_those_of_one_run(
    run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _score(data, tmp_path / "whole")
    for at, shard in enumerate(SHARDS):
        _score(data, tmp_path / f"machine{at}", shard)
        shutil.copytree(tmp_path / f"machine{at}", tmp_path / "joined", dirs_exist_ok=True)
    monkeypatch.setattr(evaluating, "score_video", None)  # nothing is scored any more
    done = run("merge", tmp_path / "joined")
    assert done.code == 0, done.err
    assert _tables(tmp_path / "joined") == _tables(tmp_path / "whole")
    names = [
        sorted(p.name for p in (tmp_path / n / "parts").iterdir()) for n in ("joined", "whole")
    ]
    assert names[0] == names[1]
    again = run("merge", tmp_path / "joined")
    assert again.code == 2
    assert "no shards that wait" in again.complaint


def test_missing_shards_and_scores_of_a_run_are_named(run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for shard in ("1/3", "3/3"):
        _score(data, out, shard)
    done = run("merge", out)
    assert done.code == 2
    assert "never began: 2/3" in done.complaint
    assert not (out / "per_frame.csv").exists()
    _score(data, out, "2/3")
    (next(out.glob("parts/*/identity/00001.json"))).unlink()
    done = run("merge", out)
    assert done.code == 2
    assert "lacks scores of video 00001 that still hold (shard 2/3)" in done.complaint


def test_a_video_whose_scoring_died_is_not_tried_again_and_withholds_the_headline(
    run, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    for shard in ("1/2", "2/2"):
        _score(data, out, shard)
    path = out / "parts/.shard.2-of-2.json"
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"failed": {"00001": "its process was killed"}}))
    done = run("merge", out)
    assert done.code == 2
    assert "its process was killed" in done.complaint
    errors = {row["error"] for row in read_csv(out / "per_frame.csv") if row["video"] == "00001"}
    assert errors == {"its process was killed"}


def test_what_is_no_job_is_refused(run, tmp_path: Path) -> None:
    done = run("merge", tmp_path)
    assert done.code == 2
    assert "holds no shards" in done.complaint
