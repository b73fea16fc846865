"""`rvsd-bench preview`: show what a preset does to a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rvsd_bench.cli import common
from rvsd_bench.errors import InputError


@click.command()
@click.argument("source", type=common.ExistingOrNot, metavar="INPUT")
@click.option("--out", required=True, type=common.ExistingOrNot, metavar="FILE.png/.gif/.mp4")
@click.option("--preset", metavar="NAME", help="A shipped snowfall.  [default: moderate]")
@click.option("--recipe", type=common.ExistingOrNot, metavar="FILE.toml", help="Your own snowfall.")
@click.option(
    "--depth", default="auto", show_default=True, metavar="auto/ground/mono/constant:M/FILE/DIR"
)
@click.option("--motion", default="auto", show_default=True, metavar="auto/static/drive:KMH/FILE")
@click.option(
    "--max-frames",
    type=click.IntRange(1),
    help="Take only the first frames.  [default: all; moving: 125]",
)
@click.option("--size", metavar="WxH", help="Resample the clip to this size.")
@click.option("--fps", type=float, help="Rate of a folder of frames.  [default: 25]")
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

    if preset and recipe:
        raise InputError("--preset and --recipe are two ways to say one thing: give one of them")
    notes = previewing.preview(
        source,
        out,
        recipe=recipe or preset or "moderate",
        size=parse_size(size),
        track=common.progress,
        **choices,
    )
    common.say("; ".join([f"wrote {out}", *notes]))
