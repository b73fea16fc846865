"""`rvsd-bench calibrate`: fit a recipe to real falling snow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli import common

if TYPE_CHECKING:
    from rvsd_bench.calibration.comparing import Distance


@click.command()
@click.argument("real", nargs=-1, required=True, type=common.ExistingOrNot, metavar="REAL...")
@click.option("--out", required=True, type=common.ExistingOrNot, metavar="FILE.toml")
@click.option("--preset", default="light", show_default=True, help="The snowfall to begin with.")
@click.option(
    "--distance",
    "background_m",
    type=click.FloatRange(3, 1000),
    default=40.0,
    show_default=True,
    metavar="M",
    help="How far the background is, in metres.",
)
@click.option(
    "--hfov",
    "hfov_deg",
    type=click.FloatRange(6, 100),
    metavar="DEG",
    help="Horizontal field of view, if it is known; else it is fitted, and the rate less certain.",
)
@click.option(
    "--crf",
    type=click.FloatRange(0, 45),
    metavar="N",
    help="Rate factor of the clip's H.264 coder, 0 for what lost nothing; else it is fitted.",
)
@click.option(
    "--slowed",
    type=click.FloatRange(0.1, 40),
    default=1.0,
    show_default=True,
    metavar="TIMES",
    help="How many times slower the clips play than the snow fell: slow motion.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Snowfalls to try, about; each takes some two thirds of a second per clip.",
)
@click.option("--fps", type=float, help="Rate of folders of frames.  [default: 25]")
@common.seed_option
@common.json_option
def calibrate(
    real: tuple[Path, ...],
    out: Path,
    preset: str,
    background_m: float,
    hfov_deg: float | None,
    crf: float | None,
    slowed: float,
    trials: int,
    fps: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Fit snow, camera and haze to real falling snow, and write the recipe.

    REAL are clips of one snowfall from one camera that stands still, or that was stabilised; each
    has its own exposure and wind across. What is made small is the misfit of the numbers of flakes
    by area, contrast and elongation, of the area that they cover and of their motion, in standard
    errors, after a coder like the clip's. The distance that is printed is judged by other flakes:
    the Jensen-Shannon divergence of area, contrast and elongation, plus the squared logarithms of
    the ratios of number and of cover, plus how far their motion is off.
    """
    from rvsd_bench import generators
    from rvsd_bench.calibration import calibrating
    from rvsd_bench.calibration.writing import describe, describe_number

    result = calibrating.calibrate(
        real,
        out,
        base=preset,
        scene=generators.preset(preset),
        background_m=background_m,
        trials=trials,
        hfov_deg=hfov_deg,
        crf=crf,
        slowed=slowed,
        fps=fps,
        seed=seed,
        report=common.say,
    )
    if as_json:
        common.answer({"out": str(out), "trials": result.trials, **_numbers(result)})
    for number in result.found:
        common.say(f"fitted {describe_number(number)}")
    for before, after in zip(result.before, result.after, strict=True):
        common.say(f"distance before: {describe(before)}")
        common.say(f"distance after:  {describe(after)}")
    common.say("divergence of mixtures: {:.2f} before, {:.2f} after".format(*result.divergence))
    common.say(f"wrote {out}")


def _numbers(result: Any) -> dict[str, Any]:
    def parts(distance: Distance) -> dict[str, float]:
        names = ("total", "shape", "count", "cover", "motion")
        return {name: getattr(distance, name) for name in names}

    return {
        "fitted": {n.knob.path: {"value": n.value, "error": n.error} for n in result.found},
        "misfit": result.misfit,
        "before": [parts(d) for d in result.before],
        "after": [parts(d) for d in result.after],
    }
