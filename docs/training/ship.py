"""Put trained weights into the package: half the digits, and in the card what they reached.

    python docs/training/ship.py run/checkpoint.safetensors lite.safetensors --strength 0.5 \\
        --evaluated moderate=eval/moderate mixed=eval/mixed snow=eval/snow

and `lite.safetensors` belongs into `baselines/svdnet/weights`.

The evaluations are folders of `rvsd-bench evaluate` in which these weights were scored; of each the
card keeps the means with their 95 % intervals over sources. float16 halves the file; of the
weights that are there it changed no value of three restored clips by more than 0.07 of a step of 8
bits.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import torch

from rvsd_bench.baselines.checkpoints import read_card, read_weights, save_checkpoint

METHOD = "svdnet?preset=lite"
KEPT = (
    *("psnr", "psnr_t_lo", "psnr_t_hi", "ssim", "lpips", "psnr_snow", "psnr_clear"),
    *("n_sources", "n_frames", "dataset_manifest_sha256", "protocol"),
)


def main() -> None:
    """Round, describe and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--strength", type=float, help="Of the haze's removal: see strength.py.")
    parser.add_argument("--evaluated", nargs="*", default=[], metavar="NAME=RUN")
    given = parser.parse_args()
    card = read_card(given.checkpoint)
    times = json.loads((given.checkpoint.parent / "card.json").read_text(encoding="utf-8"))
    card |= {key: times[key] for key in ("wall_s", "cpu_s_without_workers") if key in times}
    card |= {"rounded_to": "float16", "results": dict(result(one) for one in given.evaluated)}
    if given.strength is not None:
        card["config"] = {**card["config"], "strength": given.strength}
    state = {
        name: values.to(torch.float16) for name, values in read_weights(given.checkpoint).items()
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(given.out, state, card)
    print(given.out, given.out.stat().st_size, "bytes")


def result(told: str) -> tuple[str, dict[str, Any]]:
    """Return the name of an evaluation and what trained weights reached in it."""
    name, _, run = told.partition("=")
    with (Path(run) / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method_id"] == METHOD]
    if len(rows) != 1:
        raise SystemExit(f"{run} holds {len(rows)} rows of {METHOD}, not one")
    return name, {key: rows[0][key] for key in KEPT if rows[0][key]}


if __name__ == "__main__":
    main()
