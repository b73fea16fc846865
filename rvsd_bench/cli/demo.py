"""Run the whole chain on a sample clip and say where the page is."""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli import common


@click.command()
@click.option(
    "--out",
    type=common.ExistingOrNot,
    default=Path("demo"),
    show_default=True,
    help="The folder to fill.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, help="0, the default: all cores.")
@common.json_option
def demo(out: Path, workers: int, as_json: bool) -> None:
    """Make snowy pairs, score restorers on them, and build the leaderboard and its page.

    It uses the sample clip of a real street if `samples fetch` has brought it, and our rendered
    street in any case, and says which ran.
    """
    from rvsd_bench.demo import run_demo
    from rvsd_bench.leaderboard.exports import text_table

    done = run_demo(out, workers=workers, report=common.say, track=common.progress)
    rows = [row for part in done.groups if not part.reported for row in part.rows]
    if as_json:
        common.answer({"footage": done.footage, "page": str(done.page), "rows": rows})
        return
    for part in done.groups:
        if not part.reported:
            print(text_table(part))
    for line in done.left_out:
        print(f"left out: {line}")
    print(f"footage:  {done.footage}")
    print(f"layers:   {done.sheet}")
    print(f"page:     {done.page.resolve().as_uri()}")
