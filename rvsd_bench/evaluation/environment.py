"""Record what a number was computed with, and keep the arithmetic the same wherever it runs.

Neither the machine's name nor a user's name nor a path of theirs is recorded.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from rvsd_bench import __version__

# Column -> the distributions that may provide it, the first that is installed counts.
PACKAGES = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "pyiqa": ("pyiqa",),
    "opencv": ("opencv-python-headless", "opencv-python"),
    "numpy": ("numpy",),
}
_OTHERS = {"av": ("av",), "scipy": ("scipy",), "timm": ("timm",)}


def versions() -> dict[str, str]:
    """Return the versions that have columns of their own; an absent package is left out."""
    found = {name: _version(candidates) for name, candidates in PACKAGES.items()}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}


def environment() -> dict[str, str]:
    """Return versions, system and processor, as text."""
    others = {name: _version(candidates) for name, candidates in _OTHERS.items()}
    return {
        "rvsd_bench": __version__,
        **versions(),
        **{name: version for name, version in others.items() if version},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
    }


def without_folders(text: str, roots: Iterable[Path]) -> str:
    """Return a message without the folders in which a user keeps things: `roots`, and the home."""
    for root in roots:
        for spelling in (root.absolute(), root):
            if spelling.name not in ("", ".."):  # a dot stands everywhere
                text = text.replace(str(spelling), root.absolute().name)
    return text.replace(str(Path.home()), "~") if Path.home().name else text


def created_utc() -> str:
    """Return the time now, to the second, or the one that SOURCE_DATE_EPOCH names."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def git_state() -> tuple[str, bool] | None:
    """Return the commit of the checkout that this code runs from, and whether it was changed.

    None if it runs from no checkout of its own, as when it was installed.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    commands = (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    try:
        head, changes = (
            subprocess.run(
                ("git", "-C", str(root), *command), capture_output=True, text=True, check=True
            ).stdout
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip(), bool(changes.strip())


def device_name(device: str) -> str:
    """Return the name of the processor or accelerator behind a torch device, for the tables."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"


@contextmanager
def settled() -> Iterator[None]:
    """Make arithmetic repeatable for a while: one thread, no TF32, deterministic kernels.

    The number of threads changes the order of floating-point sums, so that a video would score
    differently alone and in a pool of processes. Torch is settled only if it is already loaded.
    """
    import cv2

    threads = cv2.getNumThreads()
    torch = sys.modules.get("torch")
    before = _torch_state(torch) if torch else ()
    cv2.setNumThreads(1)
    if torch:
        _set_torch(torch, (1, False, False, False, True))
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        if torch:
            _set_torch(torch, before)


def _torch_state(torch: Any) -> tuple[Any, ...]:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark, cudnn.deterministic
    return torch.get_num_threads(), *flags


def _set_torch(torch: Any, state: tuple[Any, ...]) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    torch.set_num_threads(state[0])
    cudnn.allow_tf32, matmul.allow_tf32, cudnn.benchmark, cudnn.deterministic = state[1:]


def _version(candidates: tuple[str, ...]) -> str:
    for name in candidates:
        try:
            return installed(name)
        except PackageNotFoundError:
            continue
    return ""


def _processor() -> str:
    """Return the processor's model, which decides the last digits of floating-point results."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
