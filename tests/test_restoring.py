"""Windows, padding and tiles: what reaches a model and what becomes of its answer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d

from rvsd_bench import restore
from rvsd_bench.baselines import CenterModel, FrameModel, ModelInfo, load
from rvsd_bench.clip import ArrayClip, Frame, to_torch
from rvsd_bench.errors import InputError
from rvsd_bench.restoring import runner as restoring


def noise(count: int, height: int, width: int, seed: int = 0) -> ArrayClip:
    values = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)
    return ArrayClip(values)


def numbered(count: int) -> ArrayClip:
    """Make a clip in which every pixel of frame i has the value i."""
    return ArrayClip(np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 4, 6, 3)))


def stacked(frames: Iterator[Frame]) -> NDArray[np.uint8]:
    return np.stack(list(frames))


@dataclass
class Witness:
    """A model that keeps what it is called with and answers with a function of it."""

    info: ModelInfo
    answer: Callable[[Tensor], Tensor] = lambda clip: clip
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    windows: list[list[int]] = field(default_factory=list)

    def __call__(self, clip: Tensor) -> Tensor:
        self.shapes.append(tuple(clip.shape))
        self.windows.append([round(float(v) * 255) for v in clip[0, :, 0, 0, 0]])
        return self.answer(clip)


class Counted(ArrayClip):
    """A clip that notes which frames are decoded, in order."""

    def __iter__(self) -> Iterator[Frame]:
        for index, frame in enumerate(self.frames):
            self.facts.setdefault("decoded", []).append(index)
            yield frame


WINDOWS = {
    "frame": ModelInfo("frame", window=1),
    "all 2": ModelInfo("all", window=2),
    "all 5": ModelInfo("all", window=5),
    "centre 3": ModelInfo("centre", window=3, emits="center"),
    "centre 7": ModelInfo("centre", window=7, emits="center"),
    "whole": ModelInfo("whole", window=None),
}


@pytest.mark.parametrize("info", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 16, 17, 41])
def test_a_model_that_does_nothing_returns_the_clip_byte_by_byte(
    info: ModelInfo, count: int
) -> None:
    clip = noise(count, 5, 9)
    restored = restore(Witness(info), clip)
    assert np.array_equal(stacked(iter(restored)), clip.frames)
    assert np.array_equal(np.stack([restored[i] for i in range(count)]), clip.frames)
    assert np.array_equal(restored[-1], clip.frames[-1])


def test_windows_around_a_frame_repeat_the_ends_of_the_clip() -> None:
    model = Witness(ModelInfo("centre", window=5, emits="center"))
    list(restore(model, numbered(4)))
    assert model.windows == [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3], [1, 2, 3, 3, 3]]


def test_the_last_full_window_is_moved_back_instead_of_cut() -> None:
    model = Witness(ModelInfo("all", window=3))
    list(restore(model, numbered(7)))
    assert model.windows == [[0, 1, 2], [3, 4, 5], [4, 5, 6]]


def test_a_clip_shorter_than_the_window_repeats_its_last_frame() -> None:
    model = Witness(ModelInfo("all", window=4))
    assert len(list(restore(model, numbered(2)))) == 2
    assert model.windows == [[0, 1, 1, 1]]


def test_with_a_stride_of_one_each_frame_has_its_neighbours_on_both_sides() -> None:
    model = Witness(ModelInfo("all", window=3, stride=1))
    list(restore(model, numbered(5)))
    assert model.windows == [[0, 1, 2], [0, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 4]]
    fast = Witness(model.info)
    list(restore(fast, numbered(5), stride=3))
    assert fast.windows == [[0, 1, 2], [2, 3, 4]]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 9, 23])
def test_every_stride_puts_every_frame_in_its_place(stride: int, count: int) -> None:
    clip = noise(count, 3, 4)
    restored = restore(Witness(ModelInfo("all", window=5)), clip, stride=stride)
    assert np.array_equal(stacked(iter(restored)), clip.frames)
    assert np.array_equal(np.stack([restored[i] for i in range(count)]), clip.frames)


@dataclass
class Staged:
    """A model in two stages: blurs each frame, then takes the mean over the window."""

    info: ModelInfo = field(
        default_factory=lambda: ModelInfo("staged", window=3, stride=1, staged=True)
    )
    encoded: int = 0
    kept: list[int] = field(default_factory=list)

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        self.encoded += len(frames)
        return (blur_model().network(frames), frames[:, :1])

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        self.kept.append(len(keep))
        blurred, red = codes
        return ((blurred + red) / 2).mean(dim=1, keepdim=True) + 0 * clip[:, list(keep)]

    def __call__(self, clip: Tensor) -> Tensor:
        codes = self.encode(clip.flatten(0, 1))
        window = tuple(code.unflatten(0, clip.shape[:2]) for code in codes)
        return self.decode(clip, window, range(clip.shape[1]))


@pytest.mark.parametrize("tile", [None, 16])
def test_no_frame_is_encoded_twice_and_only_what_is_kept_is_decoded(tile: int | None) -> None:
    clip, model = noise(9, 20, 24), Staged()
    whole = Witness(replace(model.info, staged=False), Staged())
    staged = stacked(iter(restore(model, clip, tile=tile, overlap=4)))
    assert np.array_equal(staged, stacked(iter(restore(whole, clip, tile=tile, overlap=4))))
    assert model.encoded == 9 * (1 if tile is None else 4)
    assert set(model.kept) == {1}


def test_codes_that_would_fill_the_memory_are_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, kept, forgetful = noise(6, 8, 8), Staged(), Staged()
    wanted = stacked(iter(restore(kept, clip)))
    monkeypatch.setattr(restoring, "KEPT_BYTES", 3000)  # one frame's codes are 1,024 bytes
    assert np.array_equal(stacked(iter(restore(forgetful, clip))), wanted)
    assert kept.encoded == 6
    assert 6 < forgetful.encoded <= 18


def test_an_answer_of_the_second_stage_is_checked_too() -> None:
    class Wrong(Staged):
        def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
            return clip

    with pytest.raises(InputError, match=r"returned \[1, 3, 3, 4, 6\] for \[1, 1, 3, 4, 6\]"):
        list(restore(Wrong(), numbered(4)))


def test_large_frames_are_cut_as_the_model_asks_unless_the_user_wants_them_whole() -> None:
    model = Witness(ModelInfo("greedy", tile=16))
    list(restore(model, noise(1, 40, 40)))
    assert set(model.shapes) == {(1, 1, 3, 16, 16)}
    whole = Witness(model.info)
    list(restore(whole, noise(1, 40, 40), tile=0))
    assert whole.shapes == [(1, 1, 3, 40, 40)]


def test_sixteen_bits_are_used_where_the_model_bears_them_and_refused_elsewhere() -> None:
    seen: list[torch.dtype] = []

    def product(clip: Tensor) -> Tensor:
        seen.append((clip.flatten(-2) @ clip.flatten(-2).mT).dtype)
        return clip

    list(
        restore(Witness(ModelInfo("net", half=True), product), noise(1, 4, 4), precision="bfloat16")
    )
    list(restore(Witness(ModelInfo("net", half=True), product), noise(1, 4, 4)))
    assert seen == [torch.bfloat16, torch.float32]
    with pytest.raises(InputError, match="'net' does not say that it bears bfloat16"):
        restore(Witness(ModelInfo("net")), noise(1, 4, 4), precision="bfloat16")
    with pytest.raises(InputError, match="no precision named 'bf16'"):
        restore(Witness(ModelInfo("net", half=True)), noise(1, 4, 4), precision="bf16")


def test_a_whole_clip_model_sees_long_chunks_that_overlap() -> None:
    model = Witness(ModelInfo("whole", window=None))
    list(restore(model, numbered(60)))
    assert max(len(window) for window in model.windows) <= 24
    for before, after in pairwise(model.windows):
        assert len(set(before) & set(after)) == 8
    assert sorted(set().union(*model.windows)) == list(range(60))


@pytest.mark.parametrize("info", WINDOWS.values(), ids=WINDOWS)
def test_each_frame_is_decoded_once_and_not_long_before_it_is_needed(info: ModelInfo) -> None:
    clip = Counted(numbered(50).frames)
    for done, _ in enumerate(restore(Witness(info), clip), 1):
        assert len(clip.facts["decoded"]) <= done + (info.window or 24)
    assert clip.facts["decoded"] == list(range(50))


def test_no_more_than_a_window_of_frames_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Tensor]] = []

    def watched(frames: list[Frame]) -> Tensor:
        tensor = to_torch(frames)
        alive.append(weakref.ref(tensor.untyped_storage()))
        return tensor

    monkeypatch.setattr(restoring, "to_torch", watched)
    model = Witness(ModelInfo("centre", window=5, emits="center"))
    for _ in restore(model, numbered(40)):
        assert sum(reference() is not None for reference in alive) <= 6
    assert len(alive) == 40


def test_a_model_that_writes_into_its_input_harms_neither_clip_nor_neighbours() -> None:
    def spoil(clip: Tensor) -> Tensor:
        answer = clip.clone()
        clip.zero_()
        return answer

    clip = numbered(6)
    model = Witness(ModelInfo("centre", window=3, emits="center"), spoil)
    assert np.array_equal(stacked(iter(restore(model, clip))), numbered(6).frames)
    assert np.array_equal(clip.frames, numbered(6).frames)


def test_frames_are_padded_to_legal_sizes_by_reflection_and_cropped() -> None:
    clip = noise(1, 21, 45)
    seen: list[Tensor] = []
    info = ModelInfo("picky", multiple=8, min_size=32)
    model = Witness(info, lambda x: seen.append(x) or x)  # type: ignore[func-returns-value]
    assert np.array_equal(restore(model, clip)[0], clip.frames[0])
    assert model.shapes == [(1, 1, 3, 32, 48)]
    mirrored = np.pad(clip.frames[0], ((0, 11), (0, 3), (0, 0)), mode="reflect")
    assert np.array_equal(seen[0][0, 0].permute(1, 2, 0).mul(255).round().numpy(), mirrored)


def test_frames_too_small_to_reflect_are_padded_by_their_edge() -> None:
    clip = noise(1, 1, 3)
    seen: list[Tensor] = []
    info = ModelInfo("picky", multiple=4)
    model = Witness(info, lambda x: seen.append(x) or x)  # type: ignore[func-returns-value]
    assert np.array_equal(restore(model, clip)[0], clip.frames[0])
    row = np.pad(clip.frames[0], ((0, 0), (0, 1), (0, 0)), mode="reflect")
    wanted = np.pad(row, ((0, 3), (0, 0), (0, 0)), mode="edge")
    assert np.array_equal(seen[0][0, 0].permute(1, 2, 0).mul(255).round().numpy(), wanted)


def blur_model(multiple: int = 1) -> FrameModel:
    weights = np.random.default_rng(1).random((3, 3, 3, 3), np.float32)
    kernel = torch.from_numpy(weights / weights.sum(axis=(1, 2, 3), keepdims=True))
    info = ModelInfo("blur", multiple=multiple)
    return FrameModel(lambda frames: conv2d(frames, kernel, padding=1), info)


@pytest.mark.parametrize(("tile", "overlap"), [(16, 8), (20, 4), (33, 32), (24, 5), (64, 16)])
@pytest.mark.parametrize("multiple", [1, 8])
def test_tiles_change_nothing_for_a_network_that_sees_one_pixel_around(
    tile: int, overlap: int, multiple: int
) -> None:
    clip = noise(2, 50, 71)
    whole = stacked(iter(restore(blur_model(multiple), clip)))
    tiled = stacked(iter(restore(blur_model(multiple), clip, tile=tile, overlap=overlap)))
    apart = np.abs(tiled.astype(int) - whole)
    assert apart.max() <= 1  # a value next to a half may be rounded the other way
    assert (apart > 0).mean() < 1e-3


def test_tiles_have_legal_sizes_and_cover_every_pixel() -> None:
    clip = noise(1, 50, 71)
    model = Witness(ModelInfo("picky", multiple=8, min_size=24))
    assert np.array_equal(restore(model, clip, tile=17, overlap=3)[0], clip.frames[0])
    assert set(model.shapes) == {(1, 1, 3, 24, 24)}


def test_tiles_without_overlap_are_put_side_by_side() -> None:
    clip = noise(1, 40, 40)
    assert np.array_equal(restore(load("identity"), clip, tile=16, overlap=0)[0], clip.frames[0])


def test_two_tiles_that_disagree_are_blended_by_a_rising_line() -> None:
    calls = iter([0.0, 1.0])
    model = Witness(ModelInfo("steps"), lambda clip: torch.full_like(clip, next(calls)))
    frame = restore(model, ArrayClip(np.zeros((1, 16, 28, 3), np.uint8)), tile=16, overlap=4)[0]
    rise = frame[0, 12:16, 0] / 255  # the first tile ends at 16, the second begins at 12
    assert np.allclose(rise, [0, 1 / 3, 2 / 3, 1], atol=1 / 255)
    assert (frame[:, :12] == 0).all() and (frame[:, 16:] == 255).all()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda clip: clip[..., :-1], r"'net' returned \[1, 1, 3, 4, 5\] for \[1, 1, 3, 4, 6\]"),
        (lambda clip: clip[:, 0], r"'net' returned \[1, 3, 4, 6\]"),
        (lambda clip: clip * float("nan"), "'net' returned values that are not finite"),
        (lambda clip: clip / 0, "'net' returned values that are not finite"),
        (lambda clip: clip * 255, "'net' returned values from .* to 255; they must lie in"),
        (lambda clip: clip - 100, "'net' returned values from -99"),
        (lambda clip: clip.numpy(), "'net' returned a numpy.ndarray, not a torch tensor"),
        (lambda clip: None, "'net' returned a builtins.NoneType, not a torch tensor"),
        (lambda clip: clip @ clip, "'net' failed on a clip of shape .*RuntimeError"),
    ],
)
def test_an_impossible_answer_is_refused_with_the_models_name(
    answer: Callable[[Tensor], Tensor], message: str
) -> None:
    clip = ArrayClip(np.full((2, 4, 6, 3), 255, np.uint8) - numbered(2).frames)
    with pytest.raises(InputError, match=message):
        list(restore(Witness(ModelInfo("net"), answer), clip))


def test_values_just_outside_are_clipped_and_all_are_rounded_once() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    answer = restore(Witness(ModelInfo("net"), lambda x: x * 1.5 - 0.2), ArrayClip(levels))[0]
    wanted = np.clip(np.arange(256) * 1.5 - 51, 0, 255).reshape(16, 16)
    assert np.abs(answer[..., 0] - wanted).max() <= 0.5 + 1e-4
    assert answer.min() == 0 and answer.max() == 255


def test_a_centre_model_of_one_picture_fits_the_runner() -> None:
    info = ModelInfo("mean", window=3, emits="center")
    model = CenterModel(lambda windows: windows.mean(dim=1), info)
    clip = noise(5, 4, 6)
    ends = np.concatenate([clip.frames[:1], clip.frames, clip.frames[-1:]]).astype(np.float64)
    wanted = (ends[:-2] + ends[1:-1] + ends[2:]) / 3
    assert np.abs(stacked(iter(restore(model, clip))) - wanted).max() <= 0.5 + 1e-4


def test_tiles_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(InputError, match="cannot overlap by 16"):
        restore(load("identity"), numbered(1), tile=16, overlap=16)
    with pytest.raises(InputError, match="'net' cuts its own tiles"):
        restore(Witness(ModelInfo("net", tiling="internal")), numbered(1), tile=16, overlap=4)


def test_a_restored_clip_keeps_the_clips_times_and_says_who_restored_it() -> None:
    clip = ArrayClip(numbered(4).frames, fps=12.5, name="street", facts={"kind": "array"})
    restored = restore(load("identity"), clip)
    assert (restored.name, restored.size, restored.fps, len(restored)) == (
        "street",
        (4, 6),
        12.5,
        4,
    )
    assert np.array_equal(restored.times, [0, 0.08, 0.16, 0.24])
    assert restored.facts == {"kind": "array", "restored_by": "identity"}
