"""Calibrate: from clips of real snow to a recipe on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rvsd_bench.calibration.fitting import Fit, fit
from rvsd_bench.calibration.footage import Footage, look
from rvsd_bench.calibration.knobs import USUAL_CRF, Take, knobs
from rvsd_bench.calibration.writing import write_recipe
from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_source
from rvsd_bench.generators import Scene
from rvsd_bench.media.reading import find_clips, read_clip


def calibrate(
    inputs: Sequence[Path],
    out: Path,
    *,
    base: str,
    scene: Scene,
    background_m: float,
    trials: int,
    hfov_deg: float | None = None,
    crf: float | None = None,
    slowed: float = 1.0,
    fps: float | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Fit a scene to clips of real snow and write it to `out`, a TOML file.

    `base` is the name of the scene that the fit begins with. A known field of view is not fitted,
    nor the rate factor of a known H.264 coder, 0 for none. Snow falls `slowed` times as fast as the
    clips show it.
    All clips are looked at before anything is fitted. Raises InputError for clips from which no
    snow can be measured.
    """
    if out.suffix.lower() != ".toml":
        raise InputError(f"--out {out}: a recipe is a .toml file")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: its folder does not exist: make it first")
    paths = find_clips(inputs)
    footage = []
    for path in paths:
        real = look(read_clip(path, fps=fps))
        real = replace(real, fps=slowed * real.fps)
        report(_seen(real))
        footage.append(real)
    if hfov_deg:
        scene = replace(scene, camera=replace(scene.camera, hfov_deg=hfov_deg))
    turns = knobs(min(1 / real.fps for real in footage), hfov_deg, crf)
    take = Take(scene, USUAL_CRF if crf is None else crf)
    tell = _teller(trials, report)
    result = fit(
        footage, take, turns, background_m=background_m, trials=trials, seed=seed, report=tell
    )
    write_recipe(out, result, footage, [digest_source(path) for path in paths], base)
    return result


def _teller(trials: int, report: Callable[[str], None]) -> Callable[[int, float], None]:
    """Return what prints about ten lines in the course of a fit."""
    told, least = 0, float("inf")

    def tell(trial: int, misfit: float) -> None:
        nonlocal told, least
        least = min(least, misfit)
        if trial >= told + max(1, trials // 10):
            told = trial
            report(f"trial {trial} of about {trials}: misfit {least:.2f} standard errors")

    return tell


def _seen(real: Footage) -> str:
    across, down = real.statistics.motion_px
    return (
        f"{real.name}: {real.statistics.per_megapixel:.0f} flakes per megapixel and frame, moving "
        f"{across:+.1f} px across and {down:+.1f} px down from frame to frame"
    )
