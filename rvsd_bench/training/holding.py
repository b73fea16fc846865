"""Keep some sources of footage out of training, to look at the network on what it never saw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

HELD_SHARE = 0.1


def held_out(sources: Iterable[str]) -> frozenset[str]:
    """Return a tenth of the sources, at least one, by the order of their hashes.

    All clips of one source belong on one side. The choice depends on the names alone, not on the
    seed: trainings on one set of footage may be compared. Of a single source nothing is held out.
    """
    ranked = sorted(set(sources), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(ranked) < 2:
        return frozenset()
    return frozenset(ranked[: max(1, round(HELD_SHARE * len(ranked)))])
