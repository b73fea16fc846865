"""Metrics of time through a whole run: which pairs are scored, kept and scored again, and shown."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from rvsd_bench.columns import TEMPORAL, read_csv
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.evaluation import measuring, protocol
from rvsd_bench.evaluation.evaluating import Evaluation, evaluate
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.table import group, merge, read_run
from rvsd_bench.media.images import read_image, write_png
from rvsd_bench.metrics import CARDS, open_metric, open_temporal
from rvsd_bench.metrics.temporal import Flicker, Moment, Step, WarpingError
from rvsd_bench.weights.store import WeightsFile

LENGTHS = (5, 3, 1)
NAMES = ["psnr", "warp_err", "tof", "flicker"]
SIZE = (40, 56)


def surface(seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(70, 90, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return np.asarray(30 + 180 * (smooth - smooth.min()) / (smooth.max() - smooth.min()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make three videos of a moving surface; the last has a single frame."""
    for video, length in enumerate(LENGTHS):
        ground = surface(video)
        for index in range(length):
            y, x = 14 - 2 * index, 4 + 3 * index
            clean = np.ascontiguousarray(ground[y : y + SIZE[0], x : x + SIZE[1]]).astype(np.uint8)
            noise = np.random.default_rng(100 * video + index).random(SIZE) < 0.02
            snowy = np.where(noise[..., None], np.uint8(250), clean)
            for side, frame in (("clean", clean), ("snow", snowy)):
                folder = tmp_path / "data" / "test" / side / f"{video:05d}"
                folder.mkdir(parents=True, exist_ok=True)
                write_png(folder / f"{index:04d}.png", frame)
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path: Path, data: Path) -> Path:
    """Make restored frames whose brightness alternates."""
    for path in sorted((data / "test" / "clean").rglob("*.png")):
        target = tmp_path / "mine" / path.relative_to(data / "test" / "clean")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, read_image(path) + np.uint8(1 + 6 * (int(path.stem) % 2)))
    return tmp_path / "mine"


def value(found: Evaluation, column: str, video: str, frame: str, metric: str) -> float:
    table = found.per_frame
    mine = table[(table.video == video) & (table.frame_id == frame) & (table.metric == metric)]
    assert len(mine) == 1
    return float(mine[column].iloc[0])


def test_the_pairs_of_a_run_are_those_of_the_metric_by_hand(data: Path, out: Path) -> None:
    found = evaluate([f"frames:{out}"], data, metrics=NAMES)
    for name in NAMES[1:]:
        metric = open_temporal(name)
        for t in (1, 2, 3, 4):
            step, truth = (
                Step(*(Moment(read_image(root / "00000" / f"{i:04d}.png")) for i in (t - 1, t)))
                for root in (out, data / "test" / "clean")
            )
            where = ("00000", f"{t:04d}", name)
            assert value(found, "value", *where) == metric.score(step, truth)
            assert value(found, "truth_value", *where) == metric.own(truth)


def test_alternating_brightness_flickers_by_its_step_and_averages_as_all_else(
    data: Path, out: Path
) -> None:
    found = evaluate([f"frames:{out}"], data, metrics=NAMES)
    row = found.summary.iloc[0]
    assert row.flicker == pytest.approx(6 / 255, rel=1e-12)
    videos = found.per_video[found.per_video.metric == "warp_err"].set_index("video")
    frames = found.per_frame[found.per_frame.metric == "warp_err"]
    means = frames.groupby("video")[["value", "truth_value"]].mean().dropna()
    assert len(means) == 2
    for video, mean in means.iterrows():
        assert videos["mean"][video] == pytest.approx(mean.value, rel=1e-12)
        assert videos.truth_mean[video] == pytest.approx(mean.truth_value, rel=1e-12)
    assert row.warp_err == pytest.approx(means.value.mean(), rel=1e-12)
    assert row.warp_err_truth == pytest.approx(means.truth_value.mean(), rel=1e-12)
    assert row.warp_err > 5 * row.warp_err_truth > 0
    micro = evaluate([f"frames:{out}"], data, metrics=NAMES, protocol="semivdn-2024").summary
    assert micro.warp_err_truth[0] == pytest.approx(frames.truth_value.mean(), rel=1e-12)


def test_the_first_frame_has_no_pair_and_a_video_of_one_frame_no_value(
    data: Path, out: Path
) -> None:
    found = evaluate([f"frames:{out}"], data, metrics=NAMES)
    table = found.per_frame[found.per_frame.metric == "tof"]
    first = table[table.frame_index == 0]
    assert list(first.status) == ["undefined"] * 3 and first.value.isna().all()
    assert (table[table.frame_index > 0].status == "ok").all()
    videos = found.per_video[found.per_video.metric == "tof"]
    assert list(videos.status) == ["ok", "ok", "undefined"]
    assert list(videos.n_frames) == [4, 2, 0]
    assert found.summary.valid[0] and found.summary.n_videos[0] == 3


def test_a_changed_frame_is_scored_again_with_the_pair_that_it_opens(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"out": tmp_path / "run", "metrics": NAMES}
    evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    changed = out / "00000" / "0002.png"
    write_png(changed, read_image(changed) + np.uint8(9))
    calls: list[int] = []
    real = Flicker.score
    monkeypatch.setattr(Flicker, "score", lambda *a: calls.append(1) or real(*a))
    found = evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    assert len(calls) == 2  # the pair that ends with the frame, and the one that begins with it
    fresh = evaluate([f"frames:{out}"], data, out=tmp_path / "fresh", metrics=NAMES)
    texts = [(tmp_path / run / "per_frame.csv").read_bytes() for run in ("run", "fresh")]
    assert texts[0] == texts[1]
    assert found.summary.flicker[0] == fresh.summary.flicker[0]
    evaluate([f"frames:{out}"], data, out=tmp_path / "run", metrics=NAMES)
    assert len(calls) == 2 + 4 + 2  # those of the fresh run, and none for what stands


def test_a_changed_truth_is_met_by_both_of_its_pairs(data: Path, out: Path, tmp_path: Path) -> None:
    arguments = {"out": tmp_path / "run", "metrics": NAMES}
    evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    truth = data / "test" / "clean" / "00000" / "0003.png"
    write_png(truth, np.asarray(read_image(truth)[::-1]))
    evaluate([f"frames:{out}"], data, **arguments)  # type: ignore[arg-type]
    evaluate([f"frames:{out}"], data, out=tmp_path / "fresh", metrics=NAMES)
    texts = [(tmp_path / run / "per_frame.csv").read_bytes() for run in ("run", "fresh")]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_no_byte(data: Path, out: Path, tmp_path: Path, workers: int) -> None:
    texts = []
    for name, count in (("one", 1), ("more", workers)):
        run = tmp_path / name
        models = [f"frames:{out}", f"again=frames:{data / 'test' / 'snow'}"]
        evaluate(models, data, out=run, metrics=NAMES, workers=count)
        texts.append([(run / f"{t}.csv").read_bytes() for t in ("per_frame", "per_video")])
    assert texts[0] == texts[1]


def test_the_truths_share_is_worked_out_once_for_all_methods(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = WarpingError.own
    monkeypatch.setattr(WarpingError, "own", lambda *a: calls.append(1) or real(*a))
    flows: list[int] = []
    flow = "rvsd_bench.metrics.temporal.optical_flow"
    from rvsd_bench.metrics.temporal import optical_flow

    monkeypatch.setattr(flow, lambda *a: flows.append(1) or optical_flow(*a))
    evaluate(["identity", "median", f"frames:{out}"], data, metrics=["warp_err"])
    pairs = sum(length - 1 for length in LENGTHS)
    assert len(calls) == pairs
    assert len(flows) == 2 * pairs  # there and back


def test_a_lost_frame_costs_two_pairs_and_is_told_once(
    data: Path, out: Path, tmp_path: Path
) -> None:
    truth = data / "test" / "clean" / "00000" / "0002.png"
    truth.write_bytes(truth.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"00000: frame 0002: .*damaged") as raised:
        evaluate([f"frames:{out}"], data, out=tmp_path / "run", metrics=NAMES)
    assert "before" not in str(raised.value)
    rows = read_csv(tmp_path / "run" / "per_frame.csv")
    status = {
        name: [r["status"] for r in rows if r["video"] == "00000" and r["metric"] == name]
        for name in ("psnr", "tof")
    }
    assert status["psnr"] == ["ok", "ok", "error", "ok", "ok"]
    assert status["tof"] == ["undefined", "ok", "error", "error", "ok"]
    problems = json.loads((tmp_path / "run" / "validation.json").read_text())["problems"]
    assert [p["code"] for p in problems if p["level"] == "error"] == ["frame"]


def test_tlp_beside_lpips_shares_features_and_changes_no_digit(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        lpips = open_metric("lpips")
    except MissingError as error:
        pytest.skip(str(error).splitlines()[0])
    models = ["identity", f"frames:{out}"]
    apart = {
        name: evaluate(models, data, metrics=[name]).summary[name] for name in ("lpips", "tlp")
    }
    seen: list[int] = []
    trunk = type(lpips)._trunk
    monkeypatch.setattr(type(lpips), "_trunk", lambda *a: seen.append(1) or trunk(*a))
    together = evaluate(models, data, metrics=["lpips", "tlp"])
    assert len(seen) == 3 * sum(LENGTHS)  # the truth and two methods, once for each frame
    for name, values in apart.items():
        assert list(together.summary[name]) == list(values)
    frames = together.per_frame[together.per_frame.metric == "tlp"].value.dropna()
    assert len(frames) == 2 * (4 + 2) and (frames > 0).any()
    assert together.summary.tlp_truth[0] > 0
    assert together.summary.weights_lpips[0] == lpips.weights.sha256


def test_the_page_about_metrics_defines_every_one_and_every_column() -> None:
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
    defined = [line for line in page.splitlines() if line.startswith("| `")]
    named = [name for line in defined for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert named == list(CARDS)
    for name in ("truth_value", "truth_mean", *(f"{name}_truth" for name in TEMPORAL)):
        assert f"`{name}`" in page
    assert set(TEMPORAL) == {card.name for card in CARDS.values() if card.temporal}


def test_tlp_is_asked_for_and_the_others_come_along_outside_of_the_hash() -> None:
    official = protocol.load("rvsd-2023")
    chosen, _ = measuring.choose(official, skip_missing=True)
    names = [measure.name for measure in chosen]
    assert names[-3:] == ["warp_err", "tof", "flicker"] and "tlp" not in names
    assert measuring.choose(official, ["psnr"])[0][0].name == "psnr"
    assert official.hash == "6d9f2356e167"
    vimp = protocol.load("vimp-2024")
    assert measuring._temporal(vimp)["tlp"] == {"channels": "bgr"}
    with pytest.raises(InputError, match="'realsnow85-2024' does not define metric 'tof'"):
        measuring.choose(protocol.load("realsnow85-2024"), ["tof"])


def test_the_weights_that_lpips_and_tlp_share_make_one_custom_protocol() -> None:
    official = protocol.load("rvsd-2023")
    file = WeightsFile("lpips", Path("other.safetensors"), 1, "a" * 64, "BSD", "custom")
    lpips, tlp = (measuring.Measure(CARDS[name], {}, "native", file) for name in ("lpips", "tlp"))
    assert measuring.custom(official, [lpips]) == measuring.custom(official, [lpips, tlp])
    assert measuring.custom(official, []) == official


def test_scores_of_another_version_of_the_benchmark_are_not_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate(["identity"], data, out=tmp_path / "run", metrics=["tof"]).scored == 3
    assert evaluate(["identity"], data, out=tmp_path / "run", metrics=["tof"]).scored == 0
    monkeypatch.setattr(measuring, "BENCHMARK_VERSION", "2")
    assert evaluate(["identity"], data, out=tmp_path / "run", metrics=["tof"]).scored == 3


def test_tables_name_the_floor_and_call_nobody_best_on_the_raw_error(
    data: Path, out: Path, tmp_path: Path
) -> None:
    grey = tmp_path / "grey"
    shutil.copytree(out, grey)
    for path in grey.rglob("*.png"):
        write_png(path, np.full((*SIZE, 3), 128, np.uint8))
    models = ["identity", f"frames:{out}", f"grey=frames:{grey}"]
    found = evaluate(models, data, out=tmp_path / "run", metrics=NAMES)
    rows = found.summary.set_index("method_name")
    least, floor = rows.warp_err["grey"], rows.warp_err_truth["grey"]
    assert 0 == least < floor
    assert rows.flicker["grey"] == pytest.approx(rows.flicker_truth["grey"], rel=1e-12)
    assert rows.tof["grey"] == pytest.approx(rows.tof_truth["grey"], rel=1e-6)
    (part,) = group(merge([read_run(tmp_path / "run")]))
    assert part.metrics == ("psnr", "warp_err", "tof", "flicker")
    build([tmp_path / "run"], tmp_path / "board")
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    assert f"own warping error is {floor:.5f}" in text
    assert "0.00000" in text and "**0.00000**" not in text
    assert f"stands still: tOF {rows.tof_truth['grey']:.3f}" in text
    assert f"flicker {rows.flicker_truth['grey']:.4f}" in text
