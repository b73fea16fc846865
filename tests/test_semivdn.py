"""Hold SemiVDN's network to its paper's equations, and to what others say of the same numbers."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import rvsd_bench
from rvsd_bench.baselines import semivdn
from rvsd_bench.baselines.checkpoints import save_checkpoint
from rvsd_bench.baselines.semivdn.config import DEFAULT, TINY, Config
from rvsd_bench.baselines.semivdn.encoder import ConvNeXt, from_public_names
from rvsd_bench.baselines.semivdn.network import Layers, SemiVDN, recover
from rvsd_bench.baselines.semivdn.transformer import (
    FusionFeedForward,
    Patches,
    TemporalDecouplingExperts,
)
from rvsd_bench.clip import ArrayClip, from_torch, to_torch
from rvsd_bench.errors import InputError

SMALLEST = replace(TINY, widths=(8, 12), depths=(1, 1), channels=8, token=16, fusion=2, features=4)


def _clip(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator)


def _stirred(config: Config = SMALLEST, **fields: Any) -> SemiVDN:
    """Return a network none of whose layers is zero, as after some training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = SemiVDN(replace(config, **fields))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


def _experts(token: int = 10) -> TemporalDecouplingExperts:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return TemporalDecouplingExperts(token, 4).double()


# --- sizes


@pytest.mark.parametrize(
    ("config", "millions", "gmacs"), [(DEFAULT, 56.9, 109.7), (TINY, 1.06, 5.98)]
)
def test_the_presets_have_the_published_order_of_size(
    config: Config, millions: float, gmacs: float
) -> None:
    with torch.device("meta"):
        network = SemiVDN(config)
        clip = torch.zeros(1, 3, 3, 256, 256)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(clip)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters / 1e6 == pytest.approx(millions, rel=2e-3)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, rel=1e-3)


def test_without_experts_a_plain_network_of_one_expert_stands_in_their_place() -> None:
    """M1 of Table 2: two of three MLPs, d -> 4d -> d, and the router d x 3 less for each block."""
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in SemiVDN(replace(DEFAULT, experts=kind)).parameters())
            for kind in ("temporal", "none")
        ]
    d = 512
    assert sizes[0] - sizes[1] == 2 * (2 * (d * 4 * d + 4 * d + 4 * d * d + d) + 3 * d)


def test_without_experts_tokens_are_mapped_one_by_one_and_no_component_differs() -> None:
    network, clip = _stirred(experts="none"), _clip(1, 2, 3, 32, 32)
    plain = network.transform.blocks[-1].decouple
    with torch.no_grad():
        tokens = _clip(1, 7, 16)
        found, single = plain(tokens), plain(tokens[:, 3:4])
        assert torch.allclose(found.combined[:, 3:4], single.combined, atol=1e-6)
        assert all(torch.equal(found.component(j), found.combined) for j in range(3))
        analysis = network.analyse(clip)
    assert analysis.restored.shape == clip.shape
    assert torch.allclose(analysis.routing, torch.full_like(analysis.routing, 1 / 3))


def test_a_crop_of_the_papers_size_has_22_by_22_patches() -> None:
    assert Patches(DEFAULT).grid((64, 64)) == (22, 22)


# --- equations 2 to 5


def test_the_experts_are_the_equations_written_as_loops() -> None:
    module = _experts()
    z = _clip(1, 17, 10).double()[0] * 4 - 2
    found = module(z[None])
    count, experts = z.shape[0], 3
    logits = [
        [sum(z[i, k] * module.gamma[k, j] for k in range(10)) for j in range(experts)]
        for i in range(count)
    ]
    combined = torch.zeros_like(z)
    for j in range(experts):
        total = sum(torch.exp(logits[i][j]) for i in range(count))
        gathered = sum(torch.exp(logits[i][j]) / total * z[i] for i in range(count))
        output = module.experts[j](gathered)
        for i in range(count):
            share = torch.exp(logits[i][j]) / sum(torch.exp(value) for value in logits[i])
            combined[i] += share * output
    assert float((found.combined[0] - combined).detach().abs().max()) < 1e-12


def test_windows_in_a_batch_do_not_see_one_another() -> None:
    module, z = _experts(), _clip(2, 9, 10).double()
    together = module(z)
    alone = [module(z[i : i + 1]) for i in range(2)]
    for i in range(2):
        assert torch.allclose(together.combined[i], alone[i].combined[0], rtol=0, atol=1e-13)
        assert torch.allclose(together.components[i], alone[i].components[0], rtol=0, atol=1e-13)


def test_the_components_add_up_to_the_combined_tokens() -> None:
    found = _experts()(_clip(2, 9, 10).double())
    total = sum(found.component(j) for j in range(3))
    assert torch.allclose(total, found.combined, rtol=0, atol=1e-14)


def test_the_experts_do_not_care_for_the_order_of_tokens() -> None:
    module, z = _experts(), _clip(1, 30, 10).double()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(module(z[:, order]).combined, module(z).combined[:, order], atol=1e-13)


def test_the_combined_tokens_have_rank_three() -> None:
    combined = _experts()(_clip(1, 40, 10).double() * 6 - 3).combined[0]
    assert int(torch.linalg.matrix_rank(combined, rtol=1e-10)) == 3


def test_a_third_of_the_tokens_share_each_expert_before_training() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = TemporalDecouplingExperts(512, 1)
        z = F.layer_norm(torch.randn(1, 1452, 512), (512,))
    weights = (z @ module.gamma)[0].softmax(dim=0)
    effective = 1 / weights.detach().square().sum(dim=0)
    assert float(effective.min()) > 300 and float(effective.max()) < 800


# --- patches


def test_cutting_and_laying_patches_gives_back_what_overlaps_consistently() -> None:
    patches, maps = Patches(DEFAULT), _clip(2, 3, 19, 26).double()
    size = (19, 26)
    laid = patches.fold(patches.unfold(maps), size) / patches.overlaps(size, maps)
    assert torch.allclose(laid, maps, rtol=0, atol=1e-14)
    cut = patches.unfold(maps)
    again = patches.unfold(patches.fold(cut, size) / patches.overlaps(size, maps))
    assert torch.allclose(again, cut, rtol=0, atol=1e-14)


def test_no_pixel_is_left_without_a_patch() -> None:
    patches = Patches(DEFAULT)
    for length in range(8, 200):
        covered = np.zeros(length, int)
        for i in range(patches.grid((length, 8))[0]):
            covered[max(0, 3 * i - 3) : max(0, 3 * i + 4)] += 1
        assert covered.min() >= 1
        found = patches.overlaps((length, 8), torch.zeros(()))[0, 0]
        assert found[:, 4].div(found[0, 4]).tolist() == (covered / covered[0]).tolist()


def test_the_fusion_network_mixes_neighbours_and_keeps_frames_apart() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fuse = FusionFeedForward(SMALLEST)
    rows, columns = fuse.patches.grid((16, 16))
    tokens = _clip(1, 2 * rows * columns, 16)
    changed = tokens.clone()
    changed[0, 0] += 1
    moved = (fuse(changed, (16, 16)) - fuse(tokens, (16, 16))).abs().sum(-1)[0] > 1e-6
    assert bool(moved[1]) and bool(moved[columns])
    assert not bool(moved[3]) and not bool(moved[rows * columns :].any())


def test_the_fusion_network_averages_where_patches_overlap() -> None:
    fuse = FusionFeedForward(SMALLEST)
    with torch.no_grad():
        fuse.widen.weight.zero_()
        fuse.widen.bias.fill_(1)
        tokens = torch.zeros(1, np.prod(fuse.patches.grid((16, 16))), 16)
        expected = fuse.narrow(fuse.patches.unfold(torch.ones(1, 2, 16, 16)))
        assert torch.allclose(fuse(tokens, (16, 16)), expected, atol=1e-6)


# --- equation 6


@pytest.mark.parametrize("least", [0.1, 0.5])
def test_recovery_inverts_the_scattering_model(least: float) -> None:
    scene, snow = _clip(1, 3, 40, 40), _clip(1, 3, 40, 40, seed=1) - 0.5
    t = least + (1 - least) * _clip(1, 1, 40, 40, seed=2)
    light = _clip(1, 1, 1, 1, seed=3)
    seen = scene * t + light * (1 - t) + snow
    assert float((recover(seen, Layers(snow, t, light)) - scene).abs().max()) < 1e-5


def test_recovery_is_the_identity_where_the_air_is_clear() -> None:
    seen = _clip(1, 3, 8, 8)
    clear = Layers(torch.zeros(1), torch.ones(1), torch.full((1,), 0.7))
    assert torch.allclose(recover(seen, clear), seen, rtol=0, atol=1e-7)


@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_gradients_stay_finite_at_the_extremes_of_the_transmission(logit: float) -> None:
    network = _stirred()
    with torch.no_grad():
        network.decode_transmission.last.bias.fill_(logit)
        network.decode_light.last.bias.fill_(-logit)
    found = network.analyse(_clip(1, 3, 3, 16, 16).requires_grad_())
    found.restored.square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
    assert float(found.layers.transmission.detach().min()) >= 0.05 - 1e-6


def test_every_layer_learns_from_the_second_step_on() -> None:
    network = semivdn.build("tiny").train()
    step = torch.optim.SGD(network.parameters(), lr=1e-3)
    clip, clean = _clip(1, 3, 3, 32, 32), _clip(1, 3, 3, 32, 32, seed=1)
    for _ in range(2):
        step.zero_grad()
        (network(clip) - clean).abs().mean().backward()
        step.step()
    still = [
        name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())
    ]
    assert still == []


def test_an_untrained_network_nearly_returns_its_input() -> None:
    clip = _clip(1, 3, 3, 32, 48)
    with torch.no_grad():
        found = semivdn.build("tiny").analyse(clip)
    assert float((found.restored - clip).abs().max()) < 0.05
    assert float(found.layers.snow.abs().max()) == 0
    assert float(found.layers.transmission.mean()) == pytest.approx(0.955, abs=1e-3)


def test_strict_equation_six_bounds_neither_transmission_nor_light() -> None:
    network = _stirred(strict_eq6=True, global_light=False)
    with torch.no_grad():
        network.decode_transmission.last.bias.fill_(-3.0)
        network.decode_light.last.bias.fill_(5.0)
        layers = network.analyse(_clip(1, 2, 3, 16, 16)).layers
    assert float(layers.transmission.max()) < 0 and float(layers.light.min()) > 1
    assert layers.light.shape == (1, 2, 1, 16, 16)


# --- the network as a whole


def test_encoding_and_decoding_is_the_whole_network() -> None:
    network, clip = _stirred(), _clip(2, 3, 3, 16, 24)
    with torch.no_grad():
        frames = [network.encode(clip[:, i]) for i in range(3)]
        codes = tuple(torch.stack(parts, dim=1) for parts in zip(*frames))
        whole = network(clip)
        assert torch.allclose(network.decode(clip, codes, range(3)), whole, atol=1e-5)
        for keep in ([1], [0, 2], [2, 0]):
            some = network.decode(clip, codes, keep)
            assert torch.allclose(some, whole[:, keep], atol=1e-5)
    assert semivdn.CARD.staged


def test_frames_of_a_single_patch_are_restored_too() -> None:
    network = _stirred(replace(SMALLEST, widths=(8,), depths=(1,)))
    clip = _clip(2, 3, 3, 8, 8)  # maps of 2x2, around which one patch lies
    found = network.analyse(clip)
    assert found.routing.shape == (2, 3, 3, 1, 1)
    assert torch.allclose(found.restored[1:], network(clip[1:]), atol=1e-5)


def test_a_kept_frame_costs_less_than_all() -> None:
    network, clip = _stirred(TINY), _clip(1, 3, 3, 64, 64)
    with torch.no_grad():
        codes = tuple(c.unflatten(0, (1, 3)) for c in network.encode(clip[0]))
        costs = []
        for keep in ([1], [0, 1, 2]):
            with FlopCounterMode(display=False) as counter:
                network.decode(clip, codes, keep)
            costs.append(counter.get_total_flops())
    assert costs[0] < 0.5 * costs[1]


def test_frames_of_a_window_are_seen_together() -> None:
    network, clip = _stirred(), _clip(1, 3, 3, 16, 16)
    other = clip.clone()
    other[:, 2] = 0
    with torch.no_grad():
        moved = (network(other) - network(clip))[:, 0].abs().max()
    assert float(moved) > 1e-6


def test_an_analysis_has_the_shapes_that_it_says() -> None:
    with torch.no_grad():
        found = _stirred().analyse(_clip(2, 3, 3, 16, 24))
    assert found.restored.shape == (2, 3, 3, 16, 24)
    assert found.background.shape == found.layers.snow.shape == (2, 3, 4, 16, 24)
    assert found.layers.transmission.shape == (2, 3, 4, 16, 24)
    assert found.layers.light.shape == (2, 3, 1, 1, 1)
    assert found.routing.shape == (2, 3, 3, 2, 2)
    assert torch.allclose(found.routing.sum(dim=2), torch.ones(2, 3, 2, 2))


def test_the_figures_of_an_analysis_lie_where_their_frames_do() -> None:
    """A flake in one corner of one frame changes the routing there and less elsewhere."""
    network, clip = _stirred(), torch.full((1, 3, 3, 64, 64), 0.3)
    snowy = clip.clone()
    snowy[0, 1, :, :12, 52:] = 1
    with torch.no_grad():
        moved = (network.analyse(snowy).routing - network.analyse(clip).routing).abs().sum(2)[0]
    frame, row, column = np.unravel_index(int(moved.argmax()), moved.shape)
    assert frame == 1 and row <= 1 and column >= moved.shape[2] - 2


def test_under_autocast_the_islands_stay_in_float32() -> None:
    network, clip = _stirred(), _clip(1, 3, 3, 32, 32)
    with torch.no_grad():
        full = network.analyse(clip)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network.analyse(clip)
    for tensor in (half.background, half.routing, *half.layers):
        assert tensor.dtype == torch.float32
    assert float((half.restored - full.restored).abs().max()) < 0.05
    # The frame itself is never rounded to 8 bits of significand, on its way in or out.
    untrained = SemiVDN(SMALLEST).eval()
    with torch.no_grad():
        full_frame = untrained(clip)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half_frame = untrained(clip)
    assert half_frame.dtype == torch.float32
    assert float((half_frame - full_frame).abs().max()) < 1 / 1024
    assert torch.allclose(half.routing.sum(dim=2), torch.ones(1), atol=1e-6)


def test_double_precision_stays_double() -> None:
    with torch.no_grad():
        found = _stirred().double().analyse(_clip(1, 1, 3, 16, 16).double())
    assert found.restored.dtype == found.background.dtype == torch.float64


@pytest.mark.slow
def test_a_clip_of_640x360_is_restored(shared_clips: Path) -> None:
    clip = rvsd_bench.read_clip(shared_clips / "static_road_bgs_640x360_120f.mp4")
    frames = to_torch([clip[i] for i in range(3)])
    padded = F.pad(frames.flatten(0, 1), (0, 0, 0, 8), mode="reflect")[None]
    with torch.no_grad():
        restored = semivdn.build("tiny")(padded)
    assert restored.shape == (1, 3, 3, 368, 640)
    assert float((restored[..., :360, :] - frames).abs().mean()) < 0.05


def test_the_runner_restores_each_frame_in_the_middle_of_its_window() -> None:
    frames = from_torch(_clip(1, 4, 3, 16, 16))
    network = _stirred()
    network.info = replace(semivdn.CARD, multiple=8, min_size=8)
    restored = list(rvsd_bench.restore(network, ArrayClip(np.stack(frames))))
    with torch.no_grad():
        windows = [network(to_torch(frames[i : i + 3])) for i in (0, 1)]
    middle = from_torch(torch.stack([window[0, 1] for window in windows])[None])
    assert len(restored) == 4
    for found, expected in zip(restored[1:3], middle):
        assert int(np.abs(found.astype(int) - expected).max()) <= 1


# --- building


def test_two_builds_are_equal_and_leave_the_global_randomness_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, two = semivdn.build("tiny"), semivdn.build("tiny")
    assert torch.equal(torch.rand(3), expected)
    assert not one.training and not one.info.trained
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])


def test_options_replace_fields_of_a_preset() -> None:
    network = semivdn.build("tiny", window="5", skip="false", widths="8,16", depths="1,1")
    assert network.info.window == 5
    assert (network.info.multiple, network.info.min_size) == (8, 8)
    assert network.info.facts["config"]["skip"] is False
    with torch.no_grad():
        assert network(_clip(1, 5, 3, 8, 24)).shape == (1, 5, 3, 8, 24)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"heads": "7"}, "token must be divisible by heads"),
        ({"stride": "8"}, "stride must not exceed patch"),
        ({"patch": "6"}, "patch must be odd"),
        ({"widths": "8,8"}, "equally many"),
        ({"t_min": "2"}, "t_min"),
        ({"tokens": "8"}, "token"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(fields: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        semivdn.build("tiny", **fields)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_brings_its_own_size(tmp_path: Path) -> None:
    network = _stirred()
    path = tmp_path / "small.safetensors"
    card = {"config": asdict(SMALLEST), "preset": "tiny", "trained_on": "one street"}
    save_checkpoint(path, network.state_dict(), card)
    again = semivdn.build(weights=path)
    assert again.info.trained and again.info.trained_on == "one street"
    assert again.info.weights_sha256 is not None and again.info.facts["preset"] == "tiny"
    clip = _clip(1, 3, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(again(clip), network(clip))
    with pytest.raises(InputError, match="another architecture"):
        semivdn.build("tiny", weights=path)
    other = semivdn.build(weights=path, t_min="0.2")  # which changes no shape
    assert other.config == replace(SMALLEST, t_min=0.2)
    assert other.info.weights_sha256 == again.info.weights_sha256


# --- the encoder's weights from elsewhere


def _as_torchvision(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "stem":
        return ".".join(["features", "0", *parts[1:]])
    place = 2 * int(parts[1])
    if parts[2] == "downsample":
        return ".".join(["features", str(place), *parts[3:]])
    rest = ".".join(parts[4:])
    for ours, theirs in (
        ("conv_dw", "block.0"), ("norm", "block.2"), ("mlp.fc1", "block.3"),
        ("mlp.fc2", "block.5"), ("gamma", "layer_scale"),
    ):  # fmt: skip
        if rest.startswith(ours):
            rest = rest.replace(ours, theirs)
    return f"features.{place + 1}.{parts[3]}.{rest}"


def _trained_encoder() -> ConvNeXt:
    encoder = _stirred().encoder
    assert isinstance(encoder, ConvNeXt)
    return encoder


def test_weights_under_torchvisions_names_are_taken(tmp_path: Path) -> None:
    encoder = _trained_encoder()
    theirs: dict[str, Tensor] = {}
    for name, tensor in encoder.state_dict().items():
        shaped = tensor[:, None, None] if name.endswith("gamma") else tensor
        theirs[_as_torchvision(name)] = shaped.clone()
    theirs |= {"classifier.0.weight": torch.ones(12), "classifier.2.weight": torch.ones(1000, 12)}
    torch.save(theirs, tmp_path / "convnext.pth")
    fields = {k: str(v).strip("()") for k, v in asdict(SMALLEST).items()}
    network = semivdn.build("tiny", encoder_weights=tmp_path / "convnext.pth", **fields)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[name], tensor)
    assert not network.info.trained and "encoder_weights_sha256" in network.info.facts
    with pytest.raises(InputError, match="another architecture"):
        semivdn.build("tiny", encoder_weights=tmp_path / "convnext.pth")


def test_the_names_of_torchvisions_smallest_convnext_are_ours() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        theirs = models.convnext_tiny(weights=None).state_dict()
        ours = ConvNeXt(DEFAULT.widths, DEFAULT.depths, 1.0).state_dict()
    renamed = from_public_names(theirs)
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in ours.items()}


@pytest.mark.parametrize("features_only", [False, True])
def test_the_names_of_timms_smallest_convnext_are_ours(features_only: bool) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        theirs = timm.create_model("convnext_tiny", features_only=features_only).state_dict()
        ours = ConvNeXt(DEFAULT.widths, DEFAULT.depths, 1.0).state_dict()
    renamed = from_public_names(theirs)
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in ours.items()}


def test_the_authors_names_are_ours() -> None:
    renamed = from_public_names(
        dict.fromkeys(
            [
                "downsample_layers.0.0.weight", "downsample_layers.2.1.bias",
                "stages.1.2.dwconv.weight", "stages.0.0.pwconv2.bias", "norm.weight", "head.bias",
            ],
            torch.zeros(1),
        )
    )  # fmt: skip
    assert list(renamed) == [
        "stem.0.weight", "stages.2.downsample.1.bias", "stages.1.blocks.2.conv_dw.weight",
        "stages.0.blocks.0.mlp.fc2.bias",
    ]  # fmt: skip


def test_the_encoder_computes_what_torchvisions_does() -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = pytest.importorskip("torchvision.models.convnext").CNBlockConfig
        theirs = models.ConvNeXt([block(8, 12, 2), block(12, None, 1)], layer_scale=0.7).eval()
    ours = ConvNeXt((8, 12), (2, 1), 1.0)
    buffers = {"mean": ours.mean, "std": ours.std}
    ours.load_state_dict(from_public_names(theirs.state_dict()))
    clip = _clip(2, 3, 32, 24)
    with torch.no_grad():
        expected = theirs.features((clip - buffers["mean"]) / buffers["std"])
        assert torch.allclose(ours(clip)[-1], expected, atol=1e-5)


def test_the_attention_is_torchs_own() -> None:
    from rvsd_bench.baselines.semivdn.transformer import Attention

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours, theirs = Attention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    tokens = _clip(2, 11, 16)
    assert torch.allclose(ours(tokens), theirs(tokens, tokens, tokens)[0], atol=1e-6)
