"""Hold one step of training to its formulas: rates, averages, and what a bad step leaves alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rvsd_bench.baselines.learned import learned_digest
from rvsd_bench.errors import InputError
from rvsd_bench.training.averaging import Average
from rvsd_bench.training.batches import Batch, Layers, Unlabelled
from rvsd_bench.training.recipe import Ema, Optimiser, Schedule, TrainingRecipe
from rvsd_bench.training.schedules import rate
from rvsd_bench.training.stepping import Stepper, open_optimiser


class Toy(nn.Module):
    """A network with everything that could be forgotten: buffers, dropout, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, clip: Tensor) -> Tensor:
        frames = self.drop(self.norm(self.first(clip.flatten(0, 1))).relu())
        return self.last(frames).view_as(clip)


class Objective:
    """The mean squared error, and whatever else a test adds to it."""

    terms = frozenset({"squares", "other"})

    def __init__(self, other: Any = None) -> None:
        self.other = other

    def __call__(
        self, student: nn.Module, teacher: nn.Module, batch: Batch, step: int, steps: int
    ) -> dict[str, Tensor]:
        restored = student(batch.snowy)
        found = {"squares": (restored - batch.clean).square().mean()}
        if self.other is not None:
            found["other"] = self.other(restored, teacher(batch.snowy), step)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        assert not state


def _recipe(**changes: Any) -> TrainingRecipe:
    fields = {"optimiser": Optimiser(lr=0.01), "losses": {"squares": 1.0, "other": 1.0}}
    return TrainingRecipe("toy", 20, **{**fields, **changes})


def _toy(seed: int = 0) -> Toy:
    torch.manual_seed(seed)
    return Toy()


def _batch(seed: int = 0, size: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    snowy, clean = torch.rand(2, 2, 3, 3, size, size, generator=generator)
    return Batch(snowy, clean, None, (0, 1))


def _state(stepper: Stepper) -> str:
    """Return a digest of all that the next step depends on."""
    moments = [
        value.flatten() for state in stepper.optimiser.state.values() for value in state.values()
    ]
    inner = torch.cat([m.reshape(-1) for m in moments]).sum().item() if moments else 0.0
    networks = learned_digest(stepper.student), learned_digest(stepper.average.network)
    return f"{networks} {inner!r}"


# ---------------------------------------------------------------- schedules


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Schedule("constant"), lambda s: 1.0),
        (Schedule("polynomial", power=2.0, least_lr=0.1), lambda s: 0.1 + 0.9 * (1 - s / 100) ** 2),
        (Schedule("cosine", least_lr=0.0), lambda s: np.cos(np.pi * s / 200) ** 2),
    ],
)
def test_the_rate_follows_its_formula(schedule: Schedule, wanted: Any) -> None:
    assert [rate(schedule, 1.0, s, 100) for s in (0, 1, 37, 99)] == pytest.approx(
        [wanted(s) for s in (0, 1, 37, 99)]
    )


def test_the_rate_rises_in_a_line_and_falls_from_there() -> None:
    schedule = Schedule("cosine", warm_up=4, least_lr=0.0)
    rates = [rate(schedule, 2.0, s, 12) for s in range(12)]
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert all(later < earlier for earlier, later in pairwise(rates[4:]))
    assert rates[8] == pytest.approx(1.0)  # half of the way down, half of the way through


def test_a_warm_up_that_outlasts_the_training_divides_by_nothing() -> None:
    assert rate(Schedule("polynomial", warm_up=50), 1.0, 9, 10) == pytest.approx(0.2)
    assert math.isfinite(rate(Schedule("polynomial", warm_up=10), 1.0, 10, 10))


# ---------------------------------------------------------------- averages


def test_the_average_is_the_closed_form_of_its_recursion() -> None:
    student, decay = _toy().double(), 0.9
    average = Average(student, decay)
    history = [{name: p.detach().clone() for name, p in student.named_parameters()}]
    for seed in range(7):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update(student)
        history.append({name: p.detach().clone() for name, p in student.named_parameters()})
    steps = len(history) - 1
    shares = [decay**steps, *((1 - decay) * decay ** (steps - k) for k in range(1, steps + 1))]
    assert sum(shares) == pytest.approx(1)
    for name, found in average.network.named_parameters():
        wanted = sum(share * past[name] for share, past in zip(shares, history, strict=True))
        assert torch.allclose(found, wanted, rtol=0, atol=1e-12), name


def test_buffers_are_copied_and_not_averaged() -> None:
    student = _toy()
    average = Average(student, 0.9)
    for seed in range(3):
        student(_batch(seed).snowy)
        average.update(student)
    assert student.norm.num_batches_tracked == 3
    assert student.norm.running_var.std() > 0
    for name, buffer in average.network.named_buffers():
        assert torch.equal(buffer, student.get_buffer(name)), name
        assert buffer.data_ptr() != student.get_buffer(name).data_ptr()


def test_the_teacher_takes_no_gradient_and_stays_in_inference() -> None:
    def agreement(restored: Tensor, taught: Tensor, step: int) -> Tensor:
        assert not taught.requires_grad
        return (restored - taught).abs().mean()

    stepper = Stepper(_toy(), Objective(agreement), _recipe())
    stepper.step(_batch(), 0)
    assert all(p.grad is None and not p.requires_grad for p in stepper.average.network.parameters())
    assert not any(module.training for module in stepper.average.network.modules())
    assert stepper.student.training
    assert all(p.grad is not None for p in stepper.student.parameters())


def test_the_average_is_taken_after_the_step() -> None:
    stepper = Stepper(_toy(), Objective(), _recipe(ema=Ema(0.75)))
    before = stepper.student.first.weight.detach().clone()
    stepper.step(_batch(), 0)
    after = stepper.student.first.weight.detach()
    assert not torch.equal(before, after)
    found = stepper.average.network.first.weight
    assert torch.allclose(found, 0.75 * before + 0.25 * after, rtol=0, atol=1e-7)


# ---------------------------------------------------------------- the step


def test_the_total_is_the_weighted_sum_and_terms_are_told_unweighted() -> None:
    recipe = _recipe(losses={"squares": 0.25, "other": 3.0})
    stepper = Stepper(_toy(), Objective(lambda r, t, s: r.abs().mean()), recipe)
    outcome = stepper.step(_batch(), 0)
    assert set(outcome.terms) == {"squares", "other"}
    wanted = 0.25 * outcome.terms["squares"] + 3 * outcome.terms["other"]
    assert outcome.total == pytest.approx(wanted, rel=1e-6)


def test_the_step_is_that_of_adam_with_the_rate_of_the_schedule() -> None:
    recipe = _recipe(schedule=Schedule("cosine", warm_up=5))
    student, twin = _toy(), _toy()
    stepper = Stepper(student, Objective(), recipe)
    outcome = stepper.step(_batch(), 2)
    assert outcome.lr == pytest.approx(0.01 * 3 / 5)
    # Adam's first step is the rate times the gradient's sign; AdamW also shrinks by rate · decay.
    moved = student.last.weight.detach()
    wanted = twin.last.weight.detach() * (1 - outcome.lr * 0.01)
    wanted = wanted - outcome.lr * student.last.weight.grad.sign()
    assert torch.allclose(moved, wanted, rtol=0, atol=1e-5)


def test_random_numbers_are_those_of_the_step_whatever_was_drawn_before() -> None:
    digests = []
    for noise in (0, 1000):
        stepper = Stepper(_toy(), Objective(), _recipe())
        torch.rand(noise + 1)
        stepper.step(_batch(), 3)
        digests.append(_state(stepper))
    assert digests[0] == digests[1]
    other = Stepper(_toy(), Objective(), _recipe())
    other.step(_batch(), 4)  # dropout differs
    assert _state(other) != digests[0]


@pytest.mark.parametrize("limit", [0.001, 1e6, 0.0])
def test_the_whole_gradient_is_clipped_and_its_norm_told_before(limit: float) -> None:
    stepper = Stepper(_toy(), Objective(), _recipe(optimiser=Optimiser(clip_norm=limit)))
    outcome = stepper.step(_batch(), 0)
    norm = torch.cat([p.grad.flatten() for p in stepper.student.parameters()]).norm().item()
    assert outcome.grad_norm > 0.01
    assert norm == pytest.approx(0.001 if limit == 0.001 else outcome.grad_norm, rel=1e-3)


def _infinite(restored: Tensor, taught: Tensor, step: int) -> Tensor:
    return restored.mean() * (math.nan if step == 1 else 0.0)


def _steep(restored: Tensor, taught: Tensor, step: int) -> Tensor:
    """Return 0, finite, by a root whose slope at 0 is not."""
    return (restored * 0).sum().abs().sqrt() if step == 1 else restored.mean() * 0


@pytest.mark.parametrize(("other", "culprit"), [(_infinite, "other"), (_steep, "the gradient")])
def test_a_step_without_a_finite_gradient_changes_nothing(other: Any, culprit: str) -> None:
    stepper = Stepper(_toy(), Objective(other), _recipe())
    assert stepper.step(_batch(0), 0).culprit is None
    before = _state(stepper)
    assert stepper.step(_batch(1), 1).culprit == culprit
    assert _state(stepper) == before
    assert stepper.step(_batch(2), 2).culprit is None
    assert _state(stepper) != before
    assert all(torch.isfinite(v).all() for v in stepper.student.state_dict().values())


def test_a_batch_that_no_loss_can_use_is_refused() -> None:
    stepper = Stepper(_toy(), Objective(), _recipe())
    stepper.losses = lambda batch, step, steps: {}  # type: ignore[assignment]
    with pytest.raises(InputError, match="none of the losses other, squares can be computed"):
        stepper.step(_batch(), 0)


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_every_precision_learns_and_keeps_its_weights_in_float32(precision: Any) -> None:
    recipe = _recipe(precision=precision)
    stepper, totals = Stepper(_toy(), Objective(), recipe), []
    seen: list[torch.dtype] = []
    stepper.student.last.register_forward_hook(lambda m, i, o: seen.append(o.dtype))
    for step in range(20):
        outcome = stepper.step(_batch(), step)
        if outcome.culprit is None:
            totals.append(outcome.total)
    assert len(totals) >= 15
    assert min(totals[-3:]) < totals[0] * 0.8
    wanted = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert set(seen) == {wanted}
    assert all(p.dtype == torch.float32 for p in stepper.student.parameters())


def test_a_scale_that_is_too_high_for_half_precision_is_lowered() -> None:
    stepper = Stepper(_toy(), Objective(), _recipe(precision="fp16"))
    stepper.scaler.load_state_dict({**stepper.scaler.state_dict(), "scale": 2.0**24})
    before = _state(stepper)
    assert stepper.step(_batch(), 0).culprit == "the gradient"
    assert stepper.scaler.get_scale() == 2.0**23
    assert _state(stepper) == before


# ---------------------------------------------------------------- the optimiser


def test_some_parameters_learn_more_slowly() -> None:
    recipe = _recipe(optimiser=Optimiser(lr=0.01, slower={"first.": 0.25}))
    stepper = Stepper(_toy(), Objective(), recipe)
    stepper.step(_batch(), 10)
    slow, usual = (g for g in stepper.optimiser.param_groups if g["params"])
    assert {id(p) for p in slow["params"]} == {id(p) for p in stepper.student.first.parameters()}
    assert slow["lr"] == pytest.approx(0.25 * usual["lr"])
    assert sum(len(g["params"]) for g in stepper.optimiser.param_groups) == len(
        list(stepper.student.parameters())
    )


def test_a_factor_for_parameters_that_do_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"optimiser.slower: no parameter begins with 'flow'"):
        open_optimiser(_toy(), Optimiser(slower={"flow": 0.5}))


@pytest.mark.parametrize(
    ("kind", "cls"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_the_optimiser_is_the_recipes(kind: Any, cls: type) -> None:
    optimiser = open_optimiser(_toy(), Optimiser(kind, betas=(0.5, 0.7), weight_decay=0.3))
    assert type(optimiser) is cls
    assert (optimiser.defaults["betas"], optimiser.defaults["weight_decay"]) == ((0.5, 0.7), 0.3)


# ---------------------------------------------------------------- batches


def test_a_batch_moves_with_all_that_it_holds() -> None:
    tensor = torch.zeros(1, 2, 3, 4, 4)
    layers = Layers(tensor, tensor, tensor, tensor)
    batch = Batch(tensor, tensor, layers, (7,), Unlabelled(tensor, tensor, (8,))).to("meta")
    assert batch.layers is not None and batch.unlabelled is not None
    held = [batch.snowy, batch.clean, batch.unlabelled.weak, batch.unlabelled.strong]
    held += [batch.layers.S, batch.layers.T, batch.layers.A, batch.layers.z]
    assert {t.device.type for t in held} == {"meta"}
    assert (batch.videos, batch.unlabelled.videos) == ((7,), (8,))
