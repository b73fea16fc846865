"""Hold LPIPS against pyiqa's network, with random weights anywhere and the trained ones if here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.metrics import CARDS, Metric, calibration, open_metric
from rvsd_bench.metrics.oracle import open_oracle
from rvsd_bench.metrics.perceptual import Lpips, open_lpips
from rvsd_bench.weights.converting import CONVOLUTIONS, save
from rvsd_bench.weights.store import WeightsFile, locate, read_tensors

SHAPES = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> WeightsFile:
    """Return weights of LPIPS' shapes, drawn at random: good for the mechanism, not for scores."""
    rng = np.random.default_rng(3)
    arrays = {}
    for index, (layer, shape) in enumerate(zip(CONVOLUTIONS["lpips"], SHAPES)):
        spread = np.sqrt(2 / np.prod(shape[1:]))
        arrays[f"net.features.{layer}.weight"] = rng.normal(0, spread, shape).astype(np.float32)
        arrays[f"net.features.{layer}.bias"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)
        arrays[f"lin{index}.weight"] = rng.random((1, shape[0], 1, 1), np.float32)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save(arrays, path)
    return WeightsFile("lpips", path, path.stat().st_size, "untrained", "none")


@pytest.fixture(scope="module")
def lpips(untrained: WeightsFile) -> Lpips:
    return Lpips(read_tensors(untrained), weights=untrained)


@pytest.fixture(scope="module")
def trained() -> Metric:
    if locate("lpips") is None:
        pytest.skip("the LPIPS weights are not here: rvsd-bench weights fetch lpips")
    return open_metric("lpips")


def pictures(height: int, width: int) -> tuple[Frame, Frame]:
    rng = np.random.default_rng(height + width)
    first = rng.integers(0, 256, (height, width, 3), np.uint8)
    return first, rng.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(("height", "width"), [(31, 31), (64, 97), (120, 160)])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_pyiqas_network_gives_the_same_distance(
    untrained: WeightsFile, lpips: Lpips, height: int, width: int, channels: str
) -> None:
    pytest.importorskip("pyiqa")
    clean, frame = pictures(height, width)
    params = {"channels": channels}
    witness = open_oracle(CARDS["lpips"], params, "cpu", untrained)
    expected = witness.score(frame, witness.prepare(clean))
    ours = Lpips(lpips.tensors, channels)  # type: ignore[arg-type]
    assert expected > 0.01
    assert ours.score(frame, ours.prepare(clean)) == pytest.approx(expected, rel=1e-5)


def test_equal_frames_are_exactly_0_apart(lpips: Lpips) -> None:
    frame, _ = pictures(40, 50)
    assert lpips.score(frame, lpips.prepare(frame)) == 0.0


def test_a_prepared_frame_serves_many_models_and_stays_as_it_is(lpips: Lpips) -> None:
    clean, frame = pictures(40, 50)
    prepared = lpips.prepare(clean)
    scores = [lpips.score(frame, prepared) for _ in range(3)]
    assert scores == [scores[0]] * 3
    assert lpips.score(clean, prepared) == 0.0


def test_bgr_is_rgb_of_frames_with_swapped_channels(lpips: Lpips) -> None:
    clean, frame = pictures(40, 50)
    swapped = Lpips(lpips.tensors, "bgr")
    expected = lpips.score(frame[..., ::-1], lpips.prepare(clean[..., ::-1]))
    assert swapped.score(frame, swapped.prepare(clean)) == expected


def test_a_frame_too_small_is_refused_with_both_sizes(lpips: Lpips) -> None:
    with pytest.raises(InputError, match=r"'lpips' needs .* 31 x 31 pixels, got 60 x 30"):
        lpips.prepare(np.zeros((30, 60, 3), np.uint8))


def test_frames_of_unequal_size_are_refused(lpips: Lpips) -> None:
    clean, _ = pictures(40, 50)
    _, frame = pictures(50, 40)
    with pytest.raises(InputError, match=r"the frame is 40 x 50, its reference 50 x 40"):
        lpips.score(frame, lpips.prepare(clean))


def test_an_unknown_order_of_channels_is_refused(lpips: Lpips) -> None:
    with pytest.raises(InputError, match=r"'rgb' or 'bgr', got 'yuv'"):
        Lpips(lpips.tensors, "yuv")  # type: ignore[arg-type]


def test_weights_that_compute_something_else_are_refused_when_loaded(
    untrained: WeightsFile,
) -> None:
    with pytest.raises(MissingError, match=r"instead of 0\.30638"):
        open_lpips(untrained)


def test_missing_weights_are_named_before_torch_is_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("RVSD_BENCH_WEIGHTS", "XDG_DATA_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(MissingError, match="metric 'lpips' needs lpips_alex"):
        open_metric("lpips")


@pytest.mark.weights
def test_the_calibration_pairs_give_the_official_values(trained: Metric) -> None:
    try:
        rows = calibration.calibrate(["lpips"])
    except MissingError as error:
        pytest.skip(str(error))
    calibration.require_right(rows)
    official = (0.7237, 0.2572, 0.0508, 0.0521, 0.4253)
    native = [row.value for row in rows if row.backend == "native"]
    assert native == pytest.approx(official, abs=1e-4)


@pytest.mark.weights
def test_the_calibration_pairs_as_bgr_give_the_values_of_the_2024_script(trained: Metric) -> None:
    metric = open_metric("lpips", params={"channels": "bgr"})
    try:
        pairs = list(calibration.pairs())
    except MissingError as error:
        pytest.skip(str(error))
    values = [metric.score(frame, metric.prepare(clean)) for _, frame, clean in pairs]
    assert values == pytest.approx((0.69783, 0.20470, 0.04525, 0.05464, 0.44041), abs=1e-5)


@pytest.mark.weights
def test_pyiqa_agrees_on_the_trained_weights(trained: Metric) -> None:
    pytest.importorskip("pyiqa")
    clean, frame = pictures(64, 80)
    witness = open_metric("lpips", backend="pyiqa")
    expected = witness.score(frame, witness.prepare(clean))
    assert trained.score(frame, trained.prepare(clean)) == pytest.approx(expected, abs=1e-6)
