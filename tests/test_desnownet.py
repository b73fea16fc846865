"""DesnowNet against its equations written out literally, and against Inception-v4 of others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rvsd_bench import restore
from rvsd_bench.baselines.checkpoints import save_checkpoint
from rvsd_bench.baselines.desnownet import CARD, build
from rvsd_bench.baselines.desnownet import inception as blocks
from rvsd_bench.baselines.desnownet.config import PRESETS, Config
from rvsd_bench.baselines.desnownet.inception import Units, inception_v4
from rvsd_bench.baselines.desnownet.network import (
    DesnowNet,
    DilationPyramid,
    PyramidMaxout,
    PyramidSum,
)
from rvsd_bench.baselines.desnownet.recovery import clamp_inwards, recover
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError

SMALL = replace(PRESETS["tiny"], width=1 / 32, dp_channels=2)


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Size


@pytest.mark.parametrize(
    ("preset", "millions", "gmac"), [("default", 26.15, 1709.8), ("tiny", 0.20, 13.0)]
)
def test_parameters_and_multiplications_are_those_that_later_papers_quote(
    preset: str, millions: float, gmac: float
) -> None:
    with torch.device("meta"):
        network = DesnowNet(PRESETS[preset]).eval()
        with FlopCounterMode(display=False) as counter:
            assert network(torch.empty(1, 1, 3, 256, 256)).shape == (1, 1, 3, 256, 256)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions
    assert round(counter.get_total_flops() / 2e9, 1) == gmac


def test_at_full_width_the_backbone_is_inception_v4_without_its_classifier() -> None:
    with torch.device("meta"):
        backbone = inception_v4(Units(1.0, norm=True, activation="relu"), 3, (4, 7, 3))
    whole, classifier = 42_679_816, 1536 * 1000 + 1000  # as published for ImageNet
    assert sum(p.numel() for p in backbone.parameters()) == whole - classifier


@pytest.mark.parametrize(
    ("ours", "theirs", "channels"),
    [
        (blocks._block_a, "InceptionA", 384),
        (blocks._block_b, "InceptionB", 1024),
        (blocks._block_c, "InceptionC", 1536),
    ],
)
def test_a_block_computes_what_the_block_of_timm_does(
    ours: Callable[[Units], nn.Module], theirs: str, channels: int
) -> None:
    models = pytest.importorskip("timm.models.inception_v4")
    reference, block = getattr(models, theirs)().eval(), ours(Units(1.0, True, "relu")).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3  # what its whole network hands to its blocks
    given = {
        name: _random(*t.shape, seed=i) * 0.1 if t.is_floating_point() else t
        for i, (name, t) in enumerate(reference.state_dict().items())
    }
    reference.load_state_dict(given)
    block.load_state_dict(dict(zip(block.state_dict(), given.values(), strict=True)))
    features = _random(1, channels, 7, 6) - 0.5
    with torch.inference_mode():
        assert torch.allclose(block(features), reference(features), rtol=1e-4, atol=1e-4)


def test_every_stage_keeps_the_size_of_the_picture() -> None:
    sizes = []
    network = DesnowNet(SMALL).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            module.register_forward_hook(lambda m, i, out: sizes.append(tuple(out.shape[-2:])))
    with torch.inference_mode():
        network(_random(1, 1, 3, 13, 22))
    assert set(sizes) == {(13, 22)} and len(sizes) > 60


def _reach(network: Callable[[Tensor], Tensor], across: bool) -> int:
    """Return how far from the middle the answer there depends on the input, by its gradient."""
    line = _random(1, 1, 3, 1, 401, dtype=torch.float64) * 0.5 + 0.25
    clip = (line if across else line.transpose(-1, -2).contiguous()).requires_grad_()
    answer = network(clip)
    answer[..., answer.shape[-2] // 2, answer.shape[-1] // 2].sum().backward()
    assert clip.grad is not None
    seen = clip.grad.abs().sum(dim=2).flatten().nonzero().flatten() - 200
    assert -int(seen.min()) == int(seen.max())
    return int(seen.max())


@pytest.mark.parametrize("across", [False, True])
def test_a_pixel_depends_on_90_pixels_around_it_for_the_mask_and_on_180_in_all(
    across: bool,
) -> None:
    network = DesnowNet(Config(width=1 / 32, dp_channels=2, norm=False)).double().eval()
    for module in network.modules():  # means: every path counts and none dies
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    nn.init.constant_(network.recovery.snow.levels[-1].bias, 0.2)  # the widest kernel is strongest
    assert _reach(lambda clip: network.describe_snow(clip[:, 0]), across) == 87
    assert _reach(lambda clip: network.analyse(clip).mask, across) == 90
    assert _reach(network, across) == 180


# Equations 3, 4, 6


def _literal_conv(features: Tensor, conv: nn.Conv2d, row: int, column: int) -> Tensor:
    """Return the answer of a convolution at one pixel, tap by tap, with zeros outside."""
    weight, side = conv.weight, conv.weight.shape[-1]
    total = conv.bias.clone() if conv.bias is not None else torch.zeros(len(weight))
    for i in range(side):
        for j in range(side):
            y = row + (i - side // 2) * conv.dilation[0]
            x = column + (j - side // 2) * conv.dilation[1]
            if 0 <= y < features.shape[-2] and 0 <= x < features.shape[-1]:
                total = total + weight[:, :, i, j] @ features[0, :, y, x]
    return total


def _convs(modules: nn.ModuleList) -> list[nn.Conv2d]:
    return [module for module in modules if isinstance(module, nn.Conv2d)]


PIXELS = [(0, 0), (9, 7), (18, 20), (3, 19)]


@torch.no_grad()
def test_the_dilation_pyramid_joins_dilations_of_powers_of_two() -> None:
    pyramid = DilationPyramid(3, 4, gamma=4)
    levels = _convs(pyramid.levels)
    for level, dilation in zip(levels, [1, 2, 4, 8, 16], strict=True):
        level.dilation = (dilation, dilation)  # what the literal sum goes by
    features = _random(1, 3, 19, 21)
    joined = DilationPyramid(3, 4, gamma=4)
    joined.load_state_dict(pyramid.state_dict())
    answer = joined(features)
    assert answer.shape == (1, 20, 19, 21)
    for row, column in PIXELS:
        wanted = torch.cat([_literal_conv(features, level, row, column) for level in levels])
        assert torch.allclose(answer[0, :, row, column], wanted, atol=1e-5)


@torch.no_grad()
def test_the_maxout_takes_the_strongest_kernel_and_then_a_prelu() -> None:
    head, features = PyramidMaxout(3, 5, beta=4), _random(1, 3, 19, 21) - 0.5
    nn.init.constant_(head.activation.weight, 0.3)
    assert [conv.kernel_size for conv in _convs(head.levels)] == [(1, 1), (3, 3), (5, 5), (7, 7)]
    answer = head(features)
    winners = set()
    for row, column in PIXELS:
        each = torch.stack([_literal_conv(features, c, row, column) for c in _convs(head.levels)])
        strongest, winner = each.max(dim=0)
        winners |= set(winner.tolist())
        wanted = torch.where(strongest > 0, strongest, 0.3 * strongest)
        assert torch.allclose(answer[0, :, row, column], wanted, atol=1e-5)
    assert len(winners) > 1


@torch.no_grad()
def test_the_sum_adds_every_kernel_once() -> None:
    head, features = PyramidSum(3, 3, beta=4), _random(1, 3, 19, 21)
    answer = head(features)
    for row, column in PIXELS:
        wanted = sum(_literal_conv(features, conv, row, column) for conv in _convs(head.levels))
        assert torch.allclose(answer[0, :, row, column], torch.as_tensor(wanted), atol=1e-5)


def test_mask_and_aberration_have_one_and_three_channels_and_descriptors_are_not_shared() -> None:
    network = build("tiny")
    found = network.analyse(_random(2, 3, 3, 9, 11))
    assert found.mask.shape == (2, 3, 1, 9, 11) and found.aberration.shape == (2, 3, 3, 9, 11)
    first = next(network.describe_scene.parameters())
    assert first.shape[1] == 7
    shared = {id(p) for p in network.describe_snow.parameters()}
    assert not shared & {id(p) for p in network.describe_scene.parameters()}


# Equation 5


def _scene(z: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    x, a = _random(1, 3, 4, 5, seed=1, dtype=dtype), _random(1, 3, 4, 5, seed=2, dtype=dtype)
    return x, a, torch.full((1, 1, 4, 5), z, dtype=dtype)


def test_recovery_undoes_equation_1() -> None:
    y, a, _ = _scene(0)
    z = _random(1, 1, 4, 5, seed=3, dtype=torch.float64) * 0.94
    assert torch.allclose(recover(a * z + y * (1 - z), a, z, eps=0.05), y, rtol=0, atol=1e-13)


@pytest.mark.parametrize("z", [0.0, 1.0])
def test_without_snow_and_behind_opaque_snow_the_input_comes_back(z: float) -> None:
    x, a, mask = _scene(z)
    assert torch.equal(recover(x, a, mask, eps=0.05), x)


def test_its_gradient_is_that_of_the_formula_away_from_opaque_snow() -> None:
    inputs = [t.requires_grad_() for t in _scene(0.4)]
    inputs[2] = (_random(1, 1, 4, 5, seed=4, dtype=torch.float64) * 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, a, z: recover(x, a, z, 0.05), inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("z", [0.0, 0.5, 0.9499, 0.95, 0.97, 1 - 1e-6, 1.0])
def test_gradients_are_finite_and_bounded_for_every_mask(z: float, dtype: torch.dtype) -> None:
    x, a, mask = (t.expand(1, 3, 4, 5).clone().requires_grad_() for t in _scene(z, dtype))
    recover(x, a, mask, eps=0.05).sum().backward()
    for tensor in (x, a, mask):
        assert tensor.grad is not None and bool(torch.isfinite(tensor.grad).all())
    assert mask.grad is not None
    bound = torch.maximum(400 * (x - a).abs(), 20 * a)
    assert bool((mask.grad.abs() <= bound * (1 + 1e-4)).all())


def test_the_bound_is_reached_so_that_it_says_something() -> None:
    x, a, z = (torch.tensor([v], dtype=torch.float64).requires_grad_() for v in (0.2, 1, 0.95))
    (slope,) = torch.autograd.grad(recover(x, a, z - 1e-12, 0.05), z)
    assert float(slope) == pytest.approx(-400 * 0.8, rel=1e-6)
    (slope,) = torch.autograd.grad(recover(x, a, z + 0.02, 0.05), z)
    assert float(slope) == pytest.approx(-20, rel=1e-6)


@pytest.mark.parametrize("logits", [-2.0, 0.0, 0.5, 1.0, 3.0])
def test_gradients_of_the_whole_network_are_finite_wherever_the_mask_starts(logits: float) -> None:
    network = DesnowNet(replace(SMALL, mask_bias=0.0)).train()
    for level in network.recovery.snow.levels:
        nn.init.zeros_(level.weight)
        nn.init.constant_(level.bias, logits)
    found = network.analyse(_random(1, 1, 3, 12, 12))
    assert float(found.mask.detach().mean()) == min(1.0, max(0.0, logits))
    found.restored.square().sum().backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)


def test_a_value_outside_is_pulled_back_and_never_pushed_further() -> None:
    values = torch.tensor([-0.5, -0.5, 0.0, 0.3, 1.0, 1.5, 1.5], requires_grad=True)
    pull = torch.tensor([1.0, -1.0, 1.0, -2.0, -1.0, 1.0, -1.0])
    clamped = clamp_inwards(values)
    assert clamped.tolist() == pytest.approx([0, 0, 0, 0.3, 1, 1, 1])
    (gradient,) = torch.autograd.grad((clamped * pull).sum(), values)
    assert gradient.tolist() == [0, -1, 1, -2, -1, 1, 0]


def test_eps_is_the_training_one_only_in_training() -> None:
    network = DesnowNet(replace(SMALL, clamp_recovered=False))
    for level in network.recovery.snow.levels:
        nn.init.zeros_(level.weight)
        nn.init.constant_(level.bias, 0.98)
    clip = _random(1, 1, 3, 8, 8)
    for mode, divisor in ((True, 0.05), (False, 0.02)):
        found = network.train(mode).analyse(clip)
        wanted = (clip - 0.98 * found.aberration) / divisor
        assert torch.allclose(found.recovered, wanted, rtol=1e-3, atol=1e-4)


def test_the_sigmoid_mask_stays_open() -> None:
    mask = build("tiny", mask="sigmoid").analyse(_random(1, 1, 3, 8, 8)).mask.detach()
    assert 0.4 < float(mask.min()) <= float(mask.max()) < 0.6


# The network as a restorer


def test_restored_is_recovered_plus_residual_and_forward_gives_it() -> None:
    network, clip = build("tiny"), _random(2, 2, 3, 10, 9)
    with torch.inference_mode():
        found, answer = network.analyse(clip), network(clip)
    assert torch.equal(answer, found.restored)
    assert torch.equal(found.recovered + found.residual, found.restored)


def test_every_frame_is_restored_by_itself() -> None:
    network, clip = build("tiny"), _random(2, 3, 3, 16, 17)
    with torch.inference_mode():
        whole = network(clip)
        alone = torch.stack(
            [torch.cat([network(clip[b : b + 1, t : t + 1])[0] for t in range(3)]) for b in (0, 1)]
        )
    assert torch.allclose(whole, alone, atol=1e-5)


def test_two_builds_are_equal_and_leave_the_global_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = build("tiny").state_dict()
    assert torch.equal(torch.rand(3), expected)
    second = build("tiny").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_untrained_it_changes_a_picture_little_and_says_that_it_is_untrained() -> None:
    network, clip = build(), _random(1, 1, 3, 24, 24)
    with torch.inference_mode():
        assert float((network(clip) - clip).abs().mean()) < 0.1
    assert not network.training and not network.info.trained
    assert network.info.weights_sha256 is None
    assert network.info.facts == {"preset": "default", "config": asdict(Config())}


def test_tiles_shrink_as_the_width_grows_so_that_memory_stays() -> None:
    tiles = {w: build("tiny", width=str(w)).info.tile for w in (0.5, 0.125, 0.03125)}
    assert tiles == {0.5: 512, 0.125: 1024, 0.03125: 2048}


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (45, 61)])
def test_a_clip_of_any_size_is_restored(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    restored = list(restore(build("tiny"), ArrayClip(frames)))
    assert [frame.shape for frame in restored] == [(*size, 3)] * 2


def test_tiles_far_larger_than_the_reach_give_the_untiled_picture() -> None:
    network = build("tiny")
    frames = np.random.default_rng(1).integers(0, 256, (1, 40, 300, 3), np.uint8)
    (whole,) = restore(network, ArrayClip(frames))
    (tiled,) = restore(network, ArrayClip(frames), tile=200, overlap=100)
    assert int(np.abs(whole.astype(int) - tiled).max()) <= 1


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mask_and_recovery_are_computed_in_float32_under_autocast(precision: torch.dtype) -> None:
    network, clip = build("tiny"), _random(1, 1, 3, 24, 24)
    with torch.inference_mode():
        exact = network.analyse(clip)
        with torch.autocast("cpu", dtype=precision):
            found = network.analyse(clip)
    for part in (found.restored, found.recovered, found.mask, found.aberration):
        assert part.dtype == torch.float32
    assert float((found.restored - exact.restored).abs().max()) < 0.02


def test_weights_come_back_with_the_sizes_that_their_card_names(tmp_path: Path) -> None:
    config, path = replace(SMALL, mask="sigmoid"), tmp_path / "w.safetensors"
    trained = DesnowNet(config).eval()
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    card = {"preset": "tiny", "config": asdict(config), "trained_on": "our snow"}
    save_checkpoint(path, trained.state_dict(), card)
    network, clip = build(weights=path), _random(1, 1, 3, 8, 8)
    assert torch.equal(network(clip), trained(clip))
    info = network.info
    assert info.trained and info.trained_on == "our snow" and info.weights == "w.safetensors"
    assert info.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert info.facts == {"preset": "tiny", "config": asdict(config)}


def test_weights_of_another_size_are_refused_by_their_first_keys(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, DesnowNet(SMALL).state_dict(), {})
    with pytest.raises(InputError, match=r"another architecture: .*describe_snow\.0\.0\.0\.weight"):
        build("tiny", weights=path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"preset": "huge"}, "no preset of desnownet named 'huge'"),
        ({"widht": "1"}, "no option of desnownet named 'widht'. Did you mean 'width'"),
        ({"width": "2"}, r"width is 2, must lie in \[0.03125, 1\]"),
        ({"mask": "soft"}, "no choice named 'soft'"),
        ({"blocks": "1,2"}, "desnownet: blocks"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        build(**options)


def test_the_card_names_paper_licence_and_deviations() -> None:
    assert CARD.paper and CARD.licence == "Apache-2.0" and not CARD.trained
    assert any("equation 5" in deviation for deviation in CARD.deviations)
