"""Time a frame of every preset of the three networks, and what the runner adds to bare forwards.

Milliseconds are wall time of all threads that torch takes, each model in a process of its own; the
weights do not matter. DesnowNet's `default` at 640x360 takes minutes on a CPU and is left out
without --all.

The overhead compares the whole of `restore` over a folder of pictures (windows, padding, rounding,
records, resumption) with reading the pictures, calling the network on each window with every frame
encoded once, and writing pictures: CPU time on one thread, the median ratio of interleaved pairs.
The target: at most 10 % more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import cast

import torch

from rvsd_bench.baselines import StagedRestorer, desnownet, load, pick_device, semivdn, svdnet
from rvsd_bench.clip import from_torch, to_torch
from rvsd_bench.media.images import encode_png
from rvsd_bench.media.reading import read_clip
from rvsd_bench.restoring.calling import inference
from rvsd_bench.restoring.conforming import snowy
from rvsd_bench.restoring.profiling import profile_apart
from rvsd_bench.restoring.saving import plan_outputs, save_restored

SIZES = ((256, 256), (360, 640))
LONG = ("desnownet?preset=default", (360, 640))
OVERHEAD_OF = "svdnet?preset=lite"
"""The cheapest network: what is added to it is the largest part."""
FRAMES = 6
PAIRS = 3
TARGET = 0.10


def specs() -> list[str]:
    """Return every preset of every network of ours."""
    return [
        f"{network.CARD.name}?preset={preset}"
        for network in (desnownet, svdnet, semivdn)
        for preset in network.PRESETS
    ]


def time_presets(device: str, everything: bool) -> None:
    """Print a line for each preset and size."""
    print(f"{'preset':26} {'size':>9} {'ms/frame':>10} {'GMAC/frame':>11} {'GMAC/window':>12}")
    for size in SIZES:
        chosen = [spec for spec in specs() if everything or (spec, size) != LONG]
        for row in profile_apart(chosen, size, device=device):
            print(
                f"{row.method:26} {size[1]}x{size[0]:<5} {row.ms_frame:10.1f} "
                f"{row.gmacs_frame:11.2f} {row.gmacs_window:12.2f}",
                flush=True,
            )
    if not everything:
        print(f"{LONG[0]:26} {LONG[1][1]}x{LONG[1][0]:<5} left out: minutes on a CPU; add --all")


def overhead(spec: str, folder: Path) -> float:
    """Return by what part `restore` takes longer than bare forwards and I/O."""
    model = cast("StagedRestorer", load(spec))
    frames = folder / "frames"
    frames.mkdir()
    for index, frame in enumerate(snowy(FRAMES, SIZES[1])):
        (frames / f"{index:04d}.png").write_bytes(encode_png(frame))
    (output,) = plan_outputs(frames, folder / "out")

    def whole() -> None:
        save_restored(model, [output], method=spec, fps=25, force=True)

    bare(model, frames, folder)  # warms up
    ratios = [seconds(whole) / seconds(lambda: bare(model, frames, folder)) for _ in range(PAIRS)]
    return median(ratios) - 1


def bare(model: StagedRestorer, frames: Path, folder: Path) -> None:
    """Read pictures, restore each in the middle of three, write pictures: nothing else."""
    clip = to_torch(list(read_clip(frames, fps=25)))
    height, width = clip.shape[-2:]
    multiple = model.info.multiple
    padding = (0, -width % multiple, 0, -height % multiple)
    clip = torch.nn.functional.pad(clip[0], padding, mode="reflect")[None]
    with inference("cpu", "float32"):
        codes = [model.encode(frame[None]) for frame in clip[0]]
        for index in range(len(codes)):
            first = min(max(index - 1, 0), len(codes) - 3)
            parts = zip(*codes[first : first + 3], strict=True)
            window = tuple(torch.stack(part, dim=1) for part in parts)
            restored = model.decode(clip[:, first : first + 3], window, [index - first])
            (frame,) = from_torch(restored[..., :height, :width])
            (folder / f"bare{index}.png").write_bytes(encode_png(frame))


def seconds(work: Callable[[], None]) -> float:
    """Return the CPU time of one run."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> int:
    """Print both tables; return 1 if the runner adds more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="Time what takes minutes, too.")
    parser.add_argument("--device", default="auto", help="Of the times; the overhead is the CPU's.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        added = overhead(OVERHEAD_OF, Path(folder))
    print(f"restore over bare forwards and I/O, {OVERHEAD_OF}: {100 * added:+.1f} % (target: 10 %)")
    time_presets(pick_device(options.device), options.all)
    return int(added > TARGET)


if __name__ == "__main__":
    sys.exit(main())
