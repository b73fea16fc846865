"""The command that runs a model over any clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli.common import (
    ExistingOrNot,
    answer,
    chosen_isolation,
    code_options,
    dry_run_option,
    force_option,
    job_options,
    json_option,
    progress,
    say,
    timeout_option,
)

if TYPE_CHECKING:
    from rvsd_bench.restoring.opening import Restorer
    from rvsd_bench.restoring.saving import Saved

_WORK = ("fps", "force", "workers", "executor", "timeout_s")
"""The options that `save_restored` takes as they are."""


@click.command()
@click.argument("model")
@click.argument("source", metavar="INPUT", type=ExistingOrNot)
@click.option("--out", type=ExistingOrNot, required=True, metavar="DIR")
@click.option(
    "--container",
    type=click.Choice(["png", "jpg", "ffv1"]),
    default="png",
    show_default=True,
    help="Folders of pictures, or one lossless .mkv a clip.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--tile",
    type=click.IntRange(min=0),
    metavar="PX",
    help="Cut frames into squares; 0: whole frames.  [default: as the model says]",
)
@click.option(
    "--overlap", type=click.IntRange(min=0), default=32, show_default=True, help="Of tiles, in px."
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    metavar="N",
    help="Frames kept of a window: 1 is best, its length fastest.  [default: as the model says]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="Of the network's arithmetic, where it bears less.",
)
@click.option("--fps", type=float, help="Rate of an INPUT that is a folder of frames.")
@code_options
@job_options
@timeout_option
@force_option
@dry_run_option
@json_option
def restore(
    model: str,
    source: Path,
    out: Path,
    container: str,
    device: str,
    tile: int | None,
    overlap: int,
    stride: int | None,
    precision: str,
    trust_code: bool,
    shard: str | None,
    dry_run: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Run MODEL over INPUT: a video file, a folder of frames, or a folder of either.

    Restored frames keep the names of the input's, in DIR/<clip>/; `evaluate frames:DIR` scores
    them. Clips that are finished are kept when the command is run again.
    """
    from rvsd_bench.baselines import method_id, parse, pick_device
    from rvsd_bench.jobs import parse_shard
    from rvsd_bench.restoring.opening import open_model
    from rvsd_bench.restoring.runner import Way
    from rvsd_bench.restoring.saving import plan_outputs, save_restored

    work = {name: choices.pop(name) for name in _WORK}
    isolation = chosen_isolation(trust_code=trust_code, **choices)
    spec = parse(model)
    outputs = parse_shard(shard).of(plan_outputs(source, out, container))
    if spec.guessed:
        say(f"{model} is taken as {spec}")
    chosen, way = pick_device(device), Way(tile, overlap, stride, precision)
    reopen = partial(open_model, spec, chosen, way, isolation=isolation, trust_code=trust_code)
    restorer = _opened(reopen, spec.short)
    if dry_run:
        _tell_plan([(str(output.source), str(output.target)) for output in outputs], as_json)
        return
    saved = save_restored(
        restorer,
        outputs,
        method=method_id(spec, restorer.info.weights_sha256),
        spec=method_id(replace(spec, name=None)),
        container=container,
        way=way,
        device=chosen,
        reopen=reopen,
        report=say,
        track=progress,
        **work,
    )
    _tell(saved, as_json)


def _opened(reopen: Callable[[], Restorer], name: str) -> Restorer:
    restorer = reopen()
    if not restorer.info.trained:
        say(f"WARNING: {name} is untrained: what it restores means nothing; give weights=FILE")
    return restorer


def _tell(saved: list[Saved], as_json: bool) -> None:
    for clip in saved:
        say(f"{clip.path}: {clip.frames} frames {'were done' if clip.kept else 'restored'}")
    if as_json:
        answer([asdict(clip) for clip in saved])


def _tell_plan(plan: list[tuple[str, str]], as_json: bool) -> None:
    for source, target in plan:
        say(f"{source} -> {target}")
    if as_json:
        answer([{"input": source, "output": target} for source, target in plan])
