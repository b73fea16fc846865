"""Prepare batches in other processes, in an order that does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from rvsd_bench.errors import RvsdBenchError
from rvsd_bench.jobs import interrupts
from rvsd_bench.training.batches import Batch, Feed
from rvsd_bench.training.distributed import Ranks

AHEAD = 2
"""Batches that each worker has ready."""


def batches(
    feed: Feed,
    start: int,
    stop: int,
    *,
    workers: int = 0,
    ranks: Ranks = Ranks(),  # noqa: B008
) -> Iterator[Batch]:
    """Yield the batches of this process for the steps `start` to `stop - 1`.

    Of `world` processes, the one of a rank learns at step i from batch i·world + rank. Worker k of
    W prepares every W-th of them; a feed has no state, so each of them is the same for any W. What
    a worker raises is raised here.
    """
    numbers = range(start * ranks.world + ranks.rank, stop * ranks.world, ranks.world)
    if workers == 0 or not numbers:
        yield from map(feed.batch, numbers)
        return
    loader = DataLoader(
        _Prepared(feed),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=AHEAD,
        collate_fn=_as_it_is,
        worker_init_fn=_settle,
        # A forked child would inherit threads and devices that are in use.
        multiprocessing_context="spawn",
    )
    with interrupts.held():
        begun = iter(loader)
    for found in begun:
        if isinstance(found, RvsdBenchError):
            raise found
        yield found


class _Prepared(Dataset[Any]):
    """A feed as torch wants it. Errors that a user can mend are handed over, not raised."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def __getitem__(self, number: int) -> Batch | RvsdBenchError:
        try:
            return self.feed.batch(number)
        except RvsdBenchError as error:
            return error


def _as_it_is(found: Any) -> Any:
    return found


def _settle(_worker: int) -> None:
    """Leave interrupts to the parent, which saves first, and take one thread."""
    interrupts.ignore()
    torch.set_num_threads(1)
