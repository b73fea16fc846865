"""Keep a table of figures that others published."""

from __future__ import annotations

from pathlib import Path

import click

from rvsd_bench.cli.common import answer, json_option, say


@click.group()
def reported() -> None:
    """Keep a table of figures that others published."""


@reported.command()
@click.argument("table", type=click.Path(path_type=Path), metavar="FILE.csv")
@click.option("--method", "method_name", required=True, help="The method's name.")
@click.option(
    "--source-ref",
    required=True,
    metavar="CITATION",
    help="Where the figures can be looked up: publication with year, and table.",
)
@click.option("--dataset", required=True, help="As the publication names it, such as RVSD.")
@click.option("--split", default="test", show_default=True)
@click.option(
    "--protocol", default="unstated", show_default=True, help="Only one that the publication names."
)
@click.option("--kind", type=click.Choice(["input", "classical", "image", "video"]), default=None)
@click.option("--venue", help="Where the method was published, such as ECCV.")
@click.option("--year", help="When it was.")
@click.option("--psnr")
@click.option("--ssim")
@click.option("--lpips")
@click.option("--nima")
@click.option("--musiq")
@json_option
def add(table: Path, protocol: str, as_json: bool, **cells: str | None) -> None:
    """Append a published figure, digit by digit, to FILE.csv.

    `leaderboard build --reported-csv FILE.csv` shows it, marked and never ranked with what was
    measured here.
    """
    from rvsd_bench.errors import unknown
    from rvsd_bench.evaluation import protocol as protocols
    from rvsd_bench.leaderboard import reported as figures

    known = ["unstated", *protocols.names()]
    if protocol not in known:
        raise unknown("protocol", protocol, known)
    given = {name: text or "" for name, text in cells.items()}
    row = figures.add(table, {**given, "protocol": protocol})
    if as_json:
        answer(row)
        return
    say(f"added {row['method_name']} to {table}")


@reported.command("list")
@click.argument("tables", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE.csv]...")
@json_option
def list_(tables: tuple[Path, ...], as_json: bool) -> None:
    """List the published figures that come with the package, or those of FILE.csv."""
    from rvsd_bench.leaderboard import reported as figures
    from rvsd_bench.leaderboard.table import published

    rows = published(tables or [None])
    if as_json:
        return answer([{name: row[name] for name in figures.COLUMNS if row[name]} for row in rows])
    return click.echo("\n".join(figures.listing(rows)))
