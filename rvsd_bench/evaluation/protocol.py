"""Say how a number is computed: protocols are frozen, hashed, and never mixed in one ranking."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from rvsd_bench import registry
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.metrics.card import CARDS
from rvsd_bench.recipe import load_toml, structure
from rvsd_bench.texts import brief

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
    bootstrap_draws: int = field(metadata={"range": (1, 100_000)})
    frames: Literal["all"]
    pairing: Literal["frame id"]
    resize: Literal["none"]
    crop_border: Literal[0]
    rounding: Literal["half to even"]
    not_finite: Literal["fail"]
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Metrics of other packages, each with the package and version that define it."""

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 of the protocol as canonical JSON."""
        fields = {key: value for key, value in asdict(self).items() if key != "about"}
        if not self.plugins:
            del fields["plugins"]
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


def is_file(name: str) -> bool:
    """Tell whether a protocol is named by its file."""
    return name.endswith(".toml")


def source(name: str) -> str:
    """Return the TOML text of a protocol, comments and all; an unknown id is an InputError."""
    if is_file(name):
        load_toml(name)
        return Path(name).read_text(encoding="utf-8")
    own = name.partition("+")[0]
    if own not in names():
        raise unknown("protocol", name, names())
    return files("rvsd_bench").joinpath("protocols", f"{own}.toml").read_text(encoding="utf-8")


def load(name: str) -> Protocol:
    """Return the protocol with an id, or that of a file of one's own, `FILE.toml`.

    `ID+METRIC` is a protocol with a metric of another package added, as `extended` makes it.
    """
    import tomllib

    if is_file(name):
        return _own(name)
    found = structure(Protocol, tomllib.loads(source(name)), f"protocol {name}")
    added = name.split("+")[1:]
    for metric in added:
        if metric in found.metrics or metric not in registry.names("metric"):
            raise unknown("metric of another package", metric, registry.names("metric"))
    return extended(found, added)


def extended(protocol: Protocol, metrics: Sequence[str]) -> Protocol:
    """Return a protocol with the metrics of other packages that are named and not in it.

    It is another protocol then, by id and hash, and the community's whatever it was before.
    """
    others = registry.names("metric")
    known = {*CARDS, *protocol.metrics}
    new = [m for m in dict.fromkeys(metrics) if m in others and m not in known]
    if not new:
        return protocol
    return replace(
        protocol,
        id="+".join((protocol.id, *new)),
        status="community",
        metrics={**protocol.metrics, **{metric: {} for metric in new}},
        plugins={**protocol.plugins, **_packages(new)},
    )


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


def _own(path: str) -> Protocol:
    """Read a user's protocol; whatever could pass it off as one of ours is refused."""
    fields = load_toml(path)
    if "plugins" in fields:
        raise InputError(f"{path}: plugins: name the metric under [metrics]; its package is found")
    found = structure(Protocol, fields, path)
    if found.status != "community":
        raise InputError(f"{path}: status: {brief(found.status)} is for ours, yours is 'community'")
    if found.id in names() or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", found.id):
        raise InputError(
            f"{path}: id: {brief(found.id)} is taken or no name: choose your own, of letters, "
            "digits, dots and hyphens"
        )
    if not found.metrics:
        raise InputError(f"{path}: metrics: there is none")
    others = [name for name in registry.names("metric") if name not in CARDS]
    for name, params in (*found.metrics.items(), *found.regions.items()):
        if name not in (*CARDS, *others):
            raise unknown(f"metric for {path}", name, (*CARDS, *others))
        if name in CARDS:
            _require_ours(path, name, params)
    return replace(found, plugins=_packages([name for name in found.metrics if name in others]))


def _require_ours(path: str, name: str, params: Mapping[str, Any]) -> None:
    """Refuse what cannot be chosen of a metric of ours."""
    if CARDS[name].temporal:
        raise InputError(f"{path}: metrics: {name} has one definition and is always computed")
    for choice in params:
        if choice not in CARDS[name].params:
            raise unknown(f"parameter of metric {name!r} for {path}", choice, CARDS[name].params)


def _packages(metrics: Iterable[str]) -> dict[str, str]:
    return {metric: registry.package("metric", metric) for metric in metrics}


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
