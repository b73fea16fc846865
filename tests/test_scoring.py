"""One video for several methods: the truth prepared once, faults kept to their own frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvsd_bench.baselines import ModelInfo
from rvsd_bench.clip import Frame
from rvsd_bench.data import dataset
from rvsd_bench.evaluation import measuring, methods, protocol, scoring
from rvsd_bench.evaluation.environment import settled
from rvsd_bench.evaluation.runfiles import Part, read_part
from rvsd_bench.evaluation.videotask import VideoTask, is_done
from rvsd_bench.media.images import read_image, write_png
from rvsd_bench.metrics import CARDS

SIZE = (20, 28)
COUNT = 5


@dataclass
class Counter:
    """A metric that counts its calls; the score is the mean of the restored frame."""

    card: Any = CARDS["psnr"]
    weights: None = None
    prepared: int = 0
    scored: list[float] = field(default_factory=list)

    def prepare(self, reference: Frame, coverage: object = None) -> Frame:
        self.prepared += 1
        return reference

    def score(self, frame: Frame, prepared: Any = None) -> float:
        self.scored.append(float(frame.mean()))
        return self.scored[-1]


class Breaks:
    """A restorer that fails at the third frame, or returns something else than frames."""

    info = ModelInfo(name="breaks")

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, clip):  # type: ignore[no-untyped-def]
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("out of luck")
        return clip


@pytest.fixture
def video(tmp_path: Path) -> dataset.Video:
    """Make a video of five frames with coverage layers; the fourth is free of snow."""
    rng = np.random.default_rng(0)
    home = tmp_path / "data" / "test"
    for index in range(COUNT):
        clean = rng.integers(0, 200, (*SIZE, 3), dtype=np.uint8)
        z = (rng.random(SIZE) < (0 if index == 3 else 0.2)).astype(np.uint16) * 65535
        snowy = np.where(z[..., None] > 0, np.uint8(250), clean)
        for side, frame in (("clean", clean), ("snow", snowy), ("layers", z)):
            folder = home / side / "00000" / ("coverage" if side == "layers" else "")
            folder.mkdir(parents=True, exist_ok=True)
            write_png(folder / f"{index:04d}.png", frame)
    return dataset.load(tmp_path / "data").videos[0]


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Put the counting metric in the place of psnr."""
    metric = Counter()
    monkeypatch.setattr(measuring, "open_metric", lambda *args, **kwargs: metric)
    monkeypatch.setattr(measuring, "_opened", measuring._opened.__wrapped__)
    return metric


def task(
    tmp_path: Path,
    video: dataset.Video,
    models: Sequence[Any],
    names: Sequence[str] = ("psnr",),
    **places: Path,
) -> VideoTask:
    measures, _ = measuring.choose(protocol.load("rvsd-2023"), names)
    found = methods.resolve(models, data=tmp_path / "data", device="cpu")
    return VideoTask(video, "00000", found, measures, "cpu", tmp_path / "parts", **places)


def part(work: VideoTask, index: int = 0) -> Part:
    found = read_part(work.part(work.methods[index]))
    assert found is not None
    return found


def test_the_truth_is_prepared_once_for_all_methods(
    tmp_path: Path, video: dataset.Video, counter: Counter
) -> None:
    work = task(tmp_path, video, ["identity", "median", f"frames:{video.snowy.parent}"])
    scoring.score_video(work)
    assert counter.prepared == COUNT
    assert len(counter.scored) == 3 * COUNT
    own = [read_image(path).mean() for path in video.snowy_files or ()]
    assert [frame.values["psnr"] for frame in part(work).frames] == own


def test_regions_of_the_snow_share_the_error_of_the_whole(
    tmp_path: Path, video: dataset.Video
) -> None:
    work = task(tmp_path, video, ["identity"], ["psnr", "psnr_snow", "psnr_clear"])
    scoring.score_video(work)
    for index, frame in enumerate(part(work).frames):
        snowy, clean = (
            read_image((files or ())[index]) for files in (video.snowy_files, video.clean_files)
        )
        error = (snowy.astype(float) - clean) ** 2 / 255**2
        assert frame.values["psnr"] == pytest.approx(
            -10 * math.log10(error.mean() + 1e-8), abs=1e-9
        )
        if index == 3:
            assert frame.values["psnr_snow"] is None
            assert frame.status("psnr_snow") == "undefined"
            continue
        snow = error.mean(axis=2) > 0
        wanted = -10 * math.log10(error[snow].mean() + 1e-8)
        assert frame.values["psnr_snow"] == pytest.approx(wanted, abs=1e-9)
        assert frame.values["psnr_clear"] == pytest.approx(80, abs=1e-6)


def test_a_damaged_prediction_costs_its_frame_alone(tmp_path: Path, video: dataset.Video) -> None:
    for index, path in enumerate(video.clean_files or ()):
        folder = tmp_path / "out" / "00000"
        folder.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        (folder / f"{index:04d}.png").write_bytes(data[: len(data) // 2] if index == 1 else data)
    work = task(tmp_path, video, ["identity", f"frames:{tmp_path / 'out'}"])
    scoring.score_video(work)
    assert part(work, 0).complete
    handed_in = part(work, 1)
    assert [bool(frame.errors) for frame in handed_in.frames] == [False, True, False, False, False]
    assert "0001.png" in handed_in.frames[1].errors["psnr"]
    assert [frame.values.get("psnr") for frame in handed_in.frames] == [80, None, 80, 80, 80]


def test_a_model_that_breaks_is_told_apart_from_one_that_works(
    tmp_path: Path, video: dataset.Video
) -> None:
    work = task(tmp_path, video, [Breaks(), "identity"])
    scoring.score_video(work)
    assert part(work, 1).complete
    frames = part(work, 0).frames
    assert [bool(frame.errors) for frame in frames] == [False, False, True, True, True]
    assert "stopped at frame 2" in frames[4].errors["psnr"]
    assert "out of luck" in frames[4].errors["psnr"]


def test_an_unreadable_truth_is_nobodys_score(tmp_path: Path, video: dataset.Video) -> None:
    truth = (video.clean_files or ())[2]
    truth.write_bytes(truth.read_bytes()[:60])
    work = task(tmp_path, video, ["identity", "median"])
    scoring.score_video(work)
    for index in range(2):
        frames = part(work, index).frames
        assert [bool(frame.errors) for frame in frames] == [False, False, True, False, False]
        # The others still belong to their own frame: the digests say so.
        assert frames[3].width == SIZE[1]
    assert part(work, 0).frames[3].pred_sha256 == part(work, 0).frames[3].input_sha256


def test_a_value_that_is_not_finite_is_an_error(
    tmp_path: Path, video: dataset.Video, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "score", lambda *args: math.inf)
    work = task(tmp_path, video, ["identity"])
    scoring.score_video(work)
    assert part(work).frames[0].errors == {"psnr": "the value is inf"}


def test_scores_are_kept_for_equal_pixels_and_made_again_for_others(
    tmp_path: Path, video: dataset.Video, counter: Counter
) -> None:
    folder = tmp_path / "out" / "00000"
    folder.mkdir(parents=True)
    for index in range(COUNT):
        write_png(folder / f"{index:04d}.png", np.full((*SIZE, 3), index, np.uint8))
    scoring.score_video(task(tmp_path, video, [f"frames:{tmp_path / 'out'}"]))
    assert counter.scored == [0, 1, 2, 3, 4]
    write_png(folder / "0002.png", np.full((*SIZE, 3), 99, np.uint8))
    work = task(tmp_path, video, [f"frames:{tmp_path / 'out'}"])
    assert not is_done(work, work.methods[0])
    scoring.score_video(work)
    assert counter.scored == [0, 1, 2, 3, 4, 99]
    assert [frame.values["psnr"] for frame in part(work).frames] == [0, 1, 99, 3, 4]
    assert is_done(work, work.methods[0])


def test_scores_of_another_definition_are_not_taken_over(
    tmp_path: Path, video: dataset.Video, counter: Counter
) -> None:
    work = task(tmp_path, video, ["identity"])
    scoring.score_video(work)
    path = work.part(work.methods[0])
    path.write_text(path.read_text().replace('eps\\": 1e-08', 'eps\\": 0.0'))
    assert read_part(path) is not None
    assert not is_done(work, work.methods[0])
    scoring.score_video(work)
    assert len(counter.scored) == 2 * COUNT


def test_a_finished_video_stays_finished_until_something_it_needs_changes(
    tmp_path: Path, video: dataset.Video
) -> None:
    work = task(tmp_path, video, ["identity"], ["psnr", "psnr_snow"])
    method = work.methods[0]
    assert not is_done(work, method)
    scoring.score_video(work)
    assert is_done(work, method)
    assert is_done(task(tmp_path, video, ["identity"], ["psnr"]), method)
    assert not is_done(task(tmp_path, video, ["identity"], ["psnr", "ssim"]), method)
    assert not is_done(task(tmp_path, video, ["identity"], frames=tmp_path / "frames"), method)
    layer = (video.layers or Path()) / "coverage" / "0001.png"
    write_png(layer, np.zeros(SIZE, np.uint16))
    assert not is_done(work, method)


def test_saved_frames_are_what_was_scored(tmp_path: Path, video: dataset.Video) -> None:
    work = task(tmp_path, video, ["median"], frames=tmp_path / "frames")
    scoring.score_video(work)
    snowy = np.stack([read_image(path) for path in video.snowy_files or ()])
    saved = tmp_path / "frames" / "median" / "00000"
    assert np.array_equal(read_image(saved / "0002.png"), np.median(snowy[1:4], axis=0))
    assert len(list(saved.iterdir())) == COUNT


def test_arithmetic_is_settled_while_scoring_and_left_as_it_was() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(ZeroDivisionError), settled():
            assert torch.get_num_threads() == cv2.getNumThreads() == 1
            assert not torch.backends.cudnn.allow_tf32
            raise ZeroDivisionError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
