"""Show what a recipe does to a clip: a contact sheet of its layers, or a moving divider."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame, to_uint8
from rvsd_bench.colour import encode_srgb
from rvsd_bench.errors import InputError
from rvsd_bench.jobs import Track, untracked

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

    from rvsd_bench.generators import Recipe, RenderedFrame, Scene, Shot

SHEET_WIDTH = 1600
MOVING_WIDTH = {".gif": 640, ".mp4": 960}
MOVING_FRAMES = 125
"""A moving preview is held in memory; it takes so many frames unless told otherwise."""
SWEEP_S = 5.0
"""The time in which the divider goes from left to right and back."""

COLUMNS = 3

_DARK, _INK, _MUTED = (18, 21, 26), (232, 235, 239), (142, 150, 161)
_MARGIN, _GUTTER, _GAP, _HEAD, _FOOT = 28, 168, 8, 124, 20


@dataclass(frozen=True)
class Row:
    """One row of the sheet: its symbol, what it is, and how it is shown."""

    symbol: str
    about: tuple[str, ...]
    picture: Callable[[RenderedFrame], Frame]


def layer_rows(night: bool = False) -> tuple[Row, ...]:
    """Return the rows of a contact sheet from the clean frame to the snowy one."""
    glow = Row("A", ("glow of lamps",), lambda f: _light(f.A, f.domain))
    return (
        Row("J", ("clean frame",), lambda f: f.clean),
        Row("T", ("transmission", "white: clear air"), lambda f: _shown(f.T)),
        *([glow] if night else []),
        Row("A·(1-T)", ("light of the air",), lambda f: _light(f.A * (1 - f.T), f.domain)),
        Row("z", ("coverage", "by flakes"), lambda f: _light(f.z, f.domain)),
        Row("S", ("snow, signed", "mid-grey: nothing", "darker: below 0"), _signed),
        Row("I", ("snowy frame",), lambda f: f.snowy),
    )


def preview(
    source: Path | str,
    out: Path | str,
    *,
    recipe: str | Path | Scene | Recipe = "moderate",
    seed: int = 0,
    depth: str = "auto",
    motion: str = "auto",
    fps: float | None = None,
    max_frames: int | None = None,
    size: tuple[int, int] | None = None,
    track: Track = untracked,
) -> list[str]:
    """Write a contact sheet (.png) or a moving divider (.gif, .mp4); return notes for its viewer.

    The sheet shows J, T, A(1-T), z, S and I at up to 3 times of the clip; the divider sweeps
    between clean and snowy frames. The snow is what `generate` makes with the same seed.
    """
    from rvsd_bench.files import digest_source
    from rvsd_bench.generators import prepare
    from rvsd_bench.making.asking import open_recipe
    from rvsd_bench.media.reading import read_clip

    source, out = Path(source), Path(out)
    suffix = out.suffix.lower()
    if suffix not in (".png", *MOVING_WIDTH):
        raise InputError(f"{out}: a preview ends in .png (a sheet), .gif or .mp4 (moving)")
    if max_frames is None and suffix in MOVING_WIDTH:
        max_frames = MOVING_FRAMES
    chosen, facts = open_recipe(recipe)
    clip = read_clip(source, fps=fps, stop=max_frames, size=size)
    source_id = digest_source(source)
    shot = prepare(
        clip, chosen, seed=seed, source_id=source_id, depth=depth, motion=motion, path=source
    )
    warning = shot.facts["atmospheric_light"].get("warning")
    notes = [] if warning is None else [warning]
    if suffix == ".png":
        from rvsd_bench.media.images import write_png

        title = f"{clip.name}  ·  {facts['name']}"
        write_png(out, contact_sheet(clip, shot, title=title, track=track))
        return notes
    from rvsd_bench.media.video import write_preview

    frames = moving_divider(clip, shot, MOVING_WIDTH[suffix], track=track)
    return [*write_preview(out, frames, clip.fps), *notes]


def contact_sheet(clip: Clip, shot: Shot, *, title: str = "", track: Track = untracked) -> Frame:
    """Return the sheet, uint8 [H, 1600, 3]: a row for each layer, a column for each time."""
    from PIL import Image, ImageDraw

    from rvsd_bench.generators import render_frame

    rows = layer_rows(night=shot.glow is not None)
    indices = sorted({round(i * (len(clip) - 1) / (COLUMNS - 1)) for i in range(COLUMNS)})
    width = (SHEET_WIDTH - 2 * _MARGIN - _GUTTER - (COLUMNS - 1) * _GAP) // COLUMNS
    height = max(1, round(width * clip.size[0] / clip.size[1]))
    sheet = Image.new("RGB", (SHEET_WIDTH, _HEAD + len(rows) * (height + _GAP) + _FOOT), _DARK)
    draw = ImageDraw.Draw(sheet)
    _label(draw, rows, height, title, shot)
    for column, index in enumerate(track(indices, total=len(indices), what="rendering")):
        frame = render_frame(shot, index, clip[index])
        left = _MARGIN + _GUTTER + column * (width + _GAP)
        _text(draw, (left, _HEAD - 28), f"{shot.times[index]:.2f} s", 16)
        for number, row in enumerate(rows):
            picture = Image.fromarray(_resized(row.picture(frame), (width, height)))
            sheet.paste(picture, (left, _HEAD + number * (height + _GAP)))
    return np.array(sheet)


def moving_divider(
    clip: Clip, shot: Shot, most_wide: int, *, track: Track = untracked
) -> Iterator[Frame]:
    """Yield the clip with snow right of a line that sweeps across it, at most so many px wide."""
    from rvsd_bench.making.publishing import rendered

    scale = min(1.0, most_wide / clip.size[1])
    width, height = (max(1, round(side * scale)) for side in clip.size[::-1])
    for index, frame in enumerate(track(rendered(shot, clip), total=len(clip), what="rendering")):
        picture = _resized(frame.snowy, (width, height)).copy()
        phase = 2 * math.pi * float(shot.times[index] - shot.times[0]) / SWEEP_S
        middle = round(width * (0.5 - 0.42 * math.sin(phase)))
        picture[:, :middle] = _resized(frame.clean, (width, height))[:, :middle]
        picture[:, max(0, middle - 1) : middle + 1] = 255
        yield picture


def _label(draw: ImageDraw, rows: tuple[Row, ...], height: int, title: str, shot: Shot) -> None:
    """Write the heads of the sheet and of its rows."""
    scene = shot.scene
    facts = (
        f"snow {scene.snow.rate_mm_per_h:g} mm/h",
        f"wind {math.hypot(*scene.wind.velocity_m_per_s):.1f} m/s",
        f"depth: {shot.depth.name}",
        f"camera: {shot.facts['motion']['method']}",
        f"I = J·T + A·(1-T) + S in {scene.compose.domain} light",
    )
    _text(draw, (_MARGIN, 22), title, 26)
    _text(draw, (_MARGIN, 58), "   ·   ".join(facts), 16, _MUTED)
    for number, row in enumerate(rows):
        top = _HEAD + number * (height + _GAP)
        _text(draw, (_MARGIN, top + 2), row.symbol, 26)
        for line, about in enumerate(row.about):
            _text(draw, (_MARGIN, top + 40 + 21 * line), about, 16, _MUTED)


def _text(
    draw: ImageDraw, at: tuple[int, int], text: str, size: int, ink: tuple[int, int, int] = _INK
) -> None:
    """Write in the font that Pillow brings, which knows little beyond ASCII."""
    from PIL import ImageFont

    plain = "".join(c if c.isascii() or c == "·" else "?" for c in text)
    draw.text(at, plain, font=ImageFont.load_default(size), fill=ink)


def _resized(picture: Frame, size: tuple[int, int]) -> Frame:
    import cv2

    smaller = size[0] < picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _shown(values: NDArray[np.float64]) -> Frame:
    """Return [H, W, 3] or [H, W, 1] in [0, 1] as a picture."""
    return np.repeat(to_uint8(values), 3 // values.shape[2], axis=2)


def _light(values: NDArray[np.float64], domain: str) -> Frame:
    return _shown(encode_srgb(values) if domain == "linear" else values)


def _signed(frame: RenderedFrame) -> Frame:
    """Show snow around mid-grey; linear light is encoded on either side."""
    size = np.abs(frame.S)
    shown = encode_srgb(size) if frame.domain == "linear" else size
    return to_uint8(0.5 + 0.5 * np.sign(frame.S) * shown)
