"""Make the pictures of the README from the rendered street: `make pictures`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from rvsd_bench import generators
from rvsd_bench.baselines import load
from rvsd_bench.clip import Frame, to_torch, to_uint8
from rvsd_bench.colour import encode_srgb
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.images import write_jpeg, write_png

FOLDER = Path(__file__).parent
INDEX = 24
UNSEEN = 4711
"""The seed of streets that no weights were trained on."""
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


def restored() -> list[tuple[str, Frame]]:
    """Return streets that the network never saw: snowy, as it restores them, and clean."""
    network, found = load("svdnet?preset=lite"), []
    for scene, snow in (("street", "moderate"), ("avenue", "heavy")):
        clip = render_street(3, (360, 640), 25.0, 8.0, UNSEEN, scene)
        shot = generators.prepare(clip, generators.preset(snow), seed=11, motion="drive:28.8")
        frames = [generators.render_frame(shot, i, clip[i]) for i in range(3)]
        snowy = to_torch([frame.snowy for frame in frames])
        with torch.no_grad():
            answer = network(snowy)[0, 1].permute(1, 2, 0).numpy()
        found += [(f"snowy, {snow}", frames[1].snowy), ("restored", to_uint8(answer))]
        found.append(("clean", frames[1].clean))
    return found


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


def sheet_of(panels: list[tuple[str, Frame]], columns: int) -> Frame:
    """Lay panels out in rows."""
    shown = [labelled(*panel) for panel in panels]
    height, width = shown[0].shape[:2]
    rows = len(shown) // columns
    size = rows * (height + GAP) - GAP, columns * (width + GAP) - GAP
    sheet = np.full((*size, 3), 255, np.uint8)
    for place, frame in enumerate(shown):
        top, left = (place // columns) * (height + GAP), (place % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = frame
    return sheet


def main() -> None:
    """Write `street.png`, what a frame is made of, and `restored.jpg`, what the network does."""
    write_png(FOLDER / "street.png", sheet_of(panels(), 2))
    write_jpeg(FOLDER / "restored.jpg", sheet_of(restored(), 3), quality=85)


if __name__ == "__main__":
    main()
