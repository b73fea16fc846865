"""Say what a network has learned: how many numbers, and which.

A model is the network itself, or holds it as its `network`, as the adapters do.
"""

from __future__ import annotations

import hashlib
from typing import Any


def count_parameters(model: object) -> int | None:
    """Return how many numbers a network has learned; None where there are none, or no network."""
    parameters = _method(model, "parameters")
    return None if parameters is None else sum(tensor.numel() for tensor in parameters()) or None


def learned_digest(model: object) -> str:
    """Return the SHA-256 of all tensors of a network, whatever file they came from; else "".

    A factory may read its weights from a file that its spec does not name.
    """
    state = _method(model, "state_dict")
    if state is None:
        return ""
    import torch

    digest = hashlib.sha256()
    for name, value in state().items():
        digest.update(f"{name}\0".encode())
        if isinstance(value, torch.Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _method(model: object, name: str) -> Any:
    """Return a method of a model or of its network, or None where neither has it."""
    for network in (model, getattr(model, "network", None)):
        method = getattr(network, name, None)
        if callable(method):
            return method
    return None
