"""NumPy files with headers that lie, and with Python in them."""

from __future__ import annotations

import os
import pickle
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.generators import exr
from rvsd_bench.generators.depth_files import read_depth
from rvsd_bench.media.arrays import open_array

HEADERS: dict[str, bytes] = {
    "nothing closed": b"{'descr': '|u1', 'fortran_order': False, 'shape': (",
    "brackets": b"(" * 5000,
    "a text without an end": b"'''",
    "a lone surrogate": b"{'descr': '\\ud800', 'fortran_order': False, 'shape': (1,)}",
    "too much": b"{'descr': '|u1', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
    "a number beyond all": b"{'descr': '|u1', 'fortran_order': 0, 'shape': (%s,)}" % (b"9" * 30),
    "fewer than none": b"{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}",
    "keys of two kinds": b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 1: []}",
    "objects": b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "80 GB": b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000)}",
    "code": b"__import__('os').system('true')",
}  # fmt: skip


def lying(path: Path, header: bytes) -> Path:
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    return path


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.filterwarnings("ignore")
def test_a_header_that_lies_is_refused_in_one_line_and_takes_no_memory(
    header: bytes, tmp_path: Path
) -> None:
    path = lying(tmp_path / "d.npy", header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (open_array, read_depth):
        with pytest.raises(InputError, match=r"d\.npy is not a readable NPY file") as caught:
            read(path)
        assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["npy", "npz", "pickle"])
def test_what_is_pickled_is_not_unpickled(form: str, tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", tmp_path / "d.npy"
    with path.open("wb") as file:
        if form == "npy":
            np.save(file, np.array([Payload(ran)], object), allow_pickle=True)
        elif form == "npz":
            np.savez(file, a=np.array([Payload(ran)], object))
        else:
            pickle.dump(Payload(ran), file)
    with pytest.raises(InputError, match="not a readable NPY file"):
        open_array(path)
    assert not ran.exists()


def test_an_honest_file_is_opened_as_it_was_saved(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(open_array(tmp_path / "a.npy"), values)
    with pytest.raises(InputError, match=r"cannot read .*absent\.npy: No such file"):
        open_array(tmp_path / "absent.npy")


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (1, 8193)])
def test_a_depth_map_of_no_pictures_shape_is_refused_unread(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "d.npy", np.ones(shape, np.uint8))
    with pytest.raises(InputError, match=r"d\.npy: the depth map is \["):
        read_depth(tmp_path / "d.npy")


def test_an_exr_of_thousands_of_channels_is_not_unpacked() -> None:
    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + len(value).to_bytes(4, "little") + value

    channel = (2).to_bytes(4, "little") + bytes(4) + b"\1\0\0\0\1\0\0\0"
    names = b"".join(b"c%d\0" % i + channel for i in range(999)) + b"Z\0" + channel + b"\0"
    window = np.array([0, 0, 8191, 8191], "<i4").tobytes()
    head = (20000630).to_bytes(4, "little") + (2).to_bytes(4, "little")
    head += attribute(b"channels", b"chlist", names) + attribute(b"compression", b"c", b"\3")
    head += attribute(b"dataWindow", b"box2i", window) + b"\0"
    with pytest.raises(ValueError, match="1000 channels are too many"):
        exr.decode(head + bytes(100_000))
