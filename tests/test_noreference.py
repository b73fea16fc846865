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


@pytest.fixture(scope="module")
def both(untrained: Saved) -> tuple[Any, Any]:
    """Return our MUSIQ and pyiqa's own class, from the same file."""
    import pyiqa

    file = untrained("musiq")
    witness = pyiqa.create_metric("musiq", pretrained_model_path=str(file.path), device="cpu")
    return noreference.open_no_reference("musiq", file, "cpu"), witness


@pytest.mark.parametrize(
    "size",
    [(90, 160), (32, 401), (333, 200), (224, 384), (480, 641)],
    ids=lambda size: f"{size[1]}x{size[0]}",
)
def test_musiq_is_what_pyiqa_computes_from_the_same_file(
    both: tuple[Any, Any], size: tuple[int, int]
) -> None:
    metric, witness = both
    frame = picture(*size)
    with torch.inference_mode():
        expected = float(witness(as_tensor(frame)))
    assert metric.score(frame) == pytest.approx(expected, abs=1e-5)
    # the comparison means something: a frame a little darker has another score
    assert abs(metric.score(frame // 2) - expected) > 1e-3


@pytest.mark.slow
def test_musiq_is_pyiqas_where_attention_over_all_patches_becomes_large(
    both: tuple[Any, Any],
) -> None:
    metric, witness = both
    frame = picture(1000, 1600)  # 1,600 patches and more
    with torch.inference_mode():
        expected = float(witness(as_tensor(frame)))
    assert metric.score(frame) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["nima", "musiq"])
def test_scores_do_not_depend_on_what_was_scored_before(untrained: Saved, name: str) -> None:
    metric = noreference.open_no_reference(name, untrained(name), "cpu")
    frames = [picture(90, 160), picture(200, 120), picture(33, 64)]
    forwards = [metric.score(frame) for frame in frames]
    backwards = [metric.score(frame) for frame in reversed(frames)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 3


def test_every_patch_is_seen_once_and_padded_evenly() -> None:
    from rvsd_bench.metrics import musiq

    view = torch.arange(3 * 70 * 100, dtype=torch.float32).reshape(1, 3, 70, 100) + 1
    rows = list(musiq.rows_of_patches(view))
    assert [tuple(row.shape) for row in rows] == [(4, 3, 32, 32)] * 3
    whole = torch.cat([torch.cat(tuple(row), dim=2) for row in rows], dim=1)
    assert torch.equal(whole[:, 13:83, 14:114], view[0])  # 26 rows and 28 columns are lacking
    assert whole.double().sum() == view.double().sum()


def test_places_are_those_of_a_grid_of_ten_over_any_frame() -> None:
    from rvsd_bench.metrics import musiq

    assert musiq.grid_places(1, 10).tolist() == list(range(10))
    assert musiq.grid_places(2, 5).tolist() == [0, 2, 4, 6, 8, 50, 52, 54, 56, 58]
    places = musiq.grid_places(68, 120).reshape(68, 120)  # 3840 x 2160
    assert places[:, 0].bincount()[::10].tolist() == [7, 7, 7, 7, 6, 7, 7, 7, 7, 6]
    assert places[0].bincount().tolist() == [12] * 10


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
