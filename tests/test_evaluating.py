"""The evaluator as a whole: its tables recomputed by other means, its refusals, its resumption."""

from __future__ import annotations

import errno
import getpass
import json
import math
import shlex
import shutil
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rvsd_bench import columns
from rvsd_bench.baselines import ModelInfo
from rvsd_bench.data import dataset
from rvsd_bench.errors import InputError, OutputError, PartialError
from rvsd_bench.evaluation import contender, evaluating, protocol, recording
from rvsd_bench.evaluation.evaluating import Evaluation, evaluate
from rvsd_bench.evaluation.tabulating import gather
from rvsd_bench.leaderboard.table import read_run
from rvsd_bench.media.images import read_image, write_jpeg, write_png
from rvsd_bench.media.video_writing import write_ffv1

LENGTHS = (4, 2, 6)
OFFSETS = (1, 3, 9)
"""Video v is its truth plus so many levels, so that its PSNR is known."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a paired dataset of three videos of unequal length, with grain that moves."""
    rng = np.random.default_rng(0)
    for video, (length, offset) in enumerate(zip(LENGTHS, OFFSETS)):
        wide = rng.integers(10, 200, (24, 32 + 3 * length, 3), dtype=np.uint8)
        for index in range(length):
            clean = np.ascontiguousarray(wide[:, 3 * index : 3 * index + 32])
            for side, frame in (("clean", clean), ("snow", clean + np.uint8(offset))):
                folder = tmp_path / "data" / "test" / side / f"{video:05d}"
                folder.mkdir(parents=True, exist_ok=True)
                write_png(folder / f"{index:04d}.png", frame)
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path: Path, data: Path) -> Path:
    """Make restored frames: the truth plus one level everywhere."""
    for path in sorted((data / "test" / "clean").rglob("*.png")):
        target = tmp_path / "mine" / path.relative_to(data / "test" / "clean")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, read_image(path) + np.uint8(1))
    return tmp_path / "mine"


def psnr(offset: float) -> float:
    return -10 * math.log10((offset / 255) ** 2 + 1e-8)


def row(table: Evaluation, method: str) -> pd.Series:
    chosen = table.summary[table.summary.method_id.str.startswith(method)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def count_scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the videos that are scored from now on."""
    seen: list[str] = []
    real = evaluating.score_video

    def spy(task: object) -> None:
        seen.append(task.folder)  # type: ignore[attr-defined]
        real(task)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluating, "score_video", spy)
    return seen


def test_psnr_of_known_offsets_and_both_averages_come_out_in_closed_form(data: Path) -> None:
    table = evaluate(["identity"], data, metrics=["psnr"])
    values = [psnr(offset) for offset in OFFSETS]
    found = row(table, "identity")
    assert found.psnr == pytest.approx(np.mean(values), abs=1e-9)
    assert found.psnr_micro == pytest.approx(np.average(values, weights=LENGTHS), abs=1e-9)
    assert (found.n_videos, found.n_frames, found.n_sources) == (3, 12, 3)
    assert (found.source, found.kind, found.valid, found.trained) == ("input", "input", True, True)
    micro = evaluate(["identity"], data, metrics=["psnr"], protocol="semivdn-2024")
    assert row(micro, "identity").psnr == pytest.approx(found.psnr_micro, abs=1e-12)


def test_tables_follow_from_the_rows_of_the_frames(data: Path, out: Path) -> None:
    table = evaluate(["identity", "median", f"frames:{out}"], data, metrics=["psnr", "ssim"])
    frames = table.per_frame
    assert len(frames) == 3 * 12 * 2
    means = frames.groupby(["method_id", "video", "metric"], sort=False).value.mean()
    for _, video in table.per_video.iterrows():
        wanted = means[video.method_id, video.video, video.metric]
        assert video["mean"] == pytest.approx(wanted, rel=1e-12)
    macro = means.groupby(["method_id", "metric"]).mean()
    for _, method in table.summary.iterrows():
        assert method.psnr == pytest.approx(macro[method.method_id, "psnr"], rel=1e-12)
        assert method.ssim == pytest.approx(macro[method.method_id, "ssim"], rel=1e-12)
        assert method.psnr_ci_lo <= method.psnr <= method.psnr_ci_hi
    assert row(table, "frames").psnr == pytest.approx(psnr(1), abs=1e-9)


def test_columns_are_those_of_the_contract_and_missing_is_empty(data: Path, tmp_path: Path) -> None:
    evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    for name, wanted in (
        ("per_frame", columns.PER_FRAME),
        ("per_video", columns.PER_VIDEO),
        ("leaderboard", columns.LEADERBOARD),
    ):
        header = (tmp_path / "run" / f"{name}.csv").read_text().splitlines()[0]
        assert header == ",".join(wanted)
    (line,) = columns.read_csv(tmp_path / "run" / "leaderboard.csv")
    assert [line[name] for name in ("rank", "lpips", "nima", "psnr_snow", "gmacs")] == [""] * 5
    assert (line["protocol"], line["dataset"], line["split"]) == ("rvsd-2023", "data", "test")
    assert line["protocol_hash"] == protocol.load("rvsd-2023").hash


@pytest.mark.parametrize(
    ("models", "counts"),
    [
        (["frames:mine"], (1, 2, 4)),
        pytest.param(["identity", "median"], (1, 2), marks=pytest.mark.slow),
    ],
)
def test_any_number_of_workers_gives_the_same_bytes(
    data: Path,
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    models: list[str],
    counts: tuple[int, ...],
) -> None:
    monkeypatch.chdir(out.parent)
    tables = set()
    for workers in counts:
        run = tmp_path / f"run{workers}"
        evaluate(models, data, out=run, metrics=["psnr", "ssim"], workers=workers)
        tables.add(tuple((run / f"{n}.csv").read_bytes() for n in ("per_frame", "per_video")))
    assert len(tables) == 1


def test_a_finished_run_scores_nothing_and_writes_the_same(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    models, run = ["identity", f"frames:{out}"], tmp_path / "run"
    evaluate(models, data, out=run, metrics=["psnr"])
    before = {path.name: path.read_bytes() for path in run.glob("*.*")}
    seen = count_scored(monkeypatch)
    again = evaluate(models, data, out=run, metrics=["psnr"])
    assert (seen, again.scored) == ([], 0)
    assert {path.name: path.read_bytes() for path in run.glob("*.*")} == before


def test_a_changed_prediction_is_scored_again_and_nothing_else(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, run = ["identity", f"frames:{out}"], tmp_path / "run"
    evaluate(models, data, out=run, metrics=["psnr"])
    path = out / "00001" / "0001.png"
    write_png(path, read_image(path) + np.uint8(4))
    seen = count_scored(monkeypatch)
    table = evaluate(models, data, out=run, metrics=["psnr"])
    assert seen == ["00001"]
    frames = table.per_frame[table.per_frame.method_id.str.startswith("frames")]
    assert frames.value.round(9).tolist() == [round(psnr(5 if i == 5 else 1), 9) for i in range(12)]


def test_an_interrupted_run_goes_on_where_it_stopped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = count_scored(monkeypatch)
    real = evaluating.score_video

    def stops(task: object) -> None:
        if len(seen) == 2:
            raise KeyboardInterrupt
        real(task)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluating, "score_video", stops)
    with pytest.raises(KeyboardInterrupt):
        evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    assert not (tmp_path / "run" / "leaderboard.csv").exists()
    monkeypatch.setattr(evaluating, "score_video", real)
    assert evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"]).scored == 1
    assert seen == ["00000", "00001", "00002"]


def test_saved_frames_are_there_whole_or_not_at_all(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"out": tmp_path / "run", "metrics": ["psnr"], "save_frames": True}
    stage, seen = contender.stage_bytes, []

    def stops(path: Path, data: bytes) -> None:
        seen.append(path)
        if len(seen) == LENGTHS[0] + 2:
            raise KeyboardInterrupt
        stage(path, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(contender, "stage_bytes", stops)
        evaluate(["identity"], data, **options)
    saved = tmp_path / "run" / "frames" / "identity"
    assert [path.name for path in saved.iterdir()] == ["00000"]
    evaluate(["identity"], data, **options)
    counts = [len(list((saved / f"{video:05d}").iterdir())) for video in range(3)]
    assert tuple(counts) == LENGTHS


def test_a_full_disk_ends_the_run_and_the_same_command_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("whole", "run"):
        (tmp_path / name).mkdir()
    evaluate(["identity"], data, out=tmp_path / "whole", metrics=["psnr"])
    write, seen = Path.write_bytes, []

    def full(path: Path, text: bytes) -> int:
        seen.append(path)
        if len(seen) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        words = r"cannot write .*00001\.json \(\d+ bytes are needed\): No space left on device"
        with pytest.raises(OutputError, match=words):
            evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    assert len(seen) == 2 and not (tmp_path / "run" / "leaderboard.csv").exists()
    (tmp_path / "run" / ".tmp.per_frame.0123456789abcdef.csv").write_text("half")
    evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    tables = [path.name for path in (tmp_path / "whole").iterdir() if path.is_file()]
    assert len(tables) == 5
    for name in tables:
        whole, parts = (tmp_path / run / name for run in ("whole", "run"))
        assert whole.read_text().replace("whole", "run") == parts.read_text()
    assert not list((tmp_path / "run").rglob(".tmp*"))


def test_what_a_run_killed_at_its_first_file_left_is_no_strangers_folder(
    data: Path, tmp_path: Path
) -> None:
    left = tmp_path / "run" / ".tmp.unpacked.0123456789abcdef"
    left.mkdir(parents=True)
    evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    assert not left.exists()


def test_tables_of_a_run_that_was_stopped_as_it_wrote_them_are_not_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    evaluate(["identity"], data, out=run, metrics=["psnr"])

    def stops(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(recording, "write_manifest", stops)
        evaluate(["identity", "median"], data, out=run, metrics=["psnr"])
    with pytest.raises(InputError, match=r"are of two runs.* give the same command again"):
        read_run(run)
    evaluate(["identity", "median"], data, out=run, metrics=["psnr"])
    assert len(read_run(run).rows) == 2


def test_a_model_is_added_to_a_run_but_never_lost_from_it(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    evaluate(["identity"], data, out=run, metrics=["psnr"])
    both = evaluate(["identity", "median"], data, out=run, metrics=["psnr"])
    assert len(both.summary) == 2
    with pytest.raises(InputError, match=r"also identity, which would be lost.*--force"):
        evaluate(["median"], data, out=run, metrics=["psnr"])
    alone = evaluate(["median"], data, out=run, metrics=["psnr"], force=True)
    assert alone.summary.method_id.tolist() == ["median"]


def test_another_protocol_or_dataset_is_not_mixed_into_a_run(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    evaluate(["identity"], data, out=run, metrics=["psnr"])
    before = (run / "leaderboard.csv").read_bytes()
    with pytest.raises(InputError, match="protocol 'rvsd-2023' instead of 'semivdn-2024'"):
        evaluate(["identity"], data, out=run, metrics=["psnr"], protocol="semivdn-2024")
    shutil.copytree(data, tmp_path / "other")
    with pytest.raises(InputError, match="dataset 'data' instead of 'other'"):
        evaluate(["identity"], tmp_path / "other", out=run, metrics=["psnr"])
    assert (run / "leaderboard.csv").read_bytes() == before


def test_a_folder_that_is_no_run_is_left_alone(data: Path) -> None:
    with pytest.raises(InputError, match="holds other files"):
        evaluate(["identity"], data, out=data, metrics=["psnr"])
    with pytest.raises(InputError, match="holds other files"):
        evaluate(["identity"], data, out=data, metrics=["psnr"], force=True)
    assert sorted(path.name for path in data.iterdir()) == ["test"]


def test_a_manifest_of_something_else_makes_no_run(data: Path) -> None:
    (data / "manifest.json").write_text('{"videos": []}')  # as a generated dataset has
    for force in (False, True):
        with pytest.raises(InputError, match="holds other files"):
            evaluate(["identity"], data, out=data, metrics=["psnr"], force=force)
    assert (data / "manifest.json").is_file()


def test_a_run_with_a_damaged_manifest_can_be_started_afresh(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    evaluate(["identity"], data, out=run, metrics=["psnr"])
    (run / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="not a run's manifest"):
        evaluate(["identity"], data, out=run, metrics=["psnr"])
    assert evaluate(["identity"], data, out=run, metrics=["psnr"], force=True).scored == 3


def test_a_video_that_is_handed_in_later_is_found(data: Path, out: Path, tmp_path: Path) -> None:
    shutil.move(out / "00001", tmp_path / "aside")
    with pytest.raises(InputError, match="holds no frames of the video '00001'"):
        evaluate([f"frames:{out}"], data, metrics=["psnr"])
    shutil.move(tmp_path / "aside", out / "00001")
    table = evaluate([f"frames:{out}"], data, metrics=["psnr"])
    assert row(table, "frames").psnr == pytest.approx(psnr(1), abs=1e-9)


def test_a_model_whose_file_has_changed_is_loaded_again(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    found = []
    for step in (1, 2):
        path.write_text(
            "from rvsd_bench.baselines import FrameModel, ModelInfo\n"
            "def build():\n"
            f"    darker = lambda clip: (clip * 255 + {step}).clamp(0, 255) / 255\n"
            "    return FrameModel(darker, ModelInfo(name='mine', licence='MIT'))\n"
        )
        table = evaluate([f"py:{path}:build"], data, metrics=["psnr"], trust_code=True)
        found.append(table.summary.psnr[0])
    wanted = [np.mean([psnr(offset + step) for offset in OFFSETS]) for step in (1, 2)]
    assert found == pytest.approx(wanted, abs=1e-9)


def test_a_method_that_is_called_as_a_picture_of_the_dataset_does_not_replace_it(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    evaluate(["input=identity", "truth=identity"], data, out=run, metrics=["psnr"])
    names = sorted(path.stem for path in (run / "pictures" / "00000" / "0002").iterdir())
    assert names == ["input", "input-method", "truth", "truth-method"]
    slugs = json.loads((run / "manifest.json").read_text())["slugs"]
    assert slugs == {"input": "input-method", "truth": "truth-method"}


def test_messages_are_tidied_of_folders_and_of_nothing_else(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out / "00001" / "0000.png").unlink()
    monkeypatch.chdir(data)
    evaluate(["identity", "frames:../mine"], ".", out=tmp_path / "run", metrics=["psnr"])
    found = json.loads((tmp_path / "run" / "validation.json").read_text())["problems"]
    (problem,) = (problem for problem in found if problem["level"] == "error")
    assert problem["message"] == "mine/00001: frames are missing: 0000"


def test_an_unknown_backend_is_refused(data: Path) -> None:
    with pytest.raises(InputError, match="no backend named 'pyiq'"):
        evaluate(["identity"], data, metrics=["psnr"], backend="pyiq")


def test_the_command_of_a_run_says_which_backend_computed(data: Path, tmp_path: Path) -> None:
    if find_spec("pyiqa") is None:
        pytest.skip("pyiqa is not installed")
    found = evaluate(["identity"], data, metrics=["psnr"], backend="pyiqa", dry_run=True)
    gathered = gather(found.plan, tmp_path, {}, {})
    recording.write_manifest(gathered)
    command = json.loads((tmp_path / "manifest.json").read_text())["command"]
    assert command.endswith("--metrics psnr --backend pyiqa")


def spoil_missing(out: Path) -> None:
    (out / "00001" / "0000.png").unlink()


def spoil_extra(out: Path) -> None:
    shutil.copy(out / "00001" / "0000.png", out / "00001" / "0002.png")


def spoil_twice(out: Path) -> None:
    write_jpeg(out / "00001" / "0001.jpg", read_image(out / "00001" / "0001.png"))


def spoil_size(out: Path) -> None:
    write_png(out / "00001" / "0001.png", np.zeros((24, 30, 3), np.uint8))


def spoil_video(out: Path) -> None:
    shutil.rmtree(out / "00001")


def spoil_damage(out: Path) -> None:
    path = out / "00001" / "0001.png"
    path.write_bytes(path.read_bytes()[:-30])


SPOILED = [
    (spoil_missing, "missing: 0000"),
    (spoil_extra, "not in the dataset: 0002.png"),
    (spoil_twice, "there twice"),
    (spoil_size, "30x24.*0001.png"),
    (spoil_video, "00001"),
    (spoil_damage, "0001.png is damaged"),
]


@pytest.mark.parametrize(("spoil", "text"), SPOILED)
def test_bad_predictions_are_named_and_have_no_headline(
    data: Path, out: Path, tmp_path: Path, spoil: Callable[[Path], None], text: str
) -> None:
    spoil(out)
    with pytest.raises(InputError, match=text):
        evaluate([f"frames:{out}"], data, out=tmp_path / "one", metrics=["psnr"])
    table = evaluate(["identity", f"frames:{out}"], data, out=tmp_path / "two", metrics=["psnr"])
    with pytest.raises(PartialError, match=f"no headline for frames:mine: .*{text}"):
        table.raise_failures()
    assert row(table, "identity").valid
    assert not row(table, "frames").valid
    assert math.isnan(row(table, "frames").psnr)
    found = json.loads((tmp_path / "two" / "validation.json").read_text())
    assert found["ok"] is False
    assert "00001" in {problem["video"] for problem in found["problems"]}


@pytest.mark.parametrize("step", [1, -1])
def test_shifted_predictions_are_refused_by_what_they_show(
    data: Path, out: Path, step: int
) -> None:
    for folder in sorted(out.iterdir()):
        names = sorted(path.name for path in folder.iterdir())
        frames = [read_image(folder / name) for name in names]
        for index, name in enumerate(names):
            write_png(folder / name, frames[min(max(index + step, 0), len(names) - 1)])
    with pytest.raises(InputError, match="look shifted by a frame"):
        evaluate([f"frames:{out}"], data, metrics=["psnr"])
    table = evaluate(["identity", f"frames:{out}"], data, metrics=["psnr"])
    assert math.isnan(row(table, "frames").psnr)
    assert math.isnan(row(table, "frames").psnr_ci_lo)
    assert row(table, "identity").valid


def test_the_truth_handed_in_is_scored_but_not_ranked(data: Path) -> None:
    table = evaluate([f"frames:{data}/test/clean"], data, metrics=["psnr", "ssim"])
    found = row(table, "frames")
    assert (found.psnr, found.ssim, found.valid) == (80.0, 1.0, False)
    assert "byte for byte the clean ones" in found.notes


def test_a_missing_mate_stops_before_any_work(data: Path, tmp_path: Path) -> None:
    (data / "test" / "clean" / "00000" / "0002.png").unlink()
    with pytest.raises(InputError, match=r"Snowy without clean: 0002\.png"):
        evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    assert not (tmp_path / "run").exists()


def test_frames_too_small_for_a_metric_are_refused_with_what_would_fit(tmp_path: Path) -> None:
    for side in ("snow", "clean"):
        (tmp_path / "data" / "test" / side / "a").mkdir(parents=True)
        write_png(tmp_path / "data" / "test" / side / "a" / "0.png", np.zeros((9, 40, 3), np.uint8))
    with pytest.raises(InputError, match=r"frames are 40x9.*ssim 11.*--metrics psnr"):
        evaluate(["identity"], tmp_path / "data", metrics=["psnr", "ssim"])
    assert evaluate(["identity"], tmp_path / "data", metrics=["psnr"]).summary.psnr[0] == 80


def test_unpaired_data_has_no_psnr(data: Path) -> None:
    with pytest.raises(InputError, match=r"unpaired.*psnr.*realsnow85-2024"):
        evaluate(["identity"], data / "test" / "snow", metrics=["psnr"])


def test_a_limited_run_says_so_and_is_not_ranked(data: Path) -> None:
    table = evaluate(["identity"], data, metrics=["psnr"], limit=1)
    found = row(table, "identity")
    assert found.psnr == pytest.approx(psnr(OFFSETS[0]), abs=1e-9)
    assert (found.valid, found.n_videos) == (False, 1)
    assert "limited to the first 1 videos" in found.notes


def test_shards_and_a_last_call_make_the_run_of_one_call(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(["identity"], data, out=tmp_path / "whole", metrics=["psnr"])
    for index in (1, 2):
        part = evaluate(
            ["identity"], data, out=tmp_path / "run", metrics=["psnr"], shard=f"{index}/2"
        )
        assert part.results == ()
    seen = count_scored(monkeypatch)
    merged = evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"])
    assert seen == []
    assert (merged.folder or Path()).joinpath("per_frame.csv").read_bytes() == (
        whole.folder or Path()
    ).joinpath("per_frame.csv").read_bytes()


class Darker:
    """A restorer of the user's own, as an object."""

    info = ModelInfo(name="darker", licence="MIT", paper="A paper, 2024")
    step = 1

    def __call__(self, clip):  # type: ignore[no-untyped-def]
        return (clip * 255 - self.step).clamp(0) / 255


def test_an_object_is_evaluated_without_a_folder(data: Path) -> None:
    table = evaluate([Darker()], data, metrics=["psnr"], protocol="rvsd-2023")
    wanted = np.mean([psnr(offset - 1) if offset > 1 else 80.0 for offset in OFFSETS])
    assert table.summary.psnr[0] == pytest.approx(wanted, abs=1e-9)
    assert (table.summary.source_ref[0], table.summary.licence[0]) == ("A paper, 2024", "MIT")
    assert isinstance(table.per_frame, pd.DataFrame) and isinstance(table.per_video, pd.DataFrame)


def test_an_object_runs_again_for_nobody_knows_whether_it_changed(
    data: Path, tmp_path: Path
) -> None:
    values = []
    for step in (1, 2):
        model = Darker()
        model.step = step
        table = evaluate([model], data, out=tmp_path / "run", metrics=["psnr"])
        values.append(table.summary.psnr[0])
    wanted = [psnr(abs(offset - 2)) if offset != 2 else 80.0 for offset in OFFSETS]
    assert values[1] == pytest.approx(np.mean(wanted), abs=1e-9)


def test_a_video_with_lost_frames_is_tried_again(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = data / "test" / "clean" / "00002" / "0003.png"
    whole = truth.read_bytes()
    truth.write_bytes(whole[:-30])
    arguments = {"out": tmp_path / "run", "metrics": ["psnr"]}
    with pytest.raises(InputError, match=r"00002: frame 0003: .*0003\.png is damaged"):
        evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    seen = count_scored(monkeypatch)
    with pytest.raises(InputError):
        evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    truth.write_bytes(whole)
    table = evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    assert seen == ["00002", "00002"]
    assert row(table, "frames").psnr == pytest.approx(psnr(1), abs=1e-9)


def test_an_object_that_cannot_travel_needs_one_worker(data: Path) -> None:
    model = Darker()
    model.secret = lambda: None  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="cannot be sent to worker processes"):
        evaluate([model], data, metrics=["psnr"], workers=2)


def test_pixels_make_the_dataset_and_not_the_files_they_lie_in(data: Path, tmp_path: Path) -> None:
    videos = dataset.load(data).videos
    for side, opened in (("snow", dataset.open_snowy), ("clean", dataset.open_clean)):
        (tmp_path / "copy" / "data" / "test" / side).mkdir(parents=True)
        for video in videos:
            target = tmp_path / "copy" / "data" / "test" / side / f"{video.name}.mkv"
            write_ffv1(target, iter(opened(video)), 25.0)
    roots = (data, tmp_path / "copy" / "data")
    first, second = (evaluate(["identity"], root, metrics=["psnr"]).summary for root in roots)
    for column in ("dataset_manifest_sha256", "predictions_sha256", "run_id", "psnr"):
        assert first[column][0] == second[column][0]
    path = data / "test" / "snow" / "00000" / "0000.png"
    write_png(path, read_image(path) + np.uint8(1))
    changed = evaluate(["identity"], data, metrics=["psnr"]).summary
    assert changed.dataset_manifest_sha256[0] != first.dataset_manifest_sha256[0]


def test_what_is_published_names_no_person_and_no_place(
    data: Path, out: Path, tmp_path: Path
) -> None:
    spoil_damage(out)
    evaluate(["identity", f"frames:{out}"], data, out=tmp_path / "run", metrics=["psnr"])
    for path in (tmp_path / "run").glob("*.*"):
        text = path.read_text()
        for word in (str(tmp_path), str(Path.home()) + "/", socket.gethostname()):
            assert word not in text, (path.name, word)
        if len(getpass.getuser()) > 4:
            assert getpass.getuser() not in text
    facts = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert facts["command"].startswith("rvsd-bench evaluate identity frames:mine --data data")
    assert facts["withheld"] == ["frames:mine"]
    assert facts["protocol"]["metrics"]["psnr"] == {"color": "rgb", "eps": 1e-8}


def test_pictures_of_the_first_videos_are_left_for_the_page(data: Path, tmp_path: Path) -> None:
    evaluate(["identity", "median"], data, out=tmp_path / "run", metrics=["psnr"])
    found = {str(p.relative_to(tmp_path / "run" / "pictures")) for p in tmp_path.rglob("*.jpg")}
    middles = ("00000/0002", "00001/0001", "00002/0003")
    names = ("identity", "input", "median", "truth")
    assert {f"{middle}/{name}.jpg" for middle in middles for name in names} <= found
    assert (tmp_path / "run" / "pictures" / "shown.json").is_file()


def test_the_command_of_a_run_makes_the_same_run_again(data: Path, tmp_path: Path) -> None:
    given = ["identity", "short=median?k=3", "median?k=5"]
    evaluate(given, data, out=tmp_path / "one", metrics=["psnr"])
    facts = json.loads((tmp_path / "one" / "manifest.json").read_text())
    words = shlex.split(facts["command"])
    models = words[2 : words.index("--data")]
    assert models == given == [method["spec"] for method in facts["methods"]]
    evaluate(models, data, out=tmp_path / "two", metrics=["psnr"])
    again = json.loads((tmp_path / "two" / "manifest.json").read_text())
    assert (again["run_id"], again["command"]) == (facts["run_id"], facts["command"])


def test_a_dry_run_counts_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    found = evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr"], dry_run=True)
    assert (len(found.plan.videos), found.plan.n_frames) == (3, 12)
    size, _ = found.plan.estimate()
    assert size == sum(path.stat().st_size for path in data.rglob("*.png"))
    assert not (tmp_path / "run").exists()
