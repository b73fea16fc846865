"""Plant snowfalls and find them again: rate, shutter, wind and haze, each from three seeds.

The planted clips have other flakes than any trial, before a dark scene; they are coded as H.264 of
rate factor 20, and the coder is fitted too, as is the brightness of the flakes; the lens is known.
About a minute of CPU per fit: `python benchmarks/calibration.py [TRIALS]`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace

import numpy as np

from rvsd_bench.calibration.fitting import Fit, fit
from rvsd_bench.calibration.footage import look
from rvsd_bench.calibration.imitating import coded
from rvsd_bench.calibration.knobs import Take, full_frame_mm, knobs
from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators import Scene, preset, render

SIZE, FRAMES, FPS, CRF, FAR_M = (176, 320), 48, 25.0, 20.0, 40.0
SEEDS = (3, 5, 7)
FITTED = ("snow.rate", "camera.shutter", "light.flake_gain", "wind", "coder")


@dataclass(frozen=True)
class Planted:
    """What is to be found again."""

    rate_mm_per_h: float
    shutter_s: float
    wind_m_per_s: float
    fog_per_m: float
    hfov_deg: float


SNOWFALLS = (
    Planted(1.6, 1 / 60, 0.5, 0.004, 40.0),
    Planted(0.6, 1 / 200, -1.0, 0.008, 25.0),
)


def scene(planted: Planted) -> Scene:
    """Return the scene of a planted snowfall."""
    base = preset("light")
    return replace(
        base,
        snow=replace(base.snow, rate_mm_per_h=planted.rate_mm_per_h),
        wind=replace(base.wind, velocity_m_per_s=(planted.wind_m_per_s, 0.0, 0.2)),
        fog=replace(base.fog, extinction_per_m=planted.fog_per_m),
        light=replace(base.light, airlight=(0.4, 0.4, 0.4)),
        camera=replace(
            base.camera,
            hfov_deg=planted.hfov_deg,
            focal_mm=full_frame_mm(planted.hfov_deg),
            f_number=5.6,
            focus_m=FAR_M,
            shutter_s=planted.shutter_s,
        ),
    )


def recovered(planted: Planted, seed: int, trials: int) -> Fit:
    """Let a planted snow fall, code it, and fit it from the preset `light`."""
    draw = np.random.Generator(np.random.Philox(3)).random((SIZE[0] // 8, SIZE[1] // 8, 3))
    dark = np.kron(10 + 35 * draw, np.ones((8, 8, 1))).astype(np.uint8)
    clean = ArrayClip(np.broadcast_to(dark, (FRAMES, *dark.shape)), fps=FPS)
    shot = render(clean, scene(planted), seed, depth=f"constant:{FAR_M:g}", motion="static")
    clip = ArrayClip(np.stack(coded([f.snowy for f in shot], FPS, CRF)), fps=FPS, name="planted")
    base = preset("light")
    lens = replace(scene(planted).camera, shutter_s=base.camera.shutter_s)
    base = replace(base, camera=lens)
    turns = [knob for knob in knobs(1 / FPS) if knob.path.startswith(FITTED)]
    return fit([look(clip)], Take(base), turns, background_m=FAR_M, trials=trials)


def row(planted: Planted, seed: int, found: Fit) -> str:
    """Return what was found, and by how much it is off."""
    ours = found.scene
    rate, shutter_s = ours.snow.rate_mm_per_h, ours.camera.shutter_s
    wind, fog = ours.wind.velocity_m_per_s[0], ours.fog.extinction_per_m
    return (
        f"seed {seed:3}  {rate:5.2f} ({rate / planted.rate_mm_per_h - 1:+4.0%})  "
        f"{1 / shutter_s:4.0f} ({shutter_s / planted.shutter_s - 1:+4.0%})  "
        f"{wind:+5.2f} ({wind - planted.wind_m_per_s:+5.2f})  "
        f"{fog:.4f} ({fog - planted.fog_per_m:+.4f})  {found.crf:4.0f}  "
        f"{found.before[0].total:8.3f} {found.after[0].total:6.3f}  {found.misfit:6.2f}"
    )


def main() -> None:
    """Print planted and recovered numbers, and the distances before and after."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print("          rate mm/h      1/shutter    wind m/s       fog 1/m           crf    before")
    print(f"{'':76}after  misfit")
    for planted in SNOWFALLS:
        print(
            f"planted   {planted.rate_mm_per_h:5.2f}         {1 / planted.shutter_s:4.0f}         "
            f"{planted.wind_m_per_s:+5.2f}          {planted.fog_per_m:.4f}           {CRF:4.0f}"
        )
        for seed in SEEDS:
            start = time.process_time()
            found = recovered(planted, seed, trials)
            print(f"{row(planted, seed, found)}  {time.process_time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
