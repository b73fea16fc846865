"""Models that come as files: ONNX graphs, TorchScript programs, weights that spandrel knows."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from rvsd_bench import restore
from rvsd_bench.baselines import VideoRestorer, load, parse
from rvsd_bench.clip import ArrayClip, to_torch
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.files import sha256_file

KERNEL = np.random.default_rng(3).random((3, 3)).astype(np.float32) / 9
needs_onnx = pytest.mark.skipif(
    any(__import__("importlib.util").util.find_spec(m) is None for m in ("onnx", "onnxruntime")),
    reason="onnx and onnxruntime are not installed",
)


def noise(count: int, height: int, width: int) -> ArrayClip:
    values = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
    return ArrayClip(values)


def blurred(clip: ArrayClip) -> np.ndarray[Any, Any]:
    """Return what KERNEL does to each channel, by scipy; zeros around the frame."""
    weights = KERNEL[None, :, :, None]
    return np.clip(correlate(clip.frames / 255, weights, mode="constant") * 255, 0, 255)


def write_onnx(
    path: Path, taken: list[Any], given: list[Any], nodes: list[Any], **more: Any
) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save_model

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("clip", taken), ("restored", given))
    ]
    weights = np.zeros((3, 3, 3, 3), np.float32)
    weights[range(3), range(3)] = KERNEL
    graph = helper.make_graph(
        nodes, "net", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("evil", 1)]
    save_model(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path), **more)
    return path


def conv() -> Any:
    from onnx import helper

    return helper.make_node("Conv", ["clip", "w"], ["restored"], pads=[1, 1, 1, 1])


@needs_onnx
def test_an_onnx_graph_of_pictures_restores_clips_of_any_size(tmp_path: Path) -> None:
    shape = ["n", 3, "h", "w"]
    path = write_onnx(tmp_path / "blur.onnx", shape, shape, [conv()])
    model, clip = load(f"onnx:{path}"), noise(3, 21, 34)
    assert np.abs(np.stack(list(restore(model, clip))) - blurred(clip)).max() <= 0.51
    assert (model.info.name, model.info.window) == ("blur", 1)
    assert model.info.weights_sha256 == sha256_file(path)


@needs_onnx
def test_a_graph_of_one_size_gets_frames_cut_into_that_size(tmp_path: Path) -> None:
    shape = ["n", 3, 32, 32]
    path = write_onnx(tmp_path / "blur.onnx", shape, shape, [conv()])
    clip = noise(2, 50, 20)
    restored = np.stack(list(restore(load(f"onnx:{path}"), clip)))
    inner = np.s_[:, 1:-1, 1:-1]  # padding lies around the frame where zeros were
    assert np.abs(restored[inner] - blurred(clip)[inner]).max() <= 1


@needs_onnx
@pytest.mark.parametrize("length", [3, "t"])
def test_a_graph_that_answers_with_the_centre_frame_is_given_windows(
    tmp_path: Path, length: int | str
) -> None:
    from onnx import helper

    mean = helper.make_node("ReduceMean", ["clip", "axes"], ["restored"], keepdims=0)
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1])
    shape = ["n", length, 3, "h", "w"]
    path = write_onnx(tmp_path / "mean.onnx", shape, ["n", 3, "h", "w"], [axes, mean])
    option = "" if length == 3 else "?window=3"
    clip = noise(5, 6, 8)
    restored = np.stack(list(restore(load(f"onnx:{path}{option}"), clip)))
    wanted = np.stack([clip.frames[i : i + 3].mean(axis=0) for i in range(3)])
    assert np.abs(restored[1:-1] - wanted).max() <= 0.51
    if not option:
        with pytest.raises(InputError, match="takes clips of 3 frames, not of 5"):
            load(f"onnx:{path}?window=5")
        return
    with pytest.raises(InputError, match="length of its clips open; add window=N"):
        load(f"onnx:{path}")


@needs_onnx
def test_graphs_that_cannot_be_restorers_are_refused_in_one_line(tmp_path: Path) -> None:
    from onnx import helper

    open_, fixed = ["n", 3, "h", "w"], ["n", 3, 32, 64]
    good = write_onnx(tmp_path / "good.onnx", open_, open_, [conv()])
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(good.read_bytes()[:-40])
    text = tmp_path / "text.onnx"
    text.write_text("not a graph")
    grey = write_onnx(tmp_path / "grey.onnx", ["n", 1, "h", "w"], open_, [conv()])
    oblong = write_onnx(tmp_path / "oblong.onnx", fixed, fixed, [conv()])
    odd = helper.make_node("Payload", ["clip"], ["restored"], domain="evil")
    custom = write_onnx(tmp_path / "custom.onnx", open_, open_, [odd])
    apart = write_onnx(
        tmp_path / "apart.onnx", open_, open_, [conv()],
        save_as_external_data=True, location="weights.bin", size_threshold=0,
    )  # fmt: skip
    for path, message in {
        cut: "cut.onnx cannot be opened as an ONNX graph",
        text: "text.onnx cannot be opened as an ONNX graph",
        grey: r"maps \[\?, 1, \?, \?\] to",
        oblong: r"takes pictures of \[32, 64\] alone",
        custom: "cannot be opened as an ONNX graph: .*Payload",
        apart: "keeps weights in other files",
    }.items():
        with pytest.raises(InputError, match=message) as told:
            load(f"onnx:{path}")
        assert "\n" not in str(told.value)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingError, match=r"pip install 'rvsd-bench\[onnx\]'"):
        load(f"onnx:{path}")


class Blur(torch.nn.Module):
    """The witness's blur as a network, of frames or of whole clips."""

    def __init__(self) -> None:
        super().__init__()
        weights = torch.zeros(3, 3, 3, 3)
        weights[range(3), range(3)] = torch.from_numpy(KERNEL)
        self.weight = torch.nn.Parameter(weights)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        flat = clip.reshape(-1, 3, clip.shape[-2], clip.shape[-1])
        return torch.nn.functional.conv2d(flat, self.weight, padding=1).reshape(clip.shape)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "blur.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(Blur()).save(str(path))
    return path


@pytest.mark.parametrize("option", ["", "?window=2"])
def test_a_torchscript_program_runs_only_if_it_is_trusted(script: Path, option: str) -> None:
    with pytest.raises(InputError, match="--trust-code"):
        load(f"torchscript:{script}{option}")
    clip = noise(4, 9, 11)
    model = load(f"torchscript:{script}{option}", trust_code=True)
    assert np.abs(np.stack(list(restore(model, clip))) - blurred(clip)).max() <= 0.51
    script.write_bytes(script.read_bytes()[:900])
    with pytest.raises(InputError, match="cannot be opened as a TorchScript program"):
        load(f"torchscript:{script}{option}", trust_code=True)


class Payload:
    """Make a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_spandrel_recognises_a_network_by_its_weights_and_runs_no_pickle(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    from spandrel.architectures.NAFNet import NAFNet

    torch.manual_seed(0)
    network = NAFNet(width=4, enc_blk_nums=[1], dec_blk_nums=[1], middle_blk_num=1).eval()
    path = tmp_path / "naf.pth"
    torch.save(network.state_dict(), path)
    model, clip = spandrel_model(path), noise(2, 17, 22)
    assert model.info.facts["architecture"] == "NAFNet"
    with torch.inference_mode():
        wanted = network(to_torch(list(clip))[0]).clamp(0, 1).permute(0, 2, 3, 1) * 255
    assert np.abs(np.stack(list(restore(model, clip))) - wanted.numpy()).max() <= 0.51

    mark = tmp_path / "ran"
    evil = tmp_path / "evil.pth"
    torch.save({"state_dict": Payload(mark)}, evil)
    with pytest.raises(InputError, match=r"evil\.pth asks for .*, which is code"):
        spandrel_model(evil)
    assert not mark.exists()
    unknown = tmp_path / "blur.pth"
    torch.save(Blur().state_dict(), unknown)
    with pytest.raises(InputError, match=r"blur\.pth cannot be opened as weights that spandrel"):
        spandrel_model(unknown)
    with pytest.raises(InputError, match=r"a \.pt file may run code"):
        load(f"spandrel:{path.rename(tmp_path / 'naf.pt')}")


def test_a_program_that_calls_itself_weights_is_not_run(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("spandrel")
    monkeypatch.setattr(torch.jit, "load", lambda *args, **options: pytest.fail("it was run"))
    with pytest.raises(InputError, match=r"net\.pth is a TorchScript program"):
        spandrel_model(script.rename(script.with_name("net.pth")))


def spandrel_model(path: Path) -> VideoRestorer:
    assert parse(str(path)).scheme == "spandrel"  # a bare .pth is taken as weights for spandrel
    return load(str(path))


def test_an_enlarging_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    path = tmp_path / "sr.pth"
    torch.save(SRVGGNetCompact(num_feat=4, num_conv=1, upscale=2).state_dict(), path)
    with pytest.raises(InputError, match="does not keep a picture's size"):
        load(f"spandrel:{path}")
