"""Say how the runs behind a page can be made again, and who made the methods in them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rvsd_bench.leaderboard.credits import authors_of, card_of
from rvsd_bench.leaderboard.table import Row, Run, display_name


def provenance(run: Run) -> Iterator[dict[str, Any]]:
    """Yield how a run, or each run of a board, can be made again: command, digests, versions."""
    boarded = run.manifest.get("runs")
    every = boarded if isinstance(boarded, list) else [run.manifest]
    for facts in (one for one in every if isinstance(one, dict)):
        run_id = facts.get("run_id", "")
        yield {
            "name": f"{run.folder.name}: {run_id}" if boarded else run.folder.name,
            "commands": _commands(run, facts),
            "facts": _facts(run, facts, run_id),
            "models": [_model(run, row) for row in run.rows if row["run_id"] == run_id],
        }


def _facts(run: Run, facts: Mapping[str, Any], run_id: str) -> list[tuple[str, str]]:
    """Return what a run was made of, each with its name; what was not written is left out."""
    dataset, protocol, git = (_part(facts, name) for name in ("dataset", "protocol", "git"))
    row = next((row for row in run.rows if row["run_id"] == run_id), {})
    commit = git.get("commit") or row.get("git_sha")
    weights = {
        f"weights of {name}": value.get("sha256") if isinstance(value, dict) else value
        for name, value in _part(facts, "weights").items()
    }
    named = {
        "run": run_id,
        "made": facts.get("created_utc"),
        "data set": dataset.get("name") or row.get("dataset"),
        "digest of its frames": dataset.get("sha256") or row.get("dataset_manifest_sha256"),
        "protocol": protocol.get("id") or row.get("protocol"),
        "digest of the protocol": protocol.get("hash") or row.get("protocol_hash"),
        "commit": f"{commit}, with changes" if commit and git.get("changed") else commit,
        **weights,
        **{k: v for k, v in _part(facts, "environment").items() if not isinstance(v, dict)},
    }
    return [(name, str(value)) for name, value in named.items() if value not in (None, "")]


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}


def _commands(run: Run, facts: Mapping[str, Any]) -> list[str]:
    """Return the commands that make a run and the page of it, without anyone's folders."""
    command = facts.get("command", "")
    if not command:
        return []
    name = "run" if facts is not run.manifest else shlex.quote(run.folder.name)  # of a board
    return [
        f"{command} --out {name}",
        f"rvsd-bench leaderboard build {name} --out leaderboard",
    ]


def _model(run: Run, row: Row) -> dict[str, str]:
    """Return who made a row, and the digests by which it can be checked."""
    own = run.method(row)
    card = card_of(row, [run])
    return {
        "name": display_name(row),
        "spec": own.get("spec") or row["method_id"],
        "authors": ", ".join(authors_of(card)),
        "paper": row["source_ref"],
        "trained_on": str(card.get("training_data") or own.get("trained_on") or ""),
        "frames": row["predictions_sha256"],
        "weights": row["checkpoint_sha256"],
    }
