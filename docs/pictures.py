"""Make the pictures of the README from the rendered street: `make pictures`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rvsd_bench import generators
from rvsd_bench.clip import Frame, to_uint8
from rvsd_bench.colour import encode_srgb
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.images import write_png

FOLDER = Path(__file__).parent
INDEX = 24
GAP = 6


def grey(values: np.ndarray) -> Frame:
    """Show a layer [H, W, 1] in [0, 1] as grey."""
    return to_uint8(np.repeat(values, 3, axis=2))


def panels() -> list[tuple[str, Frame]]:
    """Return one frame of the street in heavy snow, and what it is made of."""
    clip = render_street(frames=50, size=(360, 640), speed_m_per_s=8.0)
    shot = generators.prepare(clip, generators.preset("heavy"), seed=7, motion="drive:28.8")
    frame = generators.render_frame(shot, INDEX, clip[INDEX])
    light = encode_srgb(frame.A * (1 - frame.T))
    return [
        ("J  clean", frame.clean),
        ("A(1-T)  light of the air", to_uint8(light)),
        ("z  flakes", grey(encode_srgb(frame.z))),
        ("I  snowy", frame.snowy),
    ]


def labelled(text: str, frame: Frame) -> Frame:
    """Write a label into the lower left corner."""
    picture = Image.fromarray(frame)
    ImageDraw.Draw(picture).text(
        (12, frame.shape[0] - 32),
        text,
        fill="white",
        font=ImageFont.load_default(18),
        stroke_width=2,
        stroke_fill="black",
    )
    return np.asarray(picture)


def main() -> None:
    """Write `street.png`, two panels by two."""
    shown = [labelled(*panel) for panel in panels()]
    height, width = shown[0].shape[:2]
    sheet = np.full((2 * height + GAP, 2 * width + GAP, 3), 255, np.uint8)
    for place, frame in enumerate(shown):
        top, left = (place // 2) * (height + GAP), (place % 2) * (width + GAP)
        sheet[top : top + height, left : left + width] = frame
    write_png(FOLDER / "street.png", sheet)


if __name__ == "__main__":
    main()
