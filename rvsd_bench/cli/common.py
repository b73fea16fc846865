"""Options that several commands share, and the two ways in which commands speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rvsd_bench.errors import InputError

if TYPE_CHECKING:
    from rvsd_bench.isolation.limits import Isolation

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

ExistingOrNot = click.Path(path_type=Path)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a machine-readable result on stdout."
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
seed_option = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
force_option = click.option("--force", is_flag=True, help="Redo finished output.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")


timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop a clip that takes longer, and go on with the others.",
)


def job_options(command: F) -> F:
    """Add the options of commands that work through many clips."""
    for option in (
        click.option("--shard", metavar="i/N", help="Do the i-th of N equal parts (1 <= i <= N)."),
        click.option(
            "--executor",
            type=click.Choice(["pool", "serial", "ray"]),
            default="pool",
            show_default=True,
            help="With one worker and no --timeout, pool is serial.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="0: all cores.",
        ),
    ):
        command = option(command)
    return command


def code_options(command: F) -> F:
    """Add the options that say how a stranger's code is run; see `chosen_isolation`."""
    positive = click.FloatRange(min=0, min_open=True)
    for option in (
        click.option(
            "--total-time-limit",
            type=positive,
            metavar="S",
            help="Seconds for all that --isolate confines.  [default: 21600]",
        ),
        click.option(
            "--time-limit",
            type=positive,
            metavar="S",
            help="Seconds for one video, or check, of a confined model.  [default: 600]",
        ),
        click.option(
            "--memory-limit",
            type=positive,
            metavar="GIB",
            help="Memory of a confined model.  [default: 8]",
        ),
        click.option(
            "--isolate",
            is_flag=True,
            help="Run models that come in files confined by bubblewrap: no network, no files.",
        ),
        click.option(
            "--trust-code",
            is_flag=True,
            help="Run py: and torchscript: files with all your rights.",
        ),
    ):
        command = option(command)
    return command


def chosen_isolation(
    *,
    isolate: bool,
    trust_code: bool,
    memory_limit: float | None,
    time_limit: float | None,
    total_time_limit: float | None,
) -> Isolation | None:
    """Return how a stranger's code is to be confined, None if it is not; tell if it is trusted."""
    from rvsd_bench.isolation.limits import Isolation, Limits

    given = {
        "memory_bytes": None if memory_limit is None else int(memory_limit * 2**30),
        "video_s": time_limit,
        "total_s": total_time_limit,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if isolate and trust_code:
        raise InputError("--isolate confines code and --trust-code does not: give one of them")
    if given and not isolate:
        raise InputError("limits are kept by --isolate alone: add it")
    if trust_code:
        say("note: py: and torchscript: files run with all your rights; --isolate confines them")
    return Isolation(Limits(**given)) if isolate else None  # type: ignore[arg-type]


def snowfall_options(command: F) -> F:
    """Add the options of commands that let snow fall into clips; see `chosen_snowfall`."""
    for option in (
        click.option("--fps", type=float, help="Rate of a folder of frames.  [default: 25]"),
        click.option("--size", metavar="WxH", help="Resample the clips to this size."),
        click.option(
            "--motion",
            default="auto",
            show_default=True,
            metavar="auto/static/drive:KMH/FILE",
        ),
        click.option(
            "--depth",
            default="auto",
            show_default=True,
            metavar="auto/ground/mono/constant:M/FILE/DIR",
        ),
        click.option(
            "--recipe", type=ExistingOrNot, metavar="FILE.toml", help="Your own snowfall."
        ),
        click.option("--preset", metavar="NAME", help="A shipped snowfall.  [default: moderate]"),
    ):
        command = option(command)
    return command


def chosen_snowfall(preset: str | None, recipe: Path | None) -> str | Path:
    """Return the preset or the recipe that was asked for; raise InputError if both were."""
    if preset and recipe:
        raise InputError("--preset and --recipe are two ways to say one thing: give one of them")
    return recipe or preset or "moderate"


def say(message: str) -> None:
    """Print a line for people, on stderr."""
    print(message, file=sys.stderr, flush=True)


def answer(result: Any) -> None:
    """Print a machine-readable result on stdout."""
    print(json.dumps(result, indent=1, sort_keys=True, allow_nan=False))


def progress(items: Iterable[T], *, total: int, what: str, unit: str = "frame") -> Iterable[T]:
    """Show progress on stderr: a bar on a terminal, a few plain lines elsewhere."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(items, total=total, desc=what, unit=unit, leave=False)
    if total < 2:
        return items
    return _plain(items, total, what, unit)


def _plain(items: Iterable[T], total: int, what: str, unit: str) -> Iterable[T]:
    step = max(1, total // 4)
    for done, item in enumerate(items, 1):
        if done % step == 0 or done == total:
            say(f"{what}: {done} of {total} {unit}s")
        yield item
