"""Say who made what: the cards of submissions, and a bibliography of a leaderboard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.leaderboard.exports import one_line
from rvsd_bench.leaderboard.latex import escaped
from rvsd_bench.leaderboard.table import Group, Row, Run, display_name

_SOFTWARE = {
    "title": "{rvsd-bench}: generate, load, remove and score snow in video",
    "author": "{The rvsd-bench authors}",
    "note": f"Version {__version__}",
}


def card_of(row: Row, runs: Sequence[Run]) -> Mapping[str, Any]:
    """Return the card that came with a row's submission; an empty one where there was none."""
    for run in runs:
        if not any(row["run_id"] == own["run_id"] for own in run.rows):
            continue
        cards = run.manifest.get("cards")  # those of a board lie beside each other
        own = run.method(row).get("card")
        card = cards.get(row["method_id"]) if isinstance(cards, dict) else own
        if isinstance(card, dict):
            return card
    return {}


def authors_of(card: Mapping[str, Any]) -> list[str]:
    """Return the names on a card; none where the card was not written by `pack`."""
    found = card.get("authors")
    return [str(name) for name in found] if isinstance(found, list) else []


def bibtex(groups: Sequence[Group], runs: Sequence[Run]) -> str:
    """Return the tool, and every row that names a paper or has a card, as BibTeX entries.

    An entry says no more than is known: what a table has as one text stands in its note.
    """
    entries = [_entry("software", "rvsd-bench", _SOFTWARE)]
    taken = {"rvsd-bench"}
    for row in _cited(groups):
        card = card_of(row, runs)
        if not (row["source_ref"] or card):
            continue
        key = _key(row, taken)
        taken.add(key)
        authors = " and ".join(f"{{{escaped(name)}}}" for name in authors_of(card))
        fields = {
            "title": f"{{{escaped(display_name(row))}}}",
            "author": authors,
            "year": escaped(row["year"]),
            "howpublished": escaped(row["venue"]),
            "note": escaped(row["source_ref"]),
        }
        entries.append(_entry("misc", key, fields))
    return "\n".join(entries)


def _cited(groups: Sequence[Group]) -> Iterator[Row]:
    """Yield every row but the unrestored input, of which nobody is the author."""
    for group in groups:
        for row in group.rows:
            if row["kind"] != "input":
                yield row


def _entry(kind: str, key: str, fields: Mapping[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])


def _key(row: Row, taken: set[str]) -> str:
    """Return a key of plain letters that no other entry has."""
    name = unicodedata.normalize("NFKD", one_line(display_name(row))).encode("ascii", "ignore")
    stem = re.sub(r"[^a-z0-9]+", "-", name.decode().lower()).strip("-")[:40] or "method"
    stem += f"-{row['year']}" if row["year"].isdigit() else ""
    number = 1
    while (key := stem if number == 1 else f"{stem}-{number}") in taken:
        number += 1
    return key
