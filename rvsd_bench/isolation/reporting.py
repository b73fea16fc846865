"""Have a confined process report on a model: rows that fit, and nothing more can be said of them.

A stranger's code runs in the process that reports. What it sends is bounded and has the form that
was asked for; whether it is true, nobody can tell from outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rvsd_bench.baselines.spec import Spec
from rvsd_bench.errors import InputError, ModelError
from rvsd_bench.isolation.confined import UNASKED, failure, require_confinable, working
from rvsd_bench.isolation.inside import DONE, FAILED, LONGEST_REASON, LONGEST_TEXT, ROW
from rvsd_bench.isolation.limits import Isolation
from rvsd_bench.recipe import structure

T = TypeVar("T")
_LARGEST = 1e15
"""Numbers beyond this are no answer."""


def reported(
    kind: type[T], spec: Spec, isolation: Isolation, device: str, job: Mapping[str, Any]
) -> Iterator[T]:
    """Yield the rows, dataclasses of `kind`, that a confined process reports on a model.

    There may be any number of them: take no more than can be. Raises MissingError if nothing can be
    confined here and ModelError for a process that fails or sends anything else.
    """
    require_confinable(spec)
    with working(spec, isolation, device, job) as cell:
        while (mark := cell.read(1)) == ROW:
            yield _row(kind, cell.read(int.from_bytes(cell.read(2))))
        if mark == FAILED:
            raise failure(cell.read_rest(LONGEST_REASON))
        if mark != DONE:
            raise ModelError(UNASKED, "invalid")


@contextmanager
def naming(spec: Spec) -> Iterator[None]:
    """Put a model and the way in which it failed before the reason."""
    try:
        yield
    except ModelError as error:
        told = f"{spec.name or spec.short}: {error.outcome}: {error}"
        raise ModelError(told, error.outcome) from error


def _row(kind: type[T], data: bytes) -> T:
    try:
        found = {key: _harmless(value) for key, value in json.loads(data).items()}
        return structure(kind, found, "a row")
    except (InputError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(UNASKED, "invalid") from error


def _harmless(value: object) -> object:
    """Return a value of a row as it may be shown; raise ValueError for a number off all scales."""
    if isinstance(value, str):
        return "".join(mark for mark in value[:LONGEST_TEXT] if mark.isprintable())
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise ValueError(value)
    return value
