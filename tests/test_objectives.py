"""Hold what each network is trained by to its losses, its data, and its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvsd_bench.baselines import losses, objective
from rvsd_bench.baselines.desnownet import objective as desnownet
from rvsd_bench.baselines.desnownet.config import Config as DesnowConfig
from rvsd_bench.baselines.desnownet.losses import pseudo_mask, pyramid_loss
from rvsd_bench.baselines.desnownet.network import DesnowNet
from rvsd_bench.baselines.semivdn import objective as semivdn
from rvsd_bench.baselines.semivdn.bank import SnowBank, describe
from rvsd_bench.baselines.semivdn.config import TINY
from rvsd_bench.baselines.semivdn.losses import dark_channel_prior, distribution_contrast, warm_up
from rvsd_bench.baselines.semivdn.network import SemiVDN
from rvsd_bench.baselines.svdnet import losses as svdnet_losses
from rvsd_bench.baselines.svdnet import objective as svdnet
from rvsd_bench.baselines.svdnet.config import Config as SvdConfig
from rvsd_bench.baselines.svdnet.network import SVDNet
from rvsd_bench.errors import InputError
from rvsd_bench.training.batches import Around, Batch, Layers, Unlabelled


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _batch(*, side: int = 32, real: bool = False, videos: tuple[int, ...] = (0, 1)) -> Batch:
    """Return two windows of three frames that obey equation 1."""
    clean, snow = _random(2, 3, 3, side, side), 0.2 * _random(2, 3, 3, side, side, seed=1)
    air, light = 0.5 + 0.5 * _random(2, 3, 1, side, side, seed=2), torch.full_like(clean, 0.8)
    z = (_random(2, 3, 1, side, side, seed=3) > 0.8).float()
    layers = Layers(S=snow * z, T=air, A=light, z=z)
    snowy = (clean * air + light * (1 - air) + layers.S).clamp(0, 1)
    weak = 0.6 + 0.4 * _random(2, 3, 3, side, side, seed=4)
    unlabelled = Unlabelled(weak, (0.9 * weak + 0.05), (0, 1))
    place = torch.tensor([0.25, 0.0, 0.5, 0.5]).expand(2, 4)
    around = Around(_random(2, 3, 16, 24, seed=5), 0.5 + 0.5 * _random(2, 1, 16, 24, seed=6), place)
    return Batch(snowy, clean, layers, videos, unlabelled if real else None, around)


def _stirred(build: Callable[[], nn.Module]) -> Any:
    """Return a network none of whose layers is zero, as after some training."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        network = build()
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return network.train()


def _svdnet() -> Any:
    small = {"channels": 16, "encoder_blocks": 1, "trunk_blocks": 1, "queries": 4, "overview": 16}
    return _stirred(lambda: SVDNet(SvdConfig(**small, flow_levels=3)))  # type: ignore[arg-type]


def _semivdn(**fields: Any) -> Any:
    small = {"widths": (8, 12), "depths": (1, 1), "channels": 8, "token": 16, "fusion": 2}
    return _stirred(lambda: SemiVDN(replace(TINY, **small, features=4, **fields)))


def _desnownet() -> Any:
    config = DesnowConfig(width=1 / 32, blocks=(1, 1, 1), dp_channels=4)
    return _stirred(lambda: DesnowNet(config))


def _features(frames: Tensor) -> list[Tensor]:
    """Stand in for a VGG-16: three maps, from fine to coarse."""
    return [F.avg_pool2d(frames, 2**level) * (level + 1) for level in range(3)]


MODULES = {"svdnet": svdnet, "semivdn": semivdn, "desnownet": desnownet}
NETWORKS = {"svdnet": _svdnet, "semivdn": _semivdn, "desnownet": _desnownet}
SETTINGS: Mapping[str, Mapping[str, Any]] = {"desnownet": {"tau": 4}}


def _all_terms(name: str, batch: Batch) -> tuple[Any, dict[str, Tensor]]:
    module, student = MODULES[name], NETWORKS[name]()
    weights = dict.fromkeys(module.TERMS, 1.0)
    learn = module.build(weights, features=_features, **SETTINGS.get(name, {}))
    assert learn.terms == module.TERMS
    return student, learn(student, NETWORKS[name](), batch, 5, 10)


@pytest.mark.parametrize("name", MODULES)
def test_every_loss_of_a_network_is_above_zero_and_teaches_it(name: str) -> None:
    student, terms = _all_terms(name, _batch(real=True))
    assert set(terms) == MODULES[name].TERMS
    for term, value in terms.items():
        assert value.ndim == 0 and float(value.detach()) > 0, term
        gradients = torch.autograd.grad(
            value, list(student.parameters()), retain_graph=True, allow_unused=True
        )
        reached = [g for g in gradients if g is not None]
        assert reached and all(bool(g.isfinite().all()) for g in reached), term
        assert any(float(g.abs().max()) > 0 for g in reached), term


@pytest.mark.parametrize("name", MODULES)
def test_all_losses_together_reach_every_weight(name: str) -> None:
    student, terms = _all_terms(name, _batch(real=True))
    torch.stack(list(terms.values())).sum().backward()
    idle = [n for n, p in student.named_parameters() if p.grad is None]
    assert idle == []


@pytest.mark.parametrize("name", MODULES)
def test_only_what_is_weighed_is_computed(name: str) -> None:
    module = MODULES[name]
    weights = {"charbonnier": 1.0, "edges": 0.0}
    terms = module.build(weights, features=None)(*[NETWORKS[name]()] * 2, _batch(), 0, 1)
    assert set(terms) == {"charbonnier"}


@pytest.mark.parametrize("name", MODULES)
def test_data_without_layers_leaves_out_what_needs_them_and_no_features_likewise(name: str) -> None:
    module = MODULES[name]
    batch = replace(_batch(real=True), layers=None, around=None)
    learn = module.build(dict.fromkeys(module.TERMS, 1.0), features=None, **SETTINGS.get(name, {}))
    student = NETWORKS[name]()
    left = module.TERMS - set(learn(student, student, batch, 0, 1))
    needed = {
        "svdnet": {"snow", "transmission", "light", "mask", "overview"},
        "semivdn": {"snow", "transmission", "light"},
        "desnownet": {"mask", "aberration"},
    }[name]
    assert left == needed | {"inside", "decibels_inside"} | module.FEATURE_TERMS


@pytest.mark.parametrize("name", [*MODULES, "plain"])
def test_settings_that_there_are_not_are_refused(name: str) -> None:
    module = MODULES.get(name, objective)
    with pytest.raises(InputError, match="banc"):
        module.build({"charbonnier": 1.0}, features=None, banc=3)


def test_a_network_without_losses_of_its_own_learns_from_its_frames() -> None:
    batch, network = _batch(), nn.Conv3d(3, 3, 1)

    class Clips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, clip: Tensor) -> Tensor:
            return self.inner(clip.transpose(1, 2)).transpose(1, 2)

    learn = objective.build(dict.fromkeys(objective.TERMS, 1.0), features=_features)
    student = Clips()
    with torch.no_grad():
        terms, restored = learn(student, student, batch, 0, 1), student(batch.snowy)
    assert set(terms) == objective.TERMS
    assert float(terms["charbonnier"]) == float(losses.charbonnier(restored, batch.clean))
    expected = losses.charbonnier_inside(restored, batch.clean, batch.layers.z)
    assert float(terms["inside"]) == float(expected)
    assert learn.state_dict() == {}
    learn.load_state_dict({})
    with pytest.raises(InputError, match="bank"):
        learn.load_state_dict({"bank": {}})


# --- SVDNet


def test_the_layers_of_svdnet_are_compared_one_by_one() -> None:
    batch, student = _batch(), _svdnet()
    layers, around = batch.layers, batch.around
    assert layers is not None and around is not None and around.transmission is not None
    found = student.analyse(batch.snowy, around)
    learn = svdnet.build(dict.fromkeys(svdnet.TERMS, 1.0))
    with torch.no_grad():
        terms = learn(student, student, batch, 0, 1)

    def off(one: Tensor, two: Tensor) -> float:
        return float(np.abs((one - two).detach().numpy().astype(np.float64)).mean())

    assert float(terms["snow"]) == pytest.approx(off(found.snow, layers.S), rel=1e-4)
    assert float(terms["transmission"]) == pytest.approx(
        off(found.transmission, layers.T), rel=1e-4
    )
    assert float(terms["light"]) == pytest.approx(off(found.light, layers.A), rel=1e-4)
    assert float(terms["overview"]) == pytest.approx(
        off(found.overview, around.transmission), rel=1e-4
    )
    entropy = svdnet_losses.mask_entropy(found.mask_logits, layers.z)
    assert float(terms["mask"]) == pytest.approx(float(entropy.detach()), rel=1e-5)


@pytest.mark.parametrize(("videos", "there"), [((0, 1), True), ((4, 4), False)])
def test_snow_is_contrasted_between_videos_and_left_out_with_a_single_one(
    videos: tuple[int, ...], there: bool
) -> None:
    student = _svdnet()
    terms = svdnet.build({"contrast": 1.0, "charbonnier": 1.0})(
        student, student, _batch(videos=videos), 0, 1
    )
    assert ("contrast" in terms) == there
    assert all(bool(term.isfinite()) for term in terms.values())


# --- DesnowNet


def test_the_pyramids_of_desnownet_are_equation_8_unweighted() -> None:
    batch, student = _batch(), _desnownet().eval()
    weights = {"recovered": 1.0, "restored": 1.0, "mask": 3.0}
    learn = desnownet.build(weights, tau=3, reduction="mean")
    with torch.no_grad():
        terms, found = learn(student, student, batch, 0, 1), student.analyse(batch.snowy)
    assert batch.layers is not None
    truth = {
        "recovered": (found.recovered, batch.clean),
        "restored": (found.restored, batch.clean),
        "mask": (found.mask, batch.layers.z),
    }
    assert set(terms) == set(truth)
    for name, pair in truth.items():
        assert float(terms[name]) == pytest.approx(float(pyramid_loss(*pair, 3, "mean")), rel=1e-5)


def test_pairs_without_layers_may_be_given_a_guessed_mask() -> None:
    batch, student = replace(_batch(), layers=None), _desnownet().eval()
    learn = desnownet.build({"mask": 3.0, "restored": 1.0}, tau=3, mask="pseudo")
    with torch.no_grad():
        terms, found = learn(student, student, batch, 0, 1), student.analyse(batch.snowy)
    guess = pseudo_mask(batch.snowy, batch.clean)
    assert float(terms["mask"]) == pytest.approx(float(pyramid_loss(found.mask, guess, 3)))


# --- SemiVDN


def test_the_teacher_of_semivdn_sees_the_weak_clips_and_learns_nothing() -> None:
    student, teacher, batch = _semivdn(), _semivdn().eval(), _batch(real=True)
    seen: list[tuple[Tensor, bool]] = []
    inner = teacher.analyse
    teacher.analyse = lambda clip: (seen.append((clip, torch.is_grad_enabled())), inner(clip))[1]
    learn = semivdn.build(dict.fromkeys(semivdn.TERMS, 1.0), features=_features)
    torch.stack(list(learn(student, teacher, batch, 5, 10).values())).sum().backward()
    assert [(clip is batch.unlabelled.weak, grad) for clip, grad in seen] == [(True, False)]
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


def test_without_unlabelled_clips_semivdn_is_supervised_alone() -> None:
    student, batch = _semivdn(), _batch(real=True)
    learn = semivdn.build(dict.fromkeys(semivdn.TERMS, 1.0), features=_features)
    with torch.no_grad():
        whole = learn(student, student, batch, 10, 10)
        alone = learn(student, student, replace(batch, unlabelled=None), 10, 10)
    assert set(whole) - set(alone) == semivdn.UNLABELLED_TERMS
    assert all(float(alone[name]) == float(whole[name]) for name in alone)


def test_losses_of_unlabelled_clips_grow_with_the_step_as_equation_10_says() -> None:
    student, teacher, batch = _semivdn(), _semivdn(t_start=1.0).eval(), _batch(real=True)
    weights = dict.fromkeys({"charbonnier", "consistency", "dark_channel", "variation"}, 1.0)
    learn = semivdn.build(weights, mu_max=0.5)
    found = {step: learn(student, teacher, batch, step, 10) for step in (0, 5, 10)}
    with torch.no_grad():
        ours, theirs = (
            net.analyse(clip).restored
            for net, clip in (
                (student, batch.unlabelled.strong), (teacher, batch.unlabelled.weak)
            )
        )  # fmt: skip
        raw = {
            "consistency": losses.charbonnier(ours, theirs),
            "dark_channel": dark_channel_prior(ours.clamp(0, 1)),
        }
    for step, terms in found.items():
        for name, value in raw.items():
            expected = warm_up(step, 10, 0.5) * float(value)
            assert float(terms[name]) == pytest.approx(expected, rel=1e-5)
    assert float(found[0]["charbonnier"]) == float(found[10]["charbonnier"])


def test_snow_that_is_blacker_than_black_earns_nothing_from_the_dark_channel() -> None:
    student, batch = _semivdn(), _batch(real=True)
    with torch.no_grad():
        student.project.bias.fill_(-9.0)
    term = semivdn.build({"dark_channel": 1.0})(student, student, batch, 1, 1)["dark_channel"]
    assert float(term) == 0


def test_the_distribution_contrast_takes_the_snow_most_like_the_real_one() -> None:
    student, batch = _semivdn(), _batch(real=True)
    learn = semivdn.build({"distribution": 1.0})
    with torch.no_grad():
        labelled = student.analyse(batch.snowy)
        ours = student.analyse(batch.unlabelled.strong)
        theirs = student.analyse(batch.unlabelled.weak)
    # Snow just like each real clip's was seen before, among other snow.
    learn.bank.add(describe(ours.layers.snow))
    term = learn(student, student, batch, 1, 1)["distribution"]
    exact = ours.layers.snow.bfloat16().float()
    expected = distribution_contrast(
        teacher_background=theirs.background,
        student_background=ours.background,
        student_snow=ours.layers.snow,
        labelled_background=labelled.background,
        ultra_snow=exact,
        augmented_snow=theirs.layers.snow.flip(-1),
    )
    assert float(term.detach()) == pytest.approx(float(expected), rel=1e-4)


def test_the_bank_forgets_the_oldest_snow_first() -> None:
    bank = SnowBank(3)
    for shade in range(5):
        bank.add(describe(torch.full((1, 1, 2, 8, 8), 0.5 * shade)))
    assert [float(snow.features.mean()) for snow in bank.kept] == [1.0, 1.5, 2.0]
    assert not any(snow.features.requires_grad for snow in bank.kept)


def test_snow_that_is_no_number_is_not_remembered() -> None:
    """The step is passed over for its loss; with its snow in the bank, all later ones would be."""
    student, batch = _semivdn(), _batch(real=True)
    learn = semivdn.build({"distribution": 1.0})
    bad = replace(batch, snowy=batch.snowy * float("nan"))
    assert not learn(student, student, bad, 0, 1)["distribution"].isfinite()
    assert not learn.bank.kept
    assert learn(student, student, batch, 0, 1)["distribution"].isfinite()


def test_a_resumed_objective_goes_on_as_one_that_never_stopped(tmp_path: Any) -> None:
    student, weights = _semivdn(), {"distribution": 1.0, "consistency": 1.0}
    batches = [
        replace(
            _batch(real=True),
            snowy=_random(2, 3, 3, 32, 32, seed=9 + n) ** (n + 1),
        )
        for n in range(4)
    ]
    whole = semivdn.build(weights, bank=5)
    for step in (0, 1, 2):
        whole(student, student, batches[step], step, 4)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    resumed = semivdn.build(weights, bank=5)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    fresh = semivdn.build(weights, bank=5)
    last = [learn(student, student, batches[3], 3, 4) for learn in (whole, resumed, fresh)]
    assert {n: float(v) for n, v in last[0].items()} == {n: float(v) for n, v in last[1].items()}
    assert len(whole.bank.kept) == len(resumed.bank.kept) == 5 > len(fresh.bank.kept)
    one, other = whole.state_dict()["bank"], resumed.state_dict()["bank"]
    for name, tensors in one.items():
        assert all(torch.equal(a, b) for a, b in zip(tensors, other[name], strict=True))
