"""Tables and parts: text comes back as it was, and what cannot be read is scored again."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvsd_bench import columns
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.runfiles import (
    FrameScores,
    Part,
    dataset_digest,
    frame_rows,
    read_part,
    write_part,
    write_table,
)

FRAME = FrameScores("0000", 4, 3, "p", "r", "i", {"psnr": 20.5, "psnr_snow": None}, {"ssim": "bad"})
PART = Part(
    {"method": "m"}, {"psnr": "{}", "psnr_snow": "{}", "ssim": "{}"}, (FRAME,), {"frames": 1}
)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_any_text_comes_back_from_a_cell_and_no_spreadsheet_runs_it(text: str) -> None:
    written = columns.cell(text)
    assert columns.plain(written) == text
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_comes_back_to_the_last_bit(number: float) -> None:
    assert float(columns.cell(number)) == number
    assert math.copysign(1, float(columns.cell(number))) == math.copysign(1, number)


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
        | st.text("\r\n,\"'=\t a", max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_any_row_of_texts_comes_back_from_the_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    names = [f"c{index}" for index in range(len(texts))]
    rows = [dict(zip(names, texts)), dict(zip(names, reversed(texts)))]
    path.write_bytes("".join(columns.csv_lines(names, rows)).encode())
    assert columns.read_csv(path) == rows


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_that_is_none_never_reaches_a_table(number: float) -> None:
    with pytest.raises(ValueError, match="cannot stand in a table"):
        "".join(columns.csv_lines(["value"], [{"value": number}]))


def test_a_number_of_numpy_is_written_as_any_other() -> None:
    numbers = (np.float64(-0.5), np.float32(0.25), np.int64(-5))
    assert [columns.cell(number) for number in numbers] == ["-0.5", "0.25", "-5"]


def test_a_missing_value_is_an_empty_cell_and_never_zero() -> None:
    assert [columns.cell(value) for value in (None, 0, 0.0, False, "")] == [
        "",
        "0",
        "0.0",
        "false",
        "",
    ]


def test_a_hostile_name_survives_the_file(tmp_path: Path) -> None:
    names = ["=1+1", "a,b", 'say "x"', "two\nlines", "NA", "'quoted", "-1", "Ünïcødé", "@sum"]
    write_table(
        tmp_path / "t.csv", ("video", "value"), [{"video": name, "value": 1.5} for name in names]
    )
    assert [row["video"] for row in columns.read_csv(tmp_path / "t.csv")] == names
    text = (tmp_path / "t.csv").read_bytes().decode()
    assert "\r" not in text
    # The standard library's own reader sees the same rows.
    assert [row["value"] for row in csv.DictReader(io.StringIO(text))] == ["1.5"] * len(names)


def test_a_misspelt_column_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="vidoe"):
        write_table(tmp_path / "t.csv", ("video",), [{"vidoe": "a"}])
    assert list(tmp_path.iterdir()) == []


def test_a_part_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "parts" / "a.json"
    write_part(path, PART)
    assert read_part(path) == PART


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"frames": [{"colour": 1}]}'])
def test_a_part_that_cannot_be_read_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert read_part(tmp_path / "a.json") is None
    assert read_part(tmp_path / "none.json") is None


def test_rows_say_what_is_undefined_and_what_failed() -> None:
    found = list(frame_rows({"video": "v"}, PART, list(PART.metrics)))
    assert [(row["metric"], row["value"], row["status"], row["error"]) for row in found] == [
        ("psnr", 20.5, "ok", None),
        ("psnr_snow", None, "undefined", None),
        ("ssim", None, "error", "bad"),
    ]
    assert set(found[0]) <= set(columns.PER_FRAME)


def test_scores_know_undefined_from_missing() -> None:
    assert PART.scores("psnr_snow", "s").complete
    assert not PART.scores("ssim", "s").complete
    assert not PART.complete


def test_the_dataset_digest_goes_by_pixels_on_both_sides_and_not_by_order() -> None:
    two = [("a", PART), ("b", PART)]
    assert dataset_digest(two) == dataset_digest(two[::-1])
    other_snow = replace(PART, frames=(replace(FRAME, input_sha256="j"),))
    other_result = replace(PART, frames=(replace(FRAME, pred_sha256="q", values={}),))
    assert dataset_digest([("a", PART)]) != dataset_digest([("a", other_snow)])
    assert dataset_digest([("a", PART)]) == dataset_digest([("a", other_result)])


def test_the_columns_are_those_of_the_contract() -> None:
    tail = "psnr_snow,psnr_clear,trained,weights_status,licence,benchmark_version,n_sources,gmacs"
    appended = "warp_err_truth,tof_truth,tlp_truth,flicker_truth"
    appended += "".join(f",{m}_t_lo,{m}_t_hi" for m in ("psnr", "ssim", "lpips", "nima", "musiq"))
    assert ",".join(columns.LEADERBOARD).endswith(f"run_id,notes,{tail},gmacs_size,{appended}")
    assert "gmacs_720p" not in columns.LEADERBOARD
    assert columns.PER_FRAME[:7] == (
        *("schema_version", "run_id", "method_id", "dataset", "split", "video", "frame_id"),
    )
    assert len(set(columns.LEADERBOARD)) == len(columns.LEADERBOARD)
    assert columns.NUMBERS - {"value"} <= {
        *columns.PER_FRAME,
        *columns.PER_VIDEO,
        *columns.LEADERBOARD,
    }


def test_a_table_without_a_needed_column_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ("video",), [])
    with pytest.raises(InputError, match=r"t\.csv has no column 'mean'"):
        columns.read_csv(tmp_path / "t.csv", ("mean",))
    with pytest.raises(InputError, match="no table"):
        columns.read_csv(tmp_path / "none.csv")
