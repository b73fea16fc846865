"""Make restorers of other people's files: ONNX graphs, TorchScript programs, spandrel weights.

An ONNX graph and spandrel's weights run no code of the file's; a TorchScript program does, and is
refused unless it is trusted. torch, onnxruntime and spandrel are imported when a file is opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rvsd_bench.baselines.checkpoints import read_weights
from rvsd_bench.baselines.info import (
    CenterModel,
    ClipModel,
    FrameModel,
    ModelInfo,
    Network,
    VideoRestorer,
)
from rvsd_bench.errors import InputError, MissingError, RvsdBenchError
from rvsd_bench.files import sha256_file

if TYPE_CHECKING:
    from torch import Tensor

FIRST_LINE = 200
"""Characters of another library's complaint that are worth repeating."""


def open_onnx(path: Path, *, window: int | None = None) -> VideoRestorer:
    """Open an ONNX graph [N, 3, H, W] -> same, or [B, T, 3, H, W] -> same or the centre frame.

    `window` is needed where the graph leaves T open. Height and width may be open or one fixed
    square, into which frames are then cut. Raises InputError for a graph of another form, one that
    keeps its weights in other files, or a damaged one; MissingError without onnxruntime.
    """
    onnx, runtime = _need("onnx", "onnx"), _need("onnxruntime", "onnx")
    with _reporting(path, "an ONNX graph"):
        graph = onnx.load(str(path), load_external_data=False)
        if any(onnx.external_data_helper.uses_external_data(t) for t in _tensors(graph)):
            raise InputError(f"{path} keeps weights in other files; save the graph as one file")
        network = _OnnxNetwork(runtime, graph.SerializeToString())
    taken, given = network.shapes
    if len(taken) not in (4, 5) or taken[-3] not in (3, None) or len(given) not in (4, len(taken)):
        raise InputError(
            f"{path} maps {_told(taken)} to {_told(given)}; a restorer maps [N, 3, H, W] or "
            "[B, T, 3, H, W] to the same"
        )
    length = (taken[1] or window) if len(taken) == 5 else 1
    if length is None:
        raise InputError(f"{path} leaves the length of its clips open; add window=N")
    if len(taken) == 5 and window not in (None, length):
        raise InputError(f"{path} takes clips of {length} frames, not of {window}")
    info = _info(path, "ONNX graph", length, "center" if len(given) < len(taken) else "all")
    return _wrapped(network, _sized(info, taken[-2:], path), len(taken) == 5)


def open_torchscript(path: Path, *, window: int | None = None, emits: str = "all") -> VideoRestorer:
    """Open a TorchScript program, which may run anything: the caller has trusted it.

    Without `window` it maps pictures [N, 3, H, W]; with it, clips [B, window, 3, H, W] to the same
    or, with `emits=center`, to the centre frame.
    """
    import torch

    if emits not in ("all", "center"):
        raise InputError(f"{path}: emits must be all or center, got {emits!r}")
    with _reporting(path, "a TorchScript program"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated; such files stay
        network = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    info = _info(path, "TorchScript program", window or 1, emits)
    return _wrapped(network, info, window is not None)


def open_spandrel(path: Path) -> VideoRestorer:
    """Open the weights of an image restorer whose architecture spandrel recognises.

    The file is read here: spandrel would run a TorchScript program, whatever its name ends in.
    Raises InputError for `.pt` (spandrel would run such a file as TorchScript), for weights that
    it does not know, and for models that are no restorers of pictures at their own size;
    MissingError without spandrel.
    """
    if path.suffix.lower() == ".pt":
        raise InputError(f"{path}: a .pt file may run code; use torchscript:, or save as .pth")
    spandrel = _need("spandrel", "spandrel")
    weights = spandrel.canonicalize_state_dict(read_weights(path))
    with _reporting(path, "weights that spandrel knows"):
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(weights).eval()
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.scale != 1:
        raise InputError(f"{path} ({found.architecture.name}) does not keep a picture's size")
    if found.purpose != "Restoration" or (found.input_channels, found.output_channels) != (3, 3):
        raise InputError(f"{path} ({found.architecture.name}) is no restorer of RGB pictures")
    needs = found.size_requirements
    info = _info(
        path,
        f"{found.architecture.name} by spandrel",
        multiple=needs.multiple_of,
        min_size=max(needs.minimum, 1),
        tiling=found.tiling.name.lower().replace("supported", "ok"),
        half=bool(found.supports_bfloat16),
        facts={"architecture": found.architecture.name, "tags": list(found.tags)},
    )
    return _wrapped(found, info, False)


OPENERS: Mapping[str, Callable[..., VideoRestorer]] = MappingProxyType(
    {"onnx": open_onnx, "torchscript": open_torchscript, "spandrel": open_spandrel}
)
RUNS_CODE = ("py", "torchscript")
"""Schemes whose files may do anything when they are opened."""


@dataclass
class _OnnxNetwork:
    """An ONNX graph that maps torch tensors, by onnxruntime, on as many threads as torch uses."""

    runtime: Any
    graph: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self.to("cpu")

    def to(self, device: str) -> None:
        """Open the graph on a device; the CPU where onnxruntime was built without CUDA."""
        import torch

        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
        there = [name for name in wanted if name in self.runtime.get_available_providers()]
        providers = [*there, "CPUExecutionProvider"]
        self.session = self.runtime.InferenceSession(self.graph, options, providers=providers)

    @property
    def shapes(self) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
        """The shapes of the first input and output; None where an axis is open."""
        ends = (self.session.get_inputs()[0], self.session.get_outputs()[0])
        taken, given = (tuple(n if isinstance(n, int) else None for n in end.shape) for end in ends)
        return taken, given

    def __call__(self, clip: Tensor) -> Tensor:
        import torch

        name = self.session.get_inputs()[0].name
        (answer, *_) = self.session.run(None, {name: clip.float().cpu().contiguous().numpy()})
        return torch.from_numpy(answer).to(clip.device)


def _info(path: Path, what: str, window: int = 1, emits: Any = "all", **more: Any) -> ModelInfo:
    return ModelInfo(
        path.stem,
        window=window,
        emits=emits,
        about=what,
        weights=path.name,
        weights_sha256=sha256_file(path),
        **more,
    )


def _sized(info: ModelInfo, size: tuple[int | None, ...], path: Path) -> ModelInfo:
    """Add to a descriptor that a graph takes pictures of one size alone."""
    height, width = size
    if height is None and width is None:
        return info
    if height is None or height != width:
        raise InputError(
            f"{path} takes pictures of {_told(size)} alone; export it with open height and width, "
            "or with a fixed square"
        )
    return replace(info, min_size=height, tile=height)


def _wrapped(network: Network, info: ModelInfo, of_clips: bool) -> VideoRestorer:
    if not of_clips:
        return FrameModel(network, info)
    return CenterModel(network, info) if info.emits == "center" else ClipModel(network, info)


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor in an ONNX graph, wherever it hides (attributes, subgraphs)."""
    for kind, value in message.ListFields():
        if kind.message_type is None:
            continue
        for part in (value,) if hasattr(value, "DESCRIPTOR") else value:
            if part.DESCRIPTOR.name == "TensorProto":
                yield part
            else:
                yield from _tensors(part)


def _need(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingError(
            f"{extra}: models need the package {module}: pip install 'rvsd-bench[{extra}]'"
        ) from error


@contextmanager
def _reporting(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library says of a file into an InputError of one line."""
    try:
        yield
    except RvsdBenchError:
        raise
    except Exception as error:  # a stranger's file may make a library raise anything
        told = " ".join(str(error).split())[:FIRST_LINE] or type(error).__name__
        raise InputError(f"{path} cannot be opened as {what}: {told}") from error


def _told(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("?" if length is None else str(length) for length in shape) + "]"
