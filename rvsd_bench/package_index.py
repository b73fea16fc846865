"""Let pip bring one file from the package index, known by its hash; pip knows its own index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rvsd_bench.errors import MissingError

TIMEOUT_S = 300


def download(requirement: str, folder: Path, *, source: bool = False) -> Path:
    """Download a wheel, or a `source` distribution, into a folder and return its path.

    `requirement` names one version and its hash, as in a requirements file. Nothing is installed;
    of a source distribution pip runs the metadata step, and only if the hash is right. Raises
    MissingError with pip's own reason.
    """
    listed = folder / "requirements.txt"
    listed.write_text(requirement + "\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps",
        "--disable-pip-version-check", "--no-binary" if source else "--only-binary", ":all:",
        "--require-hashes", "--requirement", str(listed), "--dest", str(folder),
    ]  # fmt: skip
    what = requirement.split(" ", 1)[0]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(what, f"no answer in {TIMEOUT_S} s") from error
    got = next(folder.glob("*.tar.gz" if source else "*.whl"), None)
    if done.returncode or got is None:
        lines = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise _failed(what, lines[-1])
    return got


def _failed(what: str, why: str) -> MissingError:
    return MissingError(
        f"pip could not download {what}: {why} (check the network and `python -m pip --version`)"
    )
