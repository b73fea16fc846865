"""Train a network into a folder, or go on with the training that is there.

    train("svdnet?preset=lite", Path("clips/"), Path("run/"))

An interrupted training goes on when it is called again, and ends with the same weights as one that
was never interrupted: batches and random numbers are functions of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rvsd_bench.baselines.loading import pick_device
from rvsd_bench.baselines.spec import Spec, parse
from rvsd_bench.errors import InputError
from rvsd_bench.files import discard, make_folder, remove_orphans, sha256_file, write_text
from rvsd_bench.jobs import Track
from rvsd_bench.training import cards
from rvsd_bench.training.batches import Feed
from rvsd_bench.training.distributed import Ranks, first_goes_first, joined
from rvsd_bench.training.feeding import open_feed
from rvsd_bench.training.journal import LOG
from rvsd_bench.training.networks import count_weights, open_network
from rvsd_bench.training.objectives import module_of, open_objective
from rvsd_bench.training.progress import Progress, Silent
from rvsd_bench.training.recipe import TrainingRecipe
from rvsd_bench.training.resolving import differences, read_resolved, resolve, to_toml
from rvsd_bench.training.saving import CARD, CHECKPOINT, RECIPE, STATE, read_card
from rvsd_bench.training.session import SHEETS, Session
from rvsd_bench.training.stepping import Stepper
from rvsd_bench.training.vgg import open_features
from rvsd_bench.training.weighing import Weighing, needs_features, weigh

SHOWN = 5
"""Differences that a refusal shows."""


@dataclass(frozen=True)
class Job:
    """What to train, on what, and where to."""

    spec: Spec
    recipe: TrainingRecipe
    data: Path
    out: Path
    unlabelled: Path | None = None
    cache: Path | None = None
    workers: int = 0
    """Processes that prepare batches; with 0 the training prepares its own."""
    device: str = "cpu"
    tensorboard: bool = False
    keep: bool = False
    """Whether the weights of every look at held-out clips are kept."""

    @property
    def weights(self) -> Path | None:
        """What the network starts from, if that was given."""
        path = self.spec.options.get("weights")
        return None if path is None else Path(path)


@dataclass(frozen=True)
class Plan:
    """What a training would do."""

    job: Job
    weighing: Weighing
    parameters: int
    done: int
    """Steps that an earlier call has saved."""


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    out: Path
    step: int
    steps: int
    skipped: int
    began: int
    """The step at which this call began: `steps` if there was nothing left to do."""
    validation: Mapping[str, float]


def settle(
    spec: str,
    data: Path,
    out: Path,
    *,
    recipe: str | Path = "cpu",
    steps: int | None = None,
    seed: int | None = None,
    ablation: str | None = None,
    device: str = "auto",
    **others: Any,
) -> Job:
    """Return a job with the recipe resolved; `others` are fields of Job.

    Raises InputError for a recipe, an option or a folder that cannot be used.
    """
    chosen = resolve(spec, recipe, steps=steps, seed=seed, ablation=ablation)
    job = Job(parse(spec), chosen, data, out, device=pick_device(device), **others)
    for folder, option in ((job.data, "--data"), (job.unlabelled, "--unlabeled")):
        if folder is not None and not folder.exists():
            raise InputError(f"{option}: there is no {folder}")
    return job


def plan(job: Job) -> Plan:
    """Say what a training would do; nothing is written, and no clip is opened."""
    module = module_of(job.recipe.baseline)
    weighing = weigh(job.recipe, module, unlabelled=job.unlabelled is not None)
    open_objective(module, weighing.weights, None, job.recipe.settings)
    network = open_network(job.recipe, job.weights)
    done = int(read_card(job.out).get("step", 0))
    return Plan(job, weighing, count_weights(network), done)


def train(job: Job, *, force: bool = False, progress: Progress | None = None) -> Trained:
    """Train to the last step; `force` throws away what an earlier call has learned.

    Raises InputError for data that cannot be used, for a training in `out` of another recipe or
    other data, and when the training diverges; MissingError where the weights of VGG-16 are wanted
    and absent; OutputError on a full disk. On an interrupt it saves, and the interrupt goes on.
    """
    with joined(job.device) as ranks:
        return _train(job, ranks, force, progress if ranks.first else None)


def _train(job: Job, ranks: Ranks, force: bool, progress: Progress | None) -> Trained:
    with first_goes_first(ranks):
        if ranks.first:
            _claim(job, force)
    session = _open(job, ranks, progress or Silent(), force)
    session.take_up()
    began = session.tally.step
    if began < job.recipe.steps:
        session.run(workers=job.workers, tensorboard=job.tensorboard)
    tally = session.tally
    return Trained(job.out, tally.step, job.recipe.steps, tally.skipped, began, tally.validation)


def _claim(job: Job, force: bool) -> None:
    """Refuse a folder that holds another training, or something else."""
    remove_orphans(job.out, job.out / SHEETS)
    there = job.out / RECIPE
    if there.is_file():
        if not force:
            _refuse(job.out, "by another recipe", differences(read_resolved(there), job.recipe))
    elif job.out.exists() and (not job.out.is_dir() or any(job.out.iterdir())):
        raise InputError(f"{job.out} is there and holds no training: choose another --out")


def _clear(folder: Path) -> None:
    """Remove what a training wrote, and nothing else; last that by which its folder is known."""
    for name in (STATE, CHECKPOINT, LOG, SHEETS, "tensorboard", CARD, RECIPE):
        discard(folder / name)


def _open(job: Job, ranks: Ranks, progress: Progress, force: bool) -> Session:
    """Open network, losses and data, and hold the data to those of an earlier call.

    What an earlier call has learned is thrown away, by `force`, once all of that could be opened.
    """
    recipe = job.recipe
    device = torch.device("cuda", ranks.local) if job.device == "cuda" else torch.device(job.device)
    module = module_of(recipe.baseline)
    weighing = weigh(recipe, module, unlabelled=job.unlabelled is not None)
    for line in weighing.told:
        progress.say(line)
    if job.unlabelled is not None and not recipe.semi.batch:
        progress.say("--unlabeled is not looked at: the recipe's semi.batch is 0")
    seen = needs_features(module, weighing)
    features = open_features(recipe.features, device=device) if seen else None
    objective = open_objective(module, weighing.weights, features, recipe.settings)
    network = open_network(recipe, job.weights).to(device)
    with first_goes_first(ranks):
        feed = _feed(job, progress.track)
    card = cards.describe(
        recipe,
        network,
        weighing,
        feed,
        data=job.data.resolve().name,
        device=device,
        world=ranks.world,
        started_from="" if job.weights is None else sha256_file(job.weights),
    )
    stepper = Stepper(network, objective, recipe, device=device, ranks=ranks)
    with first_goes_first(ranks):
        if force and ranks.first:
            _clear(job.out)
        _keep_to(job, card, ranks)
    return Session(job.out, stepper, feed, card, progress, ranks, keep=job.keep)


def _feed(job: Job, track: Track) -> Feed:
    return open_feed(
        job.data,
        job.recipe,
        split="train",
        unlabelled=job.unlabelled if job.recipe.semi.batch else None,
        cache=job.cache,
        seed=job.recipe.seed,
        workers=job.workers,
        track=track,
    )


def _keep_to(job: Job, card: Mapping[str, Any], ranks: Ranks) -> None:
    """Refuse other data than an earlier call's; write what this training is, if it is the first."""
    old = read_card(job.out)
    if old:
        _refuse(job.out, "on other data", _changed(old["data"], card["data"]))
        keys = ("snow_sha256", "started_from", "processes")
        changes = [f"{k}: {old.get(k)} -> {card[k]}" for k in keys if old.get(k) != card[k]]
        _refuse(job.out, "of another kind", changes)
    elif ranks.first:
        make_folder(job.out)
        write_text(job.out / RECIPE, to_toml(job.recipe))
        cards.write_card(job.out, dict(card), cards.Tally())


def _changed(old: Sequence[Mapping[str, str]], new: Sequence[Mapping[str, str]]) -> list[str]:
    before, after = (
        {(source["role"], source["digest"]): source["name"] for source in sources}
        for sources in (old, new)
    )
    gone = [f"{before[key]} ({key[0]}) is gone" for key in before if key not in after]
    return gone + [f"{after[key]} ({key[0]}) is new" for key in after if key not in before]


def _refuse(out: Path, how: str, changes: list[str]) -> None:
    if changes:
        more = " ..." if len(changes) > SHOWN else ""
        raise InputError(
            f"{out} holds a training {how} ({'; '.join(changes[:SHOWN])}{more}): choose another "
            "--out, or --force"
        )
