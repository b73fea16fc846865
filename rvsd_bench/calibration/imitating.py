"""Let synthetic snow fall before the background of real footage, and say how far it is from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.calibration.flakes import RUN, SnowStatistics, measure
from rvsd_bench.calibration.footage import Footage
from rvsd_bench.clip import ArrayClip, Frame
from rvsd_bench.generators import Scene, prepare, render_frame
from rvsd_bench.generators.compose import compose
from rvsd_bench.mixtures import fit_mixture, jensen_shannon, symmetric_kl

MOST_CELLS, FLAKES_PER_CELL = 6, 25
"""Of the histogram along each feature; its edges are quantiles of the real flakes. Few flakes in
many cells would look unlike any others."""
COMPONENTS = 4
MOST_FLAKES = 30_000
"""Drawn singly in a trial; the others are grain, of the same law."""


@dataclass(frozen=True)
class Distance:
    """How far synthetic snow is from real snow; 0 in every part is alike."""

    shape: float
    """Jensen-Shannon divergence of area, peak and elongation jointly, in nats."""
    count: float
    """Natural logarithm of synthetic over real flakes."""
    cover: float
    """Natural logarithm of synthetic over real share of pixels with snow: it tells dense snow,
    whose flakes merge, from sparse snow with as many blobs."""
    motion: float
    """Difference of the dominant motions over the real one."""

    @property
    def total(self) -> float:
        """Return what a fit makes small: shape and the squares of the others, added.

        Beyond its own length a wrong motion counts no more, since a peak elsewhere says nothing.
        """
        return self.shape + self.count**2 + self.cover**2 + 0.25 * min(self.motion, 1.0) ** 2


def before_camera(scene: Scene, footage: Footage) -> Scene:
    """Return the scene with the field of view of the window that was looked at."""
    focal = scene.camera.focal_px(footage.width)
    hfov = 2 * math.degrees(math.atan(footage.background.shape[1] / 2 / focal))
    return replace(scene, camera=replace(scene.camera, hfov_deg=hfov))


def imitate(
    footage: Footage,
    scene: Scene,
    background_m: float,
    seed: int = 0,
) -> list[list[Frame]]:
    """Render the runs of frames of a footage with synthetic snow; the same seed, the same flakes.

    Air adds no haze: the background has it already.
    """
    scene = before_camera(scene, footage)
    scene = replace(
        scene,
        light=replace(scene.light, airlight=footage.airlight),
        tiers=replace(scene.tiers, max_sim=MOST_FLAKES),
    )
    count = footage.starts[-1] + RUN
    still = np.broadcast_to(footage.background, (count, *footage.background.shape))
    clip = ArrayClip(still, fps=footage.fps, name=footage.name)
    depth = f"constant:{background_m:g}"
    shot = prepare(clip, scene, seed=seed, source_id="calibrate", depth=depth, motion="static")
    clear = np.full(clip.size, 65535, np.uint16)

    def frame(index: int) -> Frame:
        layers = render_frame(shot, index, footage.background)
        return compose(
            footage.background, clear, layers.z16, layers.p16, layers.a16, layers.gain,
            layers.domain,
        )  # fmt: skip

    return [[frame(start + k) for k in range(RUN)] for start in footage.starts]


def distance(real: SnowStatistics, synthetic: SnowStatistics) -> Distance:
    """Compare two snowfalls; the histogram's cells hold about equally many real flakes."""
    cells = round((len(real.features) / FLAKES_PER_CELL) ** (1 / real.features.shape[1]))
    inner = np.linspace(0, 1, min(max(cells, 2), MOST_CELLS) + 1)[1:-1]
    edges = [np.quantile(column, inner) for column in real.features.T]
    shape = jensen_shannon(_histogram(real.features, edges), _histogram(synthetic.features, edges))
    length = max(float(np.hypot(*real.motion_px)), 1.0)
    return Distance(
        shape=shape,
        count=math.log((synthetic.per_megapixel + 1) / (real.per_megapixel + 1)),
        cover=math.log((synthetic.covered + 1e-6) / (real.covered + 1e-6)),
        motion=float(np.hypot(*(synthetic.motion_px - real.motion_px))) / length,
    )


def divergence(real: SnowStatistics, synthetic: SnowStatistics) -> float:
    """Return the symmetric Kullback-Leibler divergence of two mixtures of four Gaussians.

    It is reported beside the distance that is minimised. Both are fitted to standardised features.
    """
    middle, spread = real.features.mean(axis=0), real.features.std(axis=0)
    ours, theirs = (
        fit_mixture((s.features - middle) / spread, COMPONENTS, ("calibrate", name))
        for name, s in (("real", real), ("synthetic", synthetic))
    )
    return symmetric_kl(ours, theirs, ("calibrate",))


def compare(
    footage: Sequence[Footage],
    scene: Scene,
    background_m: float,
    seed: int = 0,
) -> list[Distance]:
    """Return the distances of a scene's snow from that of several clips."""
    parts = []
    for real in footage:
        runs = imitate(real, scene, background_m, seed)
        parts.append(distance(real.statistics, measure(runs, real.threshold)))
    return parts


def _histogram(
    features: NDArray[np.float64], edges: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    places = [np.searchsorted(e, column) for e, column in zip(edges, features.T)]
    shape = tuple(len(e) + 1 for e in edges)
    flat = np.ravel_multi_index(tuple(places), shape)
    return np.bincount(flat, minlength=math.prod(shape)).astype(np.float64)
