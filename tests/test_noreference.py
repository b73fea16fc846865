"""Hold the mechanism of NIMA and MUSIQ against pyiqa's own classes, with random weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.metrics import calibration, open_metric
from rvsd_bench.weights.store import WeightsFile, locate

pytest.importorskip("pyiqa")
pytest.importorskip("timm")
torch = pytest.importorskip("torch")
noreference = pytest.importorskip("rvsd_bench.metrics.noreference")

Saved = Callable[[str], WeightsFile]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Save a network with random weights in the form that pyiqa expects of its file."""
    folder, made = tmp_path_factory.mktemp("weights"), {}

    def save(name: str) -> WeightsFile:
        if name not in made:
            torch.manual_seed(5)
            path = folder / f"{name}.pth"
            state = noreference.NETWORKS[name]().state_dict()
            torch.save({"params": state} if name == "nima" else state, path)
            made[name] = WeightsFile(name, path, path.stat().st_size, "untrained", "none")
        return made[name]

    return save


def picture(height: int = 90, width: int = 160) -> Frame:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def as_tensor(frame: Frame) -> Any:
    return torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0).float() / 255


def test_musiq_is_what_pyiqa_computes_from_the_same_file(untrained: Saved) -> None:
    import pyiqa

    file = untrained("musiq")
    witness = pyiqa.create_metric("musiq", pretrained_model_path=str(file.path), device="cpu")
    metric = noreference.open_no_reference("musiq", file, "cpu")
    expected = float(witness(as_tensor(picture())))
    assert metric.score(picture()) == pytest.approx(expected, abs=1e-6)


def test_nima_is_what_pyiqa_computes_from_the_same_file(
    untrained: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    from pyiqa.archs.nima_arch import NIMA

    create = timm.create_model
    # pyiqa asks timm for a download, here as everywhere.
    monkeypatch.setattr(
        timm,
        "create_model",
        lambda name, **options: create(name, **options | {"pretrained": False}),
    )
    file = untrained("nima")
    witness = NIMA("inception_resnet_v2", pretrained_model_path=str(file.path)).eval()
    metric = noreference.open_no_reference("nima", file, "cpu")
    with torch.inference_mode():
        expected = float(witness(as_tensor(picture())))
    assert 1 < expected < 10
    assert metric.score(picture()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(720, 1280), (301, 299), (40, 33), (1080, 608)])
def test_the_middle_square_is_torchvisions_antialiased_one(size: tuple[int, int]) -> None:
    from torchvision.transforms import functional

    frame = as_tensor(picture(*size))
    resized = functional.resize(frame, 299, antialias=True)
    expected = functional.center_crop(resized, 299)
    assert torch.equal(noreference.middle_square(frame, 299), expected)


def test_a_file_that_lacks_a_tensor_is_refused(untrained: Saved, tmp_path: Path) -> None:
    state = torch.load(untrained("musiq").path, weights_only=True)
    del state["head.weight"]
    torch.save(state, tmp_path / "short.pth")
    short = WeightsFile("musiq", tmp_path / "short.pth", 0, "untrained", "none")
    with pytest.raises(MissingError, match=r"short\.pth does not fit .* musiq: .*head\.weight"):
        noreference.open_no_reference("musiq", short, "cpu")


def test_a_frame_too_small_is_refused(untrained: Saved) -> None:
    metric = noreference.open_no_reference("musiq", untrained("musiq"), "cpu")
    with pytest.raises(InputError, match=r"'musiq' needs .* 32 x 32 pixels, got 160 x 31"):
        metric.score(picture(31))


def test_without_pyiqa_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(MissingError, match="'nima' needs the package pyiqa: pip install pyiqa"):
        open_metric("nima")


@pytest.mark.weights
@pytest.mark.parametrize("name", ["nima", "musiq"])
def test_the_trained_network_gives_its_known_values(name: str) -> None:
    if locate(name) is None:
        pytest.skip(f"the weights of {name} are not here: rvsd-bench weights fetch {name}")
    rows = calibration.calibrate([name])
    calibration.require_right(rows)
    low, high = {"nima": (1, 10), "musiq": (0, 100)}[name]
    assert all(low <= row.value <= high for row in rows)
