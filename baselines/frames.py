"""Open frames that somebody restored already, and match them with a dataset by frame id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rvsd_bench.clip import Clip
from rvsd_bench.data.dataset import Pictures, Video, open_snowy
from rvsd_bench.data.layouts import is_video
from rvsd_bench.data.pairing import names, pair
from rvsd_bench.errors import InputError
from rvsd_bench.files import IMAGE_SUFFIXES, image_files, tree_digest
from rvsd_bench.media.images import read_size


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

    def problems(self, videos: Sequence[Video]) -> list[str]:
        """Return a line for every video that is missing, extra, or not what the dataset asks for.

        Frames that are missing, extra, there twice, of another size or not 8-bit are named. Only
        headers are read: a damaged picture is found when it is decoded.
        """
        known = {video.name.casefold() for video in videos}
        strangers = [path.name for name, path in self.places.items() if name not in known]
        found = [f"{self.root}: not in the dataset: {names(strangers)}"] if strangers else []
        absent = [video.name for video in videos if video.name.casefold() not in self.places]
        if absent:
            found.append(f"{self.root}: videos are missing: {names(absent)}")
        return found + [
            problem
            for video in videos
            if video.name.casefold() in self.places
            for problem in self._problems_of(video)
        ]

    def video(self, name: str, frame_ids: Sequence[str]) -> dict[str, Path]:
        """Return the file of every frame id of a video that is a folder of frames.

        Raises InputError naming the frames that are missing, extra or there twice.
        """
        place = self._place(name)
        matched, problems = _match(place, frame_ids)
        if problems:
            raise InputError("; ".join(problems))
        return matched

    def open(self, video: Video) -> Clip:
        """Return the restored clip: its i-th frame belongs to `video.frame_ids[i]`.

        Raises InputError, naming all that is wrong with the video.
        """
        place = self._place(video.name)
        if problems := self._problems_of(video):
            raise InputError("; ".join(problems))
        if is_video(place):
            return _open_video(place)
        files = self.video(video.name, video.frame_ids)
        size = open_snowy(video).size
        return Pictures(tuple(files[i] for i in video.frame_ids), video.name, size, video.fps)

    def _place(self, name: str) -> Path:
        if name.casefold() not in self.places:
            raise InputError(f"{self.root} holds no frames of the video {name!r}")
        return self.places[name.casefold()]

    def _problems_of(self, video: Video) -> list[str]:
        place, size = self._place(video.name), open_snowy(video).size
        if is_video(place):
            return _problems_of_file(place, len(video.frame_ids), size)
        matched, problems = _match(place, video.frame_ids)
        return problems + _problems_of_pictures(place, matched.values(), size)


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
        name = (path.name if folder else path.stem).casefold()
        if name in places:
            raise InputError(f"{home} holds one video twice: {places[name].name} and {path.name}")
        places[name] = path
    if not places:
        raise InputError(f"{home} holds no restored clips: expected <video>/<frame>.png")
    return Submission(home, places)


def _match(place: Path, frame_ids: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    """Match frame ids with files by stem, else by last number, and say what does not match."""
    files = image_files(place) if place.is_dir() else [place]
    if files == [place] and len(frame_ids) == 1:
        return {frame_ids[0]: place}, []
    stems = Counter(file.stem.casefold() for file in files)
    twice = [file for file in files if stems[file.stem.casefold()] > 1]
    wanted = {Path(f"{frame_id}.png"): frame_id for frame_id in frame_ids}
    mates = pair(list(wanted), [file for file in files if file not in twice])
    missing = [
        wanted[path]
        for path in mates.snowy_alone
        if path.stem.casefold() not in stems or stems[path.stem.casefold()] == 1
    ]
    problems = [
        f"{place}: {what}: {names(which)}"
        for what, which in (
            ("frames are missing", missing),
            ("frames are there twice", twice),
            ("frames are not in the dataset", mates.clean_alone),
        )
        if which
    ]
    return {wanted[path]: file for path, file in mates.pairs}, problems


def _problems_of_pictures(place: Path, files: Iterable[Path], size: tuple[int, int]) -> list[str]:
    headers = {file: read_size(file) for file in files}
    wrong = [file for file, header in headers.items() if header[:2] != size]
    deep = [file for file, header in headers.items() if header.mode.endswith("16")]
    problems = []
    if wrong:
        height, width, _ = headers[wrong[0]]
        problems.append(
            f"{place}: frames are {width}x{height} where the dataset's are {size[1]}x{size[0]}: "
            f"{names(wrong)}"
        )
    if deep:
        problems.append(f"{place}: frames have 16 bits a channel, 8 are needed: {names(deep)}")
    return problems


def _problems_of_file(path: Path, count: int, size: tuple[int, int]) -> list[str]:
    clip = _open_video(path)
    problems = []
    if clip.facts["colour_matrix"] != "rgb":
        problems.append(
            f"{path} holds {clip.facts['pixel_format']} pictures, not the RGB frames themselves: "
            "hand in PNG, or FFV1 by `ffmpeg -i FRAMES -c:v ffv1 -pix_fmt bgr0 VIDEO.mkv`"
        )
    if len(clip) != count:
        problems.append(f"{path} has {len(clip)} frames, the dataset's video has {count}")
    if clip.size != size:
        problems.append(
            f"{path} is {clip.size[1]}x{clip.size[0]}, the dataset's video is {size[1]}x{size[0]}"
        )
    return problems


def _open_video(path: Path) -> Clip:
    from rvsd_bench.media.video import open_video

    return open_video(path)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
