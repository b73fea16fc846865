"""The command that says what models cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from rvsd_bench.cli.common import answer, chosen_isolation, code_options, json_option

HEAD = (
    f"{'model':34} {'M param.':>9} {'GMAC/fr.':>9} {'GMAC/win.':>9} {'ms/frame':>9} {'peak MiB':>9}"
)


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--size", default="256x256", show_default=True, metavar="WxH")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
)
@code_options
@json_option
def profile(
    models: tuple[str, ...],
    size: str,
    device: str,
    precision: str,
    trust_code: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Measure parameters, GMACs, milliseconds and memory of a frame, each MODEL by itself.

    Each is measured in a process of its own, so that its memory is its own. Published costs stand
    below those of the same name, marked as reported. What a model that --isolate confines is said
    to cost is its own word, for its code could forge it.
    """
    from rvsd_bench.baselines import parse, pick_device
    from rvsd_bench.errors import InputError
    from rvsd_bench.making.planning import parse_size
    from rvsd_bench.restoring.profiling import REPORTED, profile_apart

    wanted = parse_size(size)
    if wanted is None:
        raise InputError("--size needs a width and a height, such as 256x256")
    rows = []
    for row in profile_apart(
        models,
        wanted[::-1],
        device=pick_device(device),
        precision=precision,
        trust_code=trust_code,
        isolation=chosen_isolation(trust_code=trust_code, **limits),
    ):
        rows.append(row)
        if as_json:
            continue
        if len(rows) == 1:
            click.echo(
                f"{HEAD}\nmeasured, {size}, {row.device}, {row.threads} threads, {precision}:"
            )
        learned = "-" if row.parameters is None else f"{row.parameters / 1e6:.3f}"
        click.echo(
            f"{row.method:34} {learned:>9} {row.gmacs_frame:>9.2f} {row.gmacs_window:>9.2f} "
            f"{row.ms_frame:>9.1f} {row.peak_mib:>9.0f}"
        )
    if as_json:
        return answer([asdict(row) for row in rows])
    for name in dict.fromkeys(parse(model).target for model in models):
        if name in REPORTED:
            told = REPORTED[name]
            click.echo(f"reported, {told.source}:")
            click.echo(f"{name:34} {'':9} {told.gmacs:>9.0f} {'':9} {1000 * told.runtime_s:>9.0f}")
    return None
