"""A model that cannot be used: one line and exit 2 alone, the others run and exit 5 beside them."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rvsd_bench import cli
from rvsd_bench.baselines import desnownet, load, svdnet
from rvsd_bench.baselines.checkpoints import save_checkpoint
from rvsd_bench.media.images import write_png

SMALL = {"channels": "8", "heads": "2", "queries": "2"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for index in range(3):
        clean = rng.integers(0, 200, (40, 48, 3), dtype=np.uint8)
        for side, frame in (("clean", clean), ("snow", clean + np.uint8(5))):
            folder = tmp_path / "data" / "test" / side / "00000"
            folder.mkdir(parents=True, exist_ok=True)
            write_png(folder / f"{index:04d}.png", frame)
    return tmp_path / "data"


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    def start(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rvsd-bench", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            cli.main()
        printed = capsys.readouterr()
        return int(leave.value.code or 0), printed.out, printed.err

    return start


class Bomb:
    """A pickle that makes a folder when it is opened carelessly."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, ("exploded",)


def _other_sizes(folder: Path) -> str:
    network = svdnet.build("lite", **SMALL)
    save_checkpoint(folder / "w.safetensors", network.state_dict(), network.info.facts)
    return f"svdnet?preset=lite&weights={folder}/w.safetensors"


def _other_network(folder: Path) -> str:
    network = desnownet.build("tiny")
    save_checkpoint(folder / "w.safetensors", network.state_dict(), network.info.facts)
    return f"svdnet?weights={folder}/w.safetensors"


def _truncated(folder: Path) -> str:
    _other_sizes(folder)
    whole = (folder / "w.safetensors").read_bytes()
    (folder / "w.safetensors").write_bytes(whole[: len(whole) // 2])
    return f"svdnet?weights={folder}/w.safetensors"


def _bomb(folder: Path) -> str:
    (folder / "w.pth").write_bytes(pickle.dumps({"weight": Bomb()}, protocol=2))
    return f"semivdn?preset=tiny&weights={folder}/w.pth"


def _absent(folder: Path) -> str:
    return f"svdnet?weights={folder}/none.safetensors"


def _frame_model(network: str) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / "mine.py").write_text(
            "import torch\n"
            "from rvsd_bench.baselines import FrameModel, ModelInfo\n"
            "def fail(x): raise ValueError('no such luck')\n"
            f"def build(): return FrameModel({network}, ModelInfo('mine'))\n"
        )
        return f"py:{folder}/mine.py"

    return write


def _one_channel_graph(folder: Path) -> str:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, "h", "w"])
        for name in ("x", "y")
    ]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "grey", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "g.onnx")
    return f"onnx:{folder}/g.onnx"


CASES = {
    "sizes": (_other_sizes, "for another architecture: other shapes: stem.0.weight is 8x"),
    "network": (_other_network, "for another architecture: .*'activation'"),
    "truncated": (_truncated, "w.safetensors is truncated"),
    "bomb": (_bomb, "w.pth asks for .*mkdir, which is code .* it was not run"),
    "absent": (_absent, "none.safetensors"),
    "channels": (_frame_model("torch.nn.Conv2d(1, 3, 1)"), "'mine' failed .*RuntimeError"),
    "graph": (_one_channel_graph, r"g.onnx maps \[\?, 1, \?, \?\]"),
    "nan": (_frame_model("lambda x: x * float('nan')"), "not finite"),
    "shape": (_frame_model("lambda x: x[..., 1:]"), r"'mine' returned \[1, 1, 3, 40, 47\] for"),
    "numpy": (_frame_model("lambda x: x.numpy()"), "returned a numpy.ndarray, not a torch tensor"),
    "range": (_frame_model("lambda x: 255 * x"), r"they must lie in \[0, 1\]"),
    "raises": (_frame_model("fail"), "ValueError: no such luck"),
    "memory": (_frame_model("lambda x: torch.empty(2**50)"), "out of memory .*restore, `tile`"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_model_is_one_line_and_spares_the_others(
    run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    make, told = CASES[case]
    monkeypatch.chdir(tmp_path)
    bad = make(tmp_path)
    usual = ("--device", "cpu", "--trust-code")
    scored = ("--data", data, "--metrics", "psnr", *usual)
    code, out, err = run("restore", bad, data / "test" / "snow", "--out", "restored", *usual)
    assert (code, out) == (2, "")
    _is_said(told, err)
    assert not list(tmp_path.glob("restored/*/*.png"))
    code, out, err = run("evaluate", bad, *scored, "--out", "alone")
    assert (code, out) == (2, "")
    _is_said(told, err)
    code, out, err = run("evaluate", bad, "median", *scored, "--out", "both", "--json")
    assert code == 5
    _is_said(told, err)
    broken, median = json.loads(out)["rows"]
    assert (broken["psnr"], broken["valid"]) == ("", "false")
    assert (float(median["psnr"]) > 10, median["valid"]) == (True, "true")
    assert not (tmp_path / "exploded").exists()


def _is_said(told: str, err: str) -> None:
    """The last line says it; nothing before it is a traceback."""
    assert re.search(told, err.splitlines()[-1]), err
    assert "Traceback" not in err


def test_only_bad_models_are_exit_code_2(run, data: Path, tmp_path: Path) -> None:
    words = ("--data", data, "--metrics", "psnr", "--out", tmp_path / "run")
    code, out, err = run("evaluate", _absent(tmp_path), "onnx:no.onnx", *words)
    assert (code, out) == (2, "")
    assert "svdnet?weights=none.safetensors: " in err and "no.onnx" in err.splitlines()[-1]


def test_a_mistake_in_the_words_stops_before_any_work(run, data: Path, tmp_path: Path) -> None:
    words = ("--data", data, "--metrics", "psnr", "--out", tmp_path / "run")
    for bad, told in (
        ("medain", "Did you mean 'median'"),
        ("svdnet?preset=lit", "Did you mean 'lite'"),
        (_frame_model("fail")(tmp_path), "--trust-code"),
    ):
        code, _, err = run("evaluate", bad, "identity", *words)
        assert code == 2 and told in err and len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
@pytest.mark.parametrize("command", ["restore", "evaluate", "conform", "profile"])
def test_cuda_where_there_is_none_is_one_line(
    run, data: Path, tmp_path: Path, command: str
) -> None:
    rest = {
        "restore": (data / "test" / "snow", "--out", tmp_path / "out"),
        "evaluate": ("median", "--data", data, "--metrics", "psnr", "--out", tmp_path / "out"),
    }.get(command, ())
    code, out, err = run(command, "svdnet?preset=lite", *rest, "--device", "cuda")
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "no cuda device" in err and "--device cpu" in err
    assert not (tmp_path / "out").exists()


def test_an_untrained_network_says_so_loudly_and_is_scored_only_on_demand(
    run, data: Path, tmp_path: Path
) -> None:
    snow = data / "test" / "snow"
    bare = f"svdnet?preset=lite&{'&'.join(f'{k}={v}' for k, v in SMALL.items())}"
    code, _, err = run("restore", bare, snow, "--out", tmp_path / "out", "--device", "cpu")
    assert code == 0
    assert [line for line in err.splitlines() if line.startswith("WARNING: svdnet") and "untrained"
            in line]  # fmt: skip
    code, _, err = run("restore", "median", snow, "--out", tmp_path / "other", "--device", "cpu")
    assert code == 0 and "WARNING" not in err
    words = ("median", "--data", data, "--metrics", "psnr", "--out", tmp_path / "run", "--json")
    code, _, err = run("evaluate", bare, *words)
    assert code == 2 and "--allow-untrained" in err and len(err.splitlines()) == 1
    code, out, _ = run("evaluate", bare, *words, "--allow-untrained")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert [(row["trained"], row["kind"]) for row in rows] == [
        ("false", "video"), ("true", "classical"),
    ]  # fmt: skip
    assert rows[0]["notes"] == "untrained"
    code, out, _ = run("evaluate", bare, *words[:-1], "--allow-untrained")
    assert code == 0 and out.splitlines()[2].endswith("untrained, not ranked")
    assert "ranked" not in out.splitlines()[3]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert "--allow-untrained" in manifest["command"]


def test_a_network_does_not_travel_to_workers_but_is_built_there(data: Path) -> None:
    from rvsd_bench.evaluation.methods import resolve

    bare = f"svdnet?preset=lite&{'&'.join(f'{k}={v}' for k, v in SMALL.items())}"
    (method,) = resolve([bare], data=data, device="cpu", allow_untrained=True)
    assert method.model is None
    assert method.parameters == sum(p.numel() for p in load(bare).parameters())  # type: ignore
