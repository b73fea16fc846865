"""Share a job among machines that know nothing of each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rvsd_bench.errors import InputError
from rvsd_bench.jobs.tasks import Item


@dataclass(frozen=True)
class Shard:
    """The `index`-th (from 1) of `count` equal parts of a job."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Return every `count`-th item, so that long and short clips spread over the parts."""
        return list(items[self.index - 1 :: self.count])


def parse_shard(text: str | None) -> Shard:
    """Read `i/N`; None is the whole job. Raises InputError for anything else."""
    if text is None:
        return Shard()
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    shard = Shard(int(match[1]), int(match[2])) if match else Shard(0, 0)
    if not 1 <= shard.index <= shard.count:
        raise InputError(f"--shard {text!r}: give i/N with 1 <= i <= N, as in 2/4")
    return shard
