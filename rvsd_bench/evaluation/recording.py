"""Describe a run: one row of `leaderboard.csv` for each method, and the manifest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rvsd_bench import __version__
from rvsd_bench.columns import HEADLINES, LEADERBOARD, SCHEMA_VERSION, TEMPORAL
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.environment import (
    created_utc,
    device_name,
    environment,
    git_state,
    versions,
)
from rvsd_bench.evaluation.measuring import Measure
from rvsd_bench.evaluation.planning import Plan
from rvsd_bench.evaluation.protocol import BENCHMARK_VERSION, names
from rvsd_bench.evaluation.runfiles import write_table
from rvsd_bench.evaluation.summary import Score, VideoScores, summarise
from rvsd_bench.evaluation.tabulating import Gathered, Result
from rvsd_bench.files import write_json
from rvsd_bench.leaderboard.card import CARD_FILE, read_card


def write_leaderboard(gathered: Gathered) -> None:
    """Write `leaderboard.csv`; ranks are given by `leaderboard build`, which sees more runs."""
    rows = [_row(gathered, result) for result in gathered.results]
    write_table(gathered.folder / "leaderboard.csv", LEADERBOARD, rows)


def write_validation(gathered: Gathered) -> None:
    """Write `validation.json`: all findings, errors and warnings."""
    found = [problem for result in gathered.results for problem in result.problems]
    tidy = gathered.plan.tidy
    write_json(
        gathered.folder / "validation.json",
        {
            "schema_version": SCHEMA_VERSION,
            "ok": not any(problem.level == "error" for problem in found),
            "problems": [asdict(p) | {"message": tidy(p.message)} for p in found],
        },
    )


def write_manifest(gathered: Gathered) -> None:
    """Write `manifest.json`: with what, on what and how the numbers were computed."""
    plan = gathered.plan
    withheld = [result.method.label for result in gathered.results if result.withheld]
    write_json(
        gathered.folder / "manifest.json",
        {
            "schema_version": SCHEMA_VERSION,
            "run_id": gathered.run_id,
            "created_utc": created_utc(),
            "command": _command(plan),
            "models": [method.label for method in plan.methods],
            "slugs": {method.id: method.slug for method in plan.methods},
            "methods": [_method(plan, result) for result in gathered.results],
            "protocol": {**asdict(plan.protocol), "hash": plan.protocol.hash},
            "dataset": {
                "name": plan.dataset.name,
                "layout": plan.dataset.layout,
                "split": plan.split,
                "sha256": _dataset_digest(gathered),
                "videos": len(plan.videos),
                "frames": plan.n_frames,
                "sources": len({plan.source(video) for video in plan.videos}),
                "limit": plan.limit,
            },
            "weights": _weights(plan),
            "skipped": dict(plan.skipped),
            "plugins": {m.name: _plugin(m) for m in plan.measures if m.package},
            "environment": environment() | {"device": device_name(plan.device)},
            "numeric": {"threads": 1, "tf32": False, "deterministic": True, "dtype": "float32"},
            "git": dict(zip(("commit", "changed"), git_state() or (None, None))),
            "withheld": withheld,
            "benchmark_version": BENCHMARK_VERSION,
        },
    )


def _row(gathered: Gathered, result: Result) -> dict[str, Any]:
    plan, method = gathered.plan, result.method
    git = git_state()
    told = ("gmacs", "gmacs_size", "train_seed", "train_config_sha256")
    facts = {name: method.info.facts.get(name) for name in told}
    return {
        **gathered.common(method),
        "method_name": method.name,
        "kind": method.kind,
        "protocol": plan.protocol.id,
        "protocol_hash": plan.protocol.hash,
        "split": plan.split,
        "source": method.source,
        "source_ref": method.info.paper,
        "valid": result.valid and _weights_status(plan) != "test",
        **_counts(result),
        **_headlines(plan, result, [name for name in result.scores if name in LEADERBOARD]),
        "params_m": method.parameters / 1e6 if method.parameters is not None else None,
        "device": device_name(plan.device),
        "precision": "float32",
        "checkpoint_sha256": method.info.weights_sha256,
        "git_sha": git[0] if git else None,
        "git_dirty": git[1] if git else None,
        "pkg_version": __version__,
        **versions(),
        **_weights_columns(plan),
        "dataset_manifest_sha256": _dataset_digest(gathered),
        "predictions_sha256": result.predictions_sha256,
        "created_utc": created_utc(),
        "notes": "; ".join(_notes(plan, result)),
        "trained": method.info.trained,
        "weights_status": _weights_status(plan),
        "licence": "; ".join(_licences(plan, result)),
        "benchmark_version": BENCHMARK_VERSION,
        "n_sources": len({plan.source(video) for video in plan.videos}),
        **facts,
    }


def _weights_columns(plan: Plan) -> dict[str, str]:
    used = {f"weights_{m.card.weights}": m.weights.sha256 for m in plan.measures if m.weights}
    return {name: digest for name, digest in used.items() if name in LEADERBOARD}


def of_plugins(plan: Plan, result: Result) -> dict[str, Any]:
    """Return the numbers of metrics of other packages, named as columns would be.

    `leaderboard.csv` has no columns for them: they stand in the manifest.
    """
    return _headlines(plan, result, [name for name in result.scores if name not in LEADERBOARD])


def _headlines(plan: Plan, result: Result, metrics: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of the row; none at all if a frame is missing."""
    row: dict[str, Any] = {}
    for name in metrics:
        videos = result.scores[name]
        score = None if result.withheld else _score(plan, list(videos.values()))
        if score is None:
            continue
        row[name] = score.micro if plan.protocol.average == "micro" else score.macro
        if name in (*HEADLINES, *plan.protocol.plugins):
            row[f"{name}_ci_lo"], row[f"{name}_ci_hi"] = score.low, score.high
            row[f"{name}_t_lo"], row[f"{name}_t_hi"] = score.t_low, score.t_high
            row[f"{name}_micro"] = score.micro
        if name in TEMPORAL and (own := _score(plan, [v.of_truth for v in videos.values()])):
            row[f"{name}_truth"] = own.micro if plan.protocol.average == "micro" else own.macro
    return row


def _score(plan: Plan, videos: Sequence[VideoScores]) -> Score | None:
    return summarise(videos, average=plan.protocol.average, draws=plan.protocol.bootstrap_draws)


def _counts(result: Result) -> dict[str, int]:
    """Count the videos, and their frames, in which nothing is missing."""
    videos = {folder for scores in result.scores.values() for folder in scores}
    whole = [
        next(scores[folder].expected for scores in result.scores.values() if folder in scores)
        for folder in videos
        if all(s[folder].complete for s in result.scores.values() if folder in s)
    ]
    return {"n_videos": len(whole), "n_frames": sum(whole)}


def _notes(plan: Plan, result: Result) -> list[str]:
    notes = [] if result.method.info.trained else ["untrained"]
    if _weights_status(plan) == "test":
        notes.append("scored by a test network, which learned nothing: the figures mean nothing")
    if plan.limit is not None:
        notes.append(f"limited to the first {plan.limit} videos")
    notes += [f"{name} skipped: its weights or package are missing" for name in plan.skipped]
    if other := _by_pyiqa(plan):
        notes.append(f"computed by pyiqa: {', '.join(other)}")
    errors = [problem for problem in result.problems if problem.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        notes.append(plan.tidy(f"{errors[0].told}{more}"))
    return notes


def _by_pyiqa(plan: Plan) -> list[str]:
    """Return the metrics that pyiqa computed because the user asked for it."""
    return [m.name for m in plan.measures if m.backend == "pyiqa" and m.card.kind == "fr"]


def _licences(plan: Plan, result: Result) -> list[str]:
    info = result.method.info
    own = [info.licence, info.weights_licence and f"weights {info.weights_licence}"]
    bound = [m for m in plan.measures if "non-commercial" in m.card.licence]
    return [text for text in own if text] + [f"{m.name}: {m.card.licence}" for m in bound]


def _dataset_digest(gathered: Gathered) -> str | None:
    """Return the digest of the frames, from a method that saw them all if there is one."""
    results = sorted(gathered.results, key=lambda result: result.withheld)
    return next((r.dataset_sha256 for r in results if r.dataset_sha256), None)


def _plugin(measure: Measure) -> dict[str, Any]:
    """Return what a reader of the numbers has to know about a metric of another package."""
    card = measure.card
    told = {
        name: getattr(card, name) for name in ("title", "kind", "direction", "unit", "decimals")
    }
    return {"package": measure.package, **told, "licence": card.licence, "paper": card.paper}


def _method(plan: Plan, result: Result) -> dict[str, Any]:
    method, info = result.method, result.method.info
    return {
        "id": method.id,
        "name": method.name,
        "spec": method.given,
        "source": method.source,
        "valid": result.valid,
        "trained_on": info.trained_on,
        "deviations": list(info.deviations),
        "facts": dict(info.facts),
        "weights_sha256": info.weights_sha256,
        "predictions_sha256": result.predictions_sha256,
        "plugins": of_plugins(plan, result),
        "audit": result.audit,
        "card": _card(method.frames),
    }


def _card(frames: Path | None) -> dict[str, Any] | None:
    """Return the card that lies beside restored frames; one that cannot stand is left out."""
    if frames is None or not (frames / CARD_FILE).is_file():
        return None
    try:
        return read_card(frames / CARD_FILE).as_dict()
    except InputError:  # told of as a problem of the method
        return None


def _weights_status(plan: Plan) -> str | None:
    """Return the least trustworthy status among the metrics' weights; None if none has any."""
    found = {m.weights.status for m in plan.measures if m.weights}
    return next((status for status in ("test", "custom", "verified") if status in found), None)


def _weights(plan: Plan) -> dict[str, dict[str, str]]:
    found = ((measure.name, measure.weights) for measure in plan.measures)
    return {
        name: {"file": file.path.name, "sha256": file.sha256, "licence": file.licence}
        for name, file in found
        if file is not None
    }


def _command(plan: Plan) -> str:
    """Return the command that makes this run again, without anyone's folders."""
    words = [
        *("rvsd-bench", "evaluate", *(method.given for method in plan.methods)),
        *("--data", plan.dataset.name, "--split", plan.split),
        *("--protocol", _protocol(plan)),
        *("--metrics", ",".join(plan.metrics)),
        *(("--backend", "pyiqa") if _by_pyiqa(plan) else ()),
        *(word for file in _others(plan) for word in ("--weights-allow", file)),
        *(("--limit", str(plan.limit)) if plan.limit is not None else ()),
        *(("--allow-untrained",) if not all(m.info.trained for m in plan.methods) else ()),
        *(("--trust-code",) if any(method.trust_code for method in plan.methods) else ()),
        *(("--isolate",) if any(method.isolation for method in plan.methods) else ()),
    ]
    return shlex.join(words)


def _protocol(plan: Plan) -> str:
    """Return the protocol as a command names it: by its id, or one's own by a file called so."""
    own = plan.protocol.id.partition("+")[0]
    return own if own in names() else f"{own}.toml"


def _others(plan: Plan) -> list[str]:
    """Return the texts that `--weights-allow` wants for weights that are not those on record."""
    files = [measure.weights for measure in plan.measures if measure.weights]
    others = (f"{file.key}={file.sha256}" for file in files if file.status != "verified")
    return list(dict.fromkeys(others))
