"""Snow in video: generate it, load it, remove it, and score the removal under one protocol."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rvsd_bench.evaluation.evaluating import evaluate as evaluate
    from rvsd_bench.media.reading import read_clip as read_clip
    from rvsd_bench.restoring.runner import restore as restore

# Name -> the module that holds it. Nothing here is imported until it is asked for, so that
# `import rvsd_bench` and `rvsd-bench --help` cost milliseconds.
_EXPORTS = {
    "read_clip": "rvsd_bench.media.reading",
    "restore": "rvsd_bench.restoring.runner",
    "evaluate": "rvsd_bench.evaluation.evaluating",
}
__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    """Import a public name, or one of the subpackages, when it is first used (PEP 562)."""
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    if name in ("generators", "baselines", "leaderboard"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
