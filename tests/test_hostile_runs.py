"""Runs that somebody made by hand to break the page, or to have it show what is not theirs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, csv_lines, read_csv
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.board import add
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.comparing import compare
from rvsd_bench.leaderboard.pairing import pick
from rvsd_bench.leaderboard.table import read_run, reported_rows

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
SECRET = b"\xff\xd8 not for the public"
PROTOCOL = {"average": "macro", "bootstrap_draws": 100}
TOLD: dict[str, Any] = {
    "middle": "0003", "metric": "psnr", "fps": 25.0, "width": 16, "height": 9, "n_frames": 7,
    "picks": {"a": {"best": {"frame": "0003", "index": 3, "value": 20.0}}},
    "loop": {"frames": 7, "columns": 4},
}  # fmt: skip


def run(folder: Path, facts: object = None, shown: object = None) -> Path:
    """Write a run of the input and the methods a and b on two videos, with a picture of a."""
    shared = {
        "protocol": "rvsd-2023", "protocol_hash": "0123456789ab", "dataset": "demo",
        "split": "test", "run_id": "r", "n_frames": 7,
    }  # fmt: skip
    rows = [
        {**shared, "method_id": name, "method_name": name, "source": source, "valid": True,
         "psnr": psnr, "dataset_manifest_sha256": "f" * 64, "predictions_sha256": name * 64}
        for name, source, psnr in (("a", "measured", 20.0), ("b", "measured", 21.0))
    ]  # fmt: skip
    videos = [
        {**shared, "method_id": row["method_id"], "video": f"{v}", "source_id": f"{v}",
         "metric": "psnr", "mean": row["psnr"], "status": "ok"}
        for row in rows for v in range(2)
    ]  # fmt: skip
    for row in rows:
        row.pop("n_frames")
    picture = folder / "pictures" / "0" / "0003"
    picture.mkdir(parents=True)
    for name in ("input", "a"):
        (picture / f"{name}.jpg").write_bytes(JPEG)
    (folder / "leaderboard.csv").write_text("".join(csv_lines(LEADERBOARD, rows)))
    (folder / "per_video.csv").write_text("".join(csv_lines(PER_VIDEO, videos)))
    given = {"protocol": PROTOCOL} if facts is None else facts
    (folder / "manifest.json").write_text(json.dumps(given))
    (folder / "pictures" / "shown.json").write_text(
        json.dumps({"videos": {"0": TOLD}, "error_levels": 8} if shown is None else shown)
    )
    return folder


def page(folder: Path) -> str:
    build([folder], folder.parent / "out")
    return (folder.parent / "out" / "index.html").read_text()


def shown_in(html: str, picture: bytes) -> bool:
    return base64.b64encode(picture).decode() in html


def test_the_page_of_an_honest_run_shows_its_pictures(tmp_path: Path) -> None:
    assert shown_in(page(run(tmp_path / "run")), JPEG)


@pytest.mark.parametrize(
    "text", ["abc", "nan", "inf", "-inf", "1e999", "1_000", "\uff11", "0x10", "[" * 9000]
)
@pytest.mark.parametrize("table", ["leaderboard.csv", "per_video.csv"])
def test_a_number_that_is_none_is_named_by_file_line_and_column(
    text: str, table: str, tmp_path: Path
) -> None:
    path = run(tmp_path / "run") / table
    path.write_text(path.read_text().replace("20.0", text, 1))
    column = "psnr" if table == "leaderboard.csv" else "mean"
    with pytest.raises(InputError, match=rf"{table}: line 2: {column} is no number") as caught:
        build([path.parent], tmp_path / "out")
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["\x1b[2J", "x" * 9000, "a\rb"])
def test_an_unknown_column_is_named_with_its_file_in_one_line(name: str, tmp_path: Path) -> None:
    path = run(tmp_path / "run") / "leaderboard.csv"
    path.write_text(path.read_text().replace("method_name", f'"{name}"', 1), newline="")
    with pytest.raises(InputError, match=r"leaderboard\.csv: no such leaderboard col") as caught:
        build([path.parent], tmp_path / "out")
    assert len(str(caught.value)) < 400 and str(caught.value).isprintable()


def test_published_figures_are_held_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("method_name,protocol,dataset,split,source_ref,psnr\n"
                                       "M,p,d,test,A 2024,nan\n")  # fmt: skip
    with pytest.raises(InputError, match=r"mine\.csv: line 2: psnr is no number: 'nan'"):
        reported_rows(tmp_path / "mine.csv")


def test_a_table_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(InputError, match=r"table\.csv cannot be read: Is a directory"):
        read_csv(tmp_path / "table.csv")


@pytest.mark.parametrize(
    "change",
    [
        {"picks": {"a": {"best": {"frame": {}, "index": 3, "value": 20.0}}}},
        {"picks": {"a": {"best": {"frame": "0003", "index": "3", "value": 20.0}}}},
        {"picks": {"a": {"first": {"frame": "0003", "index": 3, "value": 20.0}}}},
        {"picks": {"a": {"best": {"frame": "0003", "index": 3, "value": None}}}},
        {"picks": []},
        {"middle": 3},
        {"metric": ["psnr"]},
        {"loop": {"frames": 7}},
        {"loop": {"frames": 0, "columns": 0}},
        {"loop": {"frames": True, "columns": 1}},
        {"width": -1},
        {"fps": 1e300},
        {"height": "9"},
    ],
)
def test_odd_notes_on_pictures_cost_the_pictures_and_not_the_page(
    change: dict[str, Any], tmp_path: Path
) -> None:
    html = page(run(tmp_path / "run", shown={"videos": {"0": TOLD | change}, "error_levels": []}))
    assert "rvsd-2023" in html


def test_no_name_leads_to_pictures_outside_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "private" / "0003").mkdir(parents=True)
    for name in ("a", "input"):
        (tmp_path / "private" / "0003" / f"{name}.jpg").write_bytes(SECRET)
    up = "../../private"
    html = [
        page(run(tmp_path / "one", {"slugs": {"a": f"../../../{up}/0003/a"}})),
        page(run(tmp_path / "two", shown={"videos": {up: TOLD}})),
        page(run(tmp_path / "three", shown={"videos": {"0": TOLD | {"middle": f"../{up}/0003"}}})),
        page(run(tmp_path / "four", shown={"videos": {str(tmp_path / "private"): TOLD}})),
    ]
    assert not any(shown_in(text, SECRET) for text in html)


def test_no_link_in_a_run_leads_to_files_outside_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    folder = run(tmp_path / "run")
    picture = folder / "pictures" / "0" / "0003" / "a.jpg"
    picture.unlink()
    picture.symlink_to(tmp_path / "secret")
    assert not shown_in(page(folder), SECRET)


KEYS = ("slugs", "runs", "methods", "cards", "weights", "environment", "git", "dataset", "command")


@pytest.mark.parametrize("value", [None, 3, "text", [], [3, None], {"a": 3}, [["a"]]])
def test_a_manifest_of_odd_values_makes_a_page(value: object, tmp_path: Path) -> None:
    for number, keys in enumerate((KEYS, KEYS[2:3], ("plugins",))):
        odd = dict.fromkeys(keys, value)
        folder = run(tmp_path / f"run{number}", {"protocol": PROTOCOL} | odd)
        assert "rvsd-2023" in page(folder)
    add(folder, tmp_path / "board")
    assert "rvsd-2023" in page(tmp_path / "board")


@pytest.mark.parametrize("card", [3, "text", [], {"authors": 3}, {"authors": {"a": 1}}, None])
def test_a_card_of_odd_values_in_a_manifest_makes_a_page(card: object, tmp_path: Path) -> None:
    facts = {"methods": [{"id": "a", "card": card, "spec": card}], "cards": {"a": card}}
    assert "rvsd-2023" in page(run(tmp_path / "run", facts | {"run_id": "r"}))


@pytest.mark.parametrize("draws", [0, -1, 10**9, True, 1.5, "10", None])
def test_a_manifest_does_not_order_endless_draws(draws: object, tmp_path: Path) -> None:
    found = read_run(run(tmp_path / "run", {"protocol": PROTOCOL | {"bootstrap_draws": draws}}))
    with pytest.raises(InputError, match=r"manifest\.json: no number of draws: .*; 1 to 100000"):
        compare(pick(found, "a"), pick(found, "b"), None)


@pytest.mark.parametrize("frames", ["-7", "0", "0.5", ""])
def test_a_video_of_no_frames_is_not_averaged(frames: str, tmp_path: Path) -> None:
    folder = run(tmp_path / "run")
    lines = (folder / "per_video.csv").read_text().replace(",7,", f",{frames},")
    (folder / "per_video.csv").write_text(lines)
    found = read_run(folder)
    with pytest.raises(InputError, match="n_frames of video test/0 is missing"):
        compare(pick(found, "a"), pick(found, "b"), None)
