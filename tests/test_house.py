"""Hold the rules of the house: who may import whom, what start-up loads, where files are opened."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvsd_bench.cli import COMMANDS

ROOMS = ("generators", "baselines", "leaderboard")
HEAVY = ("torch", "cv2", "pandas", "pyiqa", "numba", "av", "scipy", "imageio", "torchvision")

# The rooms may use these parts of rvsd_bench and no others. See docs/architecture.md.
SHARED = {
    "generators": {"clip", "colour", "errors", "files", "guided", "media", "recipe", "seeds"}
    | {"__version__", "jobs", "texts"},
    "baselines": {
        "clip",
        "data",
        "errors",
        "files",
        "guided",
        "media",
        "mixtures",
        "recipe",
        "registry",
        "texts",
        "training.batches",
    },
    "leaderboard": {"__version__", "columns", "errors", "files", "recipe", "resampling", "seeds"}
    | {"texts"},
}

# torch takes seconds to import: only these may do so when they are imported themselves.
TORCH = {
    "rvsd_bench/metrics/perceptual.py",
    "rvsd_bench/metrics/noreference.py",
    "rvsd_bench/metrics/musiq.py",
    "rvsd_bench/restoring/calling.py",
    "rvsd_bench/restoring/conforming.py",
    "rvsd_bench/restoring/profiling.py",
    "generators/pairs.py",
}


def _sources(repository: Path) -> Iterator[tuple[str, ast.Module]]:
    for top in ("rvsd_bench", *ROOMS):
        for path in sorted((repository / top).rglob("*.py")):
            yield str(path.relative_to(repository)), ast.parse(path.read_text())


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_import(tree: ast.Module) -> list[ast.AST]:
    """Return what runs when a module is imported: no function bodies, no TYPE_CHECKING blocks."""
    nodes: list[ast.AST] = []
    queue: list[ast.AST] = list(tree.body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        nodes.append(node)
        queue.extend(ast.iter_child_nodes(node))
    return nodes


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_other_room_and_only_the_shared_modules(
    room: str, repository: Path
) -> None:
    wrong = []
    for name, tree in _sources(repository):
        if not name.startswith(f"{room}/"):
            continue
        for imported in _imports(list(ast.walk(tree))):
            parts = imported.split(".")
            if parts[0] != "rvsd_bench" or len(parts) < 2 or parts[1] == room:
                continue
            if not {parts[1], ".".join(parts[1:3])} & SHARED[room]:
                wrong.append(f"{name}: {imported}")
    assert wrong == []


def test_torch_is_imported_at_the_top_only_where_tensors_live(repository: Path) -> None:
    wrong = [
        name
        for name, tree in _sources(repository)
        if any(i.split(".")[0] == "torch" for i in _imports(_at_import(tree)))
        and name not in TORCH
        and not name.startswith(("baselines/", "rvsd_bench/training/"))
    ]
    assert wrong == []


def test_opencv_opens_files_nowhere_but_in_the_readers_and_writers(repository: Path) -> None:
    silent = {"VideoCapture", "VideoWriter", "imread", "imwrite"}
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in _sources(repository)
        if name not in ("rvsd_bench/media/images.py", "rvsd_bench/media/video.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in silent
        and ast.unparse(node.value) == "cv2"
    ]
    assert wrong == []


def test_no_random_number_comes_from_a_global_state(repository: Path) -> None:
    wrong = [
        f"{name}: {imported}"
        for name, tree in _sources(repository)
        for imported in _imports(list(ast.walk(tree)))
        if imported == "random" or imported.startswith("random.")
    ]
    assert wrong == []


def _modules_after(code: str) -> set[str]:
    probe = f"import sys\n{code}\nprint('\\n'.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120,
        env=os.environ,
    )  # fmt: skip
    return {line for line in done.stdout.splitlines() if line in HEAVY}


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import rvsd_bench, rvsd_bench.baselines, rvsd_bench.generators, rvsd_bench.leaderboard"
    assert _modules_after(code) == set()


def test_help_of_every_command_loads_nothing_heavy() -> None:
    code = (
        "from rvsd_bench.cli import cli\n"
        f"for words in ([], *[[name] for name in {list(COMMANDS)!r}]):\n"
        "    cli.main([*words, '--help'], standalone_mode=False)"
    )
    assert _modules_after(code) == set()


@pytest.mark.parametrize("what", ["baselines", "metrics", "protocols", "presets", "datasets"])
def test_list_loads_nothing_heavy(what: str) -> None:
    code = f"from rvsd_bench.cli import cli\ncli.main(['list', {what!r}], standalone_mode=False)"
    assert _modules_after(code) == set()
