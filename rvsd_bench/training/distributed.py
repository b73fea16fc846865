"""Let several processes, started by torchrun, train as one."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is; alone by default."""

    rank: int = 0
    world: int = 1
    local: int = 0
    """The number of the process on its machine: that of its GPU."""

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Meet the other processes that torchrun started, if it did, and part from them at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        torch.cuda.set_device(local)  # where NCCL meets
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Ranks(distributed.get_rank(), world, local)
        distributed.barrier()  # none leaves while another still listens to it
    finally:
        # DistributedDataParallel is a cycle that holds on to the group: its threads would outlive
        # the interpreter, and abort the process.
        gc.collect()
        distributed.destroy_process_group()


def highest(ranks: Ranks, number: int, device: torch.device | str) -> int:
    """Return the highest of all processes' numbers: so all of them do the same."""
    if ranks.world == 1:
        return number
    numbers = torch.tensor([number], device=device)
    distributed.all_reduce(numbers, distributed.ReduceOp.MAX)
    return int(numbers.item())


def collected(ranks: Ranks, value: Any) -> list[Any]:
    """Return every process's value, in the order of their ranks, in all of them."""
    if ranks.world == 1:
        return [value]
    values: list[Any] = [None] * ranks.world
    distributed.all_gather_object(values, value)
    return values


@contextmanager
def first_goes_first(ranks: Ranks) -> Iterator[None]:
    """Run a block in the first process, then in the others: they may read what it writes."""
    if not ranks.first:
        distributed.barrier()
    yield
    if ranks.first and ranks.world > 1:
        distributed.barrier()
