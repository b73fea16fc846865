"""What the page draws, checked against figures worked out by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path

import pytest

from rvsd_bench.columns import LEADERBOARD, PER_FRAME, PER_VIDEO, csv_lines
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.curves import MAX_POINTS, MAX_VIDEOS

Frames = Mapping[str, Sequence[float | None]]
"""Video -> the PSNR of its frames; None is a frame that could not be scored."""


def _page(folder: Path, methods: Mapping[str, Frames], **facts: object) -> str:
    """Return the page of a run, each video of which is of a source clip of its own."""
    run = folder / "run"
    run.mkdir()
    shared = {"run_id": "r1", "dataset": "demo", "split": "test", "schema_version": 1}
    rows, videos, frames = [], [], []
    for method, scores in methods.items():
        own = shared | {"method_id": method}
        means = {}
        for video, values in scores.items():
            known = [value for value in values if value is not None]
            means[video] = sum(known) / len(known)
            videos.append(
                own | {"protocol_hash": "abc", "video": video, "metric": "psnr", "status": "ok",
                       "mean": means[video], "n_frames": len(values), "source_id": f"of {video}"}
            )  # fmt: skip
            frames += [
                own | {"video": video, "frame_id": f"f{i}", "frame_index": i, "metric": "psnr",
                       "value": value, "status": "ok"}
                for i, value in enumerate(values)
            ]  # fmt: skip
        rows.append(
            own | {"protocol": "rvsd-2023", "protocol_hash": "abc", "source": "measured",
                   "valid": True, "trained": method != "untrained", "n_sources": len(scores),
                   "psnr": sum(means.values()) / len(means), "method_name": method,
                   "predictions_sha256": method * 8, "dataset_manifest_sha256": "d" * 64}
        )  # fmt: skip
    protocol = {"average": "macro", "bootstrap_draws": 100, "hash": "abc", "id": "rvsd-2023"}
    (run / "manifest.json").write_text(json.dumps({"run_id": "r1", "protocol": protocol} | facts))
    for name, columns, table in (
        ("leaderboard", LEADERBOARD, rows),
        ("per_video", PER_VIDEO, videos),
        ("per_frame", PER_FRAME, frames),
    ):
        (run / f"{name}.csv").write_text("".join(csv_lines(columns, table)))
    build([run], folder / "out")
    return unescape((folder / "out" / "index.html").read_text(encoding="utf-8"))


def _duels(page: str) -> list[list[str]]:
    """Return the cells of the matrix, line by line, as text."""
    body = page.split('<table class="duels">')[1].split("<tbody>")[1].split("</tbody>")[0]
    lines = body.split("</tr>")[:-1]
    cells = [re.findall(r"<td([^>]*)>(.*?)</td>", line) for line in lines]
    return [[f"{a} {re.sub('<[^>]*>', ' ', text)}".strip() for a, text in one] for one in cells]


def _paths(page: str) -> list[list[list[tuple[float, float]]]]:
    """Return the strokes of every line of every drawing, as points."""
    found = re.findall(r'data-curve="\d+" d="([^"]*)"', page)
    strokes = [[part for part in d.replace("h0", "").split("M") if part] for d in found]
    return [
        [[(float(p.split()[0]), float(p.split()[1])) for p in one.split("L")] for one in line]
        for line in strokes
    ]


def test_the_matrix_counts_videos_and_gives_the_p_of_every_pair(tmp_path: Path) -> None:
    six = {f"v{i}": [20.0 + i] for i in range(6)}
    better = {name: [values[0] + 1 + i] for i, (name, values) in enumerate(six.items())}
    better["v0"] = [19.0]  # worse by 1 here, better by 2, 3, 4, 5, 6 elsewhere: mean 19 / 6
    page = _page(tmp_path, {"old": six, "new": better})
    # Of the 64 signs, the sum is at least 19 in size for: all as they are, the -1 turned, and both
    # mirrored.
    p = 4 / 64
    assert _duels(page) == [
        ["", f'class="good" 5 : 1 +3.17  p = {p:.2g}'],
        [f'class="bad" 1 : 5 -3.17  p = {p:.2g}', ""],
    ]


def test_the_matrix_is_bold_only_where_holm_s_correction_leaves_it_so(tmp_path: Path) -> None:
    low = {f"v{i}": [20.0 + i / 10] for i in range(6)}
    methods = {
        name: {video: [values[0] + gain] for video, values in low.items()}
        for name, gain in (("a", 0.0), ("b", 1.0))
    }
    p = 2 / 64  # both mirror images; one pair, nothing to correct
    (tmp_path / "two").mkdir()
    assert _duels(_page(tmp_path / "two", methods))[0][1].startswith('class="good sure"')
    methods["c"] = {video: [values[0] + 2] for video, values in low.items()}
    assert 3 * p > 0.05 > p
    (tmp_path / "three").mkdir()
    assert "sure" not in str(_duels(_page(tmp_path / "three", methods)))


def test_curves_run_from_the_best_frame_above_to_the_worst_below(tmp_path: Path) -> None:
    page = _page(tmp_path, {"a": {"v": [30.0, 20.0, 25.0]}, "b": {"v": [22.0, 21.0, 23.0]}})
    assert _paths(page) == [
        [[(0.0, 0.0), (160.0, 84.0), (320.0, 42.0)]],
        [[(0.0, 67.2), (160.0, 75.6), (320.0, 58.8)]],
    ]
    caption = re.sub("<[^>]*>", "", page.split("<figcaption>")[1].split("</figcaption>")[0])
    assert caption == "v worst frame of a: f1 (20.00)"


def test_a_frame_without_a_score_is_a_gap_and_no_zero(tmp_path: Path) -> None:
    page = _page(tmp_path, {"a": {"v": [30.0, 20.0, None, 25.0, None, 20.0]}})
    (line,) = _paths(page)
    assert line == [[(0.0, 0.0), (64.0, 84.0)], [(192.0, 42.0)], [(320.0, 84.0)]]


def test_long_videos_are_drawn_as_means_and_many_videos_not_at_all(tmp_path: Path) -> None:
    long = [20.0, 30.0] * MAX_POINTS
    page = _page(tmp_path, {"a": {f"v{i:02}": long for i in range(MAX_VIDEOS + 2)}})
    lines = _paths(page)
    assert len(lines) == MAX_VIDEOS and "2 more videos are not drawn" in page
    assert {y for _, y in lines[0][0]} == {42.0} and len(lines[0][0]) == MAX_POINTS
    assert "each point is the mean of 2 frames" in page


def test_networks_that_were_never_trained_have_no_curve(tmp_path: Path) -> None:
    page = _page(tmp_path, {"a": {"v": [30.0, 20.0]}, "untrained": {"v": [5.0, 5.0]}})
    assert len(_paths(page)) == 1
    assert "<span>30.00</span><span>20.00</span>" in page


@pytest.mark.parametrize("kept", [True, False])
def test_the_page_says_what_it_takes_to_make_a_run_again(kept: bool, tmp_path: Path) -> None:
    facts: dict[str, object] = {
        "command": "rvsd-bench evaluate a --data demo",
        "dataset": {"name": "demo", "sha256": "d" * 64},
        "environment": {"python": "3.11.7", "gpu": None},
        "weights": {"lpips": {"sha256": "e" * 64}},
        "git": {"commit": "c" * 40, "changed": True},
    }
    page = _page(tmp_path, {"abcdefgh": {"v": [30.0]}}, **(facts if kept else {}))
    found = dict(re.findall(r'<tr><th scope="row">([^<]*)</th><td>([^<]*)</td></tr>', page))
    assert found["digest of its frames"] == "d" * 64  # else from the rows
    assert found["digest of the protocol"] == "abc" and found["run"] == "r1"
    assert f"<code>{'abcdefgh' * 8}</code>" in page
    if kept:
        assert found["weights of lpips"] == "e" * 64 and found["python"] == "3.11.7"
        assert found["commit"] == "c" * 40 + ", with changes" and "gpu" not in found
        told = page.split("<pre")[1].split(">", 1)[1].split("</pre>")[0]
        assert told.splitlines() == [
            "rvsd-bench evaluate a --data demo --out run",
            "rvsd-bench leaderboard build run --out leaderboard",
        ]
