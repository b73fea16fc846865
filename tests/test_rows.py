"""What goes into a CSV file comes back, whatever the name of the method is."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvsd_bench.errors import InputError
from rvsd_bench.rows import cell, format_rows, number, read_rows


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40))
def test_any_text_survives_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    path.write_text(format_rows(["name", "x"], [{"name": text, "x": 1}]), newline="")
    (row,) = read_rows(path)
    assert row == {"name": text, "x": "1"}


@pytest.mark.parametrize("name", ["=1+1", "+a", "-b", "@c", "\td", "'=1"])
def test_a_spreadsheet_never_sees_a_formula(name: str) -> None:
    text = format_rows(["name"], [{"name": name}])
    (_, (stored,)) = csv.reader(text.splitlines())
    assert stored == f"'{name}"


@pytest.mark.parametrize("name", ["NA", "None", "nan", "", "1e5", "a,b", 'a"b', "a\nb", "雪"])
def test_awkward_names_are_text_and_nothing_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(format_rows(["a", "b"], [{"a": name, "b": "x"}]), newline="")
    assert read_rows(path)[0]["a"] == name


def test_a_float_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    value = math.pi * 1e-7
    path = tmp_path / "a.csv"
    path.write_text(format_rows(["v", "w"], [{"v": value, "w": None}]))
    (row,) = read_rows(path)
    assert number(row, "v") == value
    assert number(row, "w") is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="not a result"):
        cell(value)


def test_a_missing_file_column_or_cell_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(InputError, match="does not exist"):
        read_rows(path)
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(InputError, match="line 3"):
        read_rows(path)
    with pytest.raises(InputError, match="psnr"):
        read_rows(path, ["psnr"])
