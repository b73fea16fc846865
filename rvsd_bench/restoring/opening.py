"""Open the model that a spec names, confined or not, in any process."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rvsd_bench.baselines.info import VideoRestorer
from rvsd_bench.baselines.loading import load
from rvsd_bench.baselines.spec import Spec
from rvsd_bench.isolation.confined import Confined, confines
from rvsd_bench.restoring.runner import Way

if TYPE_CHECKING:
    from rvsd_bench.isolation.limits import Isolation

Restorer: TypeAlias = VideoRestorer | Confined


def open_model(
    spec: Spec, device: str, way: Way, *, isolation: Isolation | None = None, trust_code: bool
) -> Restorer:
    """Load a model; with an isolation, one that comes in files of its author's is confined."""
    if isolation is not None and confines(spec):
        return Confined.open(spec, isolation, device, way)
    return load(spec, device=device, trust_code=trust_code)
