"""Turn runs and published figures into the four files of a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rvsd_bench.columns import LEADERBOARD, csv_lines
from rvsd_bench.errors import InputError
from rvsd_bench.files import make_folder, remove_orphans, write_text
from rvsd_bench.leaderboard.exports import markdown
from rvsd_bench.leaderboard.latex import latex
from rvsd_bench.leaderboard.page import page
from rvsd_bench.leaderboard.records import records
from rvsd_bench.leaderboard.table import Group, group, merge, published, read_run
from rvsd_bench.leaderboard.ties import judged


def build(
    runs: Sequence[Path],
    out: Path,
    *,
    reported: bool = False,
    own_reported: Sequence[Path] = (),
    rank_reported: bool = False,
) -> list[Group]:
    """Write `leaderboard.csv`, `.md`, `.tex`, `.json` and `index.html` into `out`.

    `reported` adds the published figures that come with the package, `own_reported` those of other
    tables (`reported add`); with `rank_reported` they are ranked, each table by itself. Everything
    is read and made before the first file is written.

    Returns:
        The groups of rows that may be compared.

    Raises:
        InputError: nothing to build from, a folder is no run, or the same method twice.
    """
    if not runs and not reported and not own_reported:
        raise InputError("name at least one run of evaluate, or ask for --reported")
    if rank_reported and not (reported or own_reported):
        raise InputError("there are no published figures to rank; add --reported")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --out needs a folder")
    read = [read_run(folder) for folder in runs]
    tables = [*([None] if reported else []), *own_reported]
    every = [*merge(read), *published(tables)]
    groups = [judged(part, read) for part in group(every, rank_reported=rank_reported)]
    rows = [row for part in groups for row in part.rows]
    table = "".join(csv_lines(LEADERBOARD, rows))
    texts = {
        "leaderboard.csv": table,
        "leaderboard.md": markdown(groups),
        "leaderboard.tex": latex(groups),
        "leaderboard.json": records(groups),
        "index.html": page(groups, read, table),
    }
    make_folder(out)
    remove_orphans(out)
    for name, text in texts.items():
        write_text(out / name, text)
    return groups
