"""Call a model on one legal window, and refuse an answer that cannot be one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor

from rvsd_bench.baselines.info import ModelInfo, StagedRestorer, VideoRestorer
from rvsd_bench.errors import InputError, ModelError, RvsdBenchError, lacks_memory, unknown
from rvsd_bench.isolation.limits import SMALLER_TILES

Precision = Literal["float32", "bfloat16", "float16"]
Codes = tuple[Tensor, ...]

WILD = 10.0
"""Values beyond this are no overshoot of [0, 1]: the model answers on another scale."""


def require_precision(info: ModelInfo, precision: str) -> None:
    """Raise InputError for a precision that there is not, or that a model does not bear."""
    if precision not in get_args(Precision):
        raise unknown("precision", precision, get_args(Precision))
    if precision != "float32" and not info.half:
        raise InputError(f"model {info.name!r} does not say that it bears {precision}")


@contextmanager
def inference(device: str, precision: str) -> Iterator[None]:
    """Compute without gradients, by repeatable algorithms, in float32 or partly in 16 bits."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        flags = torch.backends.cudnn.flags
        stack.enter_context(flags(True, benchmark=False, deterministic=True, allow_tf32=False))
        if precision != "float32":
            kind = torch.device(device).type
            stack.enter_context(torch.autocast(kind, dtype=getattr(torch, precision)))
        yield


def encode(model: StagedRestorer, frame: Tensor) -> Codes:
    """Return a model's codes of one frame [3, H, W], each with a leading dimension of 1."""
    with _blaming(model.info.name, [1, *frame.shape]):
        return model.encode(frame[None])


def decode(model: StagedRestorer, clip: Tensor, codes: Sequence[Codes], keep: range) -> Tensor:
    """Restore the frames `keep` of a clip [1, T, 3, H, W], given the codes of all its frames.

    Returns float32 [1, len(keep), 3, H, W]; raises ModelError as `call` does.
    """
    with _blaming(model.info.name, list(clip.shape)):
        window = tuple(torch.stack(parts, dim=1) for parts in zip(*codes, strict=True))
        restored = model.decode(clip, window, keep).float()
    return _checked(restored, model.info.name, [1, len(keep), *clip.shape[2:]])


def call(model: VideoRestorer, clip: Tensor) -> Tensor:
    """Restore a clip [1, T, 3, H, W] of a legal size; float32 of the same shape.

    Raises ModelError naming the model if it fails or answers with something other than a tensor,
    a wrong shape, values that are not finite, or values far from [0, 1].
    """
    with _blaming(model.info.name, list(clip.shape)):
        restored = model(clip)
    if not isinstance(restored, Tensor):
        kind = f"{type(restored).__module__}.{type(restored).__qualname__}"
        told = f"model {model.info.name!r} returned a {kind}, not a torch tensor"
        raise ModelError(told, "invalid")
    return _checked(restored.float(), model.info.name, list(clip.shape))


@contextmanager
def _blaming(name: str, shape: list[int]) -> Iterator[None]:
    """Turn whatever a model raises into a ModelError of one line that names it."""
    try:
        yield
    except RvsdBenchError:
        raise
    except Exception as error:  # a stranger's network may raise anything
        if lacks_memory(error):
            told = f"model {name!r} ran out of memory on a clip of shape {shape}"
            raise ModelError(f"{told}: {SMALLER_TILES}", "oom") from error
        told = (str(error) or repr(error)).splitlines()[0]
        problem = f"{type(error).__name__}: {told}"
        raise ModelError(
            f"model {name!r} failed on a clip of shape {shape}: {problem}", "crash"
        ) from error


def _checked(restored: Tensor, name: str, wanted: list[int]) -> Tensor:
    if list(restored.shape) != wanted:
        raise ModelError(f"model {name!r} returned {list(restored.shape)} for {wanted}", "invalid")
    low, high = (float(value) for value in restored.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        told = f"model {name!r} returned values that are not finite (NaN or infinity)"
        raise ModelError(told, "invalid")
    if max(-low, high) > WILD:
        raise ModelError(
            f"model {name!r} returned values from {low:.4g} to {high:.4g}; they must lie in [0, 1]",
            "invalid",
        )
    return restored
