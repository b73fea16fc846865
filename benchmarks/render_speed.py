"""Time the rendering of snow against the two public generators that draw flakes, in one run.

Each renders the same frames at 1280 x 720 and 1920 x 1080, on one thread. The time is CPU time per
frame, the mean over the frames after one to warm up, for Snowflakes draws its own density anew for
each; preparing a shot (once per clip) is not in it. The targets: `render_frame` with the preset
moderate, under a camera that stands, takes at most 0.5 of the time of imaug's Snowflakes and 0.35
of imagecorruptions-imaug's snow.

The others must not enter the environment of this package (imaug installs a module `imgaug`, and
each brings its own OpenCV). Install them into a folder of their own and name it, by `--peers
FOLDER` or the variable RVSD_BENCH_PEERS; without it only our own times are printed:

    pip install --no-deps --target peers imaug imagecorruptions-imaug six
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import cv2
import numpy as np

from rvsd_bench.clip import ArrayClip, Frame
from rvsd_bench.generators import prepare, preset, render_frame
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.jobs import THREADS

SIZES = ((720, 1280), (1080, 1920))
CASES = (
    ("light", "static"), ("moderate", "static"), ("heavy", "static"), ("moderate", "drive:50"),
)  # fmt: skip
FRAMES = 16
TARGETS = {"imaug Snowflakes": 0.5, "imagecorruptions-imaug snow": 0.35}
Painter = Callable[[Frame], object]


def main() -> int:
    """Print the table; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--peers", default=os.environ.get("RVSD_BENCH_PEERS"), metavar="FOLDER")
    if any(os.environ.get(name) != "1" for name in THREADS):  # libraries read it as they start
        os.execve(
            sys.executable, [sys.executable, *sys.argv], os.environ | dict.fromkeys(THREADS, "1")
        )
    peers = open_peers(parser.parse_args().peers)
    cv2.setNumThreads(1)
    missed = False
    for size in SIZES:
        frames = street(size)
        clip = ArrayClip(np.stack(frames), fps=25, name="street")
        times = {name: milliseconds(paint, frames) for name, paint in peers.items()}
        for name, ms in times.items():
            line(size, name, ms, {})
        for kind, motion in CASES:
            ours = rendering_ms(clip, kind, motion)
            ratios = {name: ours / ms for name, ms in times.items()}
            line(size, f"ours, {kind}, {motion}", ours, ratios)
            if (kind, motion) == ("moderate", "static"):
                missed |= any(ratios[name] > TARGETS[name] for name in ratios)
    if not peers:
        print("no peers: see the top of this file for how to install them, and --peers")
    return int(missed)


def street(size: tuple[int, int]) -> list[Frame]:
    """Return a street at a size; rendered smaller, for that takes longer than all else here."""
    small = render_street(FRAMES, size=(360, 640))
    return [
        cv2.resize(frame, size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        for frame in small
    ]


def open_peers(folder: str | None) -> dict[str, Painter]:
    """Import the other generators from a folder; return what each does with a frame."""
    if folder is None:
        return {}
    if not (Path(folder) / "imgaug").is_dir():
        sys.exit(f"{folder} holds no module imgaug: see the top of this file")
    sys.path.append(folder)  # last, so that NumPy and OpenCV are those of this package
    warnings.simplefilter("ignore")
    import imagecorruptions
    import imgaug.augmenters

    snowflakes = imgaug.augmenters.Snowflakes(seed=1)
    return {
        "imaug Snowflakes": lambda frame: snowflakes(image=frame),
        "imagecorruptions-imaug snow": lambda frame: imagecorruptions.corrupt(
            frame, corruption_name="snow", severity=3
        ),
    }


def rendering_ms(clip: ArrayClip, kind: str, motion: str) -> float:
    """Return the CPU time of a frame with the depth that a clip without any would be given."""
    shot = prepare(clip, preset(kind), seed=1, depth="ground", motion=motion)
    numbered = iter([0, *range(len(clip))])
    return milliseconds(lambda frame: render_frame(shot, next(numbered), frame), list(clip))


def milliseconds(paint: Painter, frames: list[Frame]) -> float:
    """Return the mean CPU time over some frames, after one to warm up."""
    paint(frames[0])
    times = []
    for frame in frames:
        begin = time.process_time()
        paint(frame)
        times.append(time.process_time() - begin)
    return 1000 * mean(times)


def line(size: tuple[int, int], name: str, ms: float, ratios: dict[str, float]) -> None:
    """Print the time of one generator, and its ratios to those of others."""
    told = "".join(f"   {ratio:.2f} of {other}" for other, ratio in ratios.items())
    print(f"{size[1]}x{size[0]}  {name:28} {ms:7.1f} ms{told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
