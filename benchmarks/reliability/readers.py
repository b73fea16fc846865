"""Say, for each kind of file that strangers hand in, which readers of ours take it.

A route is a small valid file (or a few) and the function that a command would call with it. Routes
that need more than one file work on a dataset, a run, a submission or a board that is made once.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Feed = Callable[[Path], object]
SIZE = (32, 48)
FRAMES = 4


@dataclass(frozen=True)
class Route:
    """One way of a file into the product."""

    kind: str
    name: str
    bases: tuple[Path, ...]
    """Valid files to damage."""
    place: Path
    """Where the damaged one is put; its suffix is that of the file it stands for."""
    feed: Feed
    """Reads what was put there, as a command would."""


def frames(count: int = FRAMES, size: tuple[int, int] = SIZE, seed: int = 0) -> list[Any]:
    """Return small frames of moving noise on a slope, uint8 [H, W, 3]."""
    draw = np.random.default_rng(seed)
    wide = draw.integers(0, 90, (size[0], size[1] + 2 * count, 3))
    slope = np.linspace(20, 160, size[0])[:, None, None]
    whole = (wide + slope).astype(np.uint8)
    return [np.ascontiguousarray(whole[:, 2 * t : 2 * t + size[1]]) for t in range(count)]


def write_video(path: Path, codec: str, pixels: str, options: dict[str, str] | None = None) -> None:
    """Write a small video; `options` are those of the container."""
    import av

    with av.open(str(path), "w", container_options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, pixels
        for frame in frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def prepare(home: Path) -> None:
    """Make the files that are damaged later; takes some seconds."""
    home.mkdir(parents=True, exist_ok=True)
    _videos(home)
    _pictures(home)
    _dataset_and_run(home)
    _archives(home)
    _tables(home)
    _weights(home)


def _videos(home: Path) -> None:
    from rvsd_bench.media.video_writing import write_ffv1

    write_video(home / "end.mp4", "libx264", "yuv420p")
    write_video(home / "fast.mp4", "libx264", "yuv420p", {"movflags": "faststart"})
    write_video(home / "part4.mp4", "mpeg4", "yuv420p")
    write_video(home / "pieces.mp4", "libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"})
    write_ffv1(home / "ours.mkv", frames(), 25.0)
    write_video(home / "h264.mkv", "libx264", "yuv444p")
    write_video(home / "vp9.mkv", "libvpx-vp9", "yuv420p")


def _pictures(home: Path) -> None:
    from PIL import Image

    from rvsd_bench.media.images import encode_jpeg, encode_png

    frame = frames(1)[0]
    (home / "ours.png").write_bytes(encode_png(frame))
    (home / "grey16.png").write_bytes(encode_png(frame[..., 0].astype(np.uint16) * 257))
    Image.fromarray(frame).quantize(16).save(home / "palette.png")
    Image.fromarray(frame).save(home / "filtered.png", optimize=True, dpi=(72, 72))
    (home / "ours.jpg").write_bytes(encode_jpeg(frame))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(frame).save(home / "progressive.jpg", progressive=True, exif=exif)
    Image.fromarray(frame[..., 0]).save(home / "grey.jpg", restart_marker_blocks=2)


def _dataset_and_run(home: Path) -> None:
    from rvsd_bench.evaluation.evaluating import evaluate
    from rvsd_bench.leaderboard.board import add
    from rvsd_bench.making.generating import generate
    from rvsd_bench.media.frame_cache import FOLDER, cache_clip
    from rvsd_bench.media.images import write_png

    for index, frame in enumerate(frames()):
        (home / "clip").mkdir(exist_ok=True)
        write_png(home / "clip" / f"{index:04d}.png", frame)
    generate([home / "clip"], home / "data", depth="constant:30", motion="static")
    models = ["identity", "median"]
    evaluate(models, home / "data", out=home / "run", metrics=["psnr", "ssim"])
    add(home / "run", home / "board")
    cache_clip(home / "clip", home / "cached" / FOLDER)


def _archives(home: Path) -> None:
    from rvsd_bench.archives import write_archive
    from rvsd_bench.files import sha256_file

    (home / "card.toml").write_text(
        'name = "Mine"\nauthors = ["A. Author"]\npaper = "A paper, 2026"\n'
        'licence = "CC0"\ntraining_data = "RVSD"\nhardware = "one GPU"\nvenue = "X"\nyear = 2026\n'
    )
    pictures = {f"00000/{i:04d}.png": home / "clip" / f"{i:04d}.png" for i in range(FRAMES)}
    digests = {name: sha256_file(path) for name, path in pictures.items()}
    told = json.dumps({"schema_version": 1, "kind": "frames", "files": digests}).encode()
    files: dict[str, Any] = {**pictures, "submission.json": told, "card.toml": home / "card.toml"}
    write_archive(home / "packed.zip", files)
    write_archive(home / "bare.zip", {f"mine/{k}": v for k, v in pictures.items()})
    (home / "submission.json").write_bytes(told)


def _tables(home: Path) -> None:
    from rvsd_bench.evaluation.protocol import source
    from rvsd_bench.leaderboard.reported import COLUMNS, add

    cited = {"source_ref": "A. Author, A paper, 2024, table 1", "protocol": "unstated"}
    for name in ("one", "two"):
        cells = {"method_name": name, "dataset": "RVSD", "split": "test", "psnr": "21.5"}
        add(home / "reported.csv", {**dict.fromkeys(COLUMNS, ""), **cited, **cells})
    head = "frame,tx,ty,tz,qx,qy,qz,qw\n"
    rows = "".join(f"{i},0,0,{0.1 * i:.2f},0,0,0,1\n" for i in range(FRAMES))
    (home / "poses.csv").write_text(head + rows)
    (home / "tum.csv").write_text(
        "".join(f"{0.04 * i:.2f} 0 0 {0.1 * i:.2f} 0 0 0 1\n" for i in range(FRAMES))
    )
    (home / "velocity.csv").write_text("vx,vy,vz\n" + "0.1,0,9.5\n" * FRAMES)
    level = {"time_s": [0.04 * i for i in range(FRAMES)], "rotation_xyzw": [[0, 0, 0, 1]] * FRAMES}
    places = [[0, 0, 0.1 * i] for i in range(FRAMES)]
    (home / "poses.json").write_text(json.dumps({**level, "position_m": places}))
    (home / "velocity.json").write_text(json.dumps({"velocity_m_per_s": [[0.1, 0, 9.5]] * FRAMES}))
    own = source("rvsd-2023").replace('"official"', '"community"').replace("rvsd-2023", "mine")
    (home / "protocol.toml").write_text(own)
    (home / "recipe.toml").write_text(
        "[snow]\nrate_mm_per_h = {log_uniform = [0.5, 4.0]}\n[fog]\nextinction_per_m = 0.002\n"
        "[camera]\nshutter_s = {choice = [0.01, {uniform = [0.004, 0.02]}]}\n"
    )


def _weights(home: Path) -> None:
    import torch

    from rvsd_bench.baselines import load
    from rvsd_bench.baselines.checkpoints import save_checkpoint

    model: Any = load("svdnet?preset=lite")
    state, card = model.state_dict(), {"config": model.info.facts["config"], "preset": "lite"}
    save_checkpoint(home / "lite.safetensors", state, card)
    small = dict(network().state_dict())
    save_checkpoint(home / "small.safetensors", small, {"trained_on": "nothing"})
    torch.save({"state_dict": small, "epoch": 3}, home / "small.pt")
    torch.save(small, home / "legacy.pt", _use_new_zipfile_serialization=False)


def network() -> Any:
    """Return the network that small checkpoints are for."""
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def routes(home: Path, work: Path) -> dict[str, list[Route]]:
    """Return the routes by kind; `home` was prepared, `work` is theirs to write in."""
    shutil.copytree(home, work, dirs_exist_ok=True)
    found = [*_media(home, work), *_of_runs(home, work), *_of_texts(home, work)]
    found += [*_of_archives(home, work), *_of_weights(home, work)]
    kinds: dict[str, list[Route]] = {}
    for route in found:
        kinds.setdefault(route.kind, []).append(route)
    return kinds


def _media(home: Path, work: Path) -> Iterable[Route]:
    from rvsd_bench.media.images import read_gray16, read_image

    for kind in ("mp4", "mkv"):
        bases = tuple(sorted(home.glob(f"*.{kind}")))
        yield Route(kind, "clip", bases, work / f"in.{kind}", _watch)
        yield Route(kind, "partial clip", bases, work / f"in.{kind}", _watch_partly)
    for kind in ("png", "jpg"):
        bases = tuple(sorted(home.glob(f"*.{kind}")))
        yield Route(kind, "picture", bases, work / f"in.{kind}", read_image)
        own = (home / f"ours.{kind}",)
        place = work / "clip" / f"0002.{kind}"
        yield Route(kind, "frame of a clip", own, place, lambda path: _among(path))
    grey = (home / "grey16.png",)
    yield Route("png", "layer", grey, work / "in.png", read_gray16)
    layer = home / "data" / "test" / "layers" / "00000" / "coverage" / "0001.png"
    yield _within(home, work, "png", "layer of a dataset", layer, _layers)


def _within(home: Path, work: Path, kind: str, name: str, file: Path, feed: Feed) -> Route:
    return Route(kind, name, (file,), work / file.relative_to(home), feed)


def _of_runs(home: Path, work: Path) -> Iterable[Route]:
    run = home / "run"
    for table in ("leaderboard.csv", "per_video.csv", "per_frame.csv"):
        yield _within(home, work, "csv", f"build, {table}", run / table, _build)
    for table in ("leaderboard.csv", "per_video.csv"):
        yield _within(home, work, "csv", f"compare, {table}", run / table, _compare)
    yield _within(home, work, "csv", "published figures", home / "reported.csv", _published)
    manifest = run / "manifest.json"
    yield _within(home, work, "json", "build, manifest.json", manifest, _build)
    yield _within(home, work, "json", "compare, manifest.json", manifest, _compare)
    yield _within(home, work, "json", "add to a board", manifest, _add)
    shown = run / "pictures" / "shown.json"
    yield _within(home, work, "json", "build, shown.json", shown, lambda p: _build(p.parent))
    (entry,) = (home / "board" / "entries").glob("*.json")
    yield _within(home, work, "json", "entry of a board", entry, _rebuild)


def _of_texts(home: Path, work: Path) -> Iterable[Route]:
    from rvsd_bench.evaluation.protocol import load as load_protocol
    from rvsd_bench.generators.degradation import PRESETS, open_degradation
    from rvsd_bench.leaderboard.card import read_card
    from rvsd_bench.training.resolving import resolve

    for suffix in ("csv", "json"):
        poses = tuple(sorted(home.glob(f"*poses.{suffix}"))) + tuple(home.glob(f"tum.{suffix}"))
        yield Route(suffix, "poses", poses, work / f"in.{suffix}", _motion)
        speeds = (home / f"velocity.{suffix}",)
        yield Route(suffix, "velocities", speeds, work / f"in.{suffix}", _motion)
    meta = home / "data" / "test" / "meta" / "00000.json"
    yield _within(home, work, "json", "meta, loading", meta, _load)
    yield _within(home, work, "json", "meta, layers", meta, lambda p: _layers(p.parent))
    yield _within(home, work, "json", "meta, verify", meta, _verify)
    yield _within(home, work, "json", "manifest of a dataset", home / "data/manifest.json", _verify)
    (kept,) = (path for path in (home / "cached").rglob("*.json"))
    yield _within(home, work, "json", "cache", kept, lambda p: _cached(work))
    (part,) = (p for p in (home / "run" / "parts").rglob("*.json") if "median" in str(p))
    yield _within(home, work, "json", "part of a run", part, _part)
    yield Route("toml", "recipe", (home / "recipe.toml",), work / "in.toml", _draw)
    yield Route("toml", "protocol", (home / "protocol.toml",), work / "in.toml",
                lambda path: load_protocol(str(path)))  # fmt: skip
    yield Route("toml", "card", (home / "card.toml",), work / "in.toml", read_card)
    recipe = home / "training.toml"
    if not recipe.exists():
        from rvsd_bench.training.objectives import read_recipe

        recipe.write_text(read_recipe("svdnet", "lite-cpu"))
        (home / "degradation.toml").write_text(_degradation(PRESETS))
    yield Route("toml", "training recipe", (recipe,), work / "in.toml",
                lambda path: resolve("svdnet?preset=lite", path))  # fmt: skip
    yield Route("toml", "degradation", (home / "degradation.toml",), work / "in.toml",
                lambda path: open_degradation(str(path)).draw(0, "", 0))  # fmt: skip


def _degradation(presets: Any) -> str:
    from dataclasses import asdict

    lines = []
    for name, table in asdict(next(iter(presets.values()))).items():
        lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def _of_archives(home: Path, work: Path) -> Iterable[Route]:
    bases = (home / "packed.zip", home / "bare.zip")
    yield Route("zip", "handed in", bases, work / "in.zip", _open)
    yield Route("zip", "check", bases, work / "in.zip", lambda path: _check(path, work / "data"))
    told = home / "submission.json"
    yield Route("json", "submission", (told,), work / "mine" / "submission.json", _open_folder)


def _of_weights(home: Path, work: Path) -> Iterable[Route]:
    from rvsd_bench.baselines import load
    from rvsd_bench.baselines.checkpoints import load_weights, read_card
    from rvsd_bench.weights.store import content_digest, read_pickle

    small = (home / "small.safetensors",)
    place = work / "in.safetensors"
    yield Route("safetensors", "weights", small, place, lambda p: load_weights(network(), p))
    yield Route("safetensors", "card", small, place, read_card)
    yield Route("safetensors", "content", small, place, content_digest)
    yield Route("safetensors", "baseline", (home / "lite.safetensors",), place,
                lambda p: load(f"svdnet?weights={p}"))  # fmt: skip
    pickles = (home / "small.pt", home / "legacy.pt")
    yield Route("pt", "weights", pickles, work / "in.pt", lambda p: load_weights(network(), p))
    yield Route("pt", "pretrained", pickles, work / "in.pt", read_pickle)
    yield Route("pt", "state of a training", pickles, work / "state.pt", _state)


def _watch(path: Path) -> None:
    from rvsd_bench.media.reading import read_clip

    _look(read_clip(path))


def _watch_partly(path: Path) -> None:
    from rvsd_bench.media.reading import read_clip

    _look(read_clip(path, allow_partial=True))


def _look(clip: Any) -> None:
    """Decode every frame in order, and two out of order; each must be what the clip says."""
    count = 0
    for frame in clip:
        _require(frame.dtype == np.uint8 and frame.shape == (*clip.size, 3), "a frame of no frame")
        count += 1
    _require(count == len(clip) == len(clip.times), "another number of frames than it says")
    _require(bool(np.isfinite(clip.times).all()) and 0 < clip.fps < 1e9, "times that are no times")
    _require(np.array_equal(clip[-1], frame), "another last frame when it is asked for")
    _require(clip[0].shape == frame.shape, "another first frame")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"a reader gave {what}")


def _among(path: Path) -> None:
    """Read a folder of frames one of which is damaged."""
    from rvsd_bench.media.reading import read_clip

    other = path.with_suffix(".png")
    kept = other.read_bytes() if path.suffix == ".jpg" and other.exists() else None
    try:
        if kept is not None:
            other.unlink()
        _look(read_clip(path.parent))
    finally:
        if kept is not None:
            other.write_bytes(kept)
            path.unlink()


def _build(path: Path) -> None:
    from rvsd_bench.leaderboard.build import build

    build([path.parent], path.parent.parent / "out")


def _compare(path: Path) -> None:
    from rvsd_bench.leaderboard.comparing import compare, rows
    from rvsd_bench.leaderboard.comparison_table import text
    from rvsd_bench.leaderboard.pairing import pick
    from rvsd_bench.leaderboard.table import read_run

    run = read_run(path.parent)
    found = compare(pick(run, "identity"), pick(run, "median"), None)
    json.dumps(rows(found), allow_nan=False)
    text(found)


def _published(path: Path) -> None:
    from rvsd_bench.leaderboard.build import build
    from rvsd_bench.leaderboard.reported import listing
    from rvsd_bench.leaderboard.table import published

    listing(published([path]))
    build([], path.parent / "out", own_reported=[path])


def _add(path: Path) -> None:
    from rvsd_bench.leaderboard.board import add
    from rvsd_bench.leaderboard.build import build

    board = path.parent.parent / "fresh"
    shutil.rmtree(board, ignore_errors=True)
    add(path.parent, board)
    build([board], path.parent.parent / "out")


def _rebuild(path: Path) -> None:
    """Make a board's tables again from an entry whose digest was made anew, and its page."""
    from rvsd_bench.files import digest_of
    from rvsd_bench.leaderboard.board import rebuild
    from rvsd_bench.leaderboard.build import build

    try:
        tree = json.loads(path.read_text())
        tree.pop("sha256", None)
        path.write_text(json.dumps(tree | {"sha256": digest_of(tree)}))
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    rebuild(path.parent.parent)
    build([path.parent.parent], path.parent.parent.parent / "out")


def _root(path: Path) -> Path:
    """Return the dataset around a file."""
    return next(p for p in path.parents if p.name == "data")


def _load(path: Path) -> None:
    from rvsd_bench.data.dataset import load, open_snowy
    from rvsd_bench.making.manifest import write_manifest

    for video in load(_root(path), splits=("test",)).videos:
        _require(bool(np.isfinite(open_snowy(video).times).all()), "times that are no times")
    write_manifest(_root(path))


def _layers(path: Path) -> None:
    from rvsd_bench.generators import read_layers

    read_layers(_root(path), "test", "00000", "0001")


def _verify(path: Path) -> None:
    from rvsd_bench.making.verifying import verify

    verify(_root(path), executor="serial").raise_problems()


def _motion(path: Path) -> None:
    from rvsd_bench.clip import ArrayClip
    from rvsd_bench.generators.motion import resolve_motion

    resolve_motion(ArrayClip(np.stack(frames()), 25.0), str(path))


def _cached(work: Path) -> None:
    from rvsd_bench.media.frame_cache import FOLDER, open_cached

    found = open_cached(work / "clip", work / "cached" / FOLDER)
    if found is not None:
        _look(found)


def _part(path: Path) -> None:
    from rvsd_bench.evaluation.runfiles import read_part

    read_part(path)


def _draw(path: Path) -> None:
    from rvsd_bench.generators import load_recipe

    recipe = load_recipe(path)
    for variant in range(3):
        recipe.draw(0, "", variant)


def _open(path: Path) -> None:
    from rvsd_bench.evaluation.handed_in import opened, read_manifest

    with opened(path) as folder:
        told = read_manifest(folder)
        if told is not None:
            told.changed(folder)


def _check(path: Path, data: Path) -> None:
    from rvsd_bench.evaluation.submissions import check

    for line in check(path, data).lines():
        _require("\n" not in line, "a line with two lines in it")


def _open_folder(path: Path) -> None:
    from rvsd_bench.evaluation.handed_in import read_manifest

    told = read_manifest(path.parent)
    if told is not None:
        told.changed(path.parent)


def _state(path: Path) -> None:
    from rvsd_bench.training.saving import read_state

    read_state(path.parent)
