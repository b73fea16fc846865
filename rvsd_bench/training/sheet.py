"""Draw what a network does to held-out frames, so that one sees it learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rvsd_bench.clip import Frame
from rvsd_bench.media.images import write_png
from rvsd_bench.training.validating import View, psnr

LABELS = {"S": "S, around grey", "T": "T", "A": "A", "z": "mask"}
WIDEST = 320
"""Pixels across of a picture in the sheet; larger frames are shrunk."""
_GAP, _HEAD, _FOOT = 6, 22, 18
_PAPER, _INK = 24, (235, 235, 235)


def write_sheet(path: Path, views: Sequence[View]) -> None:
    """Write a picture with a row for each view: input, output, truth, and S, T, A and the mask."""
    write_png(path, draw_sheet(views))


def draw_sheet(views: Sequence[View]) -> Frame:
    """Return that picture; the PSNR of input and output stand below them."""
    rows = [_pictures(view) for view in views]
    height = max(p.shape[0] for row in rows for p in row.values()) + _GAP + _FOOT
    width = max(p.shape[1] for row in rows for p in row.values()) + _GAP
    names = max((list(row) for row in rows), key=len)
    shape = (_HEAD + len(rows) * height, _GAP + len(names) * width, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    for row, pictures in enumerate(rows):
        for name, picture in pictures.items():
            top, left = _HEAD + row * height, _GAP + names.index(name) * width
            sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return _labelled(sheet, views, names, (height, width))


def _pictures(view: View) -> dict[str, Frame]:
    pictures = {"input": view.snowy, "output": view.restored, "truth": view.clean}
    for symbol, layer in view.layers.items():
        pictures[LABELS[symbol]] = (layer + 1) / 2 if symbol == "S" else layer
    return {name: _shrunk(_frame(picture)) for name, picture in pictures.items()}


def _frame(picture: Tensor) -> Frame:
    values = (picture.float().clamp(0, 1) * 255).round().byte().expand(3, -1, -1)
    return np.ascontiguousarray(values.permute(1, 2, 0).numpy())


def _shrunk(picture: Frame) -> Frame:
    if picture.shape[1] <= WIDEST:
        return picture
    import cv2

    height = round(picture.shape[0] * WIDEST / picture.shape[1])
    smaller: NDArray[np.uint8] = cv2.resize(picture, (WIDEST, height), interpolation=cv2.INTER_AREA)
    return smaller


def _labelled(
    sheet: Frame, views: Sequence[View], names: Sequence[str], cell: tuple[int, int]
) -> Frame:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for column, name in enumerate(names):
        draw.text((_GAP + column * cell[1], 4), name, fill=_INK, font=font)
    for row, view in enumerate(views):
        below = _HEAD + (row + 1) * cell[0] - _FOOT - 2
        for column, shown in enumerate((view.snowy, view.restored)):
            decibels = f"{psnr(shown, view.clean):.2f} dB"
            draw.text((_GAP + column * cell[1], below), decibels, fill=_INK, font=font)
    return np.asarray(picture)
