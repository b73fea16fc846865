"""Pair two methods video by video, or say in one line why they cannot be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.errors import InputError, unknown
from rvsd_bench.leaderboard.table import LOWER_IS_BETTER, UNPLACED, Row, Run, display_name, number
from rvsd_bench.texts import brief, shortened

VideoKey = tuple[str, str]
"""Split and name of a video."""
MOST_DRAWS = 100_000
_SAME_RUN = ("run_id", "protocol_hash", "dataset", "method_id")


@dataclass(frozen=True)
class Entry:
    """One method of one run."""

    run: Run
    row: Row

    @property
    def name(self) -> str:
        """What the method is called."""
        return display_name(self.row)

    @property
    def where(self) -> str:
        """The method and its run, for messages."""
        return f"{brief(self.row['method_id'])} of {self.run.folder}"

    @property
    def average(self) -> str:
        """How the protocol averages: `macro`, the mean of videos, or `micro`, of frames."""
        found = self._setting("average")
        if found not in ("macro", "micro"):
            raise InputError(
                f"{self.run.folder / 'manifest.json'}: no such average: {brief(found)}"
            )
        return str(found)

    @property
    def draws(self) -> int:
        """How many times the protocol draws the source clips."""
        found = self._setting("bootstrap_draws")
        if type(found) is not int or not 1 <= found <= MOST_DRAWS:
            raise InputError(
                f"{self.run.folder / 'manifest.json'}: no number of draws: {brief(found)}; "
                f"1 to {MOST_DRAWS} are made"
            )
        return found

    def _setting(self, key: str) -> object:
        own = self.row["protocol_hash"]
        for protocol in _protocols(self.run):
            if key in protocol and protocol.get("hash", own) == own:
                return protocol[key]
        raise InputError(
            f"{self.run.folder / 'manifest.json'} does not hold the {key!r} of protocol "
            f"{self.row['protocol']}; evaluate again with --force"
        )

    def videos(self, metric: str) -> dict[VideoKey, Row]:
        """Return the rows of `per_video.csv` for one metric."""
        mine = (row for row in self._rows if row["metric"] == metric)
        return {(row["split"], row["video"]): row for row in mine}

    def lower(self, metric: str) -> bool | None:
        """Tell whether a lower value is better, None where neither way is.

        A run says it of metrics of other packages.
        """
        if metric in UNPLACED:
            return None
        if metric in LOWER_IS_BETTER:
            return True
        told = (facts.get("plugins") for facts in self.run.facts())
        cards = [known[metric] for known in told if isinstance(known, dict) and metric in known]
        return any(isinstance(card, dict) and card.get("direction") == "lower" for card in cards)

    def metrics(self) -> list[str]:
        """Return the metrics that the method has scores of, in the order of the run."""
        return list(dict.fromkeys(row["metric"] for row in self._rows if row["mean"]))

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        """The videos of this row: a board holds others of the same method."""
        wanted = [self.row[name] for name in _SAME_RUN]
        return tuple(row for row in self.run.videos if [row[name] for name in _SAME_RUN] == wanted)


def _protocols(run: Run) -> Iterator[Mapping[str, Any]]:
    for facts in run.facts():
        if isinstance(facts.get("protocol"), dict):
            yield facts["protocol"]


@dataclass(frozen=True)
class Paired:
    """One metric of two methods on the same videos, sorted by split and name."""

    metric: str
    average: str
    keys: tuple[VideoKey, ...]
    sources: tuple[str, ...]
    """The source clip of each video."""
    frames: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    lower: bool | None
    """Whether a lower value is better; None where neither way is."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each video counts in the mean: one, or its frames."""
        return self.frames if self.average == "micro" else np.ones(len(self.frames))

    @property
    def n_sources(self) -> int:
        """How many source clips there are."""
        return len(set(self.sources))

    def by_source(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums of b - a and the weights within each source clip, sorted by source."""
        place = np.unique(self.sources, return_inverse=True)[1]
        sums, counts = np.zeros(self.n_sources), np.zeros(self.n_sources)
        np.add.at(sums, place, (self.b - self.a) * self.weights)
        np.add.at(counts, place, self.weights)
        return sums, counts


def pick(run: Run, name: str | None) -> Entry:
    """Return the method that is called `name`, or the only one of a run.

    The name is a method id or, where one row alone has it, the name that tables show.
    """
    ids = [row["method_id"] for row in run.rows]
    if name is None:
        if len(run.rows) != 1:
            raise InputError(
                f"{run.folder} holds {len(ids)} methods: {_listed(ids)}; choose by --a and --b"
            )
        return Entry(run, run.rows[0])
    found = [row for row in run.rows if row["method_id"] == name]
    found = found or [row for row in run.rows if display_name(row) == name]
    if not found:
        raise unknown(f"method in {run.folder}", name, map(shortened, ids))
    if len(found) > 1:
        if len({row["method_id"] for row in found}) == 1:
            raise InputError(
                f"{run.folder} holds {name!r} on several sets of frames or under several protocols;"
                " compare the runs that it was made of"
            )
        raise InputError(
            f"{len(found)} rows of {run.folder} are called {name!r}; give one by its id: "
            f"{_listed(row['method_id'] for row in found)}"
        )
    return Entry(run, found[0])


_MUST_AGREE = {
    "protocol_hash": "under another protocol",
    "dataset": "on another dataset",
    "dataset_manifest_sha256": "on other frames",
    "split": "on another split",
    "benchmark_version": "by another version of the benchmark",
}


def require_comparable(a: Entry, b: Entry) -> None:
    """Refuse two methods that were not scored in the same way on the same frames."""
    for column, how in _MUST_AGREE.items():
        ours, theirs = a.row[column], b.row[column]
        if ours != theirs:
            if column == "protocol_hash":
                ours, theirs = (f"{e.row['protocol']} {e.row[column]}" for e in (a, b))
            raise InputError(
                f"{b.where} was scored {how} than {a.where}: {_short(theirs)}, not {_short(ours)}; "
                "only scores of one protocol on the same frames can be compared"
            )
    if not a.row["dataset_manifest_sha256"]:
        raise InputError(f"{a.where} has no digest of its frames; evaluate again with --force")
    if a.run.folder == b.run.folder and a.row["method_id"] == b.row["method_id"]:
        raise InputError(f"{a.where} would be compared with itself; name another by --b")


def _short(text: str) -> str:
    return (text[:12] if len(text) == 64 else shortened(text)) or "none"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(shortened, names))


def pair(a: Entry, b: Entry, metric: str) -> Paired:
    """Return a metric of two comparable methods, video by video.

    Raises:
        InputError: a video is incomplete, is scored for one of them only, or has no source clip;
            or the metric was computed with other weights.
    """
    column = f"weights_{'lpips' if metric == 'tlp' else metric}"
    if a.row.get(column, "") != b.row.get(column, ""):
        raise InputError(f"{metric} of {b.where} was computed with other weights than {a.where}")
    ours, theirs = (_scored(entry, metric) for entry in (a, b))
    if unmatched := sorted(ours.keys() ^ theirs.keys()):
        video = shortened("/".join(unmatched[0]))
        only = a if unmatched[0] in ours else b
        raise InputError(f"only {only.where} has {metric} of video {video}; evaluate again")
    keys = tuple(sorted(ours))
    for key in keys:
        for column, least in (("source_id", 0.0), ("n_frames", 1.0)):
            text = ours[key][column]
            if text != theirs[key][column] or not text or (least and float(text) < least):
                raise InputError(
                    f"{column} of video {shortened('/'.join(key))} is missing, or not the same in "
                    f"{a.run.folder} and {b.run.folder}; evaluate again"
                )
    return Paired(
        metric,
        a.average,
        keys,
        tuple(ours[key]["source_id"] for key in keys),
        _column(ours, keys, "n_frames"),
        _column(ours, keys, "mean"),
        _column(theirs, keys, "mean"),
        a.lower(metric),
    )


def _scored(entry: Entry, metric: str) -> dict[VideoKey, Row]:
    """Return the videos that have a mean; those where the metric is undefined are passed over."""
    videos = entry.videos(metric)
    for key, row in videos.items():
        if row["status"] == "incomplete":
            raise InputError(
                f"{entry.where} has no score for some frames of {shortened('/'.join(key))}: mend "
                "them and evaluate again"
            )
    scored = {key: row for key, row in videos.items() if row["mean"]}
    if not scored:
        raise unknown(f"metric of {entry.where}", metric, map(shortened, entry.metrics()))
    return scored


def _column(
    rows: Mapping[VideoKey, Row], keys: tuple[VideoKey, ...], column: str
) -> NDArray[np.float64]:
    return np.array([number(rows[key], column) for key in keys], dtype=np.float64)
