"""Take one step of optimisation, or pass over it if its gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rvsd_bench.errors import InputError
from rvsd_bench.seeds import stream
from rvsd_bench.training.averaging import Average
from rvsd_bench.training.batches import Batch, Objective
from rvsd_bench.training.distributed import Ranks, highest
from rvsd_bench.training.recipe import Optimiser, TrainingRecipe
from rvsd_bench.training.schedules import rate

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Outcome:
    """What a step found."""

    terms: Mapping[str, float]
    """Each loss, unweighted."""
    total: float
    grad_norm: float
    """Before clipping."""
    lr: float
    culprit: str | None = None
    """Why the step was passed over: the first loss that was not finite, or `the gradient`."""


class Losses(nn.Module):
    """An objective as a module around the student: what DistributedDataParallel hooks into."""

    def __init__(self, student: nn.Module, average: Average, objective: Objective) -> None:
        super().__init__()
        self.student = student
        self._others = (average, objective)  # a tuple hides the teacher from parameters()

    def forward(self, batch: Batch, step: int, steps: int) -> Mapping[str, Tensor]:
        average, objective = self._others
        return objective(self.student, average.network, batch, step, steps)


class Stepper:
    """A student, its average, its optimiser, and what a step does to them."""

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        recipe: TrainingRecipe,
        *,
        device: torch.device | str = "cpu",
        ranks: Ranks = Ranks(),  # noqa: B008 (frozen)
    ) -> None:
        # Channels last saves a quarter of a step on CPUs, and as much on GPUs in half precision.
        self.student = student.train().to(memory_format=torch.channels_last)
        self.objective, self.recipe = objective, recipe
        self.device, self.ranks = torch.device(device), ranks
        self.average = Average(student, recipe.ema.decay)
        self.optimiser = open_optimiser(student, recipe.optimiser)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        losses: nn.Module = Losses(student, self.average, objective)
        if ranks.world > 1:
            losses = DistributedDataParallel(losses, find_unused_parameters=True)
        self.losses = losses

    def step(self, batch: Batch, step: int) -> Outcome:
        """Learn from a batch; raise InputError if the objective has no loss for it.

        Torch's random numbers are those of (seed, step, rank), whatever was drawn before. Where the
        gradient is not finite, weights, buffers and average stay as they were.
        """
        recipe = self.recipe
        _reseed(recipe.seed, step, self.ranks.rank)
        lr = rate(recipe.schedule, recipe.optimiser.lr, step, recipe.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        buffers = [buffer.clone() for buffer in self.student.buffers()]
        self.optimiser.zero_grad(set_to_none=True)
        with autocast(recipe.precision, self.device):
            terms = self.losses(batch, step, recipe.steps)
        total = self._total(terms)
        torch.autograd.backward(self.scaler.scale(total))
        self.scaler.unscale_(self.optimiser)
        norm = self._clipped_norm()
        numbers = torch.stack([*(t.detach().float() for t in terms.values()), total.detach(), norm])
        *values, whole, size = numbers.tolist()
        named = dict(zip(terms, values, strict=True))
        culprit = _culprit(named, size)
        if highest(self.ranks, culprit is not None, self.device):
            culprit = culprit or "a loss in another process"
            for buffer, before in zip(self.student.buffers(), buffers, strict=True):
                buffer.copy_(before)
        else:
            self.scaler.step(self.optimiser)
            self.average.update(self.student)
        self.scaler.update()
        return Outcome(named, whole, size, lr, culprit)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides the next step, as tensors, numbers, lists and texts."""
        return {
            "student": self.student.state_dict(),
            "teacher": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.student.load_state_dict(state["student"])
        self.average.network.load_state_dict(state["teacher"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])

    def _total(self, terms: Mapping[str, Tensor]) -> Tensor:
        weights = self.recipe.losses
        weighted = [weights[name] * term.float() for name, term in terms.items()]
        if not any(term.requires_grad for term in weighted):
            raise InputError(
                f"none of the losses {', '.join(sorted(weights))} can be computed from this data"
            )
        return torch.stack(weighted).sum()

    def _clipped_norm(self) -> Tensor:
        limit = self.recipe.optimiser.clip_norm or math.inf
        parameters = (p for p in self.student.parameters() if p.grad is not None)
        return nn.utils.clip_grad_norm_(parameters, limit)


def open_optimiser(network: nn.Module, recipe: Optimiser) -> torch.optim.Optimizer:
    """Return Adam or AdamW over a network's parameters, in groups by the factor on their rate.

    Raises InputError for a factor whose name begins no parameter.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    used = set()
    for name, parameter in network.named_parameters():
        found = [start for start in recipe.slower if name.startswith(start)]
        used.update(found)
        groups.setdefault(recipe.slower[found[0]] if found else 1.0, []).append(parameter)
    if idle := set(recipe.slower) - used:
        raise InputError(f"optimiser.slower: no parameter begins with {min(idle)!r}")
    kind = torch.optim.AdamW if recipe.kind == "adamw" else torch.optim.Adam
    return kind(
        [{"params": parameters, "factor": factor} for factor, parameters in groups.items()],
        lr=recipe.lr,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
    )


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a network computes in a recipe's precision."""
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch a network to inference for a while, without gradients."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(training)


def _reseed(seed: int, step: int, rank: int) -> None:
    torch.manual_seed(int(stream(seed, "training step", step, rank).random() * 2**63))


def _culprit(terms: Mapping[str, float], norm: float) -> str | None:
    for name, value in terms.items():
        if not math.isfinite(value):
            return name
    return None if math.isfinite(norm) else "the gradient"
