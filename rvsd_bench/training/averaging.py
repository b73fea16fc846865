"""Average a network's weights over the steps: the mean teacher, and what is exported."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a network (equation 7 of the SemiVDN paper).

    After each step, parameters become decay·average + (1 − decay)·student, and buffers are copied:
    what a batch normalisation counts is an average already. Never trained: always in eval mode,
    without gradients.
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        """Begin with the student's weights as they are."""
        self.decay = decay
        self.network = deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Take one more step of the student in."""
        ours: list[Tensor] = list(self.network.parameters())
        theirs: list[Tensor] = list(student.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - self.decay)
        for mine, his in zip(self.network.buffers(), student.buffers(), strict=True):
            mine.copy_(his)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights."""
        return self.network.state_dict()
