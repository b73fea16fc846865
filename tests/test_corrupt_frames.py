"""Frames that are corrupt in the middle of a clip cost their video, and the method its headline."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvsd_bench.columns import read_csv
from rvsd_bench.errors import PartialError
from rvsd_bench.evaluation.evaluating import evaluate
from rvsd_bench.media.images import encode_jpeg, encode_png, write_png


def frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def zeros(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(200) + data[len(data) // 2 + 200 :])


def cut_jpeg(path: Path) -> None:
    path.write_bytes(encode_jpeg(frame(1))[:-60])


SPOIL: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flipped,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "zero bytes": zeros,
    "no bytes": lambda path: path.write_bytes(b""),
    "a JPEG that is cut": cut_jpeg,
    "another size": lambda path: path.write_bytes(encode_png(frame(1)[:-2])),
    "16 bits": lambda path: path.write_bytes(encode_png(frame(1).astype(np.uint16) * 257)),
    "a web page": lambda path: path.write_bytes(b"<!DOCTYPE html>"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for video in ("00000", "00001"):
        for index in range(5):
            clean = cv2.GaussianBlur(frame(index), (0, 0), 2)
            for side, picture in (("clean", clean), ("snow", np.maximum(clean, frame(index) // 2))):
                path = tmp_path / "data" / "test" / side / video / f"{index:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, picture)
    return tmp_path / "data"


@pytest.mark.parametrize("how", SPOIL)
def test_a_corrupt_prediction_fails_its_video_and_the_others_are_scored(
    how: str, data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(data / "test" / "snow", mine)
    SPOIL[how](mine / "00001" / "0002.png")
    table = evaluate(
        ["identity", f"good=frames:{data}/test/snow", f"mine=frames:{mine}"], data,
        out=tmp_path / "run", metrics=["psnr"],
    )  # fmt: skip
    with pytest.raises(PartialError, match=r"no headline for mine: .*00001"):
        table.raise_failures()
    videos = {(r["method_id"], r["video"]): r for r in read_csv(tmp_path / "run/per_video.csv")}
    failed = videos.get(("mine", "00001"))
    if failed is not None:  # what the headers tell already keeps a method from being scored at all
        assert (failed["status"], failed["n_expected"]) == ("incomplete", "5")
        assert videos["mine", "00000"]["status"] == "ok"
    assert videos["good", "00000"]["status"] == videos["good", "00001"]["status"] == "ok"
    rows = {r["method_id"]: r for r in read_csv(tmp_path / "run/leaderboard.csv")}
    assert (rows["mine"]["psnr"], rows["mine"]["valid"]) == ("", "false")
    assert float(rows["good"]["psnr"]) > 0 and rows["good"]["valid"] == "true"
