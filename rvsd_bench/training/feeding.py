"""Open what training learns from: a paired dataset, or clean footage and endless fresh snow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rvsd_bench.data.dataset import Dataset, load
from rvsd_bench.errors import InputError
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.media.reading import find_clips
from rvsd_bench.training.batches import Batch, Source
from rvsd_bench.training.fresh_snow import FreshSnow
from rvsd_bench.training.paired import Paired
from rvsd_bench.training.recipe import TrainingRecipe
from rvsd_bench.training.unlabelled import RealSnow
from rvsd_bench.training.windows import Pair, Samples, together


@dataclass(frozen=True, eq=False)
class SampledFeed:
    """Endless batches without a memory of their own: any process may ask for any of them."""

    samples: Samples
    unlabelled: RealSnow | None
    recipe: TrainingRecipe

    @property
    def sources(self) -> Sequence[Source]:
        """Every clip that training uses."""
        return (*self.samples.sources, *(self.unlabelled.sources if self.unlabelled else ()))

    @property
    def snow(self) -> str:
        """The SHA-256 of the recipe of the snow that is rendered, "" where it is in the data."""
        return self.samples.snow

    def batch(self, step: int) -> Batch:
        """Return batch `step`, from 0 on: a pure function of the seed and of `step`."""
        windows = [self.samples.sample(step, place) for place in range(self.recipe.batch)]
        real = self.unlabelled.batch(step) if self.unlabelled else None
        return replace(together(windows), unlabelled=real)

    def validation(self) -> Sequence[Pair]:
        """Return held-out windows (snowy, clean), each [T, 3, H, W] in [0, 1], always the same."""
        return self.samples.validation()


def open_feed(
    data: Path,
    recipe: TrainingRecipe,
    *,
    split: str = "train",
    unlabelled: Path | None = None,
    cache: Path | None = None,
    seed: int = 0,
    workers: int = 1,
    track: Track = untracked,
) -> SampledFeed:
    """Open `data` for training, decode it into memory maps, and hold a tenth of its sources out.

    `data` is a paired dataset, of which `split` alone is opened and stored layers are used, or a
    folder of clean clips, on which the recipe's snow falls. `unlabelled` is a folder of real snow,
    used if the recipe wants some in a batch. Decoded frames lie beside the clips, or in `cache`;
    so does what `workers` processes find out of clean footage, while `track` shows how far they
    are. Raises InputError for what cannot be read, and, naming it, for a clip that is too small or
    short.
    """
    dataset = _paired(data, split)
    samples: Samples
    if dataset is None:
        samples = FreshSnow(data, recipe, cache=cache, seed=seed, workers=workers, track=track)
    else:
        samples = Paired(dataset, recipe, cache=cache, seed=seed)
    real = None
    if unlabelled is not None and recipe.semi.batch:
        real = RealSnow(unlabelled, recipe, cache=cache, seed=seed)
    return SampledFeed(samples, real, recipe)


def _paired(data: Path, split: str) -> Dataset | None:
    """Return the dataset that lies there, or None for clean footage."""
    if data.is_dir() and not any(data.iterdir()):
        raise InputError(f"{data} is empty: train on a paired dataset, or on a folder of clips")
    try:
        found = load(data, splits=[split])
    except InputError:
        if _is_footage(data):
            return None
        raise
    return found if found.paired else None


def _is_footage(data: Path) -> bool:
    try:
        find_clips([data])
    except InputError:
        return False
    return True
