"""Time what `evaluate` saves: several models in one pass, and frames that are scored already.

The targets: N models in one pass take (N + 1) / 2N of the time of N passes where LPIPS is all that
is computed, for a clean frame costs as much as a restored one and is taken once; and a run of 1,000
frames in which nothing has changed is through in 3 seconds, as a command in a new process, for a
model, a folder of restored frames and a zip of it. CPU time is judged, so that a busy machine
changes little; most of the latter is the loading of torch.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rvsd_bench.evaluation.evaluating import evaluate
from rvsd_bench.media.images import encode_png
from rvsd_bench.seeds import stream
from rvsd_bench.weights.store import locate

MODELS = 3
LARGE = (720, 1280)
LARGE_FRAMES = 3
ROUNDS = 2
SLACK = 1.05
"""Pictures are decoded for every model all the same, and hashed."""
SMALL = (72, 96)
VIDEOS, LENGTH = 20, 50
RESUME_S = 3.0


def make(root: Path, videos: int, length: int, size: tuple[int, int]) -> None:
    """Write a paired dataset of noise, and restored frames for several models."""
    sides = {"data/test/clean": 0, "data/test/snow": 9}
    sides |= {f"mine{index}": index + 1 for index in range(MODELS)}
    for video in range(videos):
        for index in range(length):
            values = stream("evaluate_speed", video, index).random((*size, 3), "float32")
            clean = (values * 240).astype("uint8")
            for side, offset in sides.items():
                path = root / side / f"{video:05d}" / f"{index:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode_png(clean + offset))


def cpu_s(root: Path, groups: list[list[str]]) -> float:
    """Return the CPU time of scoring groups of models, each group in a pass of its own."""
    begin = time.process_time()
    for models in groups:
        evaluate(models, root / "data", metrics=["lpips"])
    return time.process_time() - begin


def children_s() -> float:
    """Return the CPU time of the processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def of_one_pass(home: Path) -> bool:
    """Print the share of N passes that one pass takes; tell whether the target is missed."""
    if locate("lpips") is None:
        print("one pass: left out, the weights of LPIPS are not here (weights fetch lpips)")
        return False
    make(home, 1, LARGE_FRAMES, LARGE)
    models = [f"frames:{home / f'mine{index}'}" for index in range(MODELS)]
    evaluate(models[:1], home / "data", metrics=["lpips"])  # loads torch and the weights
    together = apart = 0.0
    for _ in range(ROUNDS):
        together += cpu_s(home, [models])
        apart += cpu_s(home, [[model] for model in models])
    share, target = together / apart, SLACK * (MODELS + 1) / (2 * MODELS)
    print(
        f"{MODELS} models in one pass: {share:.3f} of {MODELS} passes ({together / ROUNDS:.2f} of "
        f"{apart / ROUNDS:.2f} s for {LARGE_FRAMES} frames); target: at most {target:.3f}"
    )
    return share > target


def of_resuming(home: Path) -> bool:
    """Print how long it takes to do nothing; tell whether the target is missed."""
    make(home, VIDEOS, LENGTH, SMALL)
    archive = shutil.make_archive(str(home / "mine0"), "zip", home / "mine0")
    worst = 0.0
    for model in ("identity", f"frames:{home / 'mine0'}", f"frames:{archive}"):
        words = ["evaluate", model, "--data", home / "data", "--out", home / "run", "--force"]
        command = [sys.executable, "-m", "rvsd_bench", *words, "--skip-missing"]
        subprocess.run(command, check=True, capture_output=True)
        command.remove("--force")
        begin, clock = children_s(), time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        spent, clock = children_s() - begin, time.monotonic() - clock
        what = Path(model.removeprefix("frames:")).name
        print(
            f"nothing to do, {VIDEOS * LENGTH} frames, {what}: {spent:.2f} s ({clock:.2f} s by "
            "the clock)"
        )
        worst = max(worst, spent)
    print(f"target: at most {RESUME_S:.0f} s")
    return worst > RESUME_S


def main() -> int:
    """Print both figures; return 1 if a target is missed."""
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as folder:
        missed = [of_one_pass(Path(folder) / "large"), of_resuming(Path(folder) / "small")]
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
