"""The command `check`: is a dataset whole, in order and free of leakage?"""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli.common import ExistingOrNot, answer, json_option, progress, verbose_option
from rvsd_bench.errors import ValidationError


@click.command()
@click.argument("folder", metavar="DIR", type=ExistingOrNot)
@click.option("--layout", default="auto", show_default=True, help="See `list datasets`.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="0: all cores."
)
@verbose_option
@json_option
def check(folder: Path, layout: str, workers: int, verbose: bool, as_json: bool) -> None:
    """Check a dataset: counts, sizes, mates, damage, order of frames, train/test leakage.

    Every frame is decoded once. Exit code 4 if something is wrong; notes do not count as wrong.
    """
    from rvsd_bench.data.checking import check as run

    report = run(
        folder,
        layout,
        workers=workers,
        track=lambda results, total: progress(results, total=total, what="check", unit="clip"),
    )
    if as_json:
        answer(report.as_json())
    else:
        for line in report.lines(every_clip=verbose):
            click.echo(line)
    if report.problems:
        raise ValidationError(
            f"{folder}: problems found: {len(report.problems)}, each listed above"
        )
