"""Say how a number is computed: protocols are frozen, hashed, and never mixed in one ranking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Literal

from rvsd_bench.errors import unknown
from rvsd_bench.recipe import structure

BENCHMARK_VERSION = "1"
"""Raised by every change of the code that moves a score; stored in every row."""


@dataclass(frozen=True)
class Protocol:
    """Everything that decides a number, but neither the data nor the model.

    Fields with one allowed value are here so that a protocol states them, and so that a file which
    asks for anything else is refused instead of misread.
    """

    id: str
    version: int
    status: Literal["official", "paper", "community", "fast"]
    about: str
    """Where the protocol comes from and what about it is not known; not part of the hash."""
    average: Literal["macro", "micro"]
    """macro: the mean of the videos' means; micro: the mean over all frames."""
    metrics: Mapping[str, Mapping[str, Any]]
    """Metric name to its parameters, in the order of the tables."""
    regions: Mapping[str, Mapping[str, Any]]
    """As `metrics`: also scored where the dataset has coverage layers."""
    bootstrap_draws: int
    frames: Literal["all"]
    pairing: Literal["frame id"]
    resize: Literal["none"]
    crop_border: Literal[0]
    rounding: Literal["half to even"]
    not_finite: Literal["fail"]

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 of the protocol as canonical JSON."""
        fields = {key: value for key, value in asdict(self).items() if key != "about"}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Difference:
    """One setting in which two protocols differ; None where one does not have it."""

    path: str
    first: Any
    second: Any


def names() -> list[str]:
    """Return the ids of the protocols that come with the package."""
    found = (item.name for item in files("rvsd_bench").joinpath("protocols").iterdir())
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def source(name: str) -> str:
    """Return the TOML text of a protocol, comments and all; an unknown id is an InputError."""
    if name not in names():
        raise unknown("protocol", name, names())
    return files("rvsd_bench").joinpath("protocols", f"{name}.toml").read_text(encoding="utf-8")


def load(name: str) -> Protocol:
    """Return the protocol with an id."""
    import tomllib

    return structure(Protocol, tomllib.loads(source(name)), f"protocol {name}")


def default_for(*, paired: bool) -> str:
    """Return the id of the protocol that fits a dataset with or without clean frames."""
    return "rvsd-2023" if paired else "realsnow85-2024"


def diff(first: Protocol, second: Protocol) -> list[Difference]:
    """Return the settings in which two protocols differ, by dotted path."""
    a, b = (dict(_leaves(asdict(protocol), "")) for protocol in (first, second))
    paths = [*a, *(path for path in b if path not in a)]
    differing = [path for path in paths if a.get(path) != b.get(path)]
    return [
        Difference(path, a.get(path), b.get(path))
        for path in differing
        # an empty table against a full one: the full one's settings say it
        if not any(other.startswith(f"{path}.") for other in differing)
    ]


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
