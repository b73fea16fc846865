"""Hold SVDNet to its stated size, its physics, and independent formulas for its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rvsd_bench.baselines import svdnet
from rvsd_bench.baselines.checkpoints import save_checkpoint
from rvsd_bench.baselines.losses import charbonnier
from rvsd_bench.baselines.svdnet import losses
from rvsd_bench.baselines.svdnet.aligning import align, blend
from rvsd_bench.baselines.svdnet.config import PRESETS, Config
from rvsd_bench.baselines.svdnet.flow import SPyNet, dis_flow, shrink_flow, visible, warp
from rvsd_bench.baselines.svdnet.network import SVDNet
from rvsd_bench.baselines.svdnet.physics import invert, scatter
from rvsd_bench.baselines.svdnet.snow import SnowAwareAggregation
from rvsd_bench.errors import InputError

SMALL = {"channels": "16", "encoder_blocks": "1", "trunk_blocks": "1", "queries": "4"}
"""A default SVDNet, flow and all, that runs in milliseconds."""


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _stirred(network: SVDNet, seed: int = 1) -> SVDNet:
    """Give every layer weights, those too that start at zero, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network


def _built(flow: str = "spynet", **fields: str) -> SVDNet:
    return _stirred(svdnet.build(**{**SMALL, "flow": flow, **fields}))


@pytest.mark.parametrize(
    ("preset", "millions", "giga_macs"),
    [("default", 5.93, 171.8), ("light", 3.29, 79.3), ("lite", 0.253, 3.0)],
)
def test_the_presets_have_the_stated_size_and_cost_per_clip_of_three_frames(
    preset: str, millions: float, giga_macs: float
) -> None:
    config = PRESETS[preset]
    with torch.device("cpu" if config.flow == "dis" else "meta"):  # DIS wants to see something
        network, clip = SVDNet(config), torch.zeros(1, 3, 3, 256, 256)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        assert network(clip).shape == clip.shape
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=5e-3)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=0.05)


def test_spynet_has_the_published_number_of_parameters() -> None:
    # Ranjan and Black, CVPR 2017: 240,050 parameters a level.
    assert sum(p.numel() for p in SPyNet(6).parameters()) == 6 * 240050


def test_inverting_the_model_gives_the_scene_back_to_1e_5() -> None:
    clean, light = _random(4, 3, 32, 32), _random(4, 3, 1, 1, seed=1)
    snow = _random(4, 3, 32, 32, seed=2) - 0.5
    transmission = 0.1 + 0.9 * _random(4, 1, 32, 32, seed=3)
    frame = (clean * transmission + light * (1 - transmission) + snow).to(torch.float32)
    assert torch.equal(scatter(clean, snow, transmission, light), frame)
    assert float((invert(frame, snow, transmission, light) - clean).abs().max()) < 1e-5


@pytest.mark.parametrize("preset", ["light", "lite"])
def test_the_untrained_network_sees_thin_haze_and_neither_snow_nor_motion(preset: str) -> None:
    with torch.random.fork_rng(devices=[]):
        network, clip = SVDNet(PRESETS[preset]), _random(1, 3, 3, 64, 64)
    with torch.no_grad():
        found = network.analyse(clip)
    assert float(found.snow.abs().max()) == 0
    assert torch.allclose(found.transmission, torch.tensor(0.95))
    if not network.config.overview:  # which looks for A in the picture
        assert torch.allclose(found.light, torch.tensor(0.8))
    assert torch.allclose(found.mask, torch.tensor(0.1))
    if network.config.flow == "spynet":
        assert found.flows is not None and float(found.flows.abs().max()) == 0
    # (I − A · 0.05) / 0.95: the identity but for 5 % more contrast about the light.
    assert torch.allclose(found.restored, (clip - 0.05 * found.light) / 0.95, atol=1e-5)
    assert float((found.restored - clip).abs().max()) < 1 / 19 + 1e-5


@pytest.mark.parametrize("flow", ["spynet", "dis", "none"])
def test_a_kept_frame_is_that_of_the_whole_clip(flow: str) -> None:
    network, clip = _built(flow), _random(2, 5, 3, 32, 48)
    with torch.no_grad():
        whole = network(clip)
        codes = network.encode(clip.flatten(0, 1))
        codes = tuple(code.reshape(2, 5, *code.shape[1:]) for code in codes)
        assert torch.equal(network.decode(clip, codes, range(5)), whole)
        assert torch.equal(network.analyse(clip).restored, whole)
        some = network.decode(clip, codes, [4, 1])
    assert torch.allclose(some, whole[:, [4, 1]], atol=1e-5)


def test_a_frame_is_encoded_without_a_look_at_the_others() -> None:
    network, frames = _built(), _random(3, 3, 32, 32)
    with torch.no_grad():
        alone = [network.encode(frame[None]) for frame in frames]
        together = network.encode(frames)
    for number, code in enumerate(together):
        single = torch.cat([codes[number] for codes in alone])
        assert torch.allclose(code, single, atol=1e-5)


def test_keeping_one_frame_spends_no_fusion_and_no_flow_on_the_others() -> None:
    def cost(keep: Sequence[int]) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network.decode(clip, codes, keep)
        return int(counter.get_total_flops())

    with torch.device("meta"):
        network, clip = SVDNet(Config(16, trunk_blocks=1)), torch.empty(1, 3, 3, 32, 32)
    with torch.no_grad():
        codes = tuple(code[None] for code in network.encode(clip[0]))
    assert cost([1]) * 3 == cost([0, 1, 2])


def test_neighbours_beyond_the_reach_change_nothing() -> None:
    network, clip = _built("none", reach="1"), _random(1, 4, 3, 32, 32)
    other = clip.clone()
    other[:, 3] = 1 - other[:, 3]
    with torch.no_grad():
        first, second = network(clip), network(other)
    assert torch.allclose(first[:, :2], second[:, :2], atol=1e-6)
    assert float((first[:, 2] - second[:, 2]).abs().max()) > 1e-4


@pytest.mark.parametrize(("length", "size"), [(1, (32, 32)), (2, (36, 44)), (7, (32, 64))])
@pytest.mark.parametrize("flow", ["spynet", "dis", "none"])
def test_any_length_and_any_legal_size_is_restored(
    flow: str, length: int, size: tuple[int, int]
) -> None:
    network, clip = _built(flow), _random(2, length, 3, *size)
    kept = clip.clone()
    with torch.no_grad():
        restored = network(clip)
    assert restored.shape == clip.shape
    assert bool(restored.isfinite().all())
    assert torch.equal(clip, kept)


def test_aggregation_prefers_neighbours_without_snow_by_the_stated_weights() -> None:
    aggregation = SnowAwareAggregation(8, penalty=4.0)
    features = _random(1, 8, 2, 2)
    mask = torch.tensor([0.0, 1.0, 0.25]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2)
    alike = features[:, None].expand(1, 3, 8, 2, 2)
    with torch.no_grad():
        _, weights = aggregation(features, alike, mask)
    share = np.exp([0.0, -4.0, -1.0]) / np.exp([0.0, -4.0, -1.0]).sum()
    assert np.allclose(weights[0, :, 0, 0, 0].numpy(), share, atol=1e-6)
    assert share[0] / share[1] == pytest.approx(math.exp(4))


def test_aggregation_never_looks_where_a_neighbour_does_not_reach() -> None:
    aggregation = SnowAwareAggregation(8, penalty=4.0)
    features, neighbours = _random(1, 8, 2, 2), _random(1, 2, 8, 2, 2, seed=1)
    seen = torch.tensor([True, False]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 2, 2)
    with torch.no_grad():
        found, weights = aggregation(features, neighbours, torch.zeros(1, 2, 1, 2, 2), seen)
        alone = aggregation.value(neighbours[:, 0])
    assert torch.equal(weights[:, 0], torch.ones(1, 1, 2, 2))
    assert torch.allclose(found, alone, atol=1e-6)


def test_aggregation_equals_literal_loops() -> None:
    aggregation = SnowAwareAggregation(4, penalty=2.0).double()
    features, neighbours = _random(1, 4, 2, 3).double(), _random(1, 3, 4, 2, 3, seed=1).double()
    mask = _random(1, 3, 1, 2, 3, seed=2).double()
    with torch.no_grad():
        found, _ = aggregation(features, neighbours, mask)
        maps = {
            name: (layer.weight[:, :, 0, 0].numpy(), layer.bias.numpy())
            for name, layer in aggregation.named_children()
        }

    def mapped(name: str, feature: Tensor) -> NDArray[np.float64]:
        weight, bias = maps[name]
        result: NDArray[np.float64] = weight @ feature.numpy() + bias
        return result

    for y, x in np.ndindex(2, 3):
        around = [neighbours[0, i, :, y, x] for i in range(3)]
        query = mapped("query", features[0, :, y, x])
        logits = [
            query @ mapped("key", near) / 2 - 2 * float(mask[0, i, 0, y, x])
            for i, near in enumerate(around)
        ]
        share = np.exp(logits) / np.exp(logits).sum()
        expected = sum(w * mapped("value", near) for w, near in zip(share, around))
        assert np.allclose(found[0, :, y, x].numpy(), expected, atol=1e-6)


def test_warping_equals_scipys_interpolation() -> None:
    picture, flow = _random(1, 2, 9, 13), 8 * _random(1, 2, 9, 13, seed=1) - 4
    y, x = np.mgrid[:9, :13] + flow[0].flip(0).numpy().astype(np.float64)
    warped = warp(picture, flow)[0].numpy()
    for channel in range(2):
        plane = picture[0, channel].numpy().astype(np.float64)
        expected = map_coordinates(plane, [y, x], order=1, mode="nearest")
        assert np.allclose(warped[channel], expected, atol=1e-5)
    inside = (x >= -0.5) & (x <= 12.5) & (y >= -0.5) & (y <= 8.5)
    assert np.array_equal(visible(flow)[0, 0].numpy(), inside)


def test_flows_go_from_the_restored_frame_to_the_neighbour() -> None:
    class Ends(torch.nn.Module):
        """A flow that tells by its two numbers which frames it was asked about."""

        def forward(self, reference: Tensor, support: Tensor) -> Tensor:
            return torch.stack([reference.mean(1), support.mean(1)], 1)

    network = _built()
    network.flow = Ends()  # type: ignore[assignment]
    clip = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1, 1).expand(1, 3, 3, 32, 32)
    with torch.no_grad():
        found = network.analyse(clip)
    assert found.pairs == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert found.flows is not None
    shades = [(float(clip[0, t, 0, 0, 0]), float(clip[0, i, 0, 0, 0])) for t, i in found.pairs]
    assert torch.allclose(found.flows[0, :, :, 0, 0], torch.tensor(shades))


def test_dis_flow_of_the_network_explains_a_pan() -> None:
    wide = torch.nn.functional.avg_pool2d(_random(1, 3, 140, 150), 13, 1)
    wide = (wide - wide.mean()) * 8 + 0.5
    clip = torch.stack([wide[..., :128, x : x + 128] for x in (0, 8)], 1)
    with torch.no_grad():
        found = _built("dis").analyse(clip)
    assert found.flows is not None
    still = losses.photometric_flow(clip, 0 * found.flows, found.pairs)
    assert losses.photometric_flow(clip, found.flows, found.pairs) < still / 2


def test_a_neighbour_is_aligned_by_its_own_flow_and_the_frame_itself_stays() -> None:
    codes, flows = _random(1, 2, 3, 6, 8), torch.zeros(1, 1, 2, 6, 8)
    flows[:, :, 0] = 2.0
    near, seen = align(codes, [(0, 0), (0, 1)], flows)
    assert torch.equal(near[:, 0], codes[:, 0])
    assert torch.allclose(near[:, 1, :, :, :-2], codes[:, 1, :, :, 2:], atol=1e-6)
    assert bool(seen[:, 0].all())
    assert seen[0, 1, 0, 0].tolist() == [True] * 6 + [False] * 2


def test_blended_details_are_the_weighted_mean_and_those_of_a_sole_winner_are_its_own() -> None:
    fine = _random(1, 2, 3, 8, 8)
    share = torch.tensor([0.75, 0.25]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 4, 4)
    assert torch.allclose(blend(fine, share), 0.75 * fine[:, 0] + 0.25 * fine[:, 1])
    weights = torch.zeros(1, 2, 1, 4, 4)
    weights[:, 0, :, :, :2], weights[:, 1, :, :, 2:] = 1, 1
    mixed = blend(fine, weights)
    assert torch.equal(mixed[..., :3], fine[:, 0, ..., :3])
    assert torch.equal(mixed[..., 5:], fine[:, 1, ..., 5:])


def test_flow_by_dense_inverse_search_finds_a_known_shift() -> None:
    noise = torch.nn.functional.avg_pool2d(_random(1, 3, 80, 96), 5, 1)
    noise = (noise - noise.mean()) * 4 + 0.5
    reference, support = noise[..., 8:72, 8:72], noise[..., 4:68, 2:66]
    flow = dis_flow(reference, support)
    middle = flow[0, :, 16:-16, 16:-16].mean((-2, -1))
    assert torch.allclose(middle, torch.tensor([6.0, 4.0]), atol=0.3)
    assert torch.allclose(shrink_flow(flow, 4)[0, :, 4:-4, 4:-4].mean((-2, -1)) * 4, middle)
    before = float((support - reference)[..., 16:-16, 16:-16].abs().mean())
    after = float((warp(support, flow) - reference)[..., 16:-16, 16:-16].abs().mean())
    assert after < before / 5


def test_spynet_learns_a_shift_from_the_photometric_loss() -> None:
    network = SPyNet(2)
    network.start_still()
    clean = torch.nn.functional.avg_pool2d(_random(1, 3, 32, 32), 7, 1)
    clean = torch.stack([clean[..., 1:25, 1:25], clean[..., :24, 1:25]], 1)
    pairs = ((0, 1),)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    seen = []
    for _ in range(30):
        flow = network(clean[:, 0], clean[:, 1])
        loss = losses.photometric_flow(clean, flow[:, None], pairs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(loss.detach()))
    still = float((clean[:, 1] - clean[:, 0]).abs().mean())
    assert seen[0] == pytest.approx(still, rel=1e-4)
    assert min(seen[-5:]) < seen[0] / 2


@pytest.mark.parametrize("size", [(16, 16), (9, 30), (2, 2), (1, 5)])
def test_small_frames_use_fewer_levels_of_flow(size: tuple[int, int]) -> None:
    network = SPyNet(6)
    used = [0] * 6
    for number, level in enumerate(network.levels):
        level.register_forward_hook(lambda *_, n=number: used.__setitem__(n, 1))
    flow = network(_random(1, 3, *size), _random(1, 3, *size, seed=1))
    assert flow.shape == (1, 2, *size)
    fine = max(1, int(math.log2(min(size))))
    assert used == [0] * (6 - fine) + [1] * fine


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 50.0])
@pytest.mark.parametrize("flow", ["spynet", "none"])
def test_gradients_stay_finite_for_extreme_clips(flow: str, value: float) -> None:
    network = _built(flow)
    found = network.analyse(torch.full((2, 3, 3, 32, 32), value))
    loss = charbonnier(found.restored, torch.zeros_like(found.restored))
    loss = loss + losses.snow_contrast(found.snow_codes, found.background_codes)
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(gradients) > 40
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_every_weight_learns_from_the_losses_together() -> None:
    network, clip = _built(), _random(2, 3, 3, 32, 32)
    found = network.analyse(clip)
    loss = charbonnier(found.restored, clip) + losses.snow_contrast(
        found.snow_codes, found.background_codes
    )
    loss.backward()
    unused = {name for name, p in network.named_parameters() if p.grad is None}
    # Frames of 32 pixels have 3 levels of flow; the other 3 rest.
    assert {name.rsplit(".", 2)[0] for name in unused} == {f"flow.levels.{n}" for n in range(3)}


def test_haze_and_inversion_are_computed_in_float32_under_autocast() -> None:
    network, clip = _built(), _random(1, 3, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network.analyse(clip)
        frame, snow = clip[:, 0], found.snow[:, 0]
        again = invert(frame.bfloat16(), snow, found.transmission[:, 0], found.light[:, 0])
    assert found.features.dtype == torch.bfloat16, "the encoder should have used autocast"
    islands = (*found[:6], found.queries, found.snow_codes, found.flows, again)
    assert {tensor.dtype for tensor in islands} == {torch.float32}
    exact = (clip - found.snow - found.light * (1 - found.transmission)) / found.transmission
    assert torch.allclose(found.inverted, exact.clamp(-1, 2), atol=1e-6)


def test_low_precision_stays_near_full_precision() -> None:
    network, clip = _built(), _random(1, 3, 3, 32, 32)
    with torch.no_grad():
        full = network(clip)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(clip)
    assert float((full - half).abs().mean()) < 0.02


def test_two_builds_are_equal_and_leave_the_global_random_state_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = svdnet.build("lite"), svdnet.build("lite")
    assert torch.equal(torch.get_rng_state(), before)
    assert not first.training
    state = second.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())


def test_a_checkpoint_brings_its_configuration_and_marks_the_network_trained(
    tmp_path: Path,
) -> None:
    born = _built("none", carry_detail="true")
    path = tmp_path / "some.safetensors"
    card = {**born.info.facts, "trained_on": "two flakes", "weights_licence": "CC0"}
    card |= {"seed": 3, "train_config_sha256": "ab"}
    save_checkpoint(path, born.state_dict(), card)
    loaded, clip = svdnet.build(weights=path), _random(1, 2, 3, 32, 32)
    assert loaded.config == born.config
    assert (born.info.trained, loaded.info.trained) == (False, True)
    assert (loaded.info.trained_on, loaded.info.weights_licence) == ("two flakes", "CC0")
    training = (loaded.info.facts["train_seed"], loaded.info.facts["train_config_sha256"])
    assert training == (3, "ab")
    assert "train_seed" not in born.info.facts
    assert loaded.info.weights_sha256 is not None
    with torch.no_grad():
        assert torch.equal(loaded(clip), born(clip))
    with pytest.raises(InputError, match="another architecture"):
        svdnet.build("lite", weights=path)


def test_weights_that_come_with_a_preset_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = _stirred(svdnet.build("lite"))
    monkeypatch.setattr(svdnet, "SHIPPED", tmp_path)
    card = {**trained.info.facts, "trained_on": "a street"}
    save_checkpoint(tmp_path / "lite.safetensors", trained.state_dict(), card)
    found = svdnet.build("lite")
    assert (found.info.trained, found.info.trained_on) == (True, "a street")
    assert torch.equal(found.stem[0].weight, trained.stem[0].weight)
    # Another shape than the preset's is nobody's: it starts untrained.
    assert not svdnet.build("lite", queries="4").info.trained
    assert not svdnet.build("light").info.trained


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "lit"}, "Did you mean 'lite'"),
        ({"chanels": "8"}, "Did you mean 'channels'"),
        ({"channels": "9"}, "4 heads do not divide 9"),
        ({"window": "4"}, "window must be odd"),
        ({"flow": "raft"}, "spynet"),
        ({"least_transmission": "0.5", "start_transmission": "0.3"}, "start_transmission"),
    ],
)
def test_an_impossible_network_is_refused_in_one_line(fields: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        svdnet.build(**fields)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_the_card_declares_what_the_network_can_take() -> None:
    for preset, config in PRESETS.items():
        info = svdnet.build(preset).info
        assert (info.window, info.multiple, info.staged) == (3, config.stride, True)
        network, side = svdnet.build(preset), info.min_size
        if preset == "lite":
            with torch.no_grad():
                assert network(_random(1, 1, 3, side, side)).shape[-1] == side
    assert svdnet.CARD.deviations[0].startswith("reconstruction")
    assert Config().stride == 4


def test_reconstruction_is_zero_for_exact_layers_and_the_error_of_others() -> None:
    clean, snow = _random(1, 2, 3, 8, 8), _random(1, 2, 3, 8, 8, seed=1)
    transmission, light = _random(1, 2, 1, 8, 8, seed=2), _random(1, 2, 3, 1, 1, seed=3)
    frame = clean * transmission + light * (1 - transmission) + snow
    exact = losses.reconstruction(frame, clean, snow, transmission, light)
    assert float(exact) < 1e-7
    brighter = losses.reconstruction(frame, clean, snow + 0.125, transmission, light)
    assert float(brighter) == pytest.approx(0.125, rel=1e-5)


def test_photometric_flow_is_zero_for_the_true_shift_and_skipped_without_flow() -> None:
    wide = _random(1, 3, 16, 20)
    clean = torch.stack([wide[..., 4:], wide[..., :-4]], 1)
    shift = torch.tensor([4.0, 0.0]).view(1, 1, 2, 1, 1).expand(1, 1, 2, 16, 16)
    assert float(losses.photometric_flow(clean, shift, ((0, 1),))) < 1e-5
    still = float(losses.photometric_flow(clean, 0 * shift, ((0, 1),)))
    assert still == pytest.approx(float((clean[:, 0] - clean[:, 1]).abs().mean()), rel=1e-4)
    assert losses.photometric_flow(clean, None, ()) is None


def _literal_contrast(
    snow: Tensor, background: Tensor, videos: Sequence[int], temperature: float
) -> float:
    """InfoNCE as its definition reads: one anchor, one positive, all negatives at a time."""
    terms = []
    batch, length = snow.shape[:2]
    places = [(b, t) for b in range(batch) for t in range(length)]
    for b, t in places:
        anchor = snow[b, t].double()
        negatives = [snow[c, s] for c, s in places if videos[c] != videos[b]]
        negatives += [background[b, s] for s in range(length)]
        against = sum(math.exp(float(anchor @ n.double()) / temperature) for n in negatives)
        for c, s in places:
            if videos[c] == videos[b] and (c, s) != (b, t):
                agree = math.exp(float(anchor @ snow[c, s].double()) / temperature)
                terms.append(-math.log(agree / (agree + against)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("videos", [(0, 1, 2), (0, 1, 0)])
def test_the_contrastive_loss_equals_literal_loops(videos: tuple[int, ...]) -> None:
    normalised = torch.nn.functional.normalize
    snow = normalised(_random(3, 2, 5) - 0.5, dim=-1)
    background = normalised(_random(3, 2, 5, seed=1) - 0.5, dim=-1)
    found = losses.snow_contrast(snow, background, videos, temperature=0.2)
    expected = _literal_contrast(snow, background, videos, 0.2)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "videos"), [((1, 3, 8), None), ((2, 3, 8), (5, 5)), ((3, 1, 8), None)]
)
def test_the_contrastive_loss_is_skipped_and_not_nan_with_nothing_to_compare(
    shape: tuple[int, int, int], videos: tuple[int, ...] | None
) -> None:
    codes = torch.nn.functional.normalize(_random(*shape), dim=-1)
    assert losses.snow_contrast(codes, codes, videos) is None


def test_the_contrastive_loss_falls_when_snow_agrees_within_a_video() -> None:
    a, b, other = torch.eye(4)[0], torch.eye(4)[1], torch.eye(4)[2]
    background = other.expand(2, 2, 4)
    apart = losses.snow_contrast(
        torch.stack([torch.stack([a, a]), torch.stack([b, b])]), background
    )
    mixed = losses.snow_contrast(
        torch.stack([torch.stack([a, b]), torch.stack([b, a])]), background
    )
    assert float(apart) < 1e-4 < 5 < float(mixed)


def test_the_mask_is_told_of_a_flake_wherever_in_a_cell_it_is() -> None:
    coverage = torch.zeros(1, 2, 1, 8, 8)
    coverage[..., 1, 6] = 1.0  # one flake of one pixel, in the upper right of 2 x 2 cells
    logits = torch.full((1, 2, 1, 2, 2), -20.0)
    logits[..., 0, 1] = 20.0
    assert float(losses.mask_entropy(logits, coverage)) < 1e-6
    assert float(losses.mask_entropy(-logits, coverage)) == pytest.approx(20, rel=1e-3)
