"""Find which methods of a group cannot be told apart, and what a reader must be warned of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.comparing import count_wins, few_sources
from rvsd_bench.leaderboard.pairing import Entry, pair
from rvsd_bench.leaderboard.statistics import ALPHA, detectable, holm, sign_flip_p
from rvsd_bench.leaderboard.table import Group, Pair, Row, Run, comparable, headline, number

REFERENCES = {
    "the input": "identity",
    "affine": "affine",
    "median": "median",
}
"""The rows that a table should have, and the model that gives each."""


def judged(group: Group, runs: Sequence[Run]) -> Group:
    """Return a group with its tie groups, its pairwise tests and the warnings that it deserves.

    The best method opens the first tie group; those that the sign-flip test does not tell from it,
    with Holm's correction for all that are tested against it, join. The best of the others opens
    the next, and so on. Rows without a rank belong to none.
    """
    if group.reported:
        return group
    entries = [_entry(row, runs) for row in group.rows]
    remarks = [*_few_sources(group), *_missing_references(entries)]
    try:
        pairs = tuple(_pairs(group, entries))
    except InputError as error:
        remarks.append(f"no tie groups: {_published(str(error), runs)}")
        return replace(group, remarks=tuple(remarks))
    ties = _tie_groups([row["method_id"] for row in group.rows if row["rank"]], pairs)
    rows = tuple(
        {**row, "tie_group": str(ties[row["method_id"]]) if row["rank"] else ""}
        for row in group.rows
    )
    return replace(group, rows=rows, pairs=pairs, remarks=tuple(remarks))


def _published(text: str, runs: Sequence[Run]) -> str:
    """Return a message for a table that others read: runs are called by their own folder alone."""
    for run in sorted(runs, key=lambda run: len(str(run.folder)), reverse=True):
        if run.folder.name:  # a dot stands everywhere
            text = text.replace(str(run.folder), run.folder.name)
    return text


def _entry(row: Row, runs: Sequence[Run]) -> Entry:
    """Return a row with the run that it came from; no two runs hold the same one."""
    wanted = (row["method_id"], *comparable(row))
    for run in runs:
        if any((own["method_id"], *comparable(own)) == wanted for own in run.rows):
            return Entry(run, row)
    raise InputError(f"no run holds {row['method_id']!r}")


def _pairs(group: Group, entries: Sequence[Entry]) -> Iterator[Pair]:
    """Yield the test of each pair of rows that have a headline, better row first."""
    metric = headline(group.rows)
    scored = [entry for entry in entries if entry.row[metric]]
    for place, first in enumerate(scored):
        for second in scored[place + 1 :]:
            paired = pair(second, first, metric)
            sums, counts = paired.by_source()
            wins, losses = count_wins(paired)
            yield Pair(
                first.row["method_id"],
                second.row["method_id"],
                metric,
                len(sums),
                float(sums.sum() / counts.sum()),
                sign_flip_p(sums),
                wins,
                losses,
                len(paired.keys) - wins - losses,
                detectable(sums, counts) if len(sums) > 1 else None,
            )


def _tie_groups(ranked: Sequence[str], pairs: Sequence[Pair]) -> dict[str, int]:
    p = {(one.first, one.second): one.p for one in pairs}
    ties: dict[str, int] = {}
    left, count = list(ranked), 0
    while left:
        best, *others = left
        count += 1
        corrected = dict(zip(others, holm([p[best, other] for other in others])))
        joined = [best, *(other for other in others if corrected[other] > ALPHA)]
        ties |= dict.fromkeys(joined, count)
        left = [other for other in others if other not in joined]
    return ties


def _few_sources(group: Group) -> Iterator[str]:
    counts = [n for row in group.rows if (n := number(row, "n_sources")) is not None]
    if counts and (text := few_sources(int(min(counts)))):
        yield text


def _missing_references(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a line for each reference that a reader will miss."""
    rows = [entry.row for entry in entries]
    found = {"the input"} if any(row["source"] == "input" for row in rows) else set()
    for entry in entries:
        if entry.row["source"] == "measured" and entry.row["kind"] == "classical":
            found |= {name for name in REFERENCES if _is(entry, name)}
    paired = any(row[m] for m in ("psnr", "ssim", "lpips") for row in rows)  # can be fitted
    missing = [name for name in REFERENCES if name not in found and (paired or name != "affine")]
    if missing:
        models = " ".join(REFERENCES[name] for name in missing)
        yield (
            f"no row of {', '.join(missing)}: without these references nobody can tell what a "
            f"score is worth; evaluate {models} on the same data"
        )


def _is(entry: Entry, model: str) -> bool:
    """Tell whether a row is of a model: by the spec that it was asked for with, or by its name."""
    row = entry.row
    spec = str(entry.run.method(row).get("spec", "")).removeprefix(f"{row['method_id']}=")
    return any(
        name == model or name.startswith((f"{model}?", f"{model}@"))
        for name in (spec, row["method_id"], row["method_name"])
    )
