"""Find the clips of a dataset in the folder layouts that its field uses.

Each layout is one function from a `Tree` to the `Place` of every clip; it returns none where the
tree is laid out otherwise, so that `auto` is the first layout that finds something. Names and
suffixes match in any letter case. Sources: the public loaders and readme files of each dataset.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rvsd_bench.data.pairing import Pairing, last_number, pair
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.files import IMAGE_SUFFIXES, image_files, natural_key
from rvsd_bench.texts import require_text, shortened

_DEPTH = 6  # Snow100K's own archive nests this deep: media/jdway/GameSSD/overlapping/test/<set>
_SPLIT = re.compile(r"(?:^|[-_])(train|test|val)(?:ing|set|idation)?[0-9]*$", re.IGNORECASE)
_SNOWY = (
    "snow", "snowy", "blur", "hazy", "synthetic", "syn", "input", "inputs", "degraded", "rainy",
    "lq",
)  # fmt: skip
_CLEAN = ("clean", "gt", "gt_new", "target", "truth", "ground_truth", "hq")


@dataclass(frozen=True)
class Place:
    """Where one clip lies: a folder of frames, a video file, or one picture for each side."""

    split: str
    name: str
    snowy: Path | None
    """None: there is only a clean side."""
    clean: Path | None
    """None: the dataset is unpaired, or the mate is missing."""
    home: Path
    """The folder of the split, where layers/ and meta/ lie if there are any."""
    one_truth: bool = False
    """Whether a single clean picture may be the truth of every frame."""


@dataclass(frozen=True)
class Tree:
    """A dataset's folders, read once: folder -> its subfolders by lower-case name.

    The root is absolute, since its own name may say which split it is.
    """

    root: Path
    folders: dict[Path, dict[str, Path]]

    def siblings(
        self, snowy: Sequence[str], clean: Sequence[str]
    ) -> Iterator[tuple[Path, Path, Path]]:
        """Yield (home, snowy, clean) wherever folders of such names lie side by side."""
        for home, children in self.folders.items():
            one = next((children[name] for name in snowy if name in children), None)
            other = next((children[name] for name in clean if name in children), None)
            if one is not None and other is not None:
                yield home, one, other

    def split(self, home: Path) -> str:
        """Return the split that `home` belongs to by the nearest folder name; else `test`."""
        parts = home.relative_to(self.root).parts
        for part in (*reversed(parts), self.root.name):
            if found := _SPLIT.search(part):
                return found[1].lower()
        return "test"


Finder: TypeAlias = Callable[[Tree], list[Place]]


@dataclass(frozen=True)
class Layout:
    """A layout's name, its folders for people to read, and the function that finds its clips."""

    name: str
    summary: str
    find: Finder
    paired: bool = True


def find(root: Path, layout: str = "auto") -> tuple[Layout, list[Place]]:
    """Return the layout of a dataset and the place of each of its clips, in natural order.

    Raises InputError if nothing is found, two clips of a split have the same name, or a name is no
    text.
    """
    if layout not in names():
        raise unknown("layout", layout, names())
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder")
    try:
        tree = Tree(root.absolute(), dict(_walk(root.absolute(), _DEPTH)))
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    for candidate in LAYOUTS:
        if layout in ("auto", candidate.name) and (places := candidate.find(tree)):
            # A folder of loose pictures may be one clip or many pictures: say which by name.
            if layout == "auto" and not candidate.paired and _is_picture(places[0].snowy):
                break
            places.sort(key=lambda place: (place.split, natural_key(place.name)))
            _refuse_twins(places)
            for side in (side for place in places for side in (place.snowy, place.clean) if side):
                require_text(str(side.relative_to(tree.root)), f"{shortened(str(root))}: the clip")
            return candidate, places
    expected = "; ".join(f"{c.name}: {c.summary}" for c in LAYOUTS if layout in ("auto", c.name))
    raise InputError(
        f"{root}: found no clips laid out as {layout}; expected {expected}. "
        "Put each clip's frames into a folder of its own, or name the layout"
    )


def names() -> list[str]:
    """Return what `--layout` accepts."""
    return ["auto", *(layout.name for layout in LAYOUTS)]


def is_video(path: Path | None) -> bool:
    """Return whether a path's suffix is that of a video file."""
    from rvsd_bench.media.reading import (
        VIDEO_SUFFIXES,  # it loads OpenCV; listing the layouts must not
    )

    return path is not None and path.suffix.lower() in VIDEO_SUFFIXES


def rvsd(tree: Tree) -> list[Place]:
    """Find RVSD's clips: {train,test}/{snow,clean}/<video>/; Turtle's copies say {blur,gt}."""
    return [
        *_clips(tree, ["snow"], ["clean"]),
        *_clips(tree, ["blur"], ["gt"]),
    ]


def revide(tree: Tree) -> list[Place]:
    """Find REVIDE's clips: {Train,Test}/{hazy,gt}/<scene>/%05d.JPG."""
    return _clips(tree, ["hazy"], ["gt"])


def viws(tree: Tree) -> list[Place]:
    """Find the clips of ViWS-Net's copies: {Train,Test}/<video>/ beside {Train_GT,Test_GT}/."""
    places = []
    for split in ("train", "test"):
        for home, snowy, clean in tree.siblings([split], [f"{split}_gt"]):
            places += _clips_of(split, home, snowy, clean)
    return places


def snowcityscapes(tree: Tree) -> list[Place]:
    """Find SnowCityScapes' pictures: in training, picture k has the truth ((k - 1) mod 2000) + 1.

    Test pictures lie in {smallSnow,mediumSnow,largeSnow} and have their truth's own name.
    """
    places = []
    for home, snowy, clean in tree.siblings(["synthetic"], ["gt"]):
        files = image_files(snowy)
        if files and files[0].stem.casefold().startswith("cityscape-"):
            places += _pictures_of(tree, home, "", _modulo(files, image_files(clean), 2000))
    for name in ("smallsnow", "mediumsnow", "largesnow"):
        for home, snowy, clean in tree.siblings([name], ["gt"]):
            found = pair(image_files(snowy), image_files(clean))
            places += _pictures_of(tree, home, f"{snowy.name}_", found)
    return places


def csd(tree: Tree) -> list[Place]:
    """Find CSD's pictures: {Train,Test}/{Snow,Gt}/<n>.tif, also {train2500,test2000}/."""
    return _pictures(tree, ["snow"], ["gt"])


def srrs(tree: Tree) -> list[Place]:
    """Find SRRS's pictures: Syn/<n>.tif with the truth gt/<n>.jpg; it has no official split."""
    return _pictures(tree, ["syn"], ["gt", "gt_new"])


def snow100k(tree: Tree) -> list[Place]:
    """Find Snow100K's pictures: {synthetic,gt}/<name>.jpg, or {input,gt} in a snow100k folder."""
    places = _pictures(tree, ["synthetic"], ["gt"])
    reduced = "snow100k" in str(tree.root).casefold()
    return places or (_pictures(tree, ["input"], ["gt"]) if reduced else [])


def pairs(tree: Tree) -> list[Place]:
    """Find pairs in general: a folder of snowy and one of clean clips (or pictures), side by side.

    A clip with one clean picture of another name than its frames' has that one truth throughout.
    """
    return _clips(tree, _SNOWY, _CLEAN, one_truth=True) or _pictures(tree, _SNOWY, _CLEAN)


def realsnow85(tree: Tree) -> list[Place]:
    """Find unpaired clips: {train,test}/<video file or folder of frames>, or without splits."""
    children = tree.folders[tree.root]
    homes = [children[name] for name in ("train", "test") if name in children] or [tree.root]
    return [
        Place(tree.split(home), name, path, None, home)
        for home in homes
        for name, path in (_media(home, only_with_pictures=True) or _loose(home)).items()
    ]


LAYOUTS = (
    Layout("rvsd", "{train,test}/{snow,clean}/<video>/<frame>, or {blur,gt}", rvsd),
    Layout("revide", "{Train,Test}/{hazy,gt}/<scene>/<frame>", revide),
    Layout("viws", "{Train,Test,Train_GT,Test_GT}/<video>/<frame>", viws),
    Layout("snowcityscapes", "train/{synthetic,gt}, test/{small,medium,large}Snow", snowcityscapes),
    Layout("csd", "{Train,Test}/{Snow,Gt}/<picture>", csd),
    Layout("srrs", "{Syn,gt}/<picture>", srrs),
    Layout("snow100k", "{synthetic,gt}/<picture>", snow100k),
    Layout("pairs", "[train,test/]{snow,input,...}/<clip> beside {clean,gt,...}/<clip>", pairs),
    Layout("realsnow85", "[train,test/]<video file or folder of frames>", realsnow85, paired=False),
)


def _clips(
    tree: Tree, snowy: Sequence[str], clean: Sequence[str], *, one_truth: bool = False
) -> list[Place]:
    return [
        place
        for home, one, other in tree.siblings(snowy, clean)
        for place in _clips_of(tree.split(home), home, one, other, one_truth=one_truth)
    ]


def _clips_of(
    split: str, home: Path, snowy: Path, clean: Path, *, one_truth: bool = False
) -> list[Place]:
    """Return a place for every clip on either side, its mate None where there is none."""
    left, right = _media(snowy), _media(clean)
    mates = {name.casefold(): path for name, path in right.items()}
    places = [
        Place(split, name, path, mates.pop(name.casefold(), None), home, one_truth)
        for name, path in left.items()
    ]
    if not places:
        return []
    return places + [Place(split, path.stem, None, path, home) for path in mates.values()]


def _pictures(tree: Tree, snowy: Sequence[str], clean: Sequence[str]) -> list[Place]:
    """Return a place for every picture on either side: each is a clip of one frame of its own.

    Pictures of different scenes must not reach a temporal model as the frames of one clip.
    """
    homes = list(tree.siblings(snowy, clean))
    splits = [tree.split(home) for home, _, _ in homes]
    places = []
    for (home, one, other), split in zip(homes, splits):
        # Snow100K's test set has three parts, -S, -M and -L: their names keep apart what they hold.
        prefix = f"{home.name}_" if splits.count(split) > 1 else ""
        places += _pictures_of(tree, home, prefix, pair(image_files(one), image_files(other)))
    return places


def _pictures_of(tree: Tree, home: Path, prefix: str, found: Pairing) -> list[Place]:
    split = tree.split(home)
    both = [*found.pairs, *((path, None) for path in found.snowy_alone)]
    places = [Place(split, prefix + one.stem, one, other, home) for one, other in both]
    if not places:
        return []
    alone = [Place(split, prefix + path.stem, None, path, home) for path in found.clean_alone]
    return places + alone


def _modulo(snowy: Sequence[Path], clean: Sequence[Path], period: int) -> Pairing:
    """Match picture k with truth ((k - 1) mod period) + 1; several pictures share one truth."""
    truths = {last_number(path.stem): path for path in clean}
    mates = [(path, truths.get(((last_number(path.stem) or 1) - 1) % period + 1)) for path in snowy]
    matched = tuple((path, mate) for path, mate in mates if mate is not None)
    return Pairing(matched, tuple(path for path, mate in mates if mate is None))


def _media(folder: Path, *, only_with_pictures: bool = False) -> dict[str, Path]:
    """Return the clips in a folder by name: its subfolders and video files."""
    found = {}
    for path in _visible(folder):
        if path.is_dir():
            if not only_with_pictures or any(_is_picture(inner) for inner in _visible(path)):
                found[path.name] = path
        elif is_video(path):
            found[path.stem] = path
    return found


def _loose(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in image_files(folder)}


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _is_picture(path: Path | None) -> bool:
    return path is not None and path.suffix.lower() in IMAGE_SUFFIXES


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Yield folders with their subfolders, not descending into those that hold the clips."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    children = {entry.name.casefold(): folder / entry.name for entry in found}
    yield folder, children
    for name, child in children.items():
        if depth > 0 and name not in (*_SNOWY, *_CLEAN):
            yield from _walk(child, depth - 1)


def _refuse_twins(places: Sequence[Place]) -> None:
    seen: dict[tuple[str, str], Place] = {}
    for place in places:
        other = seen.setdefault((place.split, place.name), place)
        if other is not place:
            raise InputError(
                f"two clips of {place.split} are named {place.name!r}: "
                f"{other.snowy or other.clean} and {place.snowy or place.clean}; rename one"
            )
