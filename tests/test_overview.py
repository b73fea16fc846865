"""Hold the look at the whole picture to plain resampling, and a crop to the frame it is of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor
from torch.nn import functional as F

from rvsd_bench.baselines import svdnet
from rvsd_bench.baselines.svdnet.aligning import pairs_within
from rvsd_bench.baselines.svdnet.network import SVDNet, compared
from rvsd_bench.baselines.svdnet.overview import shrunk, spread
from rvsd_bench.training.batches import Around

SMALL = {"channels": "16", "queries": "4", "overview": "16", "overview_channels": "8"}


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _network() -> SVDNet:
    """Return a lite network whose overview has learned something, and nothing else has."""
    network, generator = svdnet.build("lite", **SMALL), torch.Generator().manual_seed(1)
    assert network.overview is not None
    with torch.no_grad():
        for parameter in network.overview.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network


def test_the_whole_is_spread_as_plain_bilinear_enlargement() -> None:
    maps = _random(2, 3, 6, 9)
    enlarged = F.interpolate(maps, size=(24, 36), mode="bilinear", align_corners=False)
    assert torch.allclose(spread(maps, None, (24, 36)), enlarged, atol=1e-5)


def test_a_part_is_spread_as_it_lies_in_the_whole() -> None:
    maps = _random(1, 1, 8, 10)
    top, left, height, width = 0.25, 0.4, 0.5, 0.3
    found = spread(maps, torch.tensor([[top, left, height, width]]), (5, 7))[0, 0].numpy()
    # Pixel centres lie at half numbers; scipy counts from the centre of the first pixel.
    rows = (top + height * (np.arange(5) + 0.5) / 5) * 8 - 0.5
    columns = (left + width * (np.arange(7) + 0.5) / 7) * 10 - 0.5
    wanted = map_coordinates(
        maps[0, 0].numpy(), np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest"
    )
    assert np.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(("size", "rows"), [((48, 96), 12), ((90, 40), 10), ((8, 6), 48)])
def test_a_clip_is_shrunk_to_so_many_rows_and_never_enlarged(
    size: tuple[int, int], rows: int
) -> None:
    clip = _random(1, 3, 3, *size)
    small = shrunk(clip, rows)
    assert min(small.shape[-2:]) == min(rows, *size)
    assert torch.allclose(small.mean((-2, -1)), clip.mean((1, -2, -1)), atol=5e-3)
    if size[0] % small.shape[-2] == 0 and size[1] % small.shape[-1] == 0:
        block = size[0] // small.shape[-2]
        assert torch.allclose(small, F.avg_pool2d(clip.mean(1), block), atol=1e-6)


def test_a_crop_that_knows_its_picture_has_the_haze_of_the_frame() -> None:
    network, clip = _network(), _random(1, 3, 3, 96, 128)
    top, left, side = 32, 64, 48
    place = torch.tensor([[top / 96, left / 128, side / 96, side / 128]])
    around = Around(shrunk(clip, 16), None, place)
    crop = clip[..., top : top + side, left : left + side]
    with torch.no_grad():
        whole = network.analyse(clip)
        part, alone = network.analyse(crop, around), network.analyse(crop)
    shown = whole.transmission[..., top : top + side, left : left + side]
    assert torch.allclose(part.light, whole.light, atol=1e-6)
    assert torch.allclose(part.transmission, shown, atol=1e-5)
    assert not torch.allclose(alone.transmission, shown, atol=1e-3)
    assert not torch.allclose(alone.light, whole.light, atol=1e-4)


def test_the_light_is_a_colour_of_the_picture_and_follows_its_tint() -> None:
    network, clip = svdnet.build("lite", **SMALL), _random(1, 3, 3, 48, 64)
    tint = torch.tensor([0.9, 0.7, 0.5]).view(3, 1, 1)
    with torch.no_grad():
        grey = torch.full((1, 3, 3, 48, 64), 0.6)
        assert torch.allclose(network.analyse(grey).light, torch.tensor(0.6), atol=1e-5)
        found = network.analyse(clip).light
        assert float(clip.min()) <= float(found.min()) and float(found.max()) <= float(clip.max())
        tinted = network.analyse(grey * tint).light
    assert torch.allclose(tinted[0, 0], 0.6 * tint, atol=1e-5)


def test_neighbours_are_compared_with_the_frame_before_and_after() -> None:
    clip = _random(1, 4, 3, 2, 2)
    pairs = pairs_within(2, 4, [0, 2, 3])
    found = compared(clip, [0, 2, 3], pairs, None)
    own, next_to = clip[0], ((0, 1, 1), (2, 1, 3), (3, 2, 2))
    for place, (frame, before, after) in enumerate(next_to):
        assert torch.equal(found[0, place, :3], own[before] - own[frame])
        assert torch.equal(found[0, place, 3:], own[after] - own[frame])
    assert float(compared(clip[:, :1], [0], [(0, 0)], None).abs().max()) == 0
    assert float(compared(clip, [1], pairs_within(0, 4, [1]), None).abs().max()) == 0


def test_a_moving_scene_is_compared_where_it_has_moved_to() -> None:
    """Shifted by a pixel a frame and aligned by that, it differs nowhere but at the edges."""
    wide = _random(1, 1, 3, 12, 16)
    clip = torch.cat([wide[..., 2 - t : 14 - t] for t in range(3)], 1)
    pairs = pairs_within(1, 3, [1])
    flows = torch.zeros(1, 2, 2, 12, 12)
    flows[:, 0, 0], flows[:, 1, 0] = -1, 1
    found = compared(clip, [1], pairs, flows)
    assert float(found[..., 1:-1].abs().max()) < 1e-5
    assert float(compared(clip, [1], pairs, None)[..., 1:-1].abs().max()) > 0.1
