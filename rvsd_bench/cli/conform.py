"""The command that says whether a model keeps the interface."""

from __future__ import annotations

from dataclasses import asdict

import click

from rvsd_bench.cli.common import answer, json_option


@click.command()
@click.argument("model")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--quick", is_flag=True, help="Leave out the frame of 640 x 360.")
@click.option("--trust-code", is_flag=True, help="Run py: and torchscript: files.")
@json_option
def conform(model: str, device: str, quick: bool, trust_code: bool, as_json: bool) -> None:
    """Check whether MODEL keeps the interface: sizes, lengths, determinism, range, stages.

    Exits with 4 if it does not. Scores do not matter here; `profile` says what it costs.
    """
    from rvsd_bench.baselines import load, pick_device
    from rvsd_bench.errors import ValidationError
    from rvsd_bench.restoring.conforming import findings

    chosen = pick_device(device)
    restorer = load(model, device=chosen, trust_code=trust_code)
    found = []
    for finding in findings(restorer, device=chosen, quick=quick):
        found.append(finding)
        if not as_json:
            click.echo(f"{'ok' if finding.kept else 'FAILS':5}  {finding.check:15}  {finding.told}")
    if as_json:
        answer([asdict(finding) for finding in found])
    broken = [finding.check for finding in found if not finding.kept]
    if broken:
        raise ValidationError(f"{model} does not conform: {', '.join(broken)}")
