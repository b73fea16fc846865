"""Find baselines and metrics by name, ours and other people's alike, through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from rvsd_bench.errors import InputError, MissingError, unknown

Kind = Literal["baseline", "metric"]


def entries(kind: Kind) -> dict[str, tuple[EntryPoint, ...]]:
    """Return what is registered under `rvsd_bench.<kind>s`, by name in order; nothing is loaded.

    The same entry seen twice (an editable install leaves two copies of its metadata) counts once.
    A name of ours cannot be taken by another package; otherwise a name may have several entries.
    """
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points(group=f"rvsd_bench.{kind}s"):
        found.setdefault(entry.name, {}).setdefault(entry.value, entry)
    return {name: _claimants(list(found[name].values())) for name in sorted(found)}


def names(kind: Kind) -> list[str]:
    """Return the registered names in order."""
    return list(entries(kind))


def package(kind: Kind, name: str) -> str:
    """Return the package that a name is from, with its version; nothing is loaded."""
    known = entries(kind)
    if name not in known:
        raise unknown(kind, name, known)
    return _package(known[name][0])


def find(kind: Kind, name: str) -> Any:
    """Load and return the one object registered under a name.

    Raises InputError for an unknown name, a name that two packages claim, or a plug-in that breaks
    when it is imported, and MissingError for one whose own dependencies are not installed; each
    names the package.
    """
    known = entries(kind)
    if name not in known:
        raise unknown(kind, name, known)
    if len(known[name]) > 1:
        claims = " and ".join(_origin(entry) for entry in known[name])
        raise InputError(f"the {kind} {name!r} is claimed by {claims}; uninstall one of them")
    entry = known[name][0]
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        raise MissingError(
            f"{kind} {name!r} of {_origin(entry)} needs the module {error.name!r}, which is not "
            "installed"
        ) from error
    except Exception as error:  # a stranger's module may raise anything
        raise InputError(
            f"{kind} {name!r} of {_origin(entry)} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _claimants(found: list[EntryPoint]) -> tuple[EntryPoint, ...]:
    ours = tuple(entry for entry in found if entry.value.startswith("rvsd_bench."))
    return ours or tuple(sorted(found, key=lambda entry: entry.value))


def _origin(entry: EntryPoint) -> str:
    return f"{_package(entry)} ({entry.value})"


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
