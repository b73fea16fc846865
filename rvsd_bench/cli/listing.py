"""The command that lists what there is."""

from __future__ import annotations

from dataclasses import asdict

import click

from rvsd_bench.cli.common import answer, json_option


@click.command("list")
@click.argument(
    "what", type=click.Choice(["baselines", "metrics", "protocols", "presets", "datasets"])
)
@json_option
def list_(what: str, as_json: bool) -> None:
    """List baselines, metrics, protocols, presets or datasets.

    Each comes with its licence, what it needs, and whether that is on this machine.
    """
    from rvsd_bench.catalogue import LISTS

    rows = LISTS[what]()
    if as_json:
        return answer([asdict(row) for row in rows])
    width = max(len(row.name) for row in rows)
    for row in rows:
        click.echo(f"{row.name:{width}}  {row.status}")
        for line in (row.about, f"needs {row.needs}; licence: {row.licence}"):
            click.echo(f"{'':{width}}  {line}")
    return None
