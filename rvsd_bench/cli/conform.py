"""The command that says whether a model keeps the interface."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from rvsd_bench.cli.common import answer, chosen_isolation, code_options, json_option


@click.command()
@click.argument("model")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--quick", is_flag=True, help="Leave out the frame of 640 x 360.")
@code_options
@json_option
def conform(
    model: str, device: str, quick: bool, trust_code: bool, as_json: bool, **limits: Any
) -> None:
    """Check whether MODEL keeps the interface: sizes, lengths, determinism, range, stages.

    Exits with 4 if it does not. Scores do not matter here; `profile` says what it costs. With
    --isolate the checks are confined along with the model, whose code could forge what they find.
    """
    from rvsd_bench.baselines import parse, pick_device
    from rvsd_bench.errors import ValidationError
    from rvsd_bench.restoring.conforming import findings_of

    isolation = chosen_isolation(trust_code=trust_code, **limits)
    checked = findings_of(
        parse(model),
        device=pick_device(device),
        quick=quick,
        isolation=isolation,
        trust_code=trust_code,
    )
    found = []
    for finding in checked:
        found.append(finding)
        if not as_json:
            click.echo(f"{'ok' if finding.kept else 'FAILS':5}  {finding.check:15}  {finding.told}")
    if as_json:
        answer([asdict(finding) for finding in found])
    broken = [finding.check for finding in found if not finding.kept]
    if broken:
        raise ValidationError(f"{model} does not conform: {', '.join(broken)}")
