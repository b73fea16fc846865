"""What the page draws, checked against figures worked out by hand."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path

import pytest

from rvsd_bench.columns import LEADERBOARD, PER_FRAME, PER_VIDEO, csv_lines, read_csv
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.board import add
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.curves import MAX_POINTS, MAX_VIDEOS

Frames = Mapping[str, Sequence[float | None]]
"""Video -> the PSNR of its frames; None is a frame that could not be scored."""


def _page(folder: Path, methods: Mapping[str, Frames], /, **facts: object) -> str:
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


@pytest.mark.parametrize("index", ["1e308", "-1"])
def test_a_frame_that_no_video_can_have_is_refused(tmp_path: Path, index: str) -> None:
    _page(tmp_path, {"a": {"v": [30.0, 20.0]}})
    path = tmp_path / "run" / "per_frame.csv"
    path.write_text(path.read_text().replace(",f1,1,", f",f1,{index},"))
    with pytest.raises(InputError, match=f"per_frame.csv counts a frame {index}"):
        build([tmp_path / "run"], tmp_path / "out")


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


def _pictured(folder: Path, **facts: object) -> Path:
    """Return a run of one method on two videos, with pictures that are no pictures."""
    _page(folder, {"a": {"v": [30.0, 20.0, 25.0], "w": [22.0, 21.0, 23.0]}})
    run = folder / "run"
    videos = {}
    for video in ("v", "w"):
        own = run / "pictures" / video
        for name in ("0/input.jpg", "0/a.jpg", "0/truth.jpg", "0/errors/a.webp",
                     "loop/input.webp", "loop/a.webp", "loop/truth.webp"):  # fmt: skip
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_bytes(f"{video}/{name}".encode().ljust(300))
        pick = {"frame": "0", "index": 0, "value": 20.0}
        videos[video] = {
            "middle": "0", "metric": "psnr", "fps": 25.0, "width": 4, "height": 3,
            "picks": {"a": dict.fromkeys(("worst", "median", "best"), pick)},
            "loop": {"frames": 3, "columns": 3},
        }  # fmt: skip
    index = {"error_levels": 64, "videos": videos} | facts
    (run / "pictures" / "shown.json").write_text(json.dumps(index))
    return run


def _embedded(folder: Path, run: Path) -> tuple[str, list[str]]:
    """Return the page of a run and what its pictures hold, as often as they are in it."""
    build([run], folder / "again")
    page = (folder / "again" / "index.html").read_text(encoding="utf-8")
    found = re.findall(r'src="data:image/[a-z]+;base64,([^"]*)"', page)
    return unescape(page), [base64.b64decode(data).decode().strip() for data in found]


def test_every_picture_is_in_the_page_at_the_place_it_was_made_for(tmp_path: Path) -> None:
    page, found = _embedded(tmp_path, _pictured(tmp_path))
    stills = [f"{v}/0/{of}.jpg" for v in "vw" for of in ("input", "a", "truth")]
    films = [f"{v}/loop/{of}.webp" for v in "vw" for of in ("input", "a", "truth")]
    trios = [
        f"{v}/0/{of}" for v in "vw" for of in ("a.jpg", "truth.jpg", "input.jpg", "errors/a.webp")
    ]
    assert found == stills + films + trios
    assert "<b>worst and median and best</b> PSNR 20.00, frame 0" in page
    assert "64 of 255 levels" in page and "did not fit" not in page


def test_pictures_that_do_not_fit_are_left_out_and_stills_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _pictured(tmp_path)
    monkeypatch.setattr("rvsd_bench.leaderboard.embedding.PICTURE_CHARACTERS", 400 * 10)
    page, found = _embedded(tmp_path, run)
    assert [name[:6] for name in found] == ["v/0/in", "v/0/a.", "v/0/tr", "w/0/in", "w/0/a.",
                                            "w/0/tr", "v/loop", "v/loop", "v/loop"]  # fmt: skip
    assert "3 more sets of pictures did not fit" in page  # the film of w, both videos' extremes


def test_without_a_truth_there_are_no_maps_and_no_scale_for_them(tmp_path: Path) -> None:
    run = _pictured(tmp_path)
    for path in [*run.rglob("truth.*"), *run.rglob("errors/*")]:
        path.unlink()
    page, found = _embedded(tmp_path, run)
    assert [name for name in found if "/0/" in name][-4:] == [
        f"{v}/0/{of}.jpg" for v in "vw" for of in ("a", "input")
    ]
    assert "of 255 levels" not in page and "<label hidden>against" in page
    assert "three frames of every video." in page


@pytest.mark.parametrize("spoilt", [{"videos": []}, {"videos": {"v": {}, "w": 1}}, {"videos": 1}])
def test_a_damaged_index_of_pictures_costs_the_films_and_not_the_page(
    tmp_path: Path, spoilt: dict[str, object]
) -> None:
    page, found = _embedded(tmp_path, _pictured(tmp_path, **spoilt))
    assert found == [f"{v}/0/{of}.jpg" for v in "vw" for of in ("input", "a", "truth")]
    assert "Worst, median and best" not in page


CARD = {
    "name": "A & B", "authors": ["Anna {A}", "Bo and Co"], "paper": "On snow, 2026",
    "licence": "MIT", "training_data": "our street", "hardware": "one GPU", "venue": "V",
    "year": 2026,
}  # fmt: skip


def test_cards_name_the_authors_on_the_page_and_in_the_bibliography(tmp_path: Path) -> None:
    methods = [{"id": "a", "card": CARD, "trained_on": "?"}, {"id": "b", "card": None}]
    page = _page(tmp_path, {"a": {"v": [30.0]}, "b": {"v": [20.0]}}, command="x", methods=methods)
    assert page.count("Anna {A}, Bo and Co</span>") == 1
    table = page.split("<td>authors</td>")[1]
    lines = [re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row) for row in table.split("</tr>")[1:3]]
    assert lines[0][1:5] == ["a", "Anna {A}, Bo and Co", "not stated", "our street"]
    assert lines[1][1:5] == ["b", "not stated", "not stated", "not stated"]
    url = re.findall(r'download="rvsd-bench.bib" href="data:[^,]*,([^"]*)"', page)
    entries = base64.b64decode(url[0]).decode()
    assert re.findall(r"^@(\w+)\{(.*),$", entries, re.M) == [
        ("software", "rvsd-bench"),
        ("misc", "a"),
    ]
    assert r"author = {{Anna \{A\}} and {Bo and Co}}" in entries


def test_the_bibliography_has_every_published_row_under_a_key_of_its_own(tmp_path: Path) -> None:
    build([], tmp_path / "out", reported=True)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    url = re.findall(r'download="rvsd-bench.bib" href="data:[^,]*,([^"]*)"', unescape(page))
    entries = base64.b64decode(url[0]).decode()
    keys = re.findall(r"^@\w+\{(.*),$", entries, re.M)
    rows = read_csv(tmp_path / "out" / "leaderboard.csv")
    assert len(keys) == len(set(keys)) == 1 + sum(row["kind"] != "input" for row in rows)
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)
    for entry in entries.split("\n\n"):
        assert entry.count("{") == entry.count("}") and "note = {" in entry


def test_a_board_says_where_its_pictures_are(tmp_path: Path) -> None:
    run = _pictured(tmp_path)
    rows = read_csv(run / "leaderboard.csv")
    assert rows[0]["valid"] == "true"
    add(run, tmp_path / "board")
    build([tmp_path / "board"], tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "No pictures come with board: a board keeps the rows of its runs" in page
    assert "<svg" not in page and "data:image" not in page and "23.50" in page
