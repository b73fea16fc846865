"""What docs/baselines.md tells a reader to write works as it stands there."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import rvsd_bench
from rvsd_bench import catalogue
from rvsd_bench.baselines import load
from rvsd_bench.clip import ArrayClip

PAGE = Path(__file__).parents[1] / "docs" / "baselines.md"


def _blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the page's files into an empty folder and go there."""
    model, own_test, export = _blocks("python")
    for name, code in (("darkest", model), ("test_darkest", own_test), ("export", export)):
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("darkest", "test_darkest", "export"):
        sys.modules.pop(name, None)


def _snow() -> ArrayClip:
    frames = np.random.default_rng(0).integers(0, 256, (4, 24, 31, 3), np.uint8)
    return ArrayClip(frames)


def test_the_model_of_one_file_takes_the_darkest_of_three_frames(written: Path) -> None:
    frames = np.stack(list(_snow()))
    found = list(rvsd_bench.restore(load("py:darkest.py", trust_code=True), _snow()))
    for index in (1, 2):
        assert np.array_equal(found[index], frames[index - 1 : index + 2].min(axis=0))
    none = load("py:darkest.py?share=0", trust_code=True)
    assert np.array_equal(np.stack(list(rvsd_bench.restore(none, _snow()))), frames)


def test_its_own_test_passes(written: Path) -> None:
    module = importlib.import_module("test_darkest")
    module.test_the_restorer_keeps_the_interface()


def test_its_package_makes_it_known_by_name(written: Path) -> None:
    (toml,) = _blocks("toml")
    project = tomllib.loads(toml)["project"]
    (group,) = project["entry-points"]
    info = written / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {value}\n" for name, value in project["entry-points"][group].items()]
    (info / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}")
    rows = {row.name: row for row in catalogue.baselines()}
    assert rows["darkest"].about == "the darkest of three frames at each pixel"
    assert (rows["darkest"].licence, rows["darkest"].status) == ("MIT", "ready")
    assert load("darkest?share=0.5").info.window == 3


@pytest.mark.filterwarnings("ignore")
def test_its_graph_restores_as_the_model_does(written: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    importlib.import_module("export")
    graph, model = load("half=onnx:darkest.onnx"), load("py:darkest.py?share=0.5", trust_code=True)
    one, other = (np.stack(list(rvsd_bench.restore(m, _snow()))) for m in (graph, model))
    assert int(np.abs(one.astype(int) - other).max()) <= 1
    assert graph.info.emits == "center"
    assert torch.is_tensor(graph(torch.rand(1, 3, 3, 8, 8)))


def test_every_command_on_the_page_is_one_that_there_is() -> None:
    from rvsd_bench.cli import COMMANDS

    for block in _blocks("sh"):
        for command in re.findall(r"^rvsd-bench (\S+)", block, re.MULTILINE):
            assert command in COMMANDS
    for target in re.findall(r"\]\((baselines/[^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).is_file()
