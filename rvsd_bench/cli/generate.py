"""`rvsd-bench generate`: turn clean clips into a paired snowy dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli import common

if TYPE_CHECKING:
    from rvsd_bench.making.generating import Summary


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=common.ExistingOrNot, metavar="INPUT...")
@click.option("--out", required=True, type=common.ExistingOrNot, metavar="DIR")
@common.snowfall_options
@click.option("--variants", type=click.IntRange(1), default=1, help="Snowfalls for each clip.")
@click.option("--split", metavar="train=0.73,test=0.27", help="Split by clip; else all is test.")
@click.option(
    "--weather",
    type=click.Choice(["both", "haze", "snow"]),
    default="both",
    show_default=True,
    help="One alone, or both, of the same snowfall.",
)
@click.option("--layers", type=click.Choice(["png16", "none"]), default="png16", show_default=True)
@click.option(
    "--container", type=click.Choice(["png", "jpg", "ffv1"]), default="png", show_default=True
)
@click.option("--max-frames", type=click.IntRange(1), help="Take only the first frames of a clip.")
@click.option("--licence", metavar="TEXT", help="Of the footage; it goes into the dataset card.")
@click.option(
    "--degrade",
    metavar="NAME/FILE.toml",
    help="Also write the snowy frames as a camera and its coder would leave them, into degraded/.",
)
@common.job_options
@common.timeout_option
@common.seed_option
@common.dry_run_option
@common.force_option
@common.json_option
@common.verbose_option
def generate(
    inputs: tuple[Path, ...],
    out: Path,
    preset: str | None,
    recipe: Path | None,
    size: str | None,
    as_json: bool,
    verbose: bool,
    **choices: Any,
) -> None:
    """Turn clean clips into a paired snowy dataset with all its layers.

    INPUT is a video file, a folder of frames, or a folder of either. Finished videos are kept, so
    the same command goes on where it was interrupted.
    """
    from rvsd_bench.making import generating as making
    from rvsd_bench.making.planning import parse_size

    summary = making.generate(
        inputs,
        out,
        recipe=common.chosen_snowfall(preset, recipe),
        size=parse_size(size),
        report=common.say,
        track=common.progress,
        **choices,
    )
    if as_json:
        common.answer(_result(summary))
    elif choices["dry_run"]:
        click.echo("\n".join(_plan_lines(summary)))
    else:
        for line in _plan_lines(summary) if verbose else ():
            common.say(line)
        common.say(
            f"{out}: videos made {len(summary.made)}, kept {len(summary.kept)}, "
            f"failed {len(summary.failed)}"
        )
    summary.raise_failures()


def _plan_lines(summary: Summary) -> Iterator[str]:
    for video in summary.plan.videos:
        height, width = video.source.size
        yield (
            f"{video.split}/{video.number:05d}  {video.source.name}  variant {video.variant}  "
            f"{video.source.frames} frames  {width}x{height}  {video.source.fps:g} fps"
        )
    line = f"videos {len(summary.plan.videos)}, frames {summary.plan.frames}"
    if summary.kept:
        line += f", videos finished already {len(summary.kept)}"
    if summary.estimate:
        line += (
            f"; still to write: about {summary.estimate.bytes / 1e6:.3g} MB, "
            f"{summary.estimate.seconds:.3g} s with one worker"
        )
    yield line


def _result(summary: Summary) -> dict[str, Any]:
    plan = [
        {
            "split": video.split,
            "video": f"{video.number:05d}",
            "source": video.source.name,
            "source_sha256": video.source.id,
            "variant": video.variant,
            "frames": video.source.frames,
            "height": video.source.size[0],
            "width": video.source.size[1],
            "fps": video.source.fps,
        }
        for video in summary.plan.videos
    ]
    result: dict[str, Any] = {
        "out": str(summary.out),
        "videos": plan,
        "frames": summary.plan.frames,
        "notices": list(summary.plan.notices),
        "made": list(summary.made),
        "kept": list(summary.kept),
        "failed": {name: str(error) for name, error in summary.failed},
    }
    if summary.estimate:
        result["estimate"] = {
            "bytes": summary.estimate.bytes,
            "seconds": round(summary.estimate.seconds, 3),
        }
    return result
