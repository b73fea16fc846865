"""Examine the machine: cores, memory, disk, executors, sandbox, libraries, weights, devices."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rvsd_bench import __version__
from rvsd_bench.errors import MissingError


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    state: Literal["ok", "note", "warn"]
    what: str
    detail: str


def examine() -> list[Finding]:
    """Return every finding; a check that fails itself is a warning, not an end."""
    findings: list[Finding] = []
    for check in (_python, _memory, _disk, _executors, _sandbox, *_LIBRARIES):
        findings += _guarded(check)
    return findings


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:  # whatever is broken here is what the user wants to hear about
        return [Finding("warn", check.__name__.strip("_"), f"{type(error).__name__}: {error}")]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _python() -> Iterator[Finding]:
    yield Finding("ok", "rvsd-bench", f"{__version__} on Python {sys.version.split()[0]}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("ok", "cores", f"{cores}")


def _opencv() -> Iterator[Finding]:
    full, headless = _version("opencv-python"), _version("opencv-python-headless")
    try:
        imported = import_module("cv2").__version__
    except ImportError as error:
        wanted = f"=={full or headless}" if full or headless else ""
        yield Finding(
            "warn",
            "opencv",
            f"import cv2 fails ({error}): pip install --force-reinstall --no-deps "
            f"opencv-python-headless{wanted}",
        )
        return
    if full and headless and full != headless:
        yield Finding(
            "warn",
            "opencv",
            f"opencv-python {full} and opencv-python-headless {headless} share one folder: "
            f"pip install --force-reinstall --no-deps opencv-python-headless=={full}",
        )
    else:
        yield Finding("ok", "opencv", f"cv2 {imported}")


def _torch() -> Iterator[Finding]:
    import torch

    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name(0) if cuda else "no GPU: models run on the CPU"
    yield Finding("ok" if cuda else "note", "torch", f"{torch.__version__}, {device}")
    try:
        yield Finding("ok", "torchvision", import_module("torchvision").__version__)
    except Exception as error:  # its C extension fails in many ways when the pair does not match
        yield Finding(
            "warn",
            "torchvision",
            f"does not load beside torch {torch.__version__} ({str(error).splitlines()[0]}): "
            "install both from one index; only NIMA, MUSIQ and --backend pyiqa need it",
        )


def _pyiqa() -> Iterator[Finding]:
    found = _version("pyiqa")
    if found:
        yield Finding("ok", "pyiqa", f"{found} (PolyForm-Noncommercial; for NIMA and MUSIQ)")
    else:
        yield Finding("note", "pyiqa", "not installed: NIMA and MUSIQ cannot be computed")


def _weights() -> Iterator[Finding]:
    from rvsd_bench.weights.store import statuses

    for status in statuses():
        if status.path is None:
            yield Finding("note", "weights", f"{status.key}: absent; {status.how_to_get}")
        else:
            yield Finding("ok", "weights", f"{status.key}: {status.path}")


def _samples() -> Iterator[Finding]:
    from rvsd_bench import samples

    for name in samples.names():
        path = samples.path(name)
        state: Literal["ok", "note"] = "ok" if path else "note"
        yield Finding(state, "samples", f"{name}: {path or 'absent; rvsd-bench samples fetch'}")


def _memory() -> Iterator[Finding]:
    from rvsd_bench.isolation.cgroups import memory_limit

    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    limit = (memory_limit() or 2**60) / 2**30
    if limit >= whole:
        yield Finding("ok", "memory", f"{whole:.1f} GiB, and no limit on this process")
    else:
        text = f"{limit:.1f} of {whole:.1f} GiB may be used here: use fewer --workers"
        yield Finding("note", "memory", f"{text}, or raise the limit of the container or job")


def _executors() -> Iterator[Finding]:
    yield Finding("ok", "executors", "serial and pool; --shard i/N for batch schedulers")
    ray = _version("ray")
    if ray:
        yield Finding("ok", "ray", f"{ray}: --executor ray")
    else:
        how = "pip install 'rvsd-bench[ray]' for --executor ray, over several machines"
        yield Finding("note", "ray", f"not installed: {how}")


def _sandbox() -> Iterator[Finding]:
    from rvsd_bench.isolation.cgroups import require_fence
    from rvsd_bench.isolation.sandbox import require_bubblewrap

    yield _namespaces()
    try:
        found = require_bubblewrap()
        require_fence()
    except MissingError as error:
        yield Finding("note", "sandbox", f"--isolate cannot be used: {error}")
        return
    by = "a control group" if os.geteuid() == 0 else "RLIMIT_NPROC"
    yield Finding("ok", "sandbox", f"{found} confines models (tried); {by} limits their processes")


def _namespaces() -> Finding:
    """Tell whether the kernel lets people make user namespaces."""
    if not Path("/proc/self/ns/user").exists():
        return Finding("note", "namespaces", "this system has none: models cannot be confined")
    for name, refusing, how in (
        ("user/max_user_namespaces", 0, "sysctl user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", 0, "sysctl kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", 1, "an AppArmor profile for bwrap"),
    ):
        path = Path("/proc/sys", name)
        if path.is_file() and int(path.read_text()) == refusing:
            return Finding("note", "namespaces", f"{path} is {refusing}: as root, {how}")
    return Finding("ok", "namespaces", "user namespaces are allowed")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    # A 100-frame 1280x720 pair with its layers takes about 0.5 GiB as PNG.
    yield Finding("ok" if free > 2 else "warn", "disk", f"{free:.1f} GiB free here")


_LIBRARIES = (_opencv, _torch, _pyiqa, _weights, _samples)
