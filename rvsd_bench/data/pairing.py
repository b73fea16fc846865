"""Match the snowy frames of a clip with their clean mates, by name and never by order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rvsd_bench.errors import InputError


@dataclass(frozen=True)
class Pairing:
    """What was matched, in the order of the snowy side, and what was left alone on either side."""

    pairs: tuple[tuple[Path, Path], ...]
    snowy_alone: tuple[Path, ...] = ()
    clean_alone: tuple[Path, ...] = ()

    @property
    def alone(self) -> int:
        """The number of files without a mate."""
        return len(self.snowy_alone) + len(self.clean_alone)


def last_number(name: str) -> int | None:
    """Return the last number in a name (`scene_2_input_017` -> 17), or None."""
    digits = re.findall(r"[0-9]+", name)
    return int(digits[-1]) if digits else None


def pair(snowy: Sequence[Path], clean: Sequence[Path]) -> Pairing:
    """Match files by stem, else by the last number in the stem.

    The rule that leaves fewer files alone is taken for the whole list; stems win a tie. Letter case
    and suffix do not matter. A key that two files of one side share matches nothing.
    """
    by_stem = _match(_keyed(snowy, _stem), _keyed(clean, _stem), snowy, clean)
    if by_stem.alone == 0:
        return by_stem
    by_number = _match(_keyed(snowy, _number), _keyed(clean, _number), snowy, clean)
    return by_number if by_number.alone < by_stem.alone else by_stem


def pair_with_one_truth(snowy: Sequence[Path], clean: Sequence[Path]) -> Pairing:
    """Match as `pair` does; a single clean picture of another name is the truth of every frame."""
    if len(clean) == 1 and len(snowy) > 1 and _stem(clean[0]) not in map(_stem, snowy):
        return Pairing(tuple((path, clean[0]) for path in snowy))
    return pair(snowy, clean)


def refuse_alone(where: str, pairing: Pairing) -> None:
    """Raise InputError if a file has no mate, with the names of both sides on one line."""
    if pairing.alone == 0:
        return
    raise InputError(
        f"{where}: mates are missing. Snowy without clean: "
        f"{names(pairing.snowy_alone)}; clean without snowy: {names(pairing.clean_alone)}. "
        "Frames are matched by stem, else by the last number in the stem: rename or add the mates"
    )


def counted(number: int, what: str) -> str:
    """Return `1 frame`, `2 frames`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def names(paths: Iterable[Path | str], most: int = 4) -> str:
    """List a few names for a message: `a.png, b.png, ... (7 in all)`, or `none`."""
    texts = [path.name if isinstance(path, Path) else path for path in paths]
    if not texts:
        return "none"
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])}, ... ({len(texts)} in all)"


def _stem(path: Path) -> str:
    return path.stem.casefold()


def _number(path: Path) -> int | None:
    return last_number(path.stem)


def _keyed(paths: Sequence[Path], key: Callable[[Path], Hashable]) -> dict[Hashable, Path]:
    keys = [key(path) for path in paths]
    seen = Counter(keys)
    return {k: path for k, path in zip(keys, paths) if k is not None and seen[k] == 1}


def _match(
    snowy: Mapping[Hashable, Path],
    clean: Mapping[Hashable, Path],
    all_snowy: Sequence[Path],
    all_clean: Sequence[Path],
) -> Pairing:
    pairs = tuple((path, clean[key]) for key, path in snowy.items() if key in clean)
    mated_snowy = {path for path, _ in pairs}
    mated_clean = {path for _, path in pairs}
    return Pairing(
        pairs,
        tuple(path for path in all_snowy if path not in mated_snowy),
        tuple(path for path in all_clean if path not in mated_clean),
    )
