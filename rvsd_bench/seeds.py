"""Turn one seed into independent random streams, the same on every machine and in any order."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def stream(*key: int | str) -> np.random.Generator:
    """Return the random stream that belongs to `key`.

    Philox is counter-based (Salmon et al., SC 2011): a stream is fixed by its key alone, so that
    neither the order in which streams are opened nor the number of workers changes a draw. Use
    `Generator.random` only: NumPy keeps its bit stream, not its distributions, across releases
    (NEP 19).
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    digest = hashlib.sha256(text.encode()).digest()
    words: NDArray[np.uint64] = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    return np.random.Generator(np.random.Philox(key=words))
