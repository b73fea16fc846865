"""Put into words what is wrong with a dataset: one line for each thing, and how to mend it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from rvsd_bench.data.leakage import Leak
from rvsd_bench.data.pairing import Pairing, counted, last_number, names

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""

# haoyuc/VideoDesnowing, issue 1: in some training clips of RVSD the snowy frames 0, 1, 2, 3 belong
# to the clean frames 3, 1, 0, 2.
RVSD_ORDER = {0: 3, 1: 1, 2: 0, 3: 2}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or, among the notes of a report, worth knowing."""

    kind: str
    """missing, unreadable, size, gap, order, unrelated, leak; as a note: duplicate."""
    clip: str
    """Split and name of the clip, or of both clips of a leak."""
    message: str


def missing(clip: str, mates: Pairing) -> Iterator[Finding]:
    """Name the frames without a mate, on both sides."""
    if mates.alone:
        yield Finding(
            "missing",
            clip,
            f"mates are missing; snowy without clean: {names(mates.snowy_alone)}; "
            f"clean without snowy: {names(mates.clean_alone)}",
        )


def sizes(clip: str, frames: Sequence[tuple[str, Size]], side: str) -> Iterator[Finding]:
    """Name the sizes of a clip's frames, (name, size) each, if there is more than one."""
    holders = defaultdict(list)
    for name, size in frames:
        holders[size].append(name)
    if len(holders) > 1:
        told = "; ".join(f"{size_text(size)}: {names(found)}" for size, found in holders.items())
        yield Finding("size", clip, f"{side} frames have {len(holders)} sizes: {told}")


def unequal(clip: str, frames: Iterable[tuple[str, Size | None, Size | None]]) -> Iterator[Finding]:
    """Name the frames, (id, snowy size, clean size) each, whose mates have another size."""
    kinds: dict[tuple[Size, Size], list[str]] = defaultdict(list)
    for name, one, other in frames:
        if one and other and one != other:
            kinds[one, other].append(name)
    for (one, other), found in kinds.items():
        yield Finding(
            "size", clip, f"snowy is {size_text(one)}, clean is {size_text(other)}: {names(found)}"
        )


def gaps(clip: str, frame_ids: Iterable[str]) -> Iterator[Finding]:
    """Name the places where the numbering of a clip's frames departs from its usual step."""
    numbered = {number: name for name in frame_ids if (number := last_number(name)) is not None}
    numbers = sorted(numbered)
    steps = Counter(after - before for before, after in pairwise(numbers))
    if len(steps) < 2:
        return
    usual = steps.most_common(1)[0][0]
    skips = [
        f"{numbered[before]} is followed by {numbered[after]}"
        for before, after in pairwise(numbers)
        if after - before != usual
    ]
    yield Finding("gap", clip, f"the numbering of the frames has gaps: {names(skips)}")


def order(
    clip: str, moved: Mapping[int, int], snowy: Sequence[str], clean: Sequence[str]
) -> Iterator[Finding]:
    """Say which snowy frames show another clean frame than their own, and how to mend it.

    `moved` maps positions in the clip; `snowy` and `clean` are the names at these positions.
    """
    if not moved:
        return
    first = {frame: mate for frame, mate in moved.items() if frame in RVSD_ORDER}
    if len(first) > 1 and all(RVSD_ORDER[frame] == mate for frame, mate in first.items()):
        yield Finding("order", clip, _known_order(first, snowy, clean))
        moved = {frame: mate for frame, mate in moved.items() if frame not in first}
    if moved:
        yield Finding("order", clip, _other_order(moved, snowy, clean))


def duplicates(frame_ids: Sequence[str], digests: Sequence[bytes | None]) -> list[str]:
    """Return the groups of frames with equal pixels, as `0004 = 0005`."""
    groups = defaultdict(list)
    for frame_id, digest in zip(frame_ids, digests):
        if digest is not None:
            groups[digest].append(frame_id)
    return [" = ".join(group) for group in groups.values() if len(group) > 1]


def leak(found: Leak) -> Finding:
    """Say what two clips of different splits share."""
    one, other = found.clips
    frames = names([f"{a} = {b}" for a, b in found.frames], most=3)
    told = {
        "source": f"{one} and {other} were made from the same footage",
        "identical": f"{one} shares {counted(found.count, 'frame')} with {other}: {frames}",
        "similar": f"{one} looks like {other} in {counted(found.count, 'sampled frame')}: {frames}",
    }[found.kind]
    return Finding("leak", f"{one} {other}", f"{told}; take one of the two clips out, or move it")


def size_text(size: Size) -> str:
    """Return a size as people write it, width first."""
    return f"{size[1]}x{size[0]}"


def _known_order(first: Mapping[int, int], snowy: Sequence[str], clean: Sequence[str]) -> str:
    olds = ", ".join(clean[mate] for mate in RVSD_ORDER.values())
    news = ", ".join(clean[frame] for frame in RVSD_ORDER)
    return (
        f"{_moves(first, snowy, clean)}. This is RVSD's known permutation of first frames "
        "(haoyuc/VideoDesnowing, issue 1): "
        f"to mend it, rename the clean frames {olds} to {news}"
    )


def _other_order(moved: Mapping[int, int], snowy: Sequence[str], clean: Sequence[str]) -> str:
    shifts = Counter(mate - frame for frame, mate in moved.items())
    shift, count = shifts.most_common(1)[0]
    if count >= max(3, len(snowy) // 4):
        frames = [frame for frame, mate in moved.items() if mate - frame == shift]
        way = "later" if shift > 0 else "earlier"
        return (
            f"{count} snowy frames from {snowy[frames[0]]} to {snowy[frames[-1]]} show the clean "
            f"frame {abs(shift)} {way} than their own: to mend it, number these clean frames "
            f"{abs(shift)} {'lower' if shift > 0 else 'higher'} and drop those left without a mate"
        )
    return f"{_moves(moved, snowy, clean)}: to mend it, rename the clean frames to the snowy ones"


def _moves(moved: Mapping[int, int], snowy: Sequence[str], clean: Sequence[str]) -> str:
    pairs = [f"{snowy[frame]} shows {clean[mate]}" for frame, mate in moved.items()]
    return f"frames are out of order, snowy {names(pairs, most=8)}"
