"""Say what one process must know to make one video of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvsd_bench.making.planning import Options, PlannedVideo
from rvsd_bench.making.stored import StoredVideo, numbered

if TYPE_CHECKING:
    from rvsd_bench.generators import Recipe


@dataclass(frozen=True)
class Job:
    """All that a process needs to make one video."""

    root: Path
    video: PlannedVideo
    options: Options
    recipe: Recipe
    request: Mapping[str, Any]
    """What was asked for, as JSON values; only a video that was asked the same is kept."""

    @property
    def place(self) -> StoredVideo:
        """Where the video goes."""
        return numbered(self.root, self.video.split, self.video.number, self.options.container)
