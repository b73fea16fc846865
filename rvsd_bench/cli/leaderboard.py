"""Build tables and the page, and compare two methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rvsd_bench.cli.common import ExistingOrNot, answer, json_option, progress, say
from rvsd_bench.errors import ValidationError


@click.group()
def leaderboard() -> None:
    """Build tables and the page from runs of `evaluate`, compare methods, hand in your own."""


@leaderboard.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to fill.")
@click.option("--reported", is_flag=True, help="Add published figures, apart and marked.")
@click.option(
    "--reported-csv",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Add those of a table that `reported add` made.",
)
@click.option(
    "--rank-reported", is_flag=True, help="Rank published figures too, each table by itself."
)
@json_option
def build(
    runs: tuple[Path, ...],
    out: Path,
    reported: bool,
    reported_csv: tuple[Path, ...],
    rank_reported: bool,
    as_json: bool,
) -> None:
    """Write leaderboard.csv, .md, .tex and .json, and index.html, into a folder."""
    from rvsd_bench.leaderboard.build import build as make
    from rvsd_bench.leaderboard.exports import text_table

    groups = make(
        runs, out, reported=reported, own_reported=reported_csv, rank_reported=rank_reported
    )
    if as_json:
        warnings = [remark for part in groups for remark in part.remarks]
        rows = [row for part in groups for row in part.rows]
        answer({"out": str(out), "rows": rows, "warnings": warnings})
        return
    for part in groups:
        if not part.reported or rank_reported:
            print(text_table(part))
    say(f"the page: {out / 'index.html'}")


@leaderboard.command()
@click.argument("run_a", type=click.Path(path_type=Path), metavar="RUN_A")
@click.argument("run_b", type=click.Path(path_type=Path), metavar="[RUN_B]", required=False)
@click.option("--a", "method_a", metavar="METHOD", help="Which method of RUN_A, if it has several.")
@click.option("--b", "method_b", metavar="METHOD", help="Which method of RUN_B, if it has several.")
@click.option("--metrics", metavar="A,B", help="Some of the metrics that both runs have.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for the two CSV tables.")
@json_option
def compare(
    run_a: Path,
    run_b: Path | None,
    method_a: str | None,
    method_b: str | None,
    metrics: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Test by how much method B differs from method A on the same videos.

    RUN_B is RUN_A if it is left out. Differences are B - A; intervals, tests and the smallest
    detectable difference are over source clips, and p is corrected for the number of metrics.
    """
    from rvsd_bench.leaderboard.comparing import compare as test
    from rvsd_bench.leaderboard.comparing import rows, video_rows
    from rvsd_bench.leaderboard.comparison_table import text, write
    from rvsd_bench.leaderboard.pairing import pick
    from rvsd_bench.leaderboard.table import read_run

    first = read_run(run_a)
    second = read_run(run_b) if run_b is not None else first
    a, b = pick(first, method_a), pick(second, method_b)
    found = test(a, b, metrics.split(",") if metrics else None)
    written = write(found, out) if out is not None else []
    for warning in found.warnings:
        say(f"warning: {warning}")
    if as_json:
        facts = {"metrics": rows(found), "videos": video_rows(found)}
        answer(facts | {"warnings": list(found.warnings)})
        return
    print(text(found), end="")
    for path in written:
        say(f"wrote {path}")


_data = "The dataset, or its snowy frames alone."
_workers = click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="0: all cores."
)
_split = click.option("--split", default="test", show_default=True, help="Which split to look at.")


@leaderboard.command()
@click.argument("submission", type=ExistingOrNot, metavar="SUBMISSION")
@click.option("--data", required=True, type=ExistingOrNot, help=_data)
@_split
@_workers
@json_option
def check(submission: Path, data: Path, split: str, workers: int, as_json: bool) -> None:
    """Say all that is wrong with restored frames, a folder or a zip, before anyone scores them.

    Every frame is decoded once. Exit code 4 if there are errors; warnings do not count. Without the
    clean frames everything is checked but what needs them, and the report says what that is.
    """
    from rvsd_bench.evaluation.submissions import check as run

    report = run(submission, data, split=split, workers=workers, track=progress)
    if as_json:
        answer(report.as_json())
    else:
        for line in report.lines():
            print(line)
    if report.errors:
        raise ValidationError(f"{submission}: errors found: {len(report.errors)}, each is listed")


@leaderboard.command()
@click.argument("what", metavar="FRAMES_OR_SPEC")
@click.option("--out", required=True, type=ExistingOrNot, help="The submission, a .zip.")
@click.option("--card", required=True, type=ExistingOrNot, help="Who made it, and of what: TOML.")
@click.option("--data", type=ExistingOrNot, help=f"{_data} Needed for frames.")
@_split
@_workers
@json_option
def pack(what: str, out: Path, as_json: bool, **options: Any) -> None:
    """Make a submission of restored frames, or of a model's spec and the files that it names.

    Frames are checked first, and nothing is packed that `check` refuses. A model is not run.
    """
    from rvsd_bench.evaluation.packing import pack as run

    found = run(what, out, report=say, track=progress, **options)
    if as_json:
        answer({**vars(found), "path": str(found.path)})
        return
    print(f"{found.path}: {found.name}, {found.kind}, {found.files} files, sha256 {found.sha256}")


@leaderboard.command()
@click.argument("runs", nargs=-1, type=ExistingOrNot, metavar="RUN...")
@click.option("--board", required=True, type=ExistingOrNot, help="The folder of the board.")
@click.option("--card", type=ExistingOrNot, help="For a run of frames that were not packed.")
@json_option
def add(runs: tuple[Path, ...], board: Path, card: Path | None, as_json: bool) -> None:
    """Add the rows of runs to a board, which `build` and `compare` read as they read a run.

    Nothing is ever replaced. Without a RUN the board's tables are made again from its entries.
    """
    from rvsd_bench.leaderboard import board as boards
    from rvsd_bench.leaderboard.card import read_card

    told = read_card(card) if card else None
    added = [boards.add(run, board, card=told) for run in runs]
    total = added[-1].total if added else boards.rebuild(board)
    names = [row["method_name"] or row["method_id"] for one in added for row in one.rows]
    if as_json:
        answer({"board": str(board), "added": names, "rows": total})
        return
    for one in added:
        for name in one.there:
            say(f"{name!r} is there already, with the same frames")
    print(f"{board}: {len(names)} rows added, {total} in all")
