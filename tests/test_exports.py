"""Every form of a table says the same: one reader for each, and none knows of the others."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from rvsd_bench.columns import LEADERBOARD, csv_lines, read_csv
from rvsd_bench.leaderboard.exports import markdown, text_table
from rvsd_bench.leaderboard.latex import latex
from rvsd_bench.leaderboard.records import records
from rvsd_bench.leaderboard.table import Group, Row, display_name, group

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1", 'a,b\n"=2"']
METRICS = {"PSNR": 2, "SSIM": 4, "LPIPS": 4}


def row(name: str, psnr: float, ssim: float, lpips: float, **cells: str) -> Row:
    facts = {
        "method_id": f"{name}@1", "method_name": name, "protocol": "rvsd-2023",
        "protocol_hash": "0a", "dataset": "demo", "split": "test", "source": "measured",
        "valid": "true", "trained": "true", "kind": "video",
    }  # fmt: skip
    row = dict.fromkeys(LEADERBOARD, "") | facts
    for metric, value in (("psnr", psnr), ("ssim", ssim), ("lpips", lpips)):
        row[metric] = repr(value)
        row[f"{metric}_ci_lo"], row[f"{metric}_ci_hi"] = repr(value * 0.9), repr(value * 1.1)
    return row | cells


@pytest.fixture
def measured() -> Group:
    """Return a group whose best and second differ from metric to metric."""
    (found,) = group(
        [
            row("third", 22.123456789, 0.91, 0.2),
            row("first", 25.005, 0.8, 0.1),
            row("input", 18.0, 0.99, 0.01, source="input", kind="input"),
            row("second", 23.999, 0.90004, 0.30005),
        ]
    )
    return found


Cells = dict[str, dict[str, str]]


def of_csv(part: Group) -> Cells:
    table = csv.DictReader("".join(csv_lines(LEADERBOARD, part.rows)).splitlines())
    return {
        row["method_name"]: {"rank": row["rank"] or "–"}
        | {m: f"{float(row[m.lower()]):.{n}f}" for m, n in METRICS.items()}
        for row in table
    }


def of_json(part: Group) -> Cells:
    return {
        row["method_name"]: {"rank": str(row["rank"] or "–")}
        | {m: f"{row[m.lower()]:.{n}f}" for m, n in METRICS.items()}
        for row in json.loads(records([part]))["groups"][0]["rows"]
    }


def of_markdown(part: Group) -> Cells:
    lines = [line for line in markdown([part]).splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]
    return {
        name.lower(): {"rank": rank}
        | {m: re.sub(r"[*<>/ins]| \[.*", "", v) for m, v in zip(METRICS, values)}
        for rank, name, *values in rows
    }


def of_text(part: Group) -> Cells:
    rows = [line.split() for line in text_table(part).splitlines()[2:]]
    return {name.lower(): {"rank": rank, **dict(zip(METRICS, v))} for rank, name, *v in rows}


def of_latex(part: Group) -> Cells:
    cells = {}
    for line in latex([part]).splitlines():
        name, *values = line.removesuffix(r" \\").split(" & ")
        if name.lower() in ("first", "second", "third", "input"):
            plain = [re.sub(r"\\\w+\{|\}", "", value) for value in values]
            cells[name.lower()] = dict(zip(METRICS, plain))
    return cells


def test_every_form_gives_the_same_figures_and_ranks(measured: Group) -> None:
    expected = of_csv(measured)
    assert [expected[name]["rank"] for name in ("first", "second", "third", "input")] == [
        *("1", "2", "3", "–"),
    ]
    assert of_json(measured) == of_markdown(measured) == of_text(measured) == expected
    without = {name: {m: v for m, v in c.items() if m != "rank"} for name, c in expected.items()}
    assert of_latex(measured) == without


def test_the_same_figures_are_marked_best_and_second_in_every_form(measured: Group) -> None:
    """Best and second by each metric, without the input, which would lead in two."""
    best, second = ["25.01", "0.9100", "0.1000"], ["24.00", "0.9000", "0.2000"]
    best[0] = f"{25.005:.2f}"
    page = markdown([measured])
    assert sorted(re.findall(r"\*\*([\d.]+)\*\*", page)) == sorted(best)
    assert sorted(re.findall(r"<ins>([\d.]+)</ins>", page)) == sorted(second)
    paper = latex([measured])
    assert sorted(re.findall(r"\\textbf\{([\d.]+)\}", paper)) == sorted(best)
    assert sorted(re.findall(r"\\underline\{([\d.]+)\}", paper)) == sorted(second)


@pytest.mark.parametrize("name", FORMULAS)
def test_no_name_is_run_by_a_spreadsheet_and_each_comes_back(name: str, tmp_path: Path) -> None:
    (part,) = group([row(name, 20.0, 0.9, 0.1, notes=name)])
    path = tmp_path / "leaderboard.csv"
    path.write_text("".join(csv_lines(LEADERBOARD, part.rows)), encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        (stored,) = csv.DictReader(file)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in stored.values())
    (back,) = read_csv(path)
    assert (back["method_name"], back["notes"]) == (name, name)


@pytest.mark.parametrize("value", [-0.25, -3.0, -1.5e-07])
def test_a_negative_number_stays_a_number(value: float) -> None:
    (part,) = group([row("a", 20.0, value, 0.1, lpips_t_lo=repr(value))])
    (stored,) = csv.DictReader("".join(csv_lines(LEADERBOARD, part.rows)).splitlines())
    assert (stored["ssim"], stored["lpips_t_lo"]) == (repr(value), repr(value))


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        ({"method_id": "median?k=3", "method_name": "median"}, "median?k=3"),
        ({"method_id": "svdnet?weights=a.pt@0123abcd", "method_name": "svdnet"},
         "svdnet?weights=a.pt"),
        ({"method_id": "svdnet@0123abcd", "method_name": "svdnet"}, "svdnet"),
        ({"method_id": "mine", "method_name": "mine"}, "mine"),
        ({"method_id": "medianoid", "method_name": "median"}, "median"),
        ({"method_id": "x?k=3", "method_name": ""}, "x?k=3"),
        ({"method_id": "identity?k=3", "method_name": "identity", "source": "input"}, "Input"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_methods_that_differ_in_options_have_different_names(
    cells: dict[str, str], shown: str
) -> None:
    assert display_name(row("a", 20.0, 0.9, 0.1) | cells) == shown
