"""Score models on a dataset under a standard protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rvsd_bench.cli.common import (
    ExistingOrNot,
    answer,
    chosen_isolation,
    code_options,
    dry_run_option,
    force_option,
    job_options,
    json_option,
    progress,
    say,
    timeout_option,
)

if TYPE_CHECKING:
    from rvsd_bench.evaluation.evaluating import Evaluation


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--data", required=True, type=ExistingOrNot, help="The dataset to score on.")
@click.option("--out", type=ExistingOrNot, help="The folder of the run.")
@click.option("--split", default="test", show_default=True, help="Comma-separated splits.")
@click.option("--split-file", type=ExistingOrNot, help="Names of the test clips, one a line.")
@click.option(
    "--protocol",
    metavar="ID",
    help="Or FILE.toml.  [default: rvsd-2023, without clean frames realsnow85-2024]",
)
@click.option("--metrics", metavar="A,B", help="Some of the protocol's metrics, or of plug-ins.")
@click.option("--backend", type=click.Choice(["native", "pyiqa"]), default="native")
@click.option("--weights", type=ExistingOrNot, help="A folder to look for metrics' weights first.")
@click.option(
    "--weights-allow",
    multiple=True,
    metavar="KEY=SHA256",
    help="Trust another file than the one on record; its scores are marked and kept apart.",
)
@click.option("--skip-missing", is_flag=True, help="Leave out metrics whose weights are missing.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N.")
@click.option("--save-frames", is_flag=True, help="Keep the restored frames as PNG.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N videos; not ranked.")
@click.option("--allow-untrained", is_flag=True, help="Score models without trained weights.")
@code_options
@job_options
@timeout_option
@force_option
@dry_run_option
@json_option
def evaluate(out: Any, metrics: str | None, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Score MODELs, all in one pass over the clean frames.

    A MODEL is a registered name (identity, affine, median?k=5, dcp), frames:DIR for frames that
    are already restored (DIR may be a zip), or py:FILE.py:build; NAME= before it gives it a name.
    The run's tables go to --out, which keeps what is finished: the same command resumes.
    """
    from rvsd_bench.evaluation import evaluating

    if out is None and not dry_run:
        raise click.UsageError("--out is missing: name a folder for the run")
    limits = ("isolate", "memory_limit", "time_limit", "total_time_limit")
    code = {name: options.pop(name) for name in limits}
    isolation = chosen_isolation(trust_code=options["trust_code"], **code)
    result = evaluating.evaluate(
        out=out,
        metrics=metrics.split(",") if metrics else None,
        isolation=isolation,
        dry_run=dry_run,
        report=say,
        track=progress,
        **options,
    )
    if dry_run:
        _print_plan(result, as_json)
    elif not result.results:
        say(f"{result.scored} videos of this shard are scored; for tables: rvsd-bench merge {out}")
    elif as_json:
        answer(_summary(result))
    else:
        print(_table(result))
        for reason in result.plan.skipped.values():
            say(f"left out: {reason}")
        say(f"the run: {out}")
    result.raise_failures()
    return 0


def _print_plan(result: Evaluation, as_json: bool) -> None:
    plan = result.plan
    size, seconds = plan.estimate()
    facts = {
        "methods": [method.label for method in plan.methods],
        "protocol": plan.protocol.id,
        "metrics": list(plan.metrics),
        "videos": len(plan.videos),
        "frames": plan.n_frames,
        "bytes_to_read": size,
        "scoring_s": round(seconds, 1),
    }
    if as_json:
        answer(facts)
        return
    print(
        f"{len(plan.videos)} videos, {plan.n_frames} frames, {size / 1e6:.3g} MB to read; "
        f"{', '.join(plan.metrics)} under {plan.protocol.id}; about {seconds:.0f} s of one core "
        "for scoring, without the models' own time"
    )
    for method in plan.methods:
        print(f"  {method.id}")


def _summary(result: Evaluation) -> dict[str, Any]:
    rows = _rows(result)
    problems = [result.plan.tidy(f"{problem.level}: {problem}") for problem in result.problems]
    return {"out": str(result.folder), "scored": result.scored, "rows": rows, "problems": problems}


def _table(result: Evaluation) -> str:
    """Return the headlines with their 95 % intervals as aligned text."""
    from rvsd_bench.leaderboard.exports import aligned

    rows = _rows(result)
    metrics = [name for name in result.plan.metrics if any(row.get(name) for row in rows)]
    lines = [["method", *metrics, ""]]
    for row in rows:
        cells = [_cell(row, name, result.plan.card(name).decimals) for name in metrics]
        untrained = "untrained, not ranked" if row["trained"] == "false" else ""
        whole, videos = int(row["n_videos"]), len(result.plan.videos)
        lost = f": {whole} of {videos} videos are whole" if 0 < whole < videos else ""
        mark = untrained if row["valid"] == "true" else f"not ranked{lost}"
        lines.append([row["method_id"], *cells, mark])
    plan = result.plan
    title = f"{plan.protocol.id} on {plan.dataset.name}/{plan.split}, {plan.n_frames} frames"
    return "\n".join([title, *aligned(lines, left=len(lines[0]))])


def _rows(result: Evaluation) -> list[dict[str, str]]:
    """Return the rows of the leaderboard, with the numbers for which it has no column."""
    from rvsd_bench.columns import cell
    from rvsd_bench.evaluation.recording import of_plugins

    others = [of_plugins(result.plan, one) for one in result.results]
    return [row | {k: cell(x) for k, x in own.items()} for row, own in zip(result.rows, others)]


def _cell(row: dict[str, str], name: str, decimals: int) -> str:
    if not row.get(name):
        return "-"
    low, high = row.get(f"{name}_ci_lo"), row.get(f"{name}_ci_hi")
    interval = f" [{float(low):.{decimals}f}, {float(high):.{decimals}f}]" if low and high else ""
    own = row.get(f"{name}_truth") if name == "warp_err" else ""
    floor = f" (truth {float(own):.{decimals}f})" if own else ""
    return f"{float(row[name]):.{decimals}f}{interval}{floor}"
