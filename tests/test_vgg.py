"""Hold our VGG-16 to torchvision's, and the perceptual loss to its definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rvsd_bench.baselines.losses import perceptual
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.training import vgg
from rvsd_bench.weights import store

SHAPES = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128)}
SHAPES |= {12: (256, 256), 14: (256, 256)}


def _pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def random_vgg() -> vgg.Vgg16:
    """Return the network with random weights: the real ones may not be on this machine."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for index, (out, into) in SHAPES.items():
        deviation = (2 / (9 * into)) ** 0.5
        kernel = torch.randn(out, into, 3, 3, generator=generator) * deviation
        tensors[f"features.{index}.weight"] = kernel
        tensors[f"features.{index}.bias"] = torch.randn(out, generator=generator) * 0.1
    return vgg.Vgg16(tensors)


@pytest.fixture(scope="module")
def trained_vgg() -> vgg.Vgg16:
    if store.locate("vgg16") is None:
        pytest.skip("the weights of VGG-16 are not on this machine")
    found = vgg.open_features()
    assert found is not None
    return found


def _torchvisions(network: vgg.Vgg16, pictures: Tensor) -> list[Tensor]:
    models = pytest.importorskip("torchvision.models")
    transforms = pytest.importorskip("torchvision.transforms")
    theirs = models.vgg16(weights=None).features[:16]
    theirs.load_state_dict({n.removeprefix("features."): t for n, t in network.tensors.items()})
    normalise = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    x, found = normalise(pictures), []
    for index, layer in enumerate(theirs):
        x = layer(x)
        if index in (3, 8, 15):
            found.append(x.clone())
    return found


@pytest.mark.parametrize("which", ["random_vgg", "trained_vgg"])
def test_its_features_are_torchvisions(which: str, request: pytest.FixtureRequest) -> None:
    network: vgg.Vgg16 = request.getfixturevalue(which)
    pictures = _pictures(2, 3, 33, 41)
    with torch.no_grad():
        ours, theirs = network(pictures), _torchvisions(network, pictures)
    assert [layer.shape[1:] for layer in ours] == [(64, 33, 41), (128, 16, 20), (256, 8, 10)]
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_the_perceptual_loss_is_the_mean_of_three_mean_squares(
    random_vgg: vgg.Vgg16,
) -> None:
    one, two = _pictures(2, 1, 3, 16, 16), _pictures(2, 1, 3, 16, 16, seed=1)
    with torch.no_grad():
        layers = [_torchvisions(random_vgg, clip[:, 0]) for clip in (one, two)]
    expected = sum(float(((a - b).double() ** 2).mean()) for a, b in zip(*layers)) / 3
    assert float(perceptual(random_vgg, one, two)) == pytest.approx(expected, rel=1e-4)
    assert float(perceptual(random_vgg, one, one)) == 0


def test_it_teaches_the_restored_picture_alone(random_vgg: vgg.Vgg16) -> None:
    restored, clean = (_pictures(1, 1, 3, 8, 8, seed=i).requires_grad_() for i in (0, 1))
    perceptual(random_vgg, restored, clean).backward()
    assert restored.grad is not None and float(restored.grad.abs().sum()) > 0
    assert clean.grad is None
    assert all(not t.requires_grad and t.grad is None for t in random_vgg.tensors.values())


def test_under_autocast_the_loss_is_summed_in_float32(random_vgg: vgg.Vgg16) -> None:
    one, two = _pictures(1, 2, 3, 16, 16), _pictures(1, 2, 3, 16, 16, seed=1)
    full = float(perceptual(random_vgg, one, two))
    with torch.autocast("cpu", torch.bfloat16):
        half = perceptual(random_vgg, one, two)
        assert random_vgg(one[0])[0].dtype == torch.bfloat16
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(full, rel=0.05)


def test_pictures_may_be_left_as_they_are(random_vgg: vgg.Vgg16) -> None:
    plain = vgg.Vgg16(random_vgg.tensors, normalise=False)
    mean = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    pictures = _pictures(1, 3, 8, 8)
    for one, other in zip(random_vgg(pictures), plain((pictures - mean) / deviation)):
        assert torch.allclose(one, other, atol=1e-5)


def test_weights_that_are_not_there_are_asked_for_and_none_is_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "folders", lambda weights_dir=None: [tmp_path])
    with pytest.raises(MissingError, match="rvsd-bench weights fetch vgg16") as raised:
        vgg.open_features()
    assert raised.value.exit_code == 3
    assert vgg.open_features("none") is None
    with pytest.raises(InputError, match="Did you mean 'vgg16'"):
        vgg.open_features("vgg19")
