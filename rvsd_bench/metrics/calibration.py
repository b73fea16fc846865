"""Score the five calibration pairs that pyiqa's wheel brings along, and compare with known values.

The pairs are of TID2013. The values of PSNR, SSIM and LPIPS agree with the metrics' own authors',
those of MUSIQ are pyiqa's; NIMA has no published ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from rvsd_bench.clip import Frame
from rvsd_bench.errors import MissingError, ValidationError
from rvsd_bench.media.images import read_image
from rvsd_bench.metrics import open_metric

IMAGES = ("I03", "I04", "I06", "I08", "I19")
EXPECTED = {
    "psnr": (21.11363, 20.98719, 27.01385, 23.30025, 21.61864),
    "ssim": (0.69974, 0.99776, 0.99891, 0.96709, 0.65216),
    "lpips": (0.72370, 0.25716, 0.05079, 0.05205, 0.42532),
    "musiq": (12.4785, 75.7772, 73.7454, 75.4609, 38.0257),
}
TOLERANCE = {"psnr": 1e-4, "ssim": 1e-4, "lpips": 1e-4, "musiq": 1e-2}


@dataclass(frozen=True)
class Row:
    """One score of one calibration image, and the value it should have, if one is known."""

    metric: str
    image: str
    value: float
    expected: float | None

    @property
    def right(self) -> bool:
        """Whether the value is what it should be."""
        return self.expected is None or abs(self.value - self.expected) <= TOLERANCE[self.metric]


def pairs() -> Iterator[tuple[str, Frame, Frame]]:
    """Read the five pairs: name, distorted frame, reference. Raises MissingError without pyiqa."""
    try:
        installed = {str(file): Path(str(file.locate())) for file in files("pyiqa") or ()}
    except PackageNotFoundError:
        installed = {}
    for image in IMAGES:
        both = [installed.get(f"ResultsCalibra/{side}_dir/{image}.bmp") for side in ("dist", "ref")]
        distorted, reference = both
        if distorted is None or reference is None or not distorted.is_file():
            raise MissingError("the calibration pairs come with pyiqa 0.1.16: pip install pyiqa")
        yield image, read_image(distorted), read_image(reference)


def calibrate(metrics: Iterable[str], weights_dir: Path | None = None) -> list[Row]:
    """Score the five pairs with each metric."""
    rows = []
    images = list(pairs())
    for name in metrics:
        metric = open_metric(name, weights_dir=weights_dir)
        expected = EXPECTED.get(name, (None,) * len(images))
        for (image, distorted, reference), known in zip(images, expected):
            rows.append(Row(name, image, metric.score(distorted, metric.prepare(reference)), known))
    return rows


def require_right(rows: Iterable[Row]) -> None:
    """Raise ValidationError that names every value that is not what it should be."""
    wrong = [
        f"{r.metric} {r.image} {r.value:.5f} instead of {r.expected}" for r in rows if not r.right
    ]
    if wrong:
        raise ValidationError(f"calibration failed: {'; '.join(wrong)}")
