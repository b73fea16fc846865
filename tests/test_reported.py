"""Published figures: kept digit by digit, never without a citation, never twice."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvsd_bench.cli.reported import reported as command
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.reported import COLUMNS, RANGES, add
from rvsd_bench.leaderboard.table import REPORTED_NEEDS, reported_rows

FIGURE = {
    "method_name": "SnowAway",
    "protocol": "unstated",
    "dataset": "RVSD",
    "split": "test",
    "source_ref": "Doe and Roe (2025), Table 2",
    "psnr": "26.10",
}


def _read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_a_figure_is_kept_as_it_was_published(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    add(path, FIGURE)
    add(path, FIGURE | {"method_name": "Other", "ssim": "0.9100", "year": "2024"})
    assert [row["psnr"] for row in _read(path)] == ["26.10", "26.10"]
    first, second = reported_rows(path)
    assert (first["method_name"], second["ssim"]) == ("SnowAway", "0.9100")
    assert all(row["source"] == "reported" for row in (first, second))


def test_the_columns_are_those_of_the_packaged_table(repository: Path) -> None:
    packaged = (repository / "leaderboard" / "reported.csv").read_text(encoding="utf-8")
    assert tuple(packaged.splitlines()[0].split(",")) == COLUMNS
    assert set(REPORTED_NEEDS) < set(COLUMNS)


def test_every_packaged_figure_would_be_accepted(tmp_path: Path) -> None:
    for row in reported_rows():
        add(tmp_path / "copy.csv", {name: row[name] for name in COLUMNS})
    assert len(reported_rows(tmp_path / "copy.csv")) == len(reported_rows())


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"source_ref": ""}, "is no citation"),
        ({"source_ref": "my own test"}, "is no citation"),
        ({"method_name": "  "}, "needs its method_name"),
        ({"dataset": ""}, "needs its dataset"),
        ({"psnr": ""}, "at least one figure: psnr, ssim"),
        ({"psnr": "26,10"}, "psnr is '26,10', not a number from 0 to 100"),
        ({"psnr": "nan"}, "psnr is 'nan'"),
        ({"ssim": "91.0"}, "ssim is '91.0', not a number from -1 to 1"),
        ({"lpips": "-0.1"}, "lpips is '-0.1'"),
        ({"year": "24"}, "year is '24'"),
        ({"method_name": "a\u202eb"}, "cannot be printed"),
    ],
)
def test_a_figure_that_nobody_could_check_is_refused(
    cells: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        add(tmp_path / "mine.csv", FIGURE | cells)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ref", ["doi:10.1/abcdef", "arXiv:2410.03936 v2", "https://x.org/a"])
def test_a_citation_is_a_year_or_an_address(ref: str, tmp_path: Path) -> None:
    add(tmp_path / "mine.csv", FIGURE | {"source_ref": ref})


def test_the_same_publication_twice_is_refused_however_it_is_spelt(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    add(path, FIGURE)
    before = path.read_bytes()
    again = FIGURE | {"method_name": "snowaway", "source_ref": "Doe  and Roe (2025),  Table 2"}
    with pytest.raises(InputError, match=r"already has 'snowaway' on RVSD"):
        add(path, again | {"psnr": "27.00"})
    assert path.read_bytes() == before
    add(path, FIGURE | {"source_ref": "Doe and Roe (2025), Table 3"})


def test_what_the_file_already_holds_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    head = "psnr,notes,source_ref,split,dataset,protocol,method_name"
    path.write_text(f"{head}\r\n1.0,'=x,Poe (2001),test,RVSD,unstated,Old", newline="")
    before = path.read_bytes()
    add(path, FIGURE)
    assert path.read_bytes().startswith(before + b"\n")
    assert [row["method_name"] for row in reported_rows(path)] == ["Old", "SnowAway"]
    with pytest.raises(InputError, match=r"no column 'ssim' for '0\.9'"):
        add(path, FIGURE | {"method_name": "New", "ssim": "0.9"})


def test_no_figure_is_lost_when_many_are_added_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: add(path, FIGURE | {"method_name": f"m{i}"}), range(40)))
    assert sorted(row["method_name"] for row in _read(path)) == sorted(f"m{i}" for i in range(40))


@pytest.mark.parametrize("name", ["=1+1", '"quoted", and more', "@cmd|' /C calc'!A0", "<b>"])
def test_a_hostile_name_comes_back_as_it_was_and_runs_nowhere(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    add(path, FIGURE | {"method_name": name})
    assert reported_rows(path)[0]["method_name"] == name
    assert not _read(path)[0]["method_name"].startswith(("=", "@"))
    build([], tmp_path / "out", own_reported=[path])
    assert not any(
        cell.startswith(("=", "@"))
        for cell in _read(tmp_path / "out" / "leaderboard.csv")[0].values()
    )


def test_added_figures_stand_beside_the_packaged_ones_and_not_twice(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    add(path, FIGURE)
    groups = build([], tmp_path / "out", reported=True, own_reported=[path])
    names = [row["method_name"] for part in groups for row in part.rows]
    assert names.count("SnowAway") == 1 and len(names) == len(reported_rows()) + 1
    with pytest.raises(InputError, match=r"mine.csv gives 'SnowAway' of .* again"):
        build([], tmp_path / "out", own_reported=[path, path])


def test_a_place_that_cannot_hold_a_table_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "mine.csv"):
        with pytest.raises(InputError, match="cannot be a table"):
            add(path, FIGURE)


def test_the_command_needs_a_citation_and_a_known_protocol(tmp_path: Path) -> None:
    words = ["add", str(tmp_path / "mine.csv"), "--method", "X", "--dataset", "RVSD"]
    words += ["--psnr", "20.5"]
    assert "--source-ref" in CliRunner().invoke(command, words).output
    words += ["--source-ref", "Doe 2025, Table 1"]
    wrong = CliRunner().invoke(command, [*words, "--protocol", "rvsd2023"])
    assert isinstance(wrong.exception, InputError)
    assert "Did you mean 'rvsd-2023'" in str(wrong.exception)
    assert CliRunner().invoke(command, words).exit_code == 0
    assert reported_rows(tmp_path / "mine.csv")[0]["protocol"] == "unstated"


def test_every_metric_with_a_column_has_a_range() -> None:
    assert set(RANGES) == set(COLUMNS[-5:])


def test_reported_figures_are_ranked_only_if_asked_and_among_themselves(tmp_path: Path) -> None:
    plain = build([], tmp_path / "plain", reported=True)
    assert not any(row["rank"] for part in plain for row in part.rows)
    ranked = build([], tmp_path / "ranked", reported=True, rank_reported=True)
    for part in ranked:
        assert part.reported
        values = [float(row[metric]) for row in part.rows for metric in ("psnr",) if row[metric]]
        places = [row["rank"] for row in part.rows if row["kind"] != "input"]
        assert places[0] == "1" and all(places)
        if values:
            # A place is one more than the number of figures that are better.
            methods = [row for row in part.rows if row["kind"] != "input"]
            better = [sum(float(o["psnr"]) > float(r["psnr"]) for o in methods) for r in methods]
            assert places == [str(count + 1) for count in better]
        assert all(not row["rank"] for row in part.rows if row["kind"] == "input")
    text = (tmp_path / "ranked" / "leaderboard.md").read_text(encoding="utf-8")
    assert "| 1 | SemiVDN (ECCV 2024) † |" in text
    assert "ranked among themselves, never with measured rows" in text
    assert "never ranked with" in (tmp_path / "plain" / "leaderboard.md").read_text("utf-8")


def test_there_must_be_something_to_rank(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no published figures to rank; add --reported"):
        build([tmp_path], tmp_path / "out", rank_reported=True)


def test_list_shows_the_figures_as_they_were_published(tmp_path: Path) -> None:
    shown = CliRunner().invoke(command, ["list"])
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0] == "RVSD, test: reported by SemiVDN (ECCV 2024), Table 1 under semivdn-2024"
    assert lines[2].split() == ["SemiVDN", "(ECCV", "2024)", "†", "25.68", "0.9254", "0.0785"]
    rows = json.loads(CliRunner().invoke(command, ["list", "--json"]).stdout)
    assert len(rows) == len(reported_rows())
    add(tmp_path / "mine.csv", FIGURE)
    mine = CliRunner().invoke(command, ["list", str(tmp_path / "mine.csv")]).stdout
    assert mine.splitlines()[-1].split() == ["SnowAway", "†", "26.10"]
    assert "SemiVDN" not in mine
