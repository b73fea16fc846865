"""Keep every test off the network, off the user's settings, and on known footage."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

# One thread per library: the suite runs in parallel processes.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# Child processes are not reached by the fixture below; a proxy that is not there stops them too.
for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ[variable] = "http://127.0.0.1:9"
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make any look-up or connection fail loudly; local sockets between processes still work."""
    connect = socket.socket.connect

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"a test tried to reach the network: {args[:2]}")

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse(address)
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", guarded)
    yield


@pytest.fixture
def heeds_interrupts() -> Callable[[], None]:
    """Return a `preexec_fn`: a suite in the background hands its ignored SIGINT to its children."""

    def restore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return restore


@pytest.fixture
def confinable() -> None:
    """Skip the test where no model can be confined."""
    from rvsd_bench.errors import MissingError
    from rvsd_bench.isolation import cgroups, sandbox

    try:
        sandbox.require_bubblewrap()
        cgroups.require_fence()
    except MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """Return the folder of real clips that may lie beside the checkout; skip where it is absent."""
    folder = ROOT.parent / "shared" / "data" / "clean"
    if not folder.is_dir():
        pytest.skip("the real clips beside the checkout are not on this machine")
    return folder


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error."""
        lines = [line for line in self.err.splitlines() if line.startswith("rvsd-bench: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Return a function that runs a command in this process."""
    from rvsd_bench import cli

    def call(*words: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rvsd-bench", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capfd.readouterr()
        return Outcome(int(left.value.code or 0), printed.out, printed.err)

    return call
