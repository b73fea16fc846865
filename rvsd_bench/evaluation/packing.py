"""Make a submission: restored frames, or a model's spec and files, with a card and digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rvsd_bench import registry
from rvsd_bench.archives import write_archive
from rvsd_bench.baselines.spec import Spec, parse
from rvsd_bench.data.dataset import Dataset
from rvsd_bench.data.layouts import is_video
from rvsd_bench.errors import InputError, ValidationError
from rvsd_bench.evaluation.handed_in import (
    MANIFEST_FILE,
    MODEL_FOLDER,
    Manifest,
    as_json,
    opened,
)
from rvsd_bench.evaluation.methods import submission
from rvsd_bench.evaluation.protocol import BENCHMARK_VERSION
from rvsd_bench.evaluation.submissions import check, load_for_check
from rvsd_bench.files import sha256_bytes, sha256_file
from rvsd_bench.jobs import Track, untracked
from rvsd_bench.leaderboard.card import CARD_FILE, read_card


@dataclass(frozen=True)
class Packed:
    """What was packed, and where."""

    path: Path
    kind: str
    name: str
    files: int
    sha256: str


def pack(
    what: str,
    out: Path,
    card: Path,
    *,
    data: Path | None = None,
    split: str = "test",
    workers: int = 1,
    report: Callable[[str], None] = lambda line: None,
    track: Track = untracked,
) -> Packed:
    """Pack restored frames, or a model's spec, into a zip whose bytes depend on the contents alone.

    Frames (a folder or a zip) are checked against `data` as `check` does; what is wrong is given to
    `report` line by line and ValidationError raised. Frames are called after the dataset's ids,
    whatever they were called. A model's files are packed with it, and its spec names them there;
    it is not run. Raises InputError for a card, spec or file that cannot be used.
    """
    if out.suffix.lower() != ".zip":
        raise InputError(f"{out} must end in .zip")
    name, text = read_card(card).name, card.read_bytes()
    spec = parse(what)
    if spec.scheme != "frames":
        files, manifest = _model(spec)
        return _write(out, name, text, files, manifest, {})
    if data is None or spec.path is None:
        raise InputError("restored frames are checked before they are packed: add --data DIR")
    found = check(spec.path, data, split=split, workers=workers, track=track)
    if found.errors:
        for line in found.lines():
            report(line)
        raise ValidationError(f"{spec.path} is not packed: each error is listed above")
    dataset = load_for_check(data, split)
    with opened(spec.path) as folder:
        files = _frames(folder, dataset, split)
        digests = {name: sha256_file(path) for name, path in files.items()}
        facts = {"dataset": dataset.name, "split": split, "benchmark_version": BENCHMARK_VERSION}
        return _write(out, name, text, files, Manifest("frames", digests), facts)


def _write(
    out: Path,
    name: str,
    card: bytes,
    files: Mapping[str, Path],
    manifest: Manifest,
    facts: Mapping[str, str],
) -> Packed:
    whole: dict[str, Path | bytes] = {**files, CARD_FILE: card}
    digests = {**manifest.files, CARD_FILE: sha256_bytes(card)}
    whole[MANIFEST_FILE] = as_json(replace(manifest, files=digests), **facts)
    write_archive(out, whole)
    return Packed(out, manifest.kind, name, len(files), sha256_file(out))


def _frames(folder: Path, dataset: Dataset, split: str) -> dict[str, Path]:
    """Return the files of the dataset's videos, each as it is called in a submission."""
    home = submission(folder, split)
    files: dict[str, Path] = {}
    for video in dataset.videos:
        place = home.places[video.name.casefold()]
        if is_video(place):
            files[f"{split}/{video.name}{place.suffix.lower()}"] = place
            continue
        for frame_id, path in home.files(video).items():
            files[f"{split}/{video.name}/{frame_id}{path.suffix.lower()}"] = path
    return files


def _model(spec: Spec) -> tuple[dict[str, Path], Manifest]:
    """Return a model's files by their names in the submission, and what says so."""
    if spec.scheme == "name":
        registry.find("baseline", spec.target)
    names: dict[str, str] = {}
    for path in spec.paths:
        if not path.is_file():
            raise InputError(f"{spec}: {path} is no file; only files can be packed with a model")
        names[str(path)] = f"{MODEL_FOLDER}/{path.name}"
    if len(set(names.values())) < len(names):
        raise InputError(f"{spec}: two of its files have one name; rename one")
    options = {key: names.get(str(Path(value)), value) for key, value in spec.options.items()}
    target = spec.target
    if spec.path is not None:
        own = names[str(spec.path)]
        target = f"{own}:{spec.attribute}" if spec.scheme == "py" else own
    packed = replace(spec, target=target, options=options, name=None)
    files = {name: Path(path) for path, name in names.items()}
    digests = {name: sha256_file(path) for name, path in files.items()}
    return files, Manifest("model", digests, str(packed))
