"""Say what this machine offers and what is missing, one line a finding."""

from __future__ import annotations

import click

from rvsd_bench.cli.common import answer, json_option


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what this machine offers and what is missing.

    A line is `ok`, `note` (something optional is absent) or `warn` (something is wrong, and what
    to do about it).
    """
    from rvsd_bench.diagnosis import examine

    findings = examine()
    if as_json:
        answer([{"state": f.state, "what": f.what, "detail": f.detail} for f in findings])
        return
    for finding in findings:
        print(f"{finding.state:4}  {finding.what:12}  {finding.detail}")
