"""Name the columns of a run's tables, and write and read them as text that no spreadsheet runs.

CSV of RFC 4180 in UTF-8 with LF; a number is the shortest text that reads back as the same double;
a missing value is an empty cell. Only the standard library is imported here, so that a table can
be built where nothing else is installed.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError
from rvsd_bench.texts import brief

SCHEMA_VERSION = 1
HEADLINES = ("psnr", "ssim", "lpips", "nima", "musiq")
"""The metrics that have columns with intervals in `leaderboard.csv`."""
REGIONS = ("psnr_snow", "psnr_clear")
"""The metrics of the pixels under and beside the snow, where a dataset has coverage layers."""
TEMPORAL = ("warp_err", "tof", "tlp", "flicker")
"""The metrics of two frames in succession; `<name>_truth` is the same quantity of the truth."""

PER_FRAME = (
    *("schema_version", "run_id", "method_id", "dataset", "split", "video", "frame_id"),
    *("frame_index", "width", "height", "metric", "value", "status", "error"),
    *("pred_sha256", "ref_sha256", "input_sha256", "truth_value"),
)
PER_VIDEO = (
    *("schema_version", "run_id", "protocol", "protocol_hash", "method_id", "dataset", "split"),
    *("video", "n_frames", "n_expected", "metric", "mean", "std", "min", "p05", "median", "p95"),
    *("max", "worst_frame", "status", "source_id", "truth_mean"),
)
LEADERBOARD = (
    *("schema_version", "rank", "tie_group", "method_id", "method_name", "kind", "venue", "year"),
    *("protocol", "protocol_hash", "dataset", "split", "source", "source_ref", "valid"),
    *("n_videos", "n_frames"),
    *(f"{name}{part}" for name in HEADLINES for part in ("", "_ci_lo", "_ci_hi")),
    *(f"{name}_micro" for name in HEADLINES),
    *TEMPORAL,
    *("params_m", "ms_per_frame", "fps", "peak_mem_mb"),
    *("device", "precision", "runtime_protocol", "checkpoint_sha256", "train_config_sha256"),
    *("train_seed", "git_sha", "git_dirty", "pkg_version", "python", "torch", "torchvision"),
    *("pyiqa", "opencv", "numpy", "weights_lpips", "weights_nima", "weights_musiq"),
    *("dataset_manifest_sha256", "predictions_sha256", "created_utc", "run_id", "notes"),
    *("psnr_snow", "psnr_clear", "trained", "weights_status", "licence", "benchmark_version"),
    *("n_sources", "gmacs", "gmacs_size"),
    *(f"{name}_truth" for name in TEMPORAL),
    *(f"{name}{part}" for name in HEADLINES for part in ("_t_lo", "_t_hi")),
)
NUMBERS = frozenset(
    (
        *("schema_version", "frame_index", "width", "height", "value", "n_frames", "n_expected"),
        *("mean", "std", "min", "p05", "median", "p95", "max", "rank", "n_videos", "n_sources"),
        *(name for name in LEADERBOARD if name.startswith((*HEADLINES, *TEMPORAL))),
        *("params_m", "ms_per_frame", "fps", "peak_mem_mb", "gmacs", "train_seed"),
        *("truth_value", "truth_mean"),
    )
)
"""The columns whose cells are numbers, or empty."""
FLAGS = frozenset({"valid", "trained", "git_dirty"})
"""The columns whose cells are true or false, or empty."""
_GUARDED = ("'", "=", "+", "-", "@", "\t", "\r")
_NEGATIVE = re.compile(r"-\d+(\.\d+)?(e[-+]?\d+)?", re.ASCII)


def cell(value: Any) -> str:
    """Return the text of one cell; a text that a spreadsheet might run gets a leading apostrophe.

    `plain` takes the apostrophe away again, also from a text that had one of its own: every text
    comes back as it was. A number that is not finite is an error: no table may hold one.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Integral):
        return repr(int(value))
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot stand in a table: a missing value is None")
        return repr(float(value))
    text = str(value)
    return f"'{text}" if text.startswith(_GUARDED) else text


def plain(text: str) -> str:
    """Return the value of a cell without the apostrophe that guards it."""
    return text[1:] if text.startswith("'") else text


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table, header first; a key that is no column is an error."""
    known = frozenset(columns)
    yield _line(columns)
    for row in rows:
        if not known.issuperset(row):
            raise KeyError(f"no such column: {', '.join(sorted(set(row) - known))}")
        yield _line([_cell_of(name, row.get(name)) for name in columns])


def _cell_of(column: str, value: Any) -> str:
    """Return the text of a cell; a number that was read as text from another table stays one."""
    if column in NUMBERS and isinstance(value, str) and _NEGATIVE.fullmatch(value):
        return value
    return cell(value)


def _line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    # The writer quotes only the line ends that it writes itself, but a reader stops at either.
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def read_csv(path: Path, required: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return the rows of a table as text; an absent `required` column is an error by name.

    So is a cell of the columns `NUMBERS` that is neither empty nor a finite number, with its line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in required if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(f"{path} has no column {missing[0]!r}; was it made by evaluate?")
            numeric = NUMBERS.intersection(reader.fieldnames or ())
            return [_texts(row, numeric, f"{path}: line {reader.line_num}") for row in reader]
    except FileNotFoundError as error:
        raise InputError(f"there is no table {path}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _texts(row: Mapping[str, Any], numeric: Iterable[str], where: str) -> dict[str, str]:
    """Return the cells of a row as text; cells beyond the last column are dropped."""
    cells = {key: plain(row[key] or "") for key in row if key}
    for name in numeric:
        if cells[name] and not _is_number(cells[name]):
            raise InputError(f"{where}: {name} is no number: {brief(cells[name])}")
    return cells


def _is_number(text: str) -> bool:
    """Tell a finite number; `1_000` and digits of other scripts, which float takes, are none."""
    try:
        return text.isascii() and "_" not in text and math.isfinite(float(text))
    except ValueError:
        return False
