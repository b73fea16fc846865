"""Score the five calibration pairs that pyiqa's wheel brings along, and compare with known values.

The pairs are of TID2013. Two kinds of values are known: those of the metrics' own authors, and what
pyiqa 0.1.16 computes, with more digits. MUSIQ has the latter only, and NIMA neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from rvsd_bench.clip import Frame
from rvsd_bench.errors import MissingError, ValidationError
from rvsd_bench.media.images import read_image
from rvsd_bench.metrics import CARDS, open_metric

IMAGES = ("I03", "I04", "I06", "I08", "I19")
OFFICIAL = {
    "psnr": (21.11, 20.99, 27.01, 23.30, 21.62),
    "ssim": (0.6993, 0.9978, 0.9989, 0.9669, 0.6519),
    "lpips": (0.7237, 0.2572, 0.0508, 0.0521, 0.4253),
}
"""By the metrics' authors; PSNR was written down with two decimals."""
PYIQA = {
    "psnr": (21.11363, 20.98719, 27.01385, 23.30025, 21.61864),
    "ssim": (0.69974, 0.99776, 0.99891, 0.96709, 0.65216),
    "lpips": (0.72370, 0.25716, 0.05079, 0.05205, 0.42532),
    "musiq": (12.4785, 75.7772, 73.7454, 75.4609, 38.0257),
}
"""By pyiqa 0.1.16, to five digits after the point; of MUSIQ, as it publishes them."""
ALLOWED = {
    "official": {"psnr": 5e-3, "ssim": 1e-3, "lpips": 1e-3},
    "pyiqa": {"psnr": 1e-4, "ssim": 1e-4, "lpips": 1e-4, "musiq": 1e-2},
}
"""How far a value may be from the known ones."""
_DIGITS = {
    ("official", "psnr"): 2,
    ("official", "ssim"): 4,
    ("official", "lpips"): 4,
    ("pyiqa 0.1.16", "musiq"): 4,
}  # after the point, as published; 5 of the others


@dataclass(frozen=True)
class Row:
    """One score of one calibration image, and the values it should have, where they are known."""

    metric: str
    backend: str
    image: str
    value: float
    official: float | None
    expected: float | None
    """By pyiqa 0.1.16."""

    @property
    def right(self) -> bool:
        """Whether the value is what it should be."""
        known = {"official": self.official, "pyiqa": self.expected}
        return all(
            value is None or abs(self.value - value) <= ALLOWED[source][self.metric]
            for source, value in known.items()
        )


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
    """Score the five pairs with each metric, by every backend that can compute it."""
    rows = []
    images = list(pairs())
    for name in metrics:
        official, expected = (known.get(name, (None,) * len(images)) for known in (OFFICIAL, PYIQA))
        for backend in CARDS[name].backends:
            metric = open_metric(name, weights_dir=weights_dir, backend=backend)
            for (image, distorted, reference), *known in zip(images, official, expected):
                value = metric.score(distorted, metric.prepare(reference))
                rows.append(Row(name, backend, image, value, *known))
    return rows


def table(rows: Sequence[Row], missing: Mapping[str, str]) -> str:
    """Return the scores beside the known values as text; `missing` says why a metric has none."""
    lines = [f"{'':6} {'':12}" + "".join(f"{image:>10}" for image in IMAGES) + "  at most off"]
    for name in dict.fromkeys([*(row.metric for row in rows), *missing]):
        for source, known in (("official", OFFICIAL), ("pyiqa 0.1.16", PYIQA)):
            if name in known:
                digits = _DIGITS.get((source, name), 5)
                lines.append(_line(name, source, [f"{v:.{digits}f}" for v in known[name]]))
        for backend in dict.fromkeys(row.backend for row in rows if row.metric == name):
            mine = [row for row in rows if (row.metric, row.backend) == (name, backend)]
            values = [f"{row.value:.5f}" for row in mine]
            lines.append(f"{_line(name, f'here, {backend}', values)}  {_off(mine)}")
        if name in missing:
            unknown = "" if name in PYIQA else "; nobody published values for these images"
            lines.append(f"{name:6} nothing computed: {missing[name]}{unknown}")
    return "\n".join(lines)


def _line(name: str, source: str, cells: Iterable[str]) -> str:
    return f"{name:6} {source:12}" + "".join(f"{cell:>10}" for cell in cells)


def _off(rows: Sequence[Row]) -> str:
    """Say how far a metric's five values are from the known ones, and whether that is too far."""
    found = []
    if official := [abs(row.value - row.official) for row in rows if row.official is not None]:
        found.append(f"{max(official):.1e} from official")
    if expected := [abs(row.value - row.expected) for row in rows if row.expected is not None]:
        found.append(f"{max(expected):.1e} from pyiqa")
    if not found:
        return "nothing to compare with"
    return f"{', '.join(found)}: {'ok' if all(row.right for row in rows) else 'WRONG'}"


def require_right(rows: Iterable[Row]) -> None:
    """Raise ValidationError that names every value that is not what it should be."""
    wrong = [
        f"{r.metric} ({r.backend}) {r.image} {r.value:.5f} instead of "
        f"{r.expected if r.official is None else r.official}"
        for r in rows
        if not r.right
    ]
    if wrong:
        raise ValidationError(f"calibration failed: {'; '.join(wrong)}")
