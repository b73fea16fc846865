"""Say what a restorer is: one descriptor, one call, and two adapters for models of other forms.

Nothing here imports torch before a model runs, so that names and licences can be listed fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Network = Callable[["Tensor"], "Tensor"]


@dataclass(frozen=True)
class ModelInfo:
    """Everything the benchmark needs to know about a restorer before it calls it.

    A method without weights (a median, a classical prior) has `weights=None` and `trained=True`:
    `trained` is False only for a network whose weights are still the random ones it was born with.
    """

    name: str
    window: int | None = 1
    """Frames per call; None takes whole clips (handed over in long overlapping chunks)."""
    emits: Literal["all", "center"] = "all"
    """Which frames of a window come back restored; for `center` the others are not looked at."""
    multiple: int = 1
    """Height and width must be divisible by this; the runner pads and crops."""
    min_size: int = 1
    """The least height and width; the runner pads and crops."""
    stride: int | None = None
    """How many frames of a window that emits `all` are kept, its middle ones; all by default.

    With 1 every frame is restored with as many neighbours on either side as there are."""
    staged: bool = False
    """Whether the model offers `encode` and `decode` (see `StagedRestorer`)."""
    tiling: Literal["ok", "discouraged", "internal"] = "ok"
    """Whether tiles change the result much (`discouraged`) or the model cuts its own."""
    tile: int | None = None
    """Larger frames are cut into tiles of about this many pixels a side unless the user says
    otherwise: what lets the model run where memory is small."""
    causal: bool = False
    half: bool = False
    """Whether it keeps its quality where torch may compute in 16 bits (`--precision`)."""
    batchable: bool = True
    about: str = ""
    """What it does, in a line for `list`."""
    needs: str = "nothing"
    """What the user must give it besides clips."""
    paper: str = ""
    cite: str = ""
    licence: str = "unstated"
    weights_licence: str = ""
    trained_on: str = ""
    weights: str | None = None
    """The name of the weights file, or None where there is nothing to train."""
    weights_sha256: str | None = None
    trained: bool = True
    deviations: tuple[str, ...] = ()
    """In which points the implementation differs from the paper."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth storing with a result (fitted numbers, parameters), as JSON values."""

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise InputError(f"model {self.name!r}: window must be at least 1, got {self.window}")
        if self.emits == "center" and (self.window is None or self.window % 2 == 0):
            raise InputError(
                f"model {self.name!r}: a model that emits the centre frame needs an odd window, "
                f"got {self.window}"
            )
        if self.stride is not None and not 1 <= self.stride <= (self.window or 0):
            raise InputError(
                f"model {self.name!r}: a stride must lie from 1 to the window, got {self.stride}"
            )
        if self.multiple < 1 or self.min_size < 1:
            raise InputError(f"model {self.name!r}: multiple and min_size must be at least 1")
        try:  # now, and not when the tables are written
            told = {**vars(self), "facts": dict(self.facts)}
            json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"model {self.name!r}: its info cannot be written as JSON: {error}"
            ) from error


class VideoRestorer(Protocol):
    """A restorer of video: a torch module or any object that can be called with a clip."""

    @property
    def info(self) -> ModelInfo:
        """What the runner must know: window, sizes, licences, weights."""

    def __call__(self, clip: Tensor) -> Tensor:
        """Map an RGB clip [B, T, 3, H, W] in [0, 1] to one of the same shape.

        Only clips that `info` allows arrive: T frames, legal sizes. The clip must not be changed
        in place. With `emits="center"` only the middle frame of the answer is used.
        """


class StagedRestorer(VideoRestorer, Protocol):
    """A restorer whose first stage looks at single frames, so that each is encoded only once.

    Its `info` says `staged=True`; its answer to a clip must be that of `decode` to the clip and the
    codes of its frames.
    """

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map frames [N, 3, H, W] to codes, each [N, ...]; no frame may see another."""

    def decode(self, clip: Tensor, codes: tuple[Tensor, ...], keep: Sequence[int]) -> Tensor:
        """Restore the frames `keep` of a clip [B, T, 3, H, W] with codes [B, T, ...].

        Returns [B, len(keep), 3, H, W].
        """


@dataclass(frozen=True)
class FrameModel:
    """Make a restorer of a network that maps pictures [N, 3, H, W] to pictures."""

    network: Network
    info: ModelInfo

    def __call__(self, clip: Tensor) -> Tensor:
        """Restore each frame by itself."""
        restored = self.network(clip.flatten(0, 1))
        return restored.reshape(*clip.shape[:2], *restored.shape[1:])

    def to(self, device: str) -> FrameModel:
        """Move the network's parameters to a device."""
        _move(self.network, device)
        return self


@dataclass(frozen=True)
class ClipModel:
    """Make a restorer of a network that maps clips [B, T, 3, H, W] to clips."""

    network: Network
    info: ModelInfo

    def __call__(self, clip: Tensor) -> Tensor:
        """Restore a clip."""
        return self.network(clip)

    def to(self, device: str) -> ClipModel:
        """Move the network's parameters to a device."""
        _move(self.network, device)
        return self


@dataclass(frozen=True)
class CenterModel:
    """Make a restorer of a network that maps windows [N, T, 3, H, W] to one picture each."""

    network: Network
    info: ModelInfo

    def __post_init__(self) -> None:
        if self.info.emits != "center":
            raise InputError(f"model {self.info.name!r}: a CenterModel's info must emit 'center'")

    def __call__(self, clip: Tensor) -> Tensor:
        """Restore the middle frame; the others come back as they are."""
        middle = self.network(clip)
        if middle.shape != clip[:, 0].shape:
            raise InputError(
                f"model {self.info.name!r} returned {list(middle.shape)} for the centre frame of "
                f"{list(clip.shape)}"
            )
        restored = clip.clone()
        restored[:, clip.shape[1] // 2] = middle
        return restored

    def to(self, device: str) -> CenterModel:
        """Move the network's parameters to a device."""
        _move(self.network, device)
        return self


def _move(network: Network, device: str) -> None:
    move = getattr(network, "to", None)
    if move is not None:
        move(device)
