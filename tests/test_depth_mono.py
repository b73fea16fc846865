"""Depth by a network: its scale, its absence, no fetching. The network here is a fake."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import MissingError
from rvsd_bench.generators import depth, depth_mono
from rvsd_bench.generators.depth import resolve_depth

H, W = 60, 100


class Tensor:
    """What the library returns, as far as it is used."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def numpy(self) -> Any:
        return self.values


def _network(_folder: Path) -> Any:
    """Say of a picture that what is brighter is nearer, at half its size."""

    def predict(image: Any) -> Any:
        grey = np.asarray(image)[::2, ::2, 0].astype(np.float32)
        return {"predicted_depth": Tensor(7.0 + 0.1 * grey[None])}

    return predict


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "snapshots" / "abc123"
    monkeypatch.setattr(depth_mono, "network", _network)
    monkeypatch.setattr(depth_mono, "weights_folder", lambda: folder)
    monkeypatch.setattr(depth, "weights_folder", lambda: folder)
    return folder


def _clip(frames: int = 4) -> ArrayClip:
    """Return a near band below a far one; single frames are darkened as clouds darken a street."""
    rows = np.where(np.arange(H) < 30, 40, 200)[None, :, None, None]
    shade = np.where(np.arange(frames) == 2, 0.8, 1.0)[:, None, None, None]
    return ArrayClip((rows * shade * np.ones((1, 1, W, 3))).astype(np.uint8))


def test_near_and_far_ends_lie_where_they_are_said_to(present: Path) -> None:
    source = resolve_depth(_clip(), "mono", far_m=120.0)
    found = source.at(0)
    assert found.dtype == np.float32 and found.shape == (H, W)
    assert found[50, 50] == pytest.approx(depth_mono.NEAR_M, rel=0.02)
    assert found[8, 50] == pytest.approx(120.0, rel=0.02)
    assert source.facts["revision"] == present.name
    assert source.facts["licence"] == "Apache-2.0"


def test_the_scale_is_that_of_the_clip_and_not_of_the_frame(present: Path) -> None:
    source = resolve_depth(_clip(), "mono", far_m=120.0)
    low, high = source.facts["nearness"]
    assert (low, high) == pytest.approx((11.0, 27.0))
    darker = (7 + 0.1 * 160 - low) / (high - low)  # by hand, for the frame in the shade
    inverse = 1 / 120 + darker * (1 / depth_mono.NEAR_M - 1 / 120)
    assert source.at(2)[50, 50] == pytest.approx(1 / inverse, rel=0.02)


def test_auto_takes_the_network_where_it_is_and_it_travels(present: Path) -> None:
    source = resolve_depth(_clip())
    assert source.name == "mono"
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.at(1), source.at(1))


def test_a_clip_of_one_colour_has_some_depth(present: Path) -> None:
    found = resolve_depth(ArrayClip(np.full((2, H, W, 3), 9, np.uint8)), "mono").at(0)
    assert np.isfinite(found).all() and found.min() > 0


def test_without_the_library_auto_is_the_ground_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(depth_mono, "find_spec", lambda _name: None)
    assert depth_mono.weights_folder() is None
    source = resolve_depth(_clip())
    assert source.name == "ground"
    assert "the extra [depth]" in source.facts["fallback"]
    assert "fallback" not in resolve_depth(_clip(), "ground").facts
    with pytest.raises(MissingError, match=r"pip install 'rvsd-bench\[depth\]'") as caught:
        resolve_depth(_clip(), "mono")
    assert "\n" not in str(caught.value)


def test_weights_are_found_in_the_cache_only_when_all_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    here = set(depth_mono.FILES)

    def look(_model: str, file: str) -> str | None:
        return str(tmp_path / "snapshots" / "r1" / file) if file in here else None

    monkeypatch.setattr(depth_mono, "find_spec", lambda name: name)
    monkeypatch.setattr(hub, "try_to_load_from_cache", look)
    assert depth_mono.weights_folder() == tmp_path / "snapshots" / "r1"
    here.remove("model.safetensors")
    assert depth_mono.weights_folder() is None
