"""Hand malicious checkpoints to every way by which weights or arrays are loaded, and count.

Each of the pickles makes a file when it is unpickled without restriction, which is tried first. In
the product none may: the file is not there afterwards, and each way ends in an error of ours. Then
files that claim to be far larger than they are: they must be refused before memory is taken.

    python benchmarks/reliability/pickles.py
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

Load = Callable[[Path], object]
MOST_MB = 300.0
"""What refusing a file may add to the memory of the process."""


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _call(module: str, name: str, *arguments: bytes) -> bytes:
    """Return the opcodes that call a function of a module."""
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def evil(marker: Path) -> dict[str, bytes]:
    """Return pickles, by what they try, each of which makes `marker` where nothing restrains it."""
    touch, path = _text(f"touch {marker}"), _text(str(marker))
    code = _text(f"open({str(marker)!r}, 'w').close()")
    argv = b"(" + _text("touch") + path + b"l"
    home = b"c__builtin__\n__import__\n(" + _text("os") + b"tR"
    found = {
        "a shell": _call("posix", "system", touch),
        "a shell by its other name": _call("os", "system", touch),
        "a program": _call("subprocess", "check_call", argv),
        "code that is compiled": _call("builtins", "exec", code),
        "code under its old name": _call("__builtin__", "eval", code),
        "a file": _call("io", "open", path, _text("w")),
        "a part of a module": _call("builtins", "getattr", home, _text("system"))
        + b"(" + touch + b"tR",
        "the old way to make an object": b"(" + touch + b"iposix\nsystem\n",
        "the new way to name a function": _text("posix")
        + _text("system") + b"\x93(" + touch + b"tR",
        "a call behind an honest table": b"}" + _text("w") + _call("posix", "system", touch) + b"s",
        "a call within a rebuilt tensor": _call(
            "torch._utils", "_rebuild_tensor_v2", _call("posix", "system", touch)
        ),
        "a path that touches itself": _call(
            "pathlib", "Path.touch", _call("pathlib", "Path", path)
        ),
    }  # fmt: skip
    dotted = {"a path that touches itself"}  # such names are followed from protocol 4 on
    heads = {name: b"\x80\x04" if name in dotted else b"\x80\x02" for name in found}
    return {name: heads[name] + opcodes + b"." for name, opcodes in found.items()}


def runs(data: bytes, marker: Path) -> bool:
    """Tell whether a pickle makes its file where nothing restrains it, in a process of its own."""
    code = "import sys, pickle, torch; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", code], input=data, stderr=subprocess.DEVNULL)
    ran = marker.exists()
    marker.unlink(missing_ok=True)
    return ran


def wrapped(data: bytes) -> dict[str, bytes]:
    """Return a pickle in every form in which a checkpoint or an array may come."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    magic, protocol = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)
    system = pickle.dumps({"little_endian": True, "protocol_version": 1001, "type_sizes": {}}, 2)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data
    npz = io.BytesIO()
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("a.npy", npy)
    return {
        "bare": data,
        "torch's archive": buffer.getvalue(),
        "torch's old form": magic + protocol + system + data,
        "torch's oldest form": _tarred(data),
        "npy": npy,
        "npz": npz.getvalue(),
    }


def _tarred(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def ways(folder: Path) -> Iterator[tuple[str, str, Load]]:
    """Yield every way by which weights or arrays are loaded: name, name of a file, function."""
    from torch import nn

    from rvsd_bench.baselines import load
    from rvsd_bench.baselines.checkpoints import load_weights, read_card
    from rvsd_bench.generators.depth_files import read_depth
    from rvsd_bench.media.arrays import open_array
    from rvsd_bench.training.saving import read_state
    from rvsd_bench.weights.converting import read_arrays
    from rvsd_bench.weights.store import content_digest, read_pickle, record

    for suffix in (".pth", ".pt", ".ckpt"):
        yield "weights", f"w{suffix}", lambda path: load_weights(nn.Linear(2, 2), path)
    yield "safetensors", "w.safetensors", lambda path: load_weights(nn.Linear(2, 2), path)
    yield "card", "w.safetensors", read_card
    yield "a baseline's", "w.pth", lambda path: load(f"svdnet?preset=lite&weights={path}")
    yield "a baseline's", "w.safetensors", lambda path: load(f"svdnet?weights={path}")
    yield "spandrel", "w.pth", lambda path: load(f"spandrel:{path}")
    yield "spandrel", "w.pt", lambda path: load(f"spandrel:{path}")
    yield "onnx", "w.onnx", lambda path: load(f"onnx:{path}")
    yield "torchscript", "w.pt", lambda path: load(f"torchscript:{path}")
    yield "a file of Python", "w.py", lambda path: load(f"py:{path}:build")
    yield "pretrained", "w.pth", read_pickle
    yield "pretrained arrays", "w.pickle", lambda path: read_arrays(path.read_bytes())
    for key in ("lpips", "musiq"):
        yield "weights of metrics", record(key).file, _of_metrics(key)
    yield "content", "w.safetensors", lambda path: _found(content_digest(path))
    yield "state of a training", "state.pt", lambda path: read_state(path.parent)
    yield "depth", "d.npy", read_depth
    yield "depth", "d.exr", read_depth
    yield "kept frames", "f.npy", open_array


def _of_metrics(key: str) -> Load:
    """Return how a metric loads its weights from a folder whose file the user allows."""
    from rvsd_bench.files import sha256_file
    from rvsd_bench.weights.store import content_digest, find, read_tensors, record

    def load(path: Path) -> object:
        digest = content_digest if record(key).identity == "content" else sha256_file
        return read_tensors(find(key, path.parent, again=True, allowed={key: digest(path)}))

    return load


def _found(digest: str) -> None:
    from rvsd_bench.errors import MissingError

    if not digest:
        raise MissingError("it has no digest: it is no safetensors file")


def bombs() -> dict[str, tuple[str, bytes]]:
    """Return files that claim to be larger than they are: how they are called, their bytes."""
    import torch

    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(1).expand(131072, 131072), "bias": torch.zeros(2)}, buffer)
    told = {"weight": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}
    header = json.dumps(told).encode()
    npy = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000)}"
    return {
        "a tensor of 64 GB in 1.5 KB": ("w.pt", buffer.getvalue()),
        "the same, as a state": ("state.pt", buffer.getvalue()),
        "a storage of 40 GB with 4 bytes": ("w.pth", _claimed(10**10)),
        "a header of 2^62 bytes": ("w.safetensors", struct.pack("<Q", 2**62) + b"{}"),
        "a tensor of 4 TB in a header": (
            "w.safetensors",
            struct.pack("<Q", len(header)) + header + bytes(64),
        ),
        "an archive that unpacks to 5 GB": ("w.pt", _zeros(5)),
        "an array of 80 GB": (
            "d.npy",
            b"\x93NUMPY\x01\x00" + struct.pack("<H", len(npy)) + npy + bytes(64),
        ),
    }


def _claimed(count: int) -> bytes:
    """Return a checkpoint whose pickle claims more numbers than its archive holds."""
    import torch

    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(1), "bias": torch.zeros(2)}, buffer)
    changed = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                data = data.replace(b"K\x01tq", b"\x8a\x06" + count.to_bytes(6, "little") + b"tq")
            new.writestr(entry.filename, data)
    return changed.getvalue()


def _zeros(gigabytes: int) -> bytes:
    """Return a torch archive whose one tensor inflates to so many GB, made without making them."""
    import zlib

    piece = bytes(2**20)
    buffer, packer, check = io.BytesIO(), zlib.compressobj(9, zlib.DEFLATED, -15), 0
    for _ in range(64):
        buffer.write(packer.compress(piece))
        check = zlib.crc32(piece, check)
    buffer.write(packer.flush())
    body, name, size = buffer.getvalue(), b"archive/data/0", gigabytes * 2**30
    sizes = struct.pack("<QQ", size, len(body))
    extra = struct.pack("<HH", 1, 16) + sizes
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 45, 0, 8, 0, 33, check, 2**32 - 1, 2**32 - 1,
                        len(name), len(extra)) + name + extra  # fmt: skip
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 45, 45, 0, 8, 0, 33, check, 2**32 - 1, 2**32 - 1,
                        len(name), len(extra), 0, 0, 0, 0, 0) + name + extra  # fmt: skip
    start = len(local) + len(body)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), start, 0)
    return local + body + entry + end


def attempt(load: Load, path: Path) -> str:
    """Load a file as a command would; return the one line of the refusal, or what happened else."""
    from rvsd_bench.errors import RvsdBenchError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(path)
    except RvsdBenchError as error:
        return str(error)
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {error}"
    return "LOADED"


def try_pickles(folder: Path, step: int = 1) -> tuple[int, int, list[str]]:
    """Hand every pickle in every form to every way; return pickles, attempts, broken promises.

    With a `step` only every so many of the attempts are made, all pickles and ways among them.
    """
    marker, number, attempts, broken = folder / "ran", 0, 0, list[str]()
    payloads = evil(marker)
    if step == 1:
        broken += [f"{name}: harmless" for name, data in payloads.items() if not runs(data, marker)]
    for name, data in payloads.items():
        for form, whole in wrapped(data).items():
            for way, file, load in ways(folder):
                number += 1
                if number % step:
                    continue
                path = folder / file
                path.write_bytes(whole)
                told = attempt(load, path)
                attempts += 1
                if marker.exists() or told.startswith(("TRACEBACK", "LOADED")):
                    ran = "IT RAN; " if marker.exists() else ""
                    broken.append(f"{name}, {form}, {way} {file}: {ran}{told}")
                    marker.unlink(missing_ok=True)
                path.unlink()
    return len(payloads), attempts, broken


def try_bombs(folder: Path) -> tuple[int, float, list[str]]:
    """Hand the bombs to the ways that take such files; return bombs, most MB taken, what broke."""
    most, broken = 0.0, []
    for name, (file, data) in bombs().items():
        for way, wanted, load in ways(folder):
            if wanted != file or way in ("torchscript",):
                continue
            path = folder / file
            path.write_bytes(data)
            _forget_peak()
            before = _memory_mb("VmRSS")
            told = attempt(load, path)
            taken = _memory_mb("VmHWM") - before
            most = max(most, taken)
            # A state is judged by who knows the network; reading it must only take no memory.
            fine = way in ("state of a training", "pretrained") or not told.startswith("LOADED")
            if taken > MOST_MB or told.startswith("TRACEBACK") or not fine:
                broken.append(f"{name}, {way}: {taken:.0f} MB, {told[:200]}")
            path.unlink()
    return len(bombs()), most, broken


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory_mb(which: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e6


def main() -> int:
    """Print what came of pickles and bombs; return 1 if a promise was broken."""
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as name:
        folder = Path(name)
        count, attempts, ran = try_pickles(folder)
        print(f"{count} malicious pickles, {attempts} attempts: {len(ran)} broke a promise")
        bombs_, most, large = try_bombs(folder)
        print(f"{bombs_} bombs: {len(large)} broke a promise, at most {most:.1f} MB were taken")
    for line in (*ran, *large):
        print(line)
    return int(bool(ran or large))


if __name__ == "__main__":
    sys.exit(main())
