"""Open frames that somebody restored already, and match them with a dataset by frame id."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rvsd_bench.clip import Clip
from rvsd_bench.data.dataset import Pictures, Video, open_snowy
from rvsd_bench.data.layouts import is_video
from rvsd_bench.data.pairing import names, pair
from rvsd_bench.errors import InputError
from rvsd_bench.files import IMAGE_SUFFIXES, image_files, tree_digest
from rvsd_bench.media.images import Header, read_size
from rvsd_bench.texts import require_text, shortened

Told: TypeAlias = tuple[str, str]
"""The code of a fault, and its message."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with frames that were handed in."""

    code: str
    """stranger, absent, link, missing, duplicate, extra, size, mode, unreadable, colour, length."""
    video: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Submission:
    """A folder of restored clips: `<video>/<frame>.png`, or `<video>.mkv` for a whole video.

    A video file must hold RGB (FFV1). A clip of a single frame may also be a picture `<video>.png`.
    """

    root: Path
    places: dict[str, Path]
    """Video name in lower case -> its folder, video file or picture."""

    @property
    def digest(self) -> str:
        """The SHA-256 of everything in the folder, names and bytes; all of it is read."""
        return tree_digest(self.root)

    def strangers(self, videos: Sequence[Video]) -> list[Fault]:
        """Return a fault for every video that the dataset does not have."""
        known = {video.name.casefold() for video in videos}
        return [
            Fault("stranger", path.name, "the dataset has no such video")
            for name, path in self.places.items()
            if name not in known
        ]

    def faults(self, video: Video) -> list[Fault]:
        """Return all that is wrong with a video, as far as names and headers tell.

        Frames that are missing, extra, there twice, of another size or mode are named; a damaged
        picture is found when it is decoded.
        """
        if video.name.casefold() not in self.places:
            text = f"{self.root} holds no frames of the video {video.name!r}"
            return [Fault("absent", video.name, text)]
        try:
            found = self._faults(video)
        except InputError as error:  # a link, a video that cannot be opened, a folder of nothing
            found = [("unreadable", str(error))]
        return [Fault(code, video.name, message) for code, message in found]

    def files(self, video: Video) -> dict[str, Path]:
        """Return the picture of each frame id that has one, whatever else is wrong.

        It is empty for a video file, and for a video that is not there or leaves the folder.
        """
        place = self.places.get(video.name.casefold())
        if place is None or is_video(place) or self._leaves(place):
            return {}
        return _match(place, video.frame_ids)[0]

    def open(self, video: Video) -> Clip:
        """Return the restored clip: its i-th frame belongs to `video.frame_ids[i]`.

        Raises InputError, naming all that is wrong with the video.
        """
        if faults := self.faults(video):
            raise InputError("; ".join(map(str, faults)))
        place = self.places[video.name.casefold()]
        if is_video(place):
            return _open_video(place)
        files = self.files(video)
        size = open_snowy(video).size
        return Pictures(tuple(files[i] for i in video.frame_ids), video.name, size, video.fps)

    def _leaves(self, place: Path) -> bool:
        return place.is_symlink() and not place.resolve().is_relative_to(self.root.resolve())

    def _faults(self, video: Video) -> list[Told]:
        place, size = self.places[video.name.casefold()], open_snowy(video).size
        if self._leaves(place):
            return [("link", f"{place} is a link that leaves the folder: copy the frames in")]
        if is_video(place):
            return _faults_of_file(place, len(video.frame_ids), size)
        matched, faults = _match(place, video.frame_ids)
        return faults + _faults_of_pictures(place, matched, video, size)


def open_submission(root: Path | str, split: str = "test") -> Submission:
    """Open a folder of restored clips, or of splits: then the clips lie in `root/<split>`."""
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder of restored frames")
    home = root / split if (root / split).is_dir() else root
    places: dict[str, Path] = {}
    for path in sorted(home.iterdir()):
        folder = path.is_dir()
        if path.name.startswith(".") or not (folder or is_video(path) or _is_picture(path)):
            continue
        require_text(path.name, f"{shortened(str(home))}: the video")
        name = (path.name if folder else path.stem).casefold()
        if name in places:
            raise InputError(f"{home} holds one video twice: {places[name].name} and {path.name}")
        places[name] = path
    if not places:
        raise InputError(f"{home} holds no restored clips: expected <video>/<frame>.png")
    return Submission(home, places)


def _match(place: Path, frame_ids: Sequence[str]) -> tuple[dict[str, Path], list[Told]]:
    """Match frame ids with files by stem, else by last number, and say what does not match."""
    files = image_files(place) if place.is_dir() else [place]
    if files == [place] and len(frame_ids) == 1:
        return {frame_ids[0]: place}, []
    keys = Counter(_same(file.stem) for file in files)
    twice = [file for file in files if keys[_same(file.stem)] > 1]
    wanted = {Path(f"{frame_id}.png"): frame_id for frame_id in frame_ids}
    mates = pair(list(wanted), [file for file in files if file not in twice])
    there = {_same(file.stem) for file in twice}
    missing = [wanted[path] for path in mates.snowy_alone if _same(path.stem) not in there]
    faults = [
        (code, f"{place}: {what}: {names(which)}")
        for code, what, which in (
            ("missing", "frames are missing", missing),
            ("duplicate", "frames are there twice", twice),
            ("extra", "frames are not in the dataset", mates.clean_alone),
        )
        if which
    ]
    return {wanted[path]: file for path, file in mates.pairs}, faults


def _same(stem: str) -> str:
    """Return what a frame is known by: 1, 01 and 0001 are one frame, as are A and a."""
    text = unicodedata.normalize("NFC", stem).casefold()
    return str(int(text)) if text.isdecimal() and text.isascii() else text


def _faults_of_pictures(
    place: Path, matched: Mapping[str, Path], video: Video, size: tuple[int, int]
) -> list[Told]:
    headers: dict[str, Header] = {}
    faults: list[Told] = []
    for frame_id, file in matched.items():
        try:
            headers[frame_id] = read_size(file)
        except InputError as error:
            faults.append(("unreadable", str(error)))
    wrong = [matched[i] for i, header in headers.items() if header[:2] != size]
    if wrong:
        height, width, _ = read_size(wrong[0])
        faults.append(
            (
                "size",
                f"{place}: frames are {width}x{height} where the dataset's are "
                f"{size[1]}x{size[0]}: {names(wrong)}",
            )
        )
    modes: dict[str, list[Path]] = {}
    for frame_id, header in headers.items():
        if header.mode != "rgb8" and header.mode != _mode_of_input(video, frame_id):
            modes.setdefault(header.mode, []).append(matched[frame_id])
    for mode, which in modes.items():
        text = f"{place}: frames are {mode} pictures, 8-bit RGB is needed: {names(which)}"
        faults.append(("mode", text))
    return faults


def _mode_of_input(video: Video, frame_id: str) -> str:
    """Return how the snowy frame is stored: its restored one may be so too, if it is 8-bit."""
    if video.snowy_files is None:
        return ""
    header = read_size(video.snowy_files[video.frame_ids.index(frame_id)])
    return header.mode if header.bits == 8 else ""


def _faults_of_file(path: Path, count: int, size: tuple[int, int]) -> list[Told]:
    clip = _open_video(path)
    faults = []
    if clip.facts["colour_matrix"] != "rgb":
        text = (
            f"{path} holds {clip.facts['pixel_format']} pictures, not the RGB frames themselves: "
            "hand in PNG, or FFV1 by `ffmpeg -i FRAMES -c:v ffv1 -pix_fmt bgr0 VIDEO.mkv`"
        )
        faults.append(("colour", text))
    if len(clip) != count:
        text = f"{path} has {len(clip)} frames, the dataset's video has {count}"
        faults.append(("length", text))
    if clip.size != size:
        text = f"{path} is {clip.size[1]}x{clip.size[0]}, the dataset's is {size[1]}x{size[0]}"
        faults.append(("size", text))
    return faults


def _open_video(path: Path) -> Clip:
    from rvsd_bench.media.video import open_video

    return open_video(path)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
