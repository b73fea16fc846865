"""Build tables and the page, and compare two methods."""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli.common import answer, json_option, say


@click.group()
def leaderboard() -> None:
    """Build tables and the page from runs of `evaluate`, and compare two methods."""


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
@json_option
def build(
    runs: tuple[Path, ...],
    out: Path,
    reported: bool,
    reported_csv: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write leaderboard.csv, .md, .tex and .json, and index.html, into a folder."""
    from rvsd_bench.leaderboard.build import build as make
    from rvsd_bench.leaderboard.exports import text_table

    groups = make(runs, out, reported=reported, own_reported=reported_csv)
    if as_json:
        warnings = [remark for part in groups for remark in part.remarks]
        rows = [row for part in groups for row in part.rows]
        answer({"out": str(out), "rows": rows, "warnings": warnings})
        return
    for part in groups:
        if not part.reported:
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
