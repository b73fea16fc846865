"""The command `cache`: decode clips once, for fast random crops in training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli import common

if TYPE_CHECKING:
    from rvsd_bench.data.caching import Caching


@click.command()
@click.argument("folder", metavar="DIR", type=common.ExistingOrNot)
@click.option(
    "--out", type=common.ExistingOrNot, metavar="DIR", help="Elsewhere than beside the clips."
)
@common.job_options
@common.dry_run_option
@common.force_option
@common.json_option
@common.verbose_option
def cache(
    folder: Path,
    out: Path | None,
    shard: str | None,
    workers: int,
    executor: str,
    dry_run: bool,
    force: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Decode every clip of DIR into memory-mapped frames, for fast random crops in training.

    DIR is a folder of clips, one clip, or a dataset. The frames lie in `.rvsd-cache` beside each
    clip, three bytes a pixel. Clips that are cached and did not change are kept.
    """
    from rvsd_bench.data import caching
    from rvsd_bench.jobs import parse_shard

    found = caching.plan(folder, out=out, shard=parse_shard(shard), force=force)
    common.say(_budget(found))
    if not dry_run:
        found = caching.cache(
            found, force=force, workers=workers, executor=executor, track=common.progress
        )
    if as_json:
        common.answer(_result(found, dry_run))
    elif verbose or dry_run:
        for entry in found.entries:
            click.echo(f"{entry.clip}  {entry.frames} frames  {entry.bytes / 1e6:.4g} MB")
    found.raise_failures()


def _budget(found: Caching) -> str:
    from rvsd_bench.files import free_bytes

    frames = sum(entry.frames for entry in found.entries)
    line = (
        f"clips {len(found.entries)}, frames {frames}: {found.bytes / 1e6:.4g} MB decoded, of "
        f"which {found.bytes_to_write / 1e6:.4g} MB are still to write"
    )
    if found.entries:
        line += f"; {free_bytes(found.entries[0].folder) / 1e6:.4g} MB are free"
    return line


def _result(found: Caching, dry_run: bool) -> dict[str, Any]:
    return {
        "clips": [
            {
                "clip": str(entry.clip),
                "folder": str(entry.folder),
                "frames": entry.frames,
                "bytes": entry.bytes,
                "kept": entry.kept,
            }
            for entry in found.entries
        ],
        "bytes": found.bytes,
        "bytes_to_write": found.bytes_to_write,
        "dry_run": dry_run,
        "failed": {name: str(error) for name, error in found.failed},
    }
