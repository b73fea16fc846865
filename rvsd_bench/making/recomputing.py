"""Make the snowy frames of a finished video again: from its layers, or by rendering."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.errors import InputError
from rvsd_bench.making.manifest import Meta
from rvsd_bench.making.stored import LIGHT, PLANES, StoredVideo, Timed, frame_name
from rvsd_bench.texts import brief


def open_side(place: StoredVideo, meta: Meta, kind: str) -> Clip:
    """Open the `clean` or the `snow` side of a finished video, with the times that meta records.

    Raises InputError if the number or the size of its frames is not that of meta.
    """
    from rvsd_bench.media.reading import read_clip

    times, fps = np.array(meta["times_s"], np.float64), float(meta["fps"])
    clip = read_clip(place.side(kind), fps=fps)
    if not len(clip) == len(times) == meta["frames"]:
        raise InputError(f"{place.side(kind)} has {len(clip)} frames, its meta {meta['frames']}")
    if clip.size != (meta["height"], meta["width"]):
        raise InputError(
            f"{place.side(kind)} is {clip.size[1]} x {clip.size[0]} pixels, its meta "
            f"{meta['width']} x {meta['height']}"
        )
    return Timed(clip, times, fps, meta["reading"])


def recomposed(place: StoredVideo, meta: Meta, clean: Clip) -> Iterator[Frame]:
    """Put every snowy frame together again from the clean frame and its layers, in whole numbers.

    Raises InputError if a layer is unreadable or does not fit, or meta asks for another arithmetic.
    """
    from rvsd_bench.generators.compose import compose, facts

    told = meta["compose"]
    domain, gain = told.get("domain"), told.get("gain")
    light = meta["atmospheric_light"].get("value16")
    if domain not in ("linear", "srgb") or gain not in (1, 2, 4, 8, 16, 32, 64):
        raise InputError(f"{place.meta}: compose has {brief({'domain': domain, 'gain': gain})}")
    if told != facts(domain, gain):
        raise InputError(f"{place.meta}: another version composed its frames: {brief(told)}")
    if not _is_light(light):
        raise InputError(f"{place.meta}: the atmospheric light is {brief(light)}")
    varies, air = meta["atmospheric_light"].get("map"), np.array(light, np.uint16)
    for index, frame in enumerate(clean):
        T, z, p = (_plane(place, plane, index, frame) for plane in PLANES)
        A = _light_map(place, index, frame) if varies else air
        yield compose(frame, T, z, p, A, gain, domain)


def rendered_again(
    place: StoredVideo, meta: Meta, clean: Clip, depth: Path | None
) -> Iterator[Frame]:
    """Render every snowy frame again from the clean frames and the numbers in meta."""
    from rvsd_bench.generators import Scene, prepare
    from rvsd_bench.making.publishing import rendered
    from rvsd_bench.recipe import structure

    with tempfile.TemporaryDirectory() as folder:
        shot = prepare(
            clean,
            structure(Scene, meta["scene"], f"{place.meta}: scene"),
            seed=meta["seed"],
            source_id=meta["source"]["sha256"],
            variant=meta["variant"],
            depth=_depth_again(place, meta, depth),
            motion=_motion_again(meta, Path(folder)),
        )
    now = json.loads(json.dumps(shot.facts["depth"]))
    then = {key: value for key, value in meta["depth"].items() if key != "fallback"}
    if now != then:
        raise InputError(f"{place.label}: its depth was {then}, now it is {now}")
    weather = meta["request"].get("weather", "both")
    yield from (frame.snowy for frame in rendered(shot, clean, weather))


def _plane(place: StoredVideo, plane: str, index: int, frame: Frame) -> NDArray[np.uint16]:
    from rvsd_bench.media.images import read_gray16

    path = place.layers / plane / frame_name(index)
    values = read_gray16(path)
    if values.shape != frame.shape[:2]:
        raise InputError(f"{path} has another size than its frame")
    return values


def _light_map(place: StoredVideo, index: int, frame: Frame) -> NDArray[np.uint16]:
    from rvsd_bench.generators.lightmap import spread
    from rvsd_bench.media.images import read_rgb16

    path = place.layers / LIGHT / frame_name(index)
    try:
        return spread(read_rgb16(path), frame.shape[:2])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _is_light(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(part) is int and 0 <= part <= 65535 for part in value)
    )


def _depth_again(place: StoredVideo, meta: Meta, given: Path | None) -> str:
    facts = meta["depth"]
    source = facts.get("source")
    if source in ("ground", "mono"):
        return str(source)
    if source == "constant":
        return f"constant:{facts['depth_m']!r}"
    if given is None:
        raise InputError(
            f"{place.label}: its depth came from {brief(facts.get('path', 'the clip itself'))}, "
            "which is not part of the dataset: give it with --depth to have the frames rendered "
            "again"
        )
    inside = given / str(facts["path"])
    return f"{inside if inside.exists() else given}?units_per_m={facts['png_units_per_m']!r}"


def _motion_again(meta: Meta, folder: Path) -> str:
    """Return the motion as it was asked for; a file's velocity or poses are written down again."""
    if meta["motion"]["method"] != "file":
        return str(meta["request"]["motion"])
    path = folder / "motion.json"
    velocity = {"velocity_m_per_s": meta["motion"]["velocity_m_per_s"]}
    path.write_text(json.dumps(meta["motion"].get("path", velocity)))
    return str(path)
