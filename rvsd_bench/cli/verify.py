"""`rvsd-bench verify`: recompute every snowy frame of a generated dataset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from rvsd_bench.cli import common


@click.command()
@click.argument("dataset", type=common.ExistingOrNot, metavar="DIR")
@click.option(
    "--depth",
    type=common.ExistingOrNot,
    metavar="FILE/DIR",
    help="The depth maps it was made with; needed only if no layers were stored.",
)
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True)
@common.json_option
def verify(dataset: Path, depth: Path | None, workers: int, as_json: bool) -> None:
    """Check every file and recompute every snowy frame of a generated dataset.

    With layers each frame is put together again and must match byte for byte on any machine;
    without, it is rendered again. The output says which.
    """
    from rvsd_bench.making.verifying import verify as verify_dataset

    report = verify_dataset(dataset, depth=depth, workers=workers, track=common.progress)
    if as_json:
        videos = [asdict(video) for video in report.videos]
        common.answer({"dir": str(dataset), "videos": videos, "problems": list(report.problems)})
    else:
        for how in sorted({video.how for video in report.videos}):
            same = [video for video in report.videos if video.how == how]
            worst = max(video.largest_difference for video in same)
            share = max(video.differing_share for video in same)
            found = f"at most {worst} levels, on {share:.1e} of the samples" if worst else "none"
            frames = sum(video.frames for video in same)
            click.echo(f"videos {len(same)}, frames {frames}: {how}; differences: {found}")
        for problem in report.problems:
            click.echo(f"problem: {problem}")
    report.raise_problems()
