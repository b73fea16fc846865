"""Readers of runs, boards and published figures, for tables, pages and comparisons."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from readers.route import Route, within


def prepare(home: Path) -> None:
    """Make a run on the dataset, `run`, a board that has it, `board`, and published figures."""
    from rvsd_bench.evaluation.evaluating import evaluate
    from rvsd_bench.leaderboard import board, reported

    models = ["identity", "median"]
    evaluate(models, home / "data", out=home / "run", metrics=["psnr", "ssim"])
    board.add(home / "run", home / "board")
    cited = {"source_ref": "A. Author, A paper, 2024, table 1", "protocol": "unstated"}
    for name in ("one", "two"):
        cells = {"method_name": name, "dataset": "RVSD", "split": "test", "psnr": "21.5"}
        empty = dict.fromkeys(reported.COLUMNS, "")
        reported.add(home / "reported.csv", {**empty, **cited, **cells})


def routes(home: Path, work: Path) -> Iterator[Route]:
    """Yield the routes of tables and manifests into pages, comparisons and boards."""
    run = home / "run"
    for table in ("leaderboard.csv", "per_video.csv", "per_frame.csv"):
        yield within(home, work, f"build, {table}", run / table, _build)
    for table in ("leaderboard.csv", "per_video.csv"):
        yield within(home, work, f"compare, {table}", run / table, _compare)
    yield within(home, work, "published figures", home / "reported.csv", _published)
    manifest = run / "manifest.json"
    yield within(home, work, "build, manifest.json", manifest, _build)
    yield within(home, work, "compare, manifest.json", manifest, _compare)
    yield within(home, work, "add to a board", manifest, _add)
    shown = run / "pictures" / "shown.json"
    yield within(home, work, "build, shown.json", shown, lambda path: _build(path.parent))
    (entry,) = (home / "board" / "entries").glob("*.json")
    yield within(home, work, "entry of a board", entry, _rebuild)


def _build(path: Path) -> None:
    from rvsd_bench.leaderboard.build import build

    build([path.parent], path.parent.parent / "out")


def _compare(path: Path) -> None:
    from rvsd_bench.leaderboard.comparing import compare, rows
    from rvsd_bench.leaderboard.comparison_table import text
    from rvsd_bench.leaderboard.pairing import pick
    from rvsd_bench.leaderboard.table import read_run

    run = read_run(path.parent)
    found = compare(pick(run, "identity"), pick(run, "median"), None)
    json.dumps(rows(found), allow_nan=False)
    text(found)


def _published(path: Path) -> None:
    from rvsd_bench.leaderboard.build import build
    from rvsd_bench.leaderboard.reported import listing
    from rvsd_bench.leaderboard.table import published

    listing(published([path]))
    build([], path.parent / "out", own_reported=[path])


def _add(path: Path) -> None:
    from rvsd_bench.leaderboard.board import add
    from rvsd_bench.leaderboard.build import build

    board = path.parent.parent / "fresh"
    shutil.rmtree(board, ignore_errors=True)
    add(path.parent, board)
    build([board], path.parent.parent / "out")


def _rebuild(path: Path) -> None:
    """Make a board's tables again from an entry whose digest was made anew, and its page."""
    from rvsd_bench.files import digest_of
    from rvsd_bench.leaderboard.board import rebuild
    from rvsd_bench.leaderboard.build import build

    try:
        tree = json.loads(path.read_text())
        tree.pop("sha256", None)
        path.write_text(json.dumps(tree | {"sha256": digest_of(tree)}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    rebuild(path.parent.parent)
    build([path.parent.parent], path.parent.parent.parent / "out")
