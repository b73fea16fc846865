"""`rvsd-bench preview`: show what a preset does to a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rvsd_bench.cli import common


@click.command()
@click.argument("source", type=common.ExistingOrNot, metavar="INPUT")
@click.option("--out", required=True, type=common.ExistingOrNot, metavar="FILE.png/.gif/.mp4")
@common.snowfall_options
@click.option(
    "--max-frames",
    type=click.IntRange(1),
    help="Take only the first frames.  [default: all; moving: 125]",
)
@common.seed_option
def preview(
    source: Path,
    out: Path,
    preset: str | None,
    recipe: Path | None,
    size: str | None,
    **choices: Any,
) -> None:
    """Show what a preset does to a clip.

    A .png becomes a contact sheet of the clean frame, every layer and the snowy frame over time; a
    .gif or .mp4 moves, with the snow on one side of a sweeping line.
    """
    from rvsd_bench.making import previewing
    from rvsd_bench.making.planning import parse_size

    notes = previewing.preview(
        source,
        out,
        recipe=common.chosen_snowfall(preset, recipe),
        size=parse_size(size),
        track=common.progress,
        **choices,
    )
    common.say("; ".join([f"wrote {out}", *notes]))
