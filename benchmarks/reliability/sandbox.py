"""Let hostile models try to get out of their sandbox, and count those that did.

Each probe (`probes.py`) is handed in as a `py:` model and restores one clip under small limits, as
`restore --isolate` would run it. It is held if it could do nothing that it tried, ended as it
should, harmed nothing outside, and left no process behind within 5 s.

    python benchmarks/reliability/sandbox.py [--only NAME,NAME]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import rvsd_bench
from rvsd_bench.baselines.spec import parse
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import ModelError
from rvsd_bench.isolation.confined import Confined
from rvsd_bench.isolation.limits import Isolation, Limits

SOURCE = Path(__file__).with_name("probes.py")
LIMITS = Limits(memory_bytes=2**28, tasks=64, video_s=60.0, scratch_bytes=2**23)
LEFT_S = 5.0
"""Seconds in which all processes of a model must be gone."""
FRAMES = 3
SECRET = "RVSD_BENCH_TOKEN"


@dataclass(frozen=True)
class Probe:
    """One thing that a hostile model tries, and how it must end."""

    name: str
    ending: str = "HELD"
    """HELD (it says that it could do nothing), frames, or the outcome of a model that fails."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = LIMITS.video_s


PROBES = {
    f"{probe.name}{suffix}": probe
    for suffix, probe in (
        ("", Probe("read_truth")),
        ("", Probe("write_repository")),
        ("", Probe("write_inputs")),
        ("", Probe("connect_loopback")),
        ("", Probe("connect_outside")),
        ("", Probe("resolve_names")),
        ("", Probe("read_other_processes")),
        ("", Probe("disturb_processes")),
        ("", Probe("read_secrets")),
        ("", Probe("inherit_files")),
        ("", Probe("gain_rights")),
        ("", Probe("fill_disk")),
        ("", Probe("plant_links", "crash")),
        ("", Probe("send_too_much", "invalid")),
        ("", Probe("send_endless_frames", "frames")),
        ("", Probe("send_endless_excuse", "invalid")),
        ("", Probe("send_pickle", "invalid", {"before": ""})),
        ("_as_frame", Probe("send_pickle", "crash", {"before": "F"})),
        ("_as_excuse", Probe("send_pickle", "invalid", {"before": "E"})),
        ("", Probe("bomb_forks", "crash")),
        ("", Probe("bomb_memory", "oom")),
        ("", Probe("stay", "timeout", seconds=6.0)),
    )
}


@dataclass(frozen=True)
class World:
    """What a model must not reach, and the means to see whether it was reached."""

    folder: Path
    listeners: tuple[socket.socket, socket.socket]
    secret: str

    @property
    def truth(self) -> Path:
        """A clean frame."""
        return self.folder / "truth-0000.png"

    @property
    def snowy(self) -> Path:
        """A snowy frame."""
        return self.folder / "snowy-0000.png"

    @property
    def marker(self) -> Path:
        """What a pickle makes if it is opened."""
        return self.folder / "exploded"

    def facts(self, model: Path) -> dict[str, Any]:
        """Return what the hostile model is told; some would have to guess it."""
        return {
            "truth": str(self.truth),
            "truth_name": self.truth.name,
            "roots": ["/home", "/root", "/mnt", "/media", "/srv", "/var", "/tmp", "/opt", "/work"],
            "package": rvsd_bench.__path__[0],
            "inputs": [str(self.snowy), str(model), f"/model/0/{model.name}", sys.executable],
            "port": self.listeners[0].getsockname()[1],
            "abstract": self.secret,
            "secret": self.secret,
            "host_pid": os.getpid(),
            "home": str(Path.home()),
            "scratch": LIMITS.scratch_bytes,
            "frame_bytes": 8 * 10 * 3,
            "marker": str(self.marker),
            "share": 2**25,
        }

    def state(self) -> dict[str, str]:
        """Return digests of all that must stay as it is."""
        package = Path(rvsd_bench.__path__[0])
        files = (self.truth, self.snowy, package / "__init__.py", Path(sys.executable))
        found = {str(p): hashlib.sha256(p.read_bytes()).hexdigest() + oct(p.stat().st_mode)
                 for p in files}  # fmt: skip
        return found | {"new": str((package / "evil.py").exists() or self.marker.exists())}

    def reached(self) -> bool:
        """Tell whether somebody connected to what listens here."""
        for listener in self.listeners:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            return True
        return False

    def left(self) -> list[int]:
        """Return the processes that see files of this world mounted: those of a sandbox."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                mounts = (folder / "mountinfo").read_text() if folder.name.isdigit() else ""
            except OSError:
                continue
            if self.folder.name in mounts:
                found.append(int(folder.name))
        return found


@contextmanager
def world() -> Iterator[World]:
    """Make the things that a model must not reach."""
    tcp, abstract = socket.socket(), socket.socket(socket.AF_UNIX)
    secret = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-world-") as folder, tcp, abstract:
        tcp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{secret}")
        for listener in (tcp, abstract):
            listener.listen()
            listener.setblocking(False)
        made = World(Path(folder), (tcp, abstract), secret)
        made.truth.write_bytes(b"the truth")
        made.snowy.write_bytes(b"the snow")
        os.environ[SECRET] = secret
        try:
            yield made
        finally:
            del os.environ[SECRET]


def hostile(probe: Probe, made: World) -> Path:
    """Write the model file of a probe."""
    model = made.folder / f"{probe.name}.py"
    facts = made.facts(model) | dict(probe.facts)
    model.write_text(f"{SOURCE.read_text()}\n\nperform({probe.name!r}, {facts!r})\n")
    return model


def attempt(probe: Probe, made: World) -> tuple[str, list[str]]:
    """Run a probe; return how it ended, and what is wrong with that."""
    before = made.state()
    limits = Limits(**{**vars(LIMITS), "video_s": probe.seconds})
    model = Confined(parse(f"py:{hostile(probe, made)}:build"), Isolation(limits))
    clip = ArrayClip(np.zeros((FRAMES, 8, 10, 3), np.uint8))
    try:
        ended = told = "frames" if len(list(model.restore(lambda: clip))) == FRAMES else "fewer"
    except ModelError as error:
        told = str(error)
        ended = "HELD" if told.endswith("SystemExit: HELD") else error.outcome
    faults = [] if ended == probe.ending else [f"it ended with {told}"]
    faults += [] if made.state() == before else ["files were changed"]
    faults += ["a connection was made"] if made.reached() else []
    deadline = time.monotonic() + LEFT_S
    while made.left() and time.monotonic() < deadline:
        time.sleep(0.05)
    return told, faults + [f"process {pid} is left" for pid in made.left()]


def main() -> int:
    """Print a line for each probe; return 1 if one was not held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PROBES))
    names = parser.parse_args().only.split(",")
    escaped = 0
    for name in names:
        with world() as made:
            began = time.monotonic()
            told, faults = attempt(PROBES[name], made)
        escaped += bool(faults)
        result = "; ".join(faults) if faults else f"held: {told.rpartition('SystemExit: ')[2]}"
        print(f"{name:24} {time.monotonic() - began:5.1f} s  {result}", flush=True)
    print(f"{len(names)} probes, {escaped} escaped; promised: 0")
    return int(escaped > 0)


if __name__ == "__main__":
    sys.exit(main())
