"""List the protocols, show one, or say what differs between two."""

from __future__ import annotations

import click

from rvsd_bench.cli.common import answer, json_option


@click.group()
def protocol() -> None:
    """List the protocols, show one, or say what differs between two."""


@protocol.command("list")
@json_option
@click.pass_context
def list_protocols(context: click.Context, as_json: bool) -> None:
    """List the protocols, as `list protocols` does."""
    from rvsd_bench.cli.listing import list_

    context.invoke(list_, what="protocols", as_json=as_json)


@protocol.command()
@click.argument("name", metavar="ID_OR_FILE")
@json_option
def show(name: str, as_json: bool) -> None:
    """Print a protocol and its hash; one of yours is a FILE.toml."""
    from dataclasses import asdict

    from rvsd_bench.evaluation import protocol as protocols

    found = protocols.load(name)
    if as_json:
        answer({**asdict(found), "hash": found.hash})
        return
    print(f"# hash: {found.hash}")
    for metric, package in found.plugins.items():
        print(f"# metric {metric!r}: defined by {package}, status {found.status}")
    print(protocols.source(name), end="")


@protocol.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@json_option
def diff(first: str, second: str, as_json: bool) -> None:
    """Print the settings in which two protocols differ."""
    from dataclasses import asdict

    from rvsd_bench.evaluation import protocol as protocols

    found = protocols.diff(protocols.load(first), protocols.load(second))
    if as_json:
        answer([asdict(difference) for difference in found])
        return
    for difference in found:
        print(f"{difference.path}: {difference.first!r} -> {difference.second!r}")
