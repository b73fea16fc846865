"""Readers of what people write by hand: poses, velocities, recipes, protocols and cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from readers.clips import FRAMES, frames
from readers.route import Route


def prepare(home: Path) -> None:
    """Make one text of each sort."""
    _motions(home)
    _recipes(home)
    (home / "card.toml").write_text(
        'name = "Mine"\nauthors = ["A. Author"]\npaper = "A paper, 2026"\n'
        'licence = "CC0"\ntraining_data = "RVSD"\nhardware = "one GPU"\nvenue = "X"\nyear = 2026\n'
    )


def _motions(home: Path) -> None:
    head = "frame,tx,ty,tz,qx,qy,qz,qw\n"
    rows = "".join(f"{i},0,0,{0.1 * i:.2f},0,0,0,1\n" for i in range(FRAMES))
    (home / "poses.csv").write_text(head + rows)
    (home / "tum.csv").write_text(
        "".join(f"{0.04 * i:.2f} 0 0 {0.1 * i:.2f} 0 0 0 1\n" for i in range(FRAMES))
    )
    (home / "velocity.csv").write_text("vx,vy,vz\n" + "0.1,0,9.5\n" * FRAMES)
    level = {"time_s": [0.04 * i for i in range(FRAMES)], "rotation_xyzw": [[0, 0, 0, 1]] * FRAMES}
    places = [[0, 0, 0.1 * i] for i in range(FRAMES)]
    (home / "poses.json").write_text(json.dumps({**level, "position_m": places}))
    (home / "velocity.json").write_text(json.dumps({"velocity_m_per_s": [[0.1, 0, 9.5]] * FRAMES}))


def _recipes(home: Path) -> None:
    from rvsd_bench.evaluation.protocol import source
    from rvsd_bench.training.objectives import read_recipe

    own = source("rvsd-2023").replace('"official"', '"community"').replace("rvsd-2023", "mine")
    (home / "protocol.toml").write_text(own)
    (home / "recipe.toml").write_text(
        "[snow]\nrate_mm_per_h = {log_uniform = [0.5, 4.0]}\n[fog]\nextinction_per_m = 0.002\n"
        "[camera]\nshutter_s = {choice = [0.01, {uniform = [0.004, 0.02]}]}\n"
    )
    (home / "training.toml").write_text(read_recipe("svdnet", "lite-cpu"))
    (home / "degradation.toml").write_text(_degradation())


def _degradation() -> str:
    """Return a shipped degradation with every number written out."""
    from dataclasses import asdict

    from rvsd_bench.generators.degradation import PRESETS

    lines = []
    for name, table in asdict(next(iter(PRESETS.values()))).items():
        lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def routes(home: Path, work: Path) -> Iterator[Route]:
    """Yield the routes of motions, recipes, protocols and cards."""
    from rvsd_bench.leaderboard.card import read_card

    for suffix in ("csv", "json"):
        poses = tuple(sorted(home.glob(f"*poses.{suffix}"))) + tuple(home.glob(f"tum.{suffix}"))
        yield Route(suffix, "poses", poses, work / f"in.{suffix}", _motion)
        speeds = (home / f"velocity.{suffix}",)
        yield Route(suffix, "velocities", speeds, work / f"in.{suffix}", _motion)
    for name, file, feed in (
        ("recipe", "recipe.toml", _draw),
        ("protocol", "protocol.toml", _protocol),
        ("card", "card.toml", read_card),
        ("training recipe", "training.toml", _training),
        ("degradation", "degradation.toml", _degraded),
    ):
        yield Route("toml", name, (home / file,), work / "in.toml", feed)


def _motion(path: Path) -> None:
    from rvsd_bench.clip import ArrayClip
    from rvsd_bench.generators.motion import resolve_motion

    resolve_motion(ArrayClip(np.stack(frames()), 25.0), str(path))


def _draw(path: Path) -> None:
    from rvsd_bench.generators import load_recipe

    recipe = load_recipe(path)
    for variant in range(3):
        recipe.draw(0, "", variant)


def _protocol(path: Path) -> None:
    from rvsd_bench.evaluation.protocol import load

    load(str(path))


def _training(path: Path) -> None:
    from rvsd_bench.training.resolving import resolve

    resolve("svdnet?preset=lite", path)


def _degraded(path: Path) -> None:
    from rvsd_bench.generators.degradation import open_degradation

    open_degradation(str(path)).draw(0, "", 0)
