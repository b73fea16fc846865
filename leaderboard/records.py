"""Write groups of rows as JSON: every figure as a number, every warning, every test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.columns import FLAGS, NUMBERS, SCHEMA_VERSION
from rvsd_bench.leaderboard.exports import footnotes
from rvsd_bench.leaderboard.repeats import Repeats, repeats
from rvsd_bench.leaderboard.table import Group, Row, headline, number


def records(groups: Sequence[Group]) -> str:
    """Return all groups as the text of `leaderboard.json`."""
    facts = {
        "schema_version": SCHEMA_VERSION,
        "pkg_version": __version__,
        "groups": [_group(group) for group in groups],
    }
    return json.dumps(facts, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _group(group: Group) -> dict[str, Any]:
    return {
        "protocol": group.protocol,
        "protocol_hash": group.protocol_hash,
        "dataset": group.dataset,
        "dataset_manifest_sha256": None if group.reported else group.dataset_sha256 or None,
        "split": group.split,
        "reported": group.reported,
        "headline": headline(group.rows),
        "metrics": list(group.metrics),
        "rows": [_typed(row) for row in group.rows],
        "pairs": [asdict(pair) for pair in group.pairs],
        "repeats": [_repeats(found) for found in repeats(group)],
        "notes": footnotes(group),
        "warnings": list(group.remarks),
    }


def _repeats(found: Repeats) -> dict[str, Any]:
    """Return the mean and standard deviation over training seeds, metric by metric."""
    scores = {name: {"mean": mean, "sd": sd} for name, (mean, sd) in found.scores.items()}
    return asdict(found) | {"scores": scores}


def _typed(row: Row) -> dict[str, Any]:
    """Return a row with its numbers as numbers and its empty cells as None."""
    return {name: _value(row, name) for name in row}


def _value(row: Row, name: str) -> Any:
    text = row[name]
    if not text:
        return None
    if name in FLAGS:
        return text == "true"
    if name not in NUMBERS and name != "tie_group":
        return text
    value = number(row, name)
    return int(value) if value is not None and value.is_integer() and "." not in text else value
