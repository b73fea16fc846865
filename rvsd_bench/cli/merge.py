"""`rvsd-bench merge`: join the shards of a job."""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli import common
from rvsd_bench.errors import InputError


@click.command()
@click.argument("folder", type=common.ExistingOrNot, metavar="DIR")
@common.json_option
def merge(folder: Path, as_json: bool) -> None:
    """Join the shards of a job: DIR is the --out of `generate --shard` or `evaluate --shard`.

    Shards that wrote into several folders are copied into one first. Their dataset or run then
    looks as if one command had made it. Missing shards are named, and nothing is written.
    """
    from rvsd_bench.making.manifest import is_dataset

    if is_dataset(folder):
        from rvsd_bench.making import merging

        videos = merging.merge(folder)
        told = f"{folder}: a dataset of {videos} videos"
    elif (folder / "parts").is_dir():
        from rvsd_bench.evaluation import evaluating

        run = evaluating.merge(folder, report=common.say)
        videos = len(run.plan.videos)
        told = f"{folder}: a run of {len(run.results)} methods on {videos} videos"
        run.raise_failures()
    else:
        raise InputError(f"{folder} holds no shards of generate or evaluate")
    if as_json:
        common.answer({"dir": str(folder), "videos": videos})
    else:
        common.say(told)
