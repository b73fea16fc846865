"""Write the card of a generated dataset: what it holds, of which footage, and how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from rvsd_bench.making.stored import LIGHT, PLANES

Metas: TypeAlias = Mapping[tuple[str, str], Mapping[str, Any]]

_UNSTATED = "not stated"

_EQUATION = """\
## The equation

Each snowy frame follows the atmospheric scattering model with snow, in {domain}:

    J' = J·T + A·(1−T)        S = A·p − z·J'        I = J·T + A·(1−T) + S

`transmission` holds T, `coverage` z and `radiance` p, as 16-bit grey pictures: a value is the
stored number over 65535, for p times the gain in the clip's meta file. S is signed: before a bright
sky a flake is darker than the sky. The stored frame is put together from the stored layers in whole
numbers, so that `rvsd-bench verify` can recompute every frame byte for byte.
"""

_LIGHT = """\
At night A varies: `light` holds it as 16-bit RGB, a pixel for each 8 × 8 of the frame, its value
that of their middle, and bilinear in between. In videos without that folder A is one colour,
`atmospheric_light.value16` over 65535 in the clip's meta file.
"""

_NO_LAYERS = """\
## The layers

This dataset was made without layers. `rvsd-bench verify` renders its frames again from the clean
frames and the meta files.
"""


def dataset_card(metas: Metas) -> str:
    """Return README.md of a dataset, in Markdown; equal metas give equal text."""
    first = next(iter(metas.values()))
    layers = [meta["request"]["layers"] != "none" for meta in metas.values()]
    night = any(layers) and any(meta["atmospheric_light"].get("map") for meta in metas.values())
    domain = "linear light" if first["compose"]["domain"] == "linear" else "display values (sRGB)"
    licences = sorted({meta["source"]["licence"] or _UNSTATED for meta in metas.values()})
    parts = [
        _front(licences),
        "# Snowy video with ground truth\n",
        "Made from clean footage by rvsd-bench "
        f"{first['versions']['rvsd-bench']}: for every snowy frame there is the clean one"
        + (" and every layer in between.\n" if all(layers) else ".\n"),
        _splits(metas),
        _footage(metas, licences),
        _making(metas),
        _folders(first, any(layers), night, any("degradation" in m for m in metas.values())),
        _EQUATION.format(domain=domain) if any(layers) else _NO_LAYERS,
        *([_LIGHT] if night else []),
        "## Check it\n\n    rvsd-bench verify .\n",
    ]
    return "\n".join(parts)


def _front(licences: list[str]) -> str:
    return "\n".join(
        [
            "---",
            "pretty_name: Snowy video with ground truth",
            "task_categories: [image-to-image]",
            "tags: [video, desnowing, snow, haze, synthetic]",
            "license: other",
            f"license_name: {_quoted('; '.join(licences))}",
            "---\n",
        ]
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _splits(metas: Metas) -> str:
    lines = ["| split | videos | frames | source clips | size |", "|---|---|---|---|---|"]
    for split in ("train", "test"):
        part = [meta for (its_split, _), meta in metas.items() if its_split == split]
        if part:
            sizes = sorted({f"{meta['width']}×{meta['height']}" for meta in part})
            sources = {meta["source"]["sha256"] for meta in part}
            frames = sum(meta["frames"] for meta in part)
            lines.append(
                f"| {split} | {len(part)} | {frames} | {len(sources)} | {', '.join(sizes)} |"
            )
    return "\n".join([*lines, ""])


def _footage(metas: Metas, licences: list[str]) -> str:
    sources: dict[str, tuple[str, str, list[str]]] = {}
    for (split, name), meta in metas.items():
        source = meta["source"]
        entry: tuple[str, str, list[str]] = (source["name"], source["licence"] or _UNSTATED, [])
        sources.setdefault(source["sha256"], entry)[2].append(f"{split}/{name}")
    rows = [
        f"| {_cell(name)} | `{digest[:12]}` | {_cell(licence)} | {', '.join(videos)} |"
        for digest, (name, licence, videos) in sources.items()
    ]
    lines = [
        "## The footage\n",
        "| clip | SHA-256 | licence | videos |",
        "|---|---|---|---|",
        *rows,
    ]
    if _UNSTATED in licences:
        lines.append("\nFind out the licence of the footage before you pass this dataset on.")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _making(metas: Metas) -> str:
    def told(values: set[str]) -> str:
        return ", ".join(sorted(values))

    weathers = {meta["request"].get("weather", "both") for meta in metas.values()} - {"both"}
    alone = f", {told(weathers)} alone" if weathers else ""
    recipes = {_cell(meta["request"]["recipe"]["name"]) for meta in metas.values()}
    seeds = {str(meta["seed"]) for meta in metas.values()}
    depths = {meta["depth"]["source"] for meta in metas.values()}
    motions = {meta["motion"]["method"] for meta in metas.values()}
    return (
        "## How it was made\n\n"
        f"Recipe {told(recipes)}{alone}, seed {told(seeds)}; depth from: {told(depths)}; "
        f"camera motion from: {told(motions)}. "
        "`meta/<video>.json` holds every number of the scene, the digest of every file and the "
        "versions of the software.\n"
    )


def _folders(first: Mapping[str, Any], layers: bool, night: bool, degraded: bool) -> str:
    container = first["request"]["container"]
    frame = {"png": "<video>/<frame>.png", "jpg": "<video>/<frame>.jpg", "ffv1": "<video>.mkv"}
    lines = [
        f"    <split>/clean/{frame[container]}   without snow",
        f"    <split>/snow/{frame[container]}    with snow",
        "    <split>/meta/<video>.json            how it was made",
    ]
    if degraded:
        lines.insert(2, f"    <split>/degraded/{frame[container]}    with noise and coded as well")
    if layers:
        planes = ",".join((*PLANES, LIGHT) if night else PLANES)
        lines.insert(2, f"    <split>/layers/<video>/{{{planes}}}/<frame>.png")
    return "\n".join(["## Folders\n", *lines, ""])
