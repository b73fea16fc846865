"""Plan a run of the evaluator: which videos, methods and metrics, each checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rvsd_bench.baselines.info import VideoRestorer
from rvsd_bench.data import dataset
from rvsd_bench.data.dataset import Dataset, Video, open_clean, open_snowy
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation import measuring, methods, protocol
from rvsd_bench.evaluation.auditing import AUDITED
from rvsd_bench.evaluation.environment import without_folders
from rvsd_bench.evaluation.measuring import Measure
from rvsd_bench.evaluation.methods import Method
from rvsd_bench.evaluation.protocol import Protocol
from rvsd_bench.evaluation.videotask import VideoTask
from rvsd_bench.isolation.limits import Isolation
from rvsd_bench.isolation.sandbox import require_hidden
from rvsd_bench.metrics import CARDS, MetricCard
from rvsd_bench.weights.store import parse_allowed

# Seconds for a million pixels on one core, measured at 1280x720; for `--dry-run` only.
_COST_S = {"psnr": 0.01, "ssim": 0.06, "lpips": 0.6, "nima": 0.4, "musiq": 3.5}
_COST_S |= {"warp_err": 0.07, "tof": 0.025, "tlp": 0.6, "flicker": 0.002}
_DECODING_S = 0.03


@dataclass(frozen=True)
class Plan:
    """Everything that a run does, as one value."""

    dataset: Dataset
    videos: tuple[Video, ...]
    protocol: Protocol
    measures: tuple[Measure, ...]
    skipped: Mapping[str, str]
    """Metrics that cannot be computed here, with the reason."""
    methods: tuple[Method, ...]
    device: str
    limit: int | None = None

    @property
    def split(self) -> str:
        """The splits of the videos, joined by commas."""
        return ",".join(dict.fromkeys(video.split for video in self.videos))

    @property
    def n_frames(self) -> int:
        """How many frames the videos have."""
        return sum(len(video.frame_ids) for video in self.videos)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, in the order of the tables."""
        return tuple(measure.name for measure in self.measures)

    def card(self, metric: str) -> MetricCard:
        """Return the description of one of the metrics."""
        return next(measure.card for measure in self.measures if measure.name == metric)

    def folder(self, video: Video) -> str:
        """Return the name of a video's files in the run."""
        return f"{video.split}-{video.name}" if "," in self.split else video.name

    def source(self, video: Video) -> str:
        """Return the source clip that a video was made from, or the video itself."""
        return video.source_id or f"{video.split}/{video.name}"

    def tasks(self, run: Path, *, save_frames: bool) -> list[VideoTask]:
        """Return the work, video by video."""
        return [
            VideoTask(
                video,
                self.folder(video),
                self.methods,
                self.measures,
                self.device,
                run / "parts" / self.protocol.hash,
                run / "frames" if save_frames else None,
                audited=index < AUDITED,
            )
            for index, video in enumerate(self.videos)
        ]

    def tidy(self, text: str) -> str:
        """Return a message without the folders in which this user keeps things."""
        return without_folders(
            text, [self.dataset.root, *(m.frames for m in self.methods if m.frames)]
        )

    def estimate(self) -> tuple[int, float]:
        """Return the bytes to be read and the seconds of one core to score them, roughly."""
        files = [
            path
            for video in self.videos
            for path in (
                *(video.snowy_files or (video.snowy,)),
                *(video.clean_files or ((video.clean,) if video.clean else ())),
            )
        ]
        megapixels = sum(
            height * width * len(video.frame_ids) / 1e6
            for video in self.videos
            for height, width in [open_snowy(video).size]
        )
        each = _DECODING_S + sum(_COST_S.get(name, 0.0) for name in self.metrics)
        return sum(path.stat().st_size for path in files), megapixels * each * len(self.methods)


def make_plan(
    models: Sequence[str | VideoRestorer],
    data: Path,
    *,
    protocol_id: str | None,
    splits: Sequence[str],
    split_file: Path | None,
    metrics: Sequence[str] | None,
    backend: str,
    weights_dir: Path | None,
    weights_allow: Sequence[str],
    skip_missing: bool,
    device: str,
    limit: int | None,
    allow_untrained: bool,
    trust_code: bool,
    isolation: Isolation | None = None,
) -> Plan:
    """Check everything that can be checked before a frame is decoded, the cheapest first."""
    chosen = protocol.load(protocol_id) if protocol_id else None
    found = dataset.load(data, splits=tuple(splits), split_file=split_file)
    chosen = _for_dataset(chosen, found, metrics)
    measures, skipped = measuring.choose(
        chosen,
        metrics,
        backend=backend,
        weights_dir=weights_dir,
        allowed=parse_allowed(weights_allow),
        skip_missing=skip_missing,
    )
    if not found.paired:
        measuring.require_truth((measure.card for measure in measures), data)
    chosen = measuring.custom(chosen, measures)
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be at least 1 video, got {limit}")
    videos = found.videos[:limit]
    _require_sizes(videos, measures)
    device = _device(device, models, measures)
    resolved = methods.resolve(
        models,
        data=data,
        device=device,
        trust_code=trust_code,
        isolation=isolation,
        allow_untrained=allow_untrained,
    )
    _require_hidden(resolved, videos)
    return Plan(found, videos, chosen, measures, skipped, resolved, device, limit)


def _for_dataset(
    chosen: Protocol | None, found: Dataset, metrics: Sequence[str] | None
) -> Protocol:
    """Return the protocol, or the one for such a dataset; refuse our metrics that lack the truth.

    Metrics of plug-ins that are asked for are added.
    """
    chosen = chosen or protocol.load(protocol.default_for(paired=found.paired))
    chosen = protocol.extended(chosen, metrics or ())
    if not found.paired:
        ours = (CARDS[name] for name in metrics or chosen.metrics if name in CARDS)
        measuring.require_truth(ours, found.root)
    return chosen


def _device(wanted: str, models: Sequence[str | VideoRestorer], measures: Sequence[Measure]) -> str:
    """Return the device to compute on; torch takes seconds to load and is asked only if needed."""
    weighty = any(measure.weights for measure in measures)
    if not weighty and all(isinstance(m, str) and methods.is_frames(m) for m in models):
        return "cpu"
    if wanted == "cpu":
        return wanted
    from rvsd_bench.baselines.loading import pick_device

    return pick_device(wanted)


def _require_hidden(resolved: Sequence[Method], videos: Sequence[Video]) -> None:
    """Refuse a truth that lies where a confined model could read it."""
    truths = {path.parent for video in videos for path in (video.clean, video.layers) if path}
    for method in resolved:
        if method.isolation is not None and method.spec is not None:
            require_hidden(truths, method.spec.paths)


def _require_sizes(videos: Sequence[Video], measures: Sequence[Measure]) -> None:
    """Refuse frames that a metric cannot score, or that differ from their truth, by headers."""
    for video in videos:
        height, width = open_snowy(video).size
        where = f"{video.split}/{video.name}: frames are {width}x{height}"
        small = [m for m in measures if min(height, width) < m.card.minimum_px]
        if small:
            limits = ", ".join(f"{m.name} {m.card.minimum_px}" for m in small)
            fitting = ",".join(m.name for m in measures if m not in small and not m.card.coverage)
            raise InputError(
                f"{where}, too small for a metric (least side in pixels: {limits}); "
                + (f"leave it out by --metrics {fitting}" if fitting else "no metric fits")
            )
        if video.clean is not None and (clean := open_clean(video).size) != (height, width):
            raise InputError(f"{where}, but their clean frames are {clean[1]}x{clean[0]}")
