"""Run the whole chain on small footage: film, generate, evaluate, and build the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.jobs import Track, untracked

if TYPE_CHECKING:
    from rvsd_bench.leaderboard.table import Group

SAMPLE = "bikes"
FRAMES = 50
FPS = 25.0
PRESET = "heavy"
SEED = 0
TEST, FIT = "snowy-streets", "snowy-avenue"
NETWORK = "svdnet?preset=lite"
"""The network whose trained weights come with the package."""


@dataclass(frozen=True)
class Demo:
    """What the demo made."""

    footage: str
    """Which footage it ran on, in words."""
    page: Path
    sheet: Path
    groups: tuple[Group, ...]
    left_out: tuple[str, ...]
    """What could not be done on this machine, and how to get it."""


def run_demo(
    out: Path,
    *,
    workers: int = 1,
    frames: int = FRAMES,
    report: Callable[[str], None] = lambda line: None,
    track: Track = untracked,
) -> Demo:
    """Make snowy pairs, score the classical restorers on them, and build the leaderboard.

    The footage is the sample clip (a real street) if it was fetched, and our rendered street; the
    affine reference is fitted on a second rendered street. What is finished already in `out` is
    kept, so that an interrupted demo goes on.
    """
    from rvsd_bench.evaluation.evaluating import evaluate
    from rvsd_bench.leaderboard.build import build
    from rvsd_bench.making.generating import generate

    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    left_out: list[str] = []
    test, footage = _footage(out / "footage", frames, left_out, report)
    report(f"footage: {footage}")
    fit = [_film("avenue", out / "footage", frames)]
    for inputs, folder, split in ((fit, FIT, "train=1"), (test, TEST, "test=1")):
        report(f"snow ({PRESET}) over {', '.join(p.name for p in inputs)} -> {out / folder}")
        generate(
            inputs,
            out / folder,
            recipe=PRESET,
            split=split,
            seed=SEED,
            fps=FPS,
            workers=workers,
            report=report,
            track=track,
        ).raise_failures()
    models = ["identity", "median", "dcp", f"affine=affine?from={out / FIT}", NETWORK]
    report(f"scores of {', '.join(re.split('[=?]', m)[0] for m in models)} -> {out / 'run'}")
    evaluation = evaluate(
        models,
        out / TEST,
        out=out / "run",
        skip_missing=True,
        workers=workers,
        report=report,
        track=track,
    )
    evaluation.raise_failures()
    left_out += [f"{name}: {why}" for name, why in evaluation.plan.skipped.items()]
    groups = build([out / "run"], out / "leaderboard", reported=True)
    sheet = _sheet(test[0], out)
    return Demo(footage, out / "leaderboard" / "index.html", sheet, tuple(groups), tuple(left_out))


def _footage(
    folder: Path, frames: int, left_out: list[str], report: Callable[[str], None]
) -> tuple[list[Path], str]:
    """Return the clips to test on, the real one first, and what they are."""
    from rvsd_bench import samples

    street = _film("street", folder, frames)
    try:
        return [_sample(folder, frames), street], (
            f"{samples.describe(SAMPLE)}, and the rendered street"
        )
    except MissingError as error:
        left_out.append(f"the real sample clip: {error}")
        return [street], "the rendered street alone (the real sample clip is not on this machine)"


def _sample(folder: Path, frames: int) -> Path:
    from rvsd_bench import samples
    from rvsd_bench.media.video_writing import write_ffv1

    clip = samples.sample_clip(SAMPLE)
    target = folder / f"{SAMPLE}.mkv"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_ffv1(target, islice(clip, frames), clip.fps)
    return target


def _film(scene: str, folder: Path, frames: int) -> Path:
    """Render one of our streets into a folder of frames, its exact depth beside it."""
    import numpy as np

    from rvsd_bench.files import publish_folder
    from rvsd_bench.generators.street.clip import render_street
    from rvsd_bench.media.images import write_png

    target, maps = folder / scene, folder / f"{scene}.depth"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    clip = render_street(frames=frames, fps=FPS, scene=scene)
    with publish_folder(maps) as depths, publish_folder(target) as pictures:
        for index, frame in enumerate(clip):
            write_png(pictures / f"{index:04d}.png", frame)
            np.save(depths / f"{index:04d}.npy", clip.depth(index))
    return target


def _sheet(clip: Path, out: Path) -> Path:
    from rvsd_bench.making.previewing import preview

    target = out / "preview.png"
    preview(clip, target, recipe=PRESET, seed=SEED)
    return target
