"""Load a dataset: its splits, its clips, and which clean frame belongs to which snowy one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Clip, Frame
from rvsd_bench.data import layouts, pairing
from rvsd_bench.data.layouts import Place
from rvsd_bench.data.pairing import Pairing
from rvsd_bench.errors import InputError
from rvsd_bench.files import image_files
from rvsd_bench.texts import read_json, require_text, shortened

DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class Video:
    """One clip of a dataset. Nothing of it is decoded yet."""

    split: str
    name: str
    """Unique in its split, and a single path component."""
    frame_ids: tuple[str, ...]
    """The stems of the snowy frames in natural order; `0000`, `0001`, ... in a video file."""
    snowy: Path
    """A folder of frames, a video file, or (a clip of one frame) a picture."""
    clean: Path | None
    """As `snowy`; None in an unpaired dataset."""
    layers: Path | None = None
    """The folder layers/<name> of a generated dataset."""
    source_id: str | None = None
    """SHA-256 of the footage it was made from; None: not known, the clip is its own source."""
    snowy_files: tuple[Path, ...] | None = None
    """The file of each frame; None for a video file."""
    clean_files: tuple[Path, ...] | None = None
    """The file of each frame's clean mate, in the order of `frame_ids`; several may share one."""
    fps: float = DEFAULT_FPS
    """Of a folder: from meta/<name>.json, else 25. A video file declares its own."""


@dataclass(frozen=True)
class Dataset:
    """The clips of a dataset in natural order, split by split."""

    root: Path
    name: str
    layout: str
    paired: bool
    videos: tuple[Video, ...]


@dataclass(frozen=True)
class Pictures:
    """A clip whose frames are the given image files, in the given order, read when asked for."""

    files: tuple[Path, ...]
    name: str
    size: tuple[int, int]
    fps: float = DEFAULT_FPS
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> NDArray[np.float64]:
        """The time stamp of each frame in seconds."""
        return np.arange(len(self.files)) / self.fps

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Frame:
        from rvsd_bench.media.images import read_image

        frame = read_image(self.files[index])
        if frame.shape[:2] != self.size:
            raise InputError(
                f"{self.files[index]} is {frame.shape[1]}x{frame.shape[0]}, but the clip is "
                f"{self.size[1]}x{self.size[0]}: all frames of a clip must have one size"
            )
        return frame

    def __iter__(self) -> Iterator[Frame]:
        return (self[index] for index in range(len(self)))


def load(
    root: Path | str,
    *,
    layout: str = "auto",
    splits: Collection[str] | None = None,
    split_file: Path | str | None = None,
) -> Dataset:
    """Find the clips of a dataset and match their frames; decode nothing.

    `layout` is one of `layouts.names()`; `splits` keeps only those named (None: all). `split_file`
    lists the test clips of a dataset that has no split folders, one name a line; the others train.
    Pictures that lie loose in a paired dataset are clips of one frame each. Raises InputError if
    nothing is found, a split is absent, or a frame has no mate (with the names of both sides).
    """
    name = Path(root).resolve().name
    require_text(name, "the dataset")
    found, places = layouts.find(Path(root), layout)
    if split_file is not None:
        places = split_by(places, Path(split_file))
    chosen = [place for place in places if splits is None or place.split in splits]
    if not chosen:
        there = ", ".join(sorted({place.split for place in places}))
        raise InputError(f"{root} has no split {'/'.join(splits or ())}; it has {there}")
    videos = []
    for place in chosen:
        video, mates = survey(place, paired=found.paired)
        pairing.refuse_alone(f"{root}: clip {place.split}/{place.name}", mates)
        assert video is not None
        videos.append(video)
    return Dataset(Path(root), name, found.name, found.paired, tuple(videos))


def open_snowy(video: Video) -> Clip:
    """Open the snowy side: frame i is `video.frame_ids[i]`."""
    return _open(video, video.snowy, video.snowy_files)


def open_clean(video: Video) -> Clip:
    """Open the clean side: frame i is the truth of `video.frame_ids[i]`.

    Raises InputError if the dataset is unpaired.
    """
    if video.clean is None:
        raise InputError(
            f"clip {video.split}/{video.name} has no clean side: its dataset is unpaired"
        )
    return _open(video, video.clean, video.clean_files)


def survey(place: Place, *, paired: bool = True) -> tuple[Video | None, Pairing]:
    """Return the clip that lies at a place, with its matched frames only, and how they matched.

    The clip is None where not one frame has a mate. Raises InputError if a folder holds no frames,
    a video file cannot be opened, or one side is a video file and the other is not.
    """
    if layouts.is_video(place.snowy) or layouts.is_video(place.clean):
        return _survey_files(place, paired)
    mates = _match(place, paired)
    files = tuple(path for path, _ in mates.pairs)
    if not files or place.snowy is None:
        return None, mates
    ids = tuple(path.stem for path in files)
    if len(set(ids)) < len(ids):
        raise InputError(f"{place.snowy}: two frames have one stem; keep one suffix per frame")
    truths = tuple(path for _, path in mates.pairs) if paired else None
    return replace(_describe(place, ids), snowy_files=files, clean_files=truths), mates


def split_by(places: list[Place], split_file: Path) -> list[Place]:
    """Put the clips that a file lists, one a line, into `test` and all others into `train`.

    A line may be a clip's name, a file's name, or a path to it. Raises InputError if it is neither.
    """
    try:
        lines = [line.strip() for line in split_file.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the split file {split_file}: {error}") from error
    listed = {PurePosixPath(line.replace("\\", "/")).name for line in lines if line}
    aliases = [{place.name, *(path.name for path in _sides(place))} for place in places]
    if strangers := listed - set().union(*aliases):
        raise InputError(
            f"{split_file} names clips that are not there: {pairing.names(sorted(strangers))}"
        )
    return [
        replace(place, split="test" if alias & listed else "train")
        for place, alias in zip(places, aliases)
    ]


def _sides(place: Place) -> list[Path]:
    return [path for path in (place.snowy, place.clean) if path is not None]


def _match(place: Place, paired: bool) -> Pairing:
    snowy, clean = _files(place.snowy), _files(place.clean)
    if not paired:
        return Pairing(tuple((path, path) for path in snowy))
    if place.snowy in snowy and place.clean in clean:  # two pictures: the layout matched them
        return Pairing(((snowy[0], clean[0]),))
    if place.one_truth:
        return pairing.pair_with_one_truth(snowy, clean)
    return pairing.pair(snowy, clean)


def _files(path: Path | None) -> list[Path]:
    if path is None or path.is_file():
        return [path] if path else []
    files = image_files(path)
    if not files:
        raise InputError(f"{path} holds no image files")
    return files


def _survey_files(place: Place, paired: bool) -> tuple[Video | None, Pairing]:
    """Do as `survey` does for video files, whose frames are known by their position."""
    from rvsd_bench.media.video import open_video

    sides = _sides(place)
    if place.snowy is None or (paired and place.clean is None):
        return None, pairing.pair(sides[:1] if place.snowy else [], [] if place.snowy else sides)
    if not all(layouts.is_video(path) for path in sides):
        raise InputError(f"{sides[0]} and {sides[1]}: one is a video file and the other is not")
    counts = [len(open_video(path)) for path in sides]
    if len(set(counts)) > 1:
        raise InputError(f"{sides[0]} has {counts[0]} frames, but {sides[1]} has {counts[1]}")
    ids = tuple(f"{index:04d}" for index in range(counts[0]))
    return _describe(place, ids), Pairing(tuple((sides[0], sides[-1]) for _ in ids))


def _describe(place: Place, frame_ids: tuple[str, ...]) -> Video:
    assert place.snowy is not None
    meta = _meta(place)
    layers = place.home / "layers" / place.name
    return Video(
        place.split,
        place.name,
        frame_ids,
        place.snowy,
        place.clean,
        layers if layers.is_dir() else None,
        meta.get("source"),
        fps=meta.get("fps", DEFAULT_FPS),
    )


def _meta(place: Place) -> dict[str, Any]:
    """Return what meta/<clip>.json says; without the folder meta/ the dataset is not generated."""
    path = place.home / "meta" / f"{place.name}.json"
    if not path.parent.is_dir():
        return {}
    if not path.is_file():  # it is written last
        raise InputError(f"{path} is missing, so the clip is not finished: run `generate` again")
    try:
        found = read_json(path)
        source, fps = found["source"].get("sha256"), float(found.get("fps", DEFAULT_FPS))
        if not isinstance(source, (str, type(None))) or not 0 < fps < float("inf"):
            raise ValueError("its source or its fps is none")
        return {"source": source, "fps": fps}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} is not a clip's meta file ({type(error).__name__}: {shortened(str(error))}): "
            "run `generate` again, or remove the folder meta/"
        ) from error


def _open(video: Video, path: Path, files: tuple[Path, ...] | None) -> Clip:
    if files is None:
        from rvsd_bench.media.video import open_video

        return open_video(path)
    from rvsd_bench.media.images import read_size

    height, width, _ = read_size(files[0])
    return Pictures(files, video.name, (height, width), video.fps)
