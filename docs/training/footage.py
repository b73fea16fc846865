"""Build the clean footage that the shipped weights were trained and measured on.

    apt-get download $(python docs/training/footage.py --packages)     # any Debian 12 archive
    for file in *.deb; do dpkg -x $file unpacked/${file%%_*}; done     # nothing is installed
    python docs/training/footage.py unpacked footage --clips clips

`unpacked` holds one folder for each package, `clips` the videos that `sources.toml` names.
`footage/train` and `footage/heldout` come to hold one lossless clip for each source, whose
authors and licences are in `sources.toml` and beside the clips; a clip that is there is kept.
"""

from __future__ import annotations

import argparse
import io
import struct
import tempfile
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rvsd_bench.clip import Clip
from rvsd_bench.files import write_json
from rvsd_bench.generators.street.clip import render_street
from rvsd_bench.media.images import write_png
from rvsd_bench.media.moving import film, write_moving
from rvsd_bench.media.reading import read_clip
from rvsd_bench.media.video_writing import write_ffv1
from rvsd_bench.seeds import stream

PARTS = 3
"""Of each photograph to train on, beside the whole: haze is learned by where things stand in the
frame, and seventy framings are soon known by heart."""
LEAST = 450, 800
"""Rows and columns of a part: a quarter more than a frame, for the hand to tremble."""
SOURCES = tomllib.loads((Path(__file__).parent / "sources.toml").read_text(encoding="utf-8"))


def main() -> None:
    """Build what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("unpacked", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--clips", type=Path, help="the videos; without, there are none of them")
    parser.add_argument("--packages", action="store_true", help="print the packages, and end")
    given = parser.parse_args()
    if given.packages:
        print(*sorted({group["package"] for group in SOURCES["photographs"]}))
        return
    if given.out is None:
        parser.error("name the folder of unpacked packages, and the folder for the footage")
    for group in SOURCES["photographs"]:
        for file in group["files"]:
            photograph(given.unpacked, given.out / group["side"], group, file)
    for street in SOURCES["streets"]:
        name = f"{street['scene']}-{street['seed']}"
        clip = render_street(24, (360, 640), 25.0, street["metres_per_s"], street["seed"],
                             street["scene"])  # fmt: skip
        keep(given.out / street["side"] / f"{name}.mkv", clip, street)
    for told in SOURCES["clips"] if given.clips else ():
        clip = read_clip(given.clips / told["file"], stop=told["frames"], size=tuple(told["size"]))
        keep(given.out / told["side"] / f"{Path(told['file']).stem}.mkv", clip, told)


def photograph(unpacked: Path, out: Path, group: dict[str, Any], file: str) -> None:
    """Film a photograph of a package, and to train on, parts of it too, unless they are there."""
    path = Path(file)
    name = f"{path.parts[0] if path.stem[0].isdigit() else path.stem}"
    takes = [name, *(f"{name}-part{number}" for number in range(1, PARTS + 1))]
    for number, take in enumerate(takes if group["side"] == "train" else takes[:1]):
        if not (out / f"{take}.json").is_file():
            pixels = picture(unpacked, group, file)
            if number:
                film_still(part(pixels, take), out, group, file, take, "handheld")
            else:
                film_still(pixels, out, group, file, take, "auto")


def part(pixels: np.ndarray, take: str) -> np.ndarray:
    """Return a part of a photograph, of its own proportions and large enough to be filmed."""
    sides = np.array(pixels.shape[:2])
    chance = stream("part of a photograph", take).random(3)
    least = max(0.35, *(np.array(LEAST) / sides))
    cut = np.minimum(sides, (sides * (least + chance[0] * max(0.0, 0.8 - least))).astype(int) + 1)
    top, left = (int(one) for one in chance[1:] * (sides - cut + 1))
    return np.ascontiguousarray(pixels[top : top + cut[0], left : left + cut[1]])


def film_still(
    pixels: np.ndarray, out: Path, group: dict[str, Any], file: str, name: str, camera: str
) -> None:
    """Film a picture, and write the clip with what is known of it."""
    told = {key: group[key] for key in ("author", "licence", "package")}
    with tempfile.TemporaryDirectory() as scratch:
        still = Path(scratch) / f"{name}.png"
        write_png(still, pixels)
        clip = film(still, camera=camera, frames=24, size=(360, 640))
        write_moving(clip, out, **told, file=f"{group.get('folder', '')}{file}")
    print(out.name, name, clip.facts["camera"], flush=True)


def picture(unpacked: Path, group: dict[str, Any], file: str) -> np.ndarray:
    """Return a picture of a package, as uint8 [H, W, 3]."""
    if archive := group.get("archive"):
        data = members(unpacked / group["package"] / archive)[group["folder"] + file]
    else:
        data = (unpacked / group["package"] / group["folder"] / file).read_bytes()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def members(archive: Path) -> dict[str, bytes]:
    """Return the files of a Qt resource archive, by their paths."""
    return dict(_below(archive.read_bytes(), 0, ""))


def _below(data: bytes, node: int, path: str) -> Iterator[tuple[str, bytes]]:
    """Walk the tree of an archive: nodes of 22 bytes, big endian; flag 1 packed, 2 folder."""
    version, tree, contents, names = struct.unpack_from(">4x4I", data)
    place = tree + node * (22 if version > 1 else 14)
    name, flags, first, second = struct.unpack_from(">IHII", data, place)
    if node:
        (length,) = struct.unpack_from(">H", data, names + name)
        start = names + name + 6  # the length, and a hash
        path = f"{path}/{data[start : start + 2 * length].decode('utf-16-be')}".lstrip("/")
    if flags & 2:
        for child in range(second, second + first):
            yield from _below(data, child, path)
        return
    start = contents + second
    (length,) = struct.unpack_from(">I", data, start)
    content = data[start + 4 : start + 4 + length]
    yield path, zlib.decompress(content[4:]) if flags & 1 else content


def keep(video: Path, clip: Clip, told: dict[str, Any]) -> None:
    """Write a clip without loss, unless it is there, and beside it what is known of it."""
    if not video.with_suffix(".json").is_file():
        video.parent.mkdir(parents=True, exist_ok=True)
        write_ffv1(video, clip, clip.fps)
        write_json(video.with_suffix(".json"), told)
        print(video.parent.name, video.stem, flush=True)


if __name__ == "__main__":
    main()
