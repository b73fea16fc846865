"""Say what is asked of each video of a dataset, and which finished ones were made just so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench import __version__
from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_of
from rvsd_bench.making.job import Job
from rvsd_bench.making.planning import Options, Plan
from rvsd_bench.making.stored import DEGRADED
from rvsd_bench.texts import require_text

if TYPE_CHECKING:
    from rvsd_bench.generators import Recipe, Scene
    from rvsd_bench.generators.degradation import DegradationRecipe


def open_recipe(recipe: str | Path | Scene | Recipe) -> tuple[Recipe, dict[str, str]]:
    """Return a recipe, and what meta records of it: its name and the digest of its content."""
    from rvsd_bench.generators.recipes import as_recipe, load_recipe, preset

    if isinstance(recipe, str):
        name, found = recipe, as_recipe(preset(recipe))
    elif isinstance(recipe, Path):
        name, found = recipe.name, load_recipe(recipe)
    else:
        found = as_recipe(recipe)
        name = Path(found.where).name
    return found, {"name": name, "sha256": digest_of(found.tree)}


def ask(
    plan: Plan, out: Path, options: Options, recipe: Recipe, recipe_facts: Mapping[str, str]
) -> list[Job]:
    """Return the jobs of a plan; each request is what decides the bytes of its video.

    Raises InputError for a name or text that no meta file could hold.
    """
    depths = {video.source.depth: described(video.source.depth) for video in plan.videos}
    shared = {
        "version": __version__,
        "recipe": dict(recipe_facts),
        "motion": described(options.motion),
        "seed": options.seed,
        "layers": options.layers,
        "container": options.container,
        "max_frames": options.max_frames,
        "size": list(options.size) if options.size else None,
        "fps": options.fps,
        "licence": options.licence,
        "weather": options.weather,
        "degrade": _told_degradation(options.degrade),
    }
    for name, value in (shared | {"depth": sorted(depths.values())}).items():
        require_text(json.dumps(value, ensure_ascii=False), name)
    return [
        Job(
            out,
            video,
            options,
            recipe,
            shared
            | {"source": video.source.id, "variant": video.variant}
            | {"depth": depths[video.source.depth]},
        )
        for video in plan.videos
    ]


def described(spec: str) -> str:
    """Return a specification with the digest of the file or folder that it names, if it does."""
    from rvsd_bench.files import sha256_file, tree_digest

    path = Path(spec.partition("?")[0])
    if spec in ("auto", "ground", "mono", "static") or not path.exists():
        return spec
    return f"{Path(spec).name} {tree_digest(path) if path.is_dir() else sha256_file(path)}"


def _told_degradation(recipe: DegradationRecipe | None) -> dict[str, str] | None:
    """Return what meta records of the degradation that was asked for."""
    if recipe is None:
        return None
    return {"name": Path(recipe.where).name, "sha256": digest_of(recipe.tree)}


def finished_before(out: Path, jobs: Sequence[Job], force: bool) -> tuple[str, ...]:
    """Return the labels of the finished videos; refuse those that were made otherwise."""
    from rvsd_bench.making.manifest import finished

    if force:
        return ()
    asked = {(job.place.split, job.place.name): job for job in jobs}
    kept = []
    for (split, name), meta in finished(out).items():
        label = f"{split}/{name}"
        job = asked.get((split, name))
        changed = _changes(meta["request"], job.request) if job else "no input gives it any more"
        if changed:
            raise InputError(
                f"{out} holds {label}, made otherwise: {changed}; "
                "choose another --out, or --force to make everything anew"
            )
        if job and _is_there(job):
            kept.append(label)
    return tuple(kept)


def _is_there(job: Job) -> bool:
    """Tell whether all parts of a finished video still lie where they were put."""
    sides = ["clean", "snow", *([DEGRADED] if job.options.degrade else ())]
    parts = [job.place.side(kind) for kind in sides]
    parts += [job.place.layers] if job.options.layers != "none" else []
    return all(part.exists() for part in parts)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between two requests; a recipe is known by its content, not its name."""

    def short(value: Any) -> str:
        if isinstance(value, dict):
            return f"{value['name']} ({value['sha256'][:8]})"
        text = str(value)
        return text if len(text) <= 40 else f"{text[:36]}..."

    def content(value: Any) -> Any:
        return value["sha256"] if isinstance(value, dict) else value

    return ", ".join(
        f"its {key} was {short(before.get(key))}, now {short(now[key])}"
        for key in sorted(now)
        if content(before.get(key)) != content(now[key])
    )
