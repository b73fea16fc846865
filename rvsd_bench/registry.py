"""Find baselines and metrics by name, ours and other people's alike, through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from rvsd_bench.errors import InputError, MissingError, unknown

Kind = Literal["baseline", "metric"]


def entries(kind: Kind) -> dict[str, EntryPoint]:
    """Return what is registered under `rvsd_bench.<kind>s`, by name in order; nothing is loaded.

    The same entry seen twice (an editable install leaves two copies of its metadata) counts once.
    Of two different entries with one name ours stays; between two strangers nobody can choose.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=f"rvsd_bench.{kind}s"), key=_ours_first):
        kept = found.setdefault(entry.name, entry)
        if kept.value != entry.value and not _is_ours(kept):
            raise InputError(
                f"two packages register the {kind} {entry.name!r}: {_origin(kept)} and "
                f"{_origin(entry)}; uninstall one of them"
            )
    return dict(sorted(found.items()))


def names(kind: Kind) -> list[str]:
    """Return the registered names in order."""
    return list(entries(kind))


def find(kind: Kind, name: str) -> Any:
    """Load and return the one object registered under a name.

    Raises InputError for an unknown name or a plug-in that breaks when it is imported, and
    MissingError for one whose own dependencies are not installed; both name the package.
    """
    known = entries(kind)
    if name not in known:
        raise unknown(kind, name, known)
    entry = known[name]
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


def _is_ours(entry: EntryPoint) -> bool:
    return entry.value.startswith("rvsd_bench.")


def _ours_first(entry: EntryPoint) -> tuple[bool, str, str]:
    return not _is_ours(entry), entry.name, entry.value


def _origin(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"{package} ({entry.value})"
