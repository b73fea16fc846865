"""Give methods, videos and authors names that were chosen to break tables and pages, and count.

Each name must come back from CSV as it was, and no cell may be one that a spreadsheet runs. The
ranks must be those that plain names get. The page must have the elements and attributes that it has
with plain names, no more, and show each name.

    python benchmarks/reliability/names.py
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, csv_lines, read_csv
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.exports import one_line
from rvsd_bench.leaderboard.table import group, read_run

NAMES = (
    *("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "'=1", "''", "\t=1", "\r", "a\nb", "a\r\nb", '"'),
    *('a","b', ",", ";", "NA", "nan", "None", "inf", "1e5", "007", "true", "#REF!", "\u202eevil"),
    *(
        "\u200b",
        "\ufeff",
        "a\u0000b",
        "\u2028",
        "\x1b[31m",
        "x" * 10_000,
        " a ",
        "\U0001f328\ufe0f",
    ),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)"),
    *("</style><script>alert(1)</script>", "</title><svg onload=alert(1)>", "javascript:alert(1)"),
    *("{{ 7 * 7 }}", "{% include 'page.js' %}", "${alert(1)}", "&lt;b&gt;", "<!--", "]]>", "%s%n"),
    *("</td></tr></table><i>", "../../up", "a|b`c*d_e", "100% \\cmd{x} & $y$", "__proto__"),
)
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


class Reader(HTMLParser):
    """Lists the elements of a page with the names of their attributes, and gathers its text."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        self.elements.append((tag, *sorted(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        """Take note of a text."""
        self.text += f"{data}\n"


def write_run(folder: Path, names: Sequence[str]) -> Path:
    """Write a run as the evaluator leaves it; each name is a method, a video and an author."""
    shared = {"protocol": "rvsd-2023", "protocol_hash": "0123456789ab", "dataset": "demo"}
    shared |= {"split": "test", "run_id": "r"}
    own = {"source": "measured", "valid": True, "trained": True, "kind": "classical"}
    own |= {"schema_version": 1, "n_sources": 12, "dataset_manifest_sha256": "f" * 64}
    rows = [
        {**shared, **own, "method_id": name, "method_name": name, "psnr": 20.0 + place}
        for place, name in enumerate(names)
    ]
    videos = [
        {**shared, "method_id": name, "video": name, "metric": "psnr", "mean": 20.0 + place}
        for place, name in enumerate(names)
    ]
    cards = [{"id": name, "card": {"authors": [name]}, "spec": name} for name in names]
    folder.mkdir(parents=True)
    for table, columns, lines in (
        ("leaderboard.csv", LEADERBOARD, rows),
        ("per_video.csv", PER_VIDEO, videos),
    ):
        (folder / table).write_text("".join(csv_lines(columns, lines)), newline="")
    (folder / "manifest.json").write_text(json.dumps({"methods": cards, "run_id": "r"}))
    return folder


def changed_in_csv(run: Path, names: Sequence[str]) -> list[str]:
    """Return the names that do not come back, or stand in a cell that a spreadsheet would run."""
    back = [row["method_name"] for row in read_csv(run / "leaderboard.csv")]
    broken = [name for name, found in zip(names, back, strict=True) if name != found]
    with (run / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        cells = [row["method_name"] for row in csv.DictReader(file)]
    return broken + [cell for cell in cells if cell.startswith(_RUN_BY_SPREADSHEETS)]


def ranks(run: Path) -> list[tuple[str, str]]:
    """Return figure and rank of every row, best first."""
    return [(row["psnr"], row["rank"]) for part in group(read_run(run).rows) for row in part.rows]


def page(run: Path) -> Reader:
    """Build the page of a run and read it."""
    build([run], run.parent / "out")
    return Reader((run.parent / "out" / "index.html").read_text(encoding="utf-8"))


def unseen(reader: Reader, names: Sequence[str]) -> list[str]:
    """Return the names that the page does not show, but for marks that cannot be seen."""
    text = one_line(reader.text)
    return [name for name in names if one_line(name) and one_line(name) not in text]


def main() -> int:
    """Print what came of the names; return 1 if a promise was broken."""
    plain = [f"name {place}" for place in range(len(NAMES))]
    with tempfile.TemporaryDirectory(prefix="rvsd-bench-") as folder:
        hostile = write_run(Path(folder) / "hostile" / "run", NAMES)
        honest = write_run(Path(folder) / "plain" / "run", plain)
        changed = changed_in_csv(hostile, NAMES)
        moved = ranks(hostile) != ranks(honest)
        ours, theirs = page(hostile), page(honest)
    # Videos stand in the order of their names, so elements are counted and not compared in turn.
    same = Counter(ours.elements) == Counter(theirs.elements)
    leading = [link for link in ours.addresses if not link.startswith(("data:", "#"))]
    hidden = unseen(ours, NAMES)
    kept = "MOVED" if moved else "kept"
    print(f"{len(NAMES)} names through CSV: {len(changed)} changed, ranks {kept}")
    print(
        f"page: {len(ours.elements)} elements, {'as' if same else 'NOT AS'} with plain names; "
        f"{len(leading)} links lead out of it, {len(hidden)} names are not shown"
    )
    return int(bool(changed or moved or not same or leading or hidden))


if __name__ == "__main__":
    sys.exit(main())
