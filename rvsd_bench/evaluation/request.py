"""Say what a run is asked for: all that decides its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rvsd_bench.baselines.info import VideoRestorer
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.handed_in import unzipped
from rvsd_bench.evaluation.planning import Plan, make_plan
from rvsd_bench.isolation.limits import Isolation, Limits


@dataclass(frozen=True)
class Request:
    """The arguments of `evaluate` that do not merely say how and where the work is done."""

    models: tuple[str | VideoRestorer, ...]
    data: str
    protocol: str | None
    split: str
    split_file: str | None
    metrics: tuple[str, ...] | None
    backend: str
    weights: str | None
    weights_allow: tuple[str, ...]
    skip_missing: bool
    device: str
    limit: int | None
    allow_untrained: bool
    trust_code: bool
    isolation: Isolation | None
    save_frames: bool

    @contextmanager
    def planned(self, home: Path | None) -> Iterator[Plan]:
        """Check all that can be checked, and lend the plan; archives are unpacked in `home`."""
        with unzipped(self.models, home) as given:
            yield make_plan(
                given,
                Path(self.data),
                protocol_id=self.protocol,
                splits=self.split.split(","),
                split_file=Path(self.split_file) if self.split_file else None,
                metrics=self.metrics,
                backend=self.backend,
                weights_dir=Path(self.weights) if self.weights else None,
                weights_allow=self.weights_allow,
                skip_missing=self.skip_missing,
                device=self.device,
                limit=self.limit,
                allow_untrained=self.allow_untrained,
                trust_code=self.trust_code,
                isolation=self.isolation,
            )

    def as_json(self) -> dict[str, Any]:
        """Return the request as JSON values; restorers that are objects by their names."""
        names = [m if isinstance(m, str) else f"object {m.info.name}" for m in self.models]
        limits = asdict(self.isolation.limits) if self.isolation else None
        return asdict(replace(self, models=(), isolation=None)) | {
            "models": names,
            "isolation": limits,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Request:
        """Read a request again; raise InputError if it named objects, which are gone."""
        if any(name.startswith("object ") for name in found["models"]):
            raise InputError(
                "the shards scored restorers given as objects: call evaluate with them once more, "
                "without a shard"
            )
        limits = found["isolation"]
        lists = {name: tuple(found[name] or ()) for name in ("models", "weights_allow")}
        metrics = tuple(found["metrics"]) if found["metrics"] else None
        isolation = Isolation(Limits(**limits)) if limits is not None else None
        return cls(**{**found, **lists, "metrics": metrics, "isolation": isolation})
