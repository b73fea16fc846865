"""Choose the colours and sizes of what stands in our rendered street."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = tuple[float, float, float]
Random = np.random.Generator

WHITE: Colour = (0.72, 0.71, 0.68)
STONE: Colour = (0.50, 0.47, 0.42)
SLATE: Colour = (0.10, 0.105, 0.12)
TILES: Colour = (0.22, 0.10, 0.065)
METAL: Colour = (0.08, 0.085, 0.085)
RUBBER: Colour = (0.03, 0.03, 0.032)
DARK: Colour = (0.45, 0.47, 0.50)


def between(random: Random, low: float, high: float) -> float:
    """Draw a number evenly between two."""
    return low + (high - low) * float(random.random())


def one_of(random: Random, choices: tuple[Colour, ...]) -> Colour:
    """Draw one of several colours, each a little lighter or darker."""
    colour = choices[int(random.random() * len(choices))]
    tone = between(random, 0.88, 1.1)
    return colour[0] * tone, colour[1] * tone, colour[2] * tone


PAINTS: tuple[Colour, ...] = (
    (0.45, 0.46, 0.48), (0.03, 0.03, 0.035), (0.62, 0.62, 0.60), (0.20, 0.02, 0.02),
    (0.03, 0.06, 0.15), (0.16, 0.17, 0.18), (0.05, 0.10, 0.09),
)  # fmt: skip
