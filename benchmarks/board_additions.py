"""Let 8 processes add 100 rows each to one board, one at a time, and count what arrives.

Every row must be there once, whole, and the tables must be those that `rebuild` makes again from
the entries; the command returns 1 otherwise.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, csv_lines, read_csv
from rvsd_bench.leaderboard.board import add, rebuild

PROCESSES, ROWS = 8, 100
TABLES = ("leaderboard.csv", "per_video.csv", "manifest.json")


def write_run(folder: Path, name: str) -> Path:
    """Write a run of one method as the evaluator leaves it."""
    folder.mkdir(parents=True)
    shared = {"run_id": name, "method_id": name, "dataset": "demo", "split": "test"}
    shared |= {"protocol_hash": "0123456789ab"}
    row = {"protocol": "rvsd-2023", "source": "measured", "valid": True, "psnr": 20.0}
    row |= {"predictions_sha256": name, "dataset_manifest_sha256": "f" * 64}
    video = {"video": "00000", "metric": "psnr", "mean": 20.0, "n_frames": 1, "status": "ok"}
    (folder / "leaderboard.csv").write_text("".join(csv_lines(LEADERBOARD, [shared | row])))
    (folder / "per_video.csv").write_text("".join(csv_lines(PER_VIDEO, [shared | video])))
    (folder / "manifest.json").write_text(json.dumps({"run_id": name}))
    return folder


def add_rows(process: int, home: Path) -> None:
    """Add the rows of one process."""
    for number in range(ROWS):
        name = f"m{process}-{number}"
        add(write_run(home / "runs" / name, name), home / "board")


def main() -> int:
    """Add all rows, count them and make the tables once more."""
    with TemporaryDirectory(prefix="rvsd-bench-") as folder:
        home, start = Path(folder), time.perf_counter()
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=add_rows, args=(n, home)) for n in range(PROCESSES)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        taken, board = time.perf_counter() - start, home / "board"
        rows = read_csv(board / "leaderboard.csv")
        names = {row["method_id"] for row in rows if row["psnr"] == "20.0"}
        expected = {f"m{n}-{k}" for n in range(PROCESSES) for k in range(ROWS)}
        before = [(board / name).read_bytes() for name in TABLES]
        rebuilt = rebuild(board) == len(rows) and before == [
            (board / n).read_bytes() for n in TABLES
        ]
    whole = names == expected and len(rows) == len(expected)
    print(f"{len(names)} of {len(expected)} rows, {len(rows)} lines, {taken:.1f} s; ", end="")
    print("rebuilt the same" if rebuilt else "REBUILT OTHERWISE")
    return 0 if whole and rebuilt and not any(worker.exitcode for worker in workers) else 1


if __name__ == "__main__":
    sys.exit(main())
