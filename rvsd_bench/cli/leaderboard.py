"""Build tables and the page."""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli.common import answer, json_option, say


@click.group()
def leaderboard() -> None:
    """Build tables and the page from runs of `evaluate`."""


@leaderboard.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to fill.")
@click.option("--reported", is_flag=True, help="Add published figures, apart and marked.")
@json_option
def build(runs: tuple[Path, ...], out: Path, reported: bool, as_json: bool) -> None:
    """Write leaderboard.csv, leaderboard.md, leaderboard.tex and index.html into a folder."""
    from rvsd_bench.leaderboard.build import build as make
    from rvsd_bench.leaderboard.exports import text_table

    groups = make(runs, out, reported=reported)
    if as_json:
        answer({"out": str(out), "rows": [row for part in groups for row in part.rows]})
        return
    for part in groups:
        if not part.reported:
            print(text_table(part))
    say(f"the page: {out / 'index.html'}")
