"""Compose the command line of bubblewrap: what a confined process sees, and what it does not."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from rvsd_bench.errors import InputError, MissingError

HOW_TO_GET = (
    "install bubblewrap 0.8 or newer (on Debian and Ubuntu: apt install bubblewrap), hand in "
    "restored frames instead (frames:DIR), or run the code with all your rights by --trust-code"
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_LINKER = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "USER": "nobody",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NUMBA_CACHE_DIR": "/tmp",
    "HF_HUB_OFFLINE": "1",
}


def compose(
    words: Sequence[str | Path],
    *,
    lent: Mapping[str, Path] | None = None,
    device: str = "cpu",
    scratch_bytes: int,
) -> list[str]:
    """Return the command that runs `words` confined. Raises MissingError without bubblewrap.

    It has its own network (without a way out), processes, IPC and user names; no capability, and
    no way to make new namespaces; an environment of a few harmless variables. Of the files it sees
    the system's and Python's libraries and, under the names that they are the keys of, the files
    and folders `lent`; all of it for reading. It may write into its own /tmp and /dev/shm, in
    memory and of limited size. It ends with the process that started it.
    """
    command = [
        *(require_bubblewrap(), "--unshare-all", "--unshare-user", "--disable-userns"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox"),
        "--clearenv",
    ]
    for name, value in _ENVIRONMENT.items():
        command += ["--setenv", name, value]
    for path in (*_SYSTEM, *_LINKER):
        command += ["--ro-bind-try", path, path]
    # Root without capabilities may still write what belongs to root below /proc/sys.
    command += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
    if device.startswith("cuda"):
        for node in sorted(Path("/dev").glob("nvidia*")):
            command += ["--dev-bind", str(node), str(node)]
    for scratch in ("/tmp", "/dev/shm"):
        command += ["--size", str(scratch_bytes), "--tmpfs", scratch]
    for folder in python_folders():
        command += ["--ro-bind", str(folder), str(folder)]
    for inside, thing in (lent or {}).items():
        command += ["--ro-bind", str(thing.resolve()), inside]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--"]
    return [*command, *map(str, words)]


@cache
def require_bubblewrap() -> str:
    """Return the path of bubblewrap; raise MissingError if it is absent, too old, or refused."""
    found = shutil.which("bwrap")
    if found is None:
        raise MissingError(f"models are confined by bubblewrap, which is not here: {HOW_TO_GET}")
    told = _output([found, "--help"])
    if "--disable-userns" not in told:
        raise MissingError(f"{found} is too old to confine models: {HOW_TO_GET}")
    try:
        tried = [found, "--unshare-all", "--unshare-user", "--disable-userns", "--proc", "/proc"]
        binds = [word for path in _SYSTEM for word in ("--ro-bind-try", path, path)]
        subprocess.run(
            [*tried, *binds, "--", "/usr/bin/true"],
            check=True, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        raise MissingError(
            f"bubblewrap is here but may not confine anything ({reason}): the system must allow "
            "user namespaces; in Docker, --security-opt seccomp=unconfined and apparmor=unconfined "
            "do; or hand in restored frames (frames:DIR)"
        ) from error
    return found


@cache
def python_folders() -> tuple[Path, ...]:
    """Return the folders that Python and this package are run from, the outer before the inner."""
    import rvsd_bench
    from rvsd_bench import baselines, generators, leaderboard

    packages = (rvsd_bench, baselines, generators, leaderboard)
    folders = {Path(sys.prefix), Path(sys.base_prefix), *map(Path, site.getsitepackages())}
    folders |= {Path(path) for package in packages for path in package.__path__}
    there = sorted({folder.absolute() for folder in folders if folder.is_dir()})
    return tuple(f for f in there if not f.is_relative_to("/usr"))


def require_hidden(paths: Iterable[Path], lent: Iterable[Path]) -> None:
    """Raise InputError if a confined process would see one of the paths."""
    shown = [Path(path) for path in _SYSTEM] + [*python_folders(), *lent]
    for path in paths:
        for folder in shown:
            if path.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"{path} lies in {folder}, which a confined model can read: move it elsewhere"
                )


def _output(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr
