"""Write a fitted scene as a recipe, with where it comes from in comments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.calibration.comparing import Distance
from rvsd_bench.calibration.fitting import Fit, Found
from rvsd_bench.calibration.footage import Footage
from rvsd_bench.files import remove_orphans, write_text
from rvsd_bench.generators import Scene

DIGITS = 4
"""Significant digits of a fitted number; the footage tells no more."""


def write_recipe(
    path: Path, fit: Fit, footage: Sequence[Footage], sources: Sequence[str], base: str
) -> None:
    """Write the recipe atomically: what `generate --recipe` reads, under a header of comments.

    `sources` are the SHA-256 of the clips. Only numbers that differ from a plain `Scene` are
    written; the light of the air is left to be estimated from each clip.
    """
    lines = [*_header(fit, footage, sources, base), f'about = "calibrated, from preset {base}"']
    for table, numbers in _changed(fit.scene):
        lines += ["", f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in numbers)]
    remove_orphans(path.parent)
    write_text(path, "\n".join(lines) + "\n")


def describe(distance: Distance) -> str:
    """Return a distance and its parts, for people."""
    return (
        f"{distance.total:.3f} (shape {distance.shape:.3f}, "
        f"log ratio of count {distance.count:+.2f}, "
        f"of cover {distance.cover:+.2f}, motion {distance.motion:.2f})"
    )


def describe_number(number: Found) -> str:
    """Return a fitted number and its standard error, for people."""
    if number.knob.even:
        return f"{number.knob.path} {number.value:.3g} +- {number.error:.2g}"
    return f"{number.knob.path} {number.value:.3g} +- {100 * number.error:.0f} %"


def _header(
    fit: Fit, footage: Sequence[Footage], sources: Sequence[str], base: str
) -> Iterator[str]:
    yield f"# Made by rvsd-bench {__version__} calibrate: preset {base}, {fit.trials} trials."
    for real, source, before, after in zip(footage, sources, fit.before, fit.after, strict=True):
        yield f"# {real.name!a}, sha256 {source}"
        yield f"#   distance before {describe(before)}"
        yield f"#   distance after  {describe(after)}"
    yield f"# Misfit {fit.misfit:.2f} standard errors. Fitted, with standard errors:"
    for number in fit.found:
        yield f"#   {describe_number(number)}"
    if fit.crf:
        yield f"# Seen through an H.264 coder of rate factor {fit.crf:.0f}, which is not in here."
    yield "# Fog is what the darkest things show, at most. The light of the air is each clip's."


def _changed(scene: Scene) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    plain = Scene()
    for table in fields(scene):
        part, usual = getattr(scene, table.name), getattr(plain, table.name)
        if is_dataclass(part):
            names = [f.name for f in fields(part)]
            pairs = [(n, getattr(part, n)) for n in names if getattr(part, n) != getattr(usual, n)]
            if pairs:
                yield table.name, pairs


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int):
        return str(value)
    return repr(float(f"{value:.{DIGITS}g}"))
