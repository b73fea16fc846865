"""Ranks, tables and the page from runs written by hand, checked against what was put in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, csv_lines
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.exports import markdown
from rvsd_bench.leaderboard.latex import latex
from rvsd_bench.leaderboard.table import group, number, read_run, reported_rows

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "&lt;b&gt;",
    "a|b`c*d_e",
    "100% \\cmd{x} & $y$",
    "=HYPERLINK(1)",
    "NA",
    "\u202eevil",
    "</title><svg onload=alert(1)>",
    "<!--",
    "]]>",
    "x" * 500,
]


def _row(name: str, psnr: float | None, **cells: object) -> dict[str, object]:
    row: dict[str, object] = {
        "schema_version": 1, "method_id": name, "method_name": name, "kind": "classical",
        "protocol": "rvsd-2023", "protocol_hash": "0123456789ab", "dataset": "demo",
        "split": "test", "source": "measured", "valid": True, "psnr": psnr, "n_sources": 12,
        "dataset_manifest_sha256": "f" * 64, "trained": True,
    }  # fmt: skip
    return row | cells


def _run(folder: Path, rows: list[dict[str, object]]) -> Path:
    folder.mkdir()
    videos = [
        {**{k: row.get(k) for k in ("run_id", "method_id", "protocol_hash", "dataset", "split")},
         "video": "00000", "metric": "psnr", "mean": row["psnr"]}
        for row in rows
    ]  # fmt: skip
    (folder / "leaderboard.csv").write_text("".join(csv_lines(LEADERBOARD, rows)))
    (folder / "per_video.csv").write_text("".join(csv_lines(PER_VIDEO, videos)))
    (folder / "manifest.json").write_text(json.dumps({"command": "rvsd-bench evaluate <b>x</b>"}))
    picture = folder / "pictures" / "00000" / "0003"
    picture.mkdir(parents=True)
    for name in ("input", "truth", *(str(row["method_id"]) for row in rows)):
        if name in ("input", "truth", "median", "dcp"):
            (picture / f"{name}.jpg").write_bytes(JPEG)
    return folder


def _ranks(rows: list[dict[str, object]], tmp_path: Path) -> dict[str, str]:
    (part,) = group(read_run(_run(tmp_path / "run", rows)).rows)
    return {row["method_id"]: row["rank"] for row in part.rows}


def test_measured_rows_are_ranked_by_psnr_and_equal_ones_share_a_rank(tmp_path: Path) -> None:
    rows = [_row("a", 20.0), _row("b", 22.0), _row("c", 20.0), _row("d", 19.0)]
    assert _ranks(rows, tmp_path) == {"b": "1", "a": "2", "c": "2", "d": "4"}


def test_input_oracle_invalid_untrained_and_unscored_rows_have_no_rank(tmp_path: Path) -> None:
    rows = [
        _row("a", 20.0),
        _row("input", 30.0, source="input"),
        _row("oracle", 31.0, source="oracle"),
        _row("broken", 32.0, valid=False),
        _row("none", None),
        _row("born", 33.0, trained=False),
    ]
    ranks = _ranks(rows, tmp_path)
    assert ranks.pop("a") == "1"
    assert set(ranks.values()) == {""}


def test_a_network_that_was_never_trained_stands_last_with_a_badge(tmp_path: Path) -> None:
    rows = [_row("born", 33.0, trained=False), _row("none", None), _row("a", 20.0), _row("b", 19.0)]
    run = _run(tmp_path / "run", rows)
    (part,) = group(read_run(run).rows)
    assert [row["method_id"] for row in part.rows] == ["a", "b", "none", "born"]
    build([run], tmp_path / "board")
    page = (tmp_path / "board" / "index.html").read_text(encoding="utf-8")
    table, chart = page.split("<tbody>")[1].split("with its interval")
    lines = [
        line for line in table.splitlines() if "data-sort=" in line and "untrained</span>" in line
    ]
    assert len(lines) == 1 and 'data-sort="born"' in lines[0]
    assert "33.00" in table and "33.00" not in chart.split("</section>")[0]


def test_rows_of_different_protocols_or_frames_are_never_ranked_together(tmp_path: Path) -> None:
    rows = [
        _row("a", 20.0),
        _row("b", 25.0, protocol_hash="ba9876543210"),
        _row("c", 26.0, dataset_manifest_sha256="e" * 64),
        _row("d", 27.0, split="train"),
    ]
    parts = group(read_run(_run(tmp_path / "run", rows)).rows)
    assert [[(r["method_id"], r["rank"]) for r in p.rows] for p in parts] == [
        [("c", "1")],
        [("a", "1")],
        [("d", "1")],
        [("b", "1")],
    ]


def test_the_same_method_on_the_same_frames_twice_is_refused(tmp_path: Path) -> None:
    first, second = (_run(tmp_path / n, [_row("a", 20.0)]) for n in ("one", "two"))
    with pytest.raises(InputError, match=r"'a'.*one.*two"):
        build([first, second], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reported_rows_are_those_of_the_papers() -> None:
    rows = reported_rows()
    semivdn = [r for r in rows if r["source_ref"] == "SemiVDN (ECCV 2024), Table 1"]
    rvsd = {r["method_name"]: r for r in semivdn if r["dataset"] == "RVSD"}
    real = {r["method_name"]: r for r in semivdn if r["dataset"] == "Realsnow85"}
    assert len(rvsd) == len(real) == 17  # sixteen methods and the input
    # Section 4.3 of that paper says these three again in its text.
    assert [rvsd["SVDNet"][m] for m in ("psnr", "ssim", "lpips")] == ["25.06", "0.9210", "0.0842"]
    assert [rvsd["Input"][m] for m in ("psnr", "ssim", "lpips")] == ["18.37", "0.7792", "0.3095"]
    assert [real["SemiVDN"][m] for m in ("nima", "musiq")] == ["4.259", "51.57"]
    turtle = {r["method_name"]: r for r in rows if "Turtle" in r["source_ref"]}
    assert (turtle["Turtle"]["psnr"], turtle["Turtle"]["ssim"]) == ("26.02", "0.9230")
    assert len(turtle) == 11


def test_reported_rows_are_marked_sourced_and_never_ranked(tmp_path: Path) -> None:
    run = read_run(_run(tmp_path / "run", [_row("a", 20.0, dataset="RVSD")]))
    for part in group([*run.rows, *reported_rows()]):
        assert part.reported == all(row["source"] == "reported" for row in part.rows)
        if part.reported:
            assert all(row["rank"] == "" and row["source_ref"] for row in part.rows)
            assert all(row["psnr_ci_lo"] == "" and row["valid"] == "" for row in part.rows)


def test_a_reported_row_without_a_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reported.csv"
    path.write_text(
        "method_name,protocol,dataset,split,source_ref,psnr\nX,unstated,RVSD,test,,30\n"
    )
    with pytest.raises(InputError, match="line 2 has no source_ref"):
        reported_rows(path)


def test_latex_sets_the_best_bold_and_the_second_underlined(tmp_path: Path) -> None:
    rows = [_row("a", 20.0), _row("b", 22.0), _row("in", 25.0, source="input", kind="input")]
    text = latex(group(read_run(_run(tmp_path / "run", rows)).rows))
    assert r"b & \textbf{22.00} \\" in text
    assert r"a & \underline{20.00} \\" in text
    assert r"Input & 25.00 \\" in text


def test_no_name_is_taken_for_an_option_of_the_row_end_before_it(tmp_path: Path) -> None:
    rows = [_row(name, 20.0) for name in ("a", "[2em]", "*x")]
    text = latex(group(read_run(_run(tmp_path / "run", rows)).rows))
    assert re.search(r"\\\\\s*[\[*]", text) is None
    assert "{[}2em]" in text and "{*}x" in text


def test_lpips_is_better_when_it_is_lower(tmp_path: Path) -> None:
    rows = [_row("a", 20.0, lpips=0.1), _row("b", 22.0, lpips=0.3)]
    text = latex(group(read_run(_run(tmp_path / "run", rows)).rows))
    assert r"\textbf{0.1000}" in text and r"\underline{0.3000}" in text


def test_the_csv_holds_every_row_with_its_full_precision(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", [_row("a", 20.123456789012345), _row("b", None)])
    build([run], tmp_path / "out", reported=True)
    text = (tmp_path / "out" / "leaderboard.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == list(LEADERBOARD)
    assert float(rows[0]["psnr"]) == 20.123456789012345
    assert rows[1]["psnr"] == ""
    assert len(rows) == 2 + len(reported_rows())


class _Reader(HTMLParser):
    """Count elements and attributes, and keep the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _page(folder: Path, names: list[str]) -> _Reader:
    run = _run(folder / "run", [_row(name, 20.0 + i) for i, name in enumerate(names)])
    build([run], folder / "out", reported=True)
    return _Reader((folder / "out" / "index.html").read_text())


def test_hostile_names_change_nothing_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "hostile").mkdir()
    plain = _page(tmp_path / "plain", [f"name {i}" for i in range(len(HOSTILE))])
    hostile = _page(tmp_path / "hostile", HOSTILE)
    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes
    for name in HOSTILE:
        assert name in hostile.text


def test_the_page_holds_its_pictures_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    reader = _page(tmp_path, ["median"])
    pictures = [link for link in reader.links if link.startswith("data:image/jpeg;base64,")]
    assert len(pictures) == 3  # input, truth, median
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    html = (tmp_path / "out" / "index.html").read_text()
    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", html) == []
    assert "default-src 'none'" in html


def test_the_page_shows_every_measured_figure(tmp_path: Path) -> None:
    reader = _page(tmp_path, ["median", "dcp"])
    text = " ".join(reader.text)
    assert "20.00" in text and "21.00" in text and "rvsd-2023" in text


def test_videos_are_shown_beside_the_rows_of_their_own_frames(tmp_path: Path) -> None:
    runs = [
        _run(
            tmp_path / name,
            [
                _row("identity", psnr, source="input", run_id=name, dataset_manifest_sha256=frames),
                _row("dcp", psnr + 1, run_id=name, dataset_manifest_sha256=frames),
            ],
        )
        for name, psnr, frames in (("one", 20.0, "e" * 64), ("two", 30.0, "f" * 64))
    ]
    build(runs, tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text()
    heat = re.findall(r'<td title="[^"]*"[^>]*>([^<]*)</td>', html)
    assert sorted(heat) == ["20.00", "21.00", "30.00", "31.00"]


def test_markdown_of_hostile_names_keeps_its_columns(tmp_path: Path) -> None:
    rows = [_row(name, 20.0) for name in HOSTILE]
    text = markdown(group(read_run(_run(tmp_path / "run", rows)).rows))
    lines = [line for line in text.splitlines() if line.startswith("| 1 ")]
    assert len(lines) == len(HOSTILE)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "not a run"),
        ({"manifest.json": "{}"}, "leaderboard.csv"),
        ({"manifest.json": "{"}, "not JSON"),
        ({"manifest.json": "[]"}, "not a run's manifest"),
        ({"manifest.json": "{}", "leaderboard.csv": "a,b\n1,2\n"}, "method_id"),
    ],
)
def test_a_folder_that_is_no_run_is_refused_by_name(
    files: Mapping[str, str], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        build([folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_to_build_from_and_a_file_for_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run"):
        build([], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        build([], tmp_path / "file", reported=True)


def test_an_unreadable_number_is_named() -> None:
    for text in ("abc", "nan", "inf", "-inf"):
        with pytest.raises(InputError, match="psnr of 'x' is no number"):
            number({"psnr": text, "method_id": "x"}, "psnr")
