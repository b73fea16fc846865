"""The command that trains a network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli import common

if TYPE_CHECKING:
    from rvsd_bench.training.training import Plan, Trained


@click.command()
@click.argument("baseline", metavar="BASELINE")
@click.option("--data", required=True, type=common.ExistingOrNot, metavar="DIR")
@click.option(
    "--unlabeled", type=common.ExistingOrNot, metavar="DIR", help="Clips of real snow, no truth."
)
@click.option(
    "--recipe",
    default="cpu",
    show_default=True,
    metavar="NAME/FILE",
    help="One that comes with the preset (cpu, paper), or a TOML file.",
)
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), metavar="S", help="Instead of the recipe's.")
@click.option("--ablation", metavar="M1/M2/M3/full", help="A variant that the recipe names.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes that prepare batches; 0: the training does.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--cache", type=common.ExistingOrNot, metavar="DIR", help="Of decoded frames.")
@click.option("--tensorboard", is_flag=True, help="Write curves for tensorboard too.")
@click.option("--keep", is_flag=True, help="Keep the weights of every validation.")
@click.option("--out", required=True, type=common.ExistingOrNot, metavar="RUN")
@common.force_option
@common.dry_run_option
@common.json_option
def train(
    baseline: str,
    data: Path,
    unlabeled: Path | None,
    recipe: str,
    steps: int | None,
    seed: int | None,
    ablation: str | None,
    workers: int,
    device: str,
    cache: Path | None,
    tensorboard: bool,
    keep: bool,
    out: Path,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train BASELINE, as in `svdnet?preset=lite`, on DIR: a paired dataset or clean clips.

    Over clean clips snow falls that never fell before. The same command goes on with an
    interrupted training, and ends with the same weights. `RUN/checkpoint.safetensors` is then a
    model: `svdnet?weights=RUN/checkpoint.safetensors`. Start it by torchrun for several GPUs.
    """
    from rvsd_bench.training import training
    from rvsd_bench.training.progress import OnStderr

    job = training.settle(
        baseline,
        data,
        out,
        recipe=recipe,
        steps=steps,
        seed=seed,
        ablation=ablation,
        device=device,
        unlabelled=unlabeled,
        workers=workers,
        cache=cache,
        tensorboard=tensorboard,
        keep=keep,
    )
    if dry_run:
        _show_plan(training.plan(job), as_json)
        return
    trained = training.train(job, force=force, progress=OnStderr(common.progress))
    _show_result(trained, baseline, as_json)


def _show_plan(plan: Plan, as_json: bool) -> None:
    from rvsd_bench.training.resolving import to_toml

    recipe = plan.job.recipe
    if as_json:
        common.answer(
            {
                "recipe": asdict(recipe),
                "parameters": plan.parameters,
                "losses": plan.weighing.weights,
                "losses_dropped": plan.weighing.dropped,
                "done": plan.done,
            }
        )
        return
    click.echo(to_toml(recipe), nl=False)
    for line in plan.weighing.told:
        common.say(line)
    common.say(
        f"{plan.parameters} weights, {recipe.steps} steps of {recipe.batch} windows, "
        f"{plan.done} of them done; nothing was written"
    )


def _show_result(trained: Trained, baseline: str, as_json: bool) -> None:
    checkpoint = trained.out / "checkpoint.safetensors"
    if as_json:
        result: dict[str, Any] = {**asdict(trained), "out": str(trained.out)}
        common.answer({**result, "checkpoint": str(checkpoint)})
    if trained.began == trained.steps:
        common.say(f"complete: all {trained.steps} steps are done; --force begins again")
    if trained.skipped:
        common.say(f"{trained.skipped} steps were passed over: their gradient was not finite")
    name = baseline.partition("?")[0]
    common.say(f"wrote {checkpoint}; use it as {name}?weights={checkpoint}")
