"""Damage the bytes of files at random, and where their formats keep lengths, names and checksums.

Damage that every reader sees at once (a checksum that fails, a bracket that is missing) tests
little. So half of all changes are made inside of the format: the checksum is made anew, the JSON
stays JSON, and what is wrong is a length, a size, a type or a number.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Draw = np.random.Generator

EXTREMES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000)
EXTREMES += (0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = (
    *("", "0", "-1", "1", "nan", "inf", "-inf", "1e999", "-1e-999", "1e308", "0x10", "1_000"),
    *("9" * 400, "9" * 5000, "1" + "0" * 310, "4294967296", "-9223372036854775809", "０"),
)
TEXTS = (
    *("", " ", "NA", "null", "true", "-", "=1+1", "\x00", "\x1b[2J", "\u202e", "\ud7ff", "\ufeff"),
    *("../../etc/passwd", "/etc/passwd", "a\nb", "a\r\nb", '"', "'", "<script>", "%s%n", "{{7*7}}"),
    *("x" * 20_000, "é" * 300, "\u2028", "[" * 3000, "{" * 3000, "C:\\x", "CON", "."),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 10**30, 10**400, 1e308, -1e308, 5e-324, 0.5),
    *([], {}, [[]], {"": {}}, [None], [1, 2], ["a"], "", "a", [0] * 5000, [[0]] * 100),
    *(float("nan"), float("inf"), "../../../etc", "\x00", 2**31, 2**63, "1e5"),
)


def mutated(data: bytes, others: Sequence[bytes], kind: str, draw: Draw) -> bytes:
    """Return damaged bytes of a file; `others` are files of the same kind to splice with."""
    inside = INSIDE.get(kind)
    if inside is not None and draw.random() < 0.55:
        return inside(data, draw)
    way = _WAYS[int(draw.integers(len(_WAYS)))]
    return way(data, others, draw)


def _place(data: bytes, draw: Draw) -> int:
    """Return a place in the data; every other one is near an end, where the headers are."""
    if draw.random() < 0.5:
        near = int(draw.integers(min(len(data), 160) or 1))
        return near if draw.random() < 0.6 else max(len(data) - 1 - near, 0)
    return int(draw.integers(len(data) or 1))


def _flip(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    changed = bytearray(data)
    for _ in range(int(draw.integers(1, 12)) if changed else 0):
        changed[_place(data, draw)] ^= 1 << int(draw.integers(8))
    return bytes(changed)


def _overwrite(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    """Write an extreme number over 1, 2, 4 or 8 bytes, of either order."""
    size = int(draw.choice([1, 2, 4, 8]))
    value = int(draw.choice(EXTREMES)) * (0x100000001 if size == 8 and draw.random() < 0.5 else 1)
    order = "big" if draw.random() < 0.5 else "little"
    number = (value & ((1 << 8 * size) - 1)).to_bytes(size, order)  # type: ignore[arg-type]
    at = _place(data, draw)
    return data[:at] + number + data[at + size :]


def _cut(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    return data[: _place(data, draw)]


def _cut_inside(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    at = _place(data, draw)
    return data[:at] + data[at + int(draw.integers(1, 200)) :]


def _zeros(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    at, size = _place(data, draw), int(draw.integers(1, 400))
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def _noise(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    at, size = _place(data, draw), int(draw.integers(1, 64))
    return data[:at] + draw.bytes(size) + data[at + (size if draw.random() < 0.5 else 0) :]


def _splice(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    other = others[int(draw.integers(len(others)))]
    return data[: _place(data, draw)] + other[_place(other, draw) :]


def _repeat(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    at, size = _place(data, draw), int(draw.integers(1, 400))
    times = int(draw.choice([1, 2, 30, 1000]))
    return data[:at] + data[at : at + size] * times + data[at:]


def _append(data: bytes, others: Sequence[bytes], draw: Draw) -> bytes:
    return data + (bytes(5000) if draw.random() < 0.5 else data)


_WAYS = (_flip, _flip, _overwrite, _overwrite, _cut, _cut_inside, _zeros, _noise, _splice, _repeat)
_WAYS += (_append,)


def _png(data: bytes, draw: Draw) -> bytes:
    """Change chunks of a PNG, and make their checksums anew."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    which = 0 if draw.random() < 0.4 else int(draw.integers(len(chunks)))
    name, body = chunks[which]
    way = int(draw.integers(6))
    if way == 0:
        chunks.insert(which, (name, body))
    elif way == 1 and len(chunks) > 1:
        del chunks[which]
    elif way == 2:
        chunks.insert(1, (b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000))))
    elif way == 3:
        chunks[which] = (bytes(draw.integers(65, 91, 4).astype(np.uint8)), body)
    else:
        chunks[which] = (name, _overwrite(body, (), draw) if way == 4 else _flip(body, (), draw))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _jpeg(data: bytes, draw: Draw) -> bytes:
    """Change a segment of a JPEG: its length, or what it holds."""
    found = [m.start() for m in re.finditer(rb"\xff[\xc0-\xcf\xda-\xef]", data)]
    at = found[int(draw.integers(len(found)))]
    offset = int(draw.integers(2, 14))
    size = int(draw.choice([1, 2]))
    number = (int(draw.choice(EXTREMES)) & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    return data[: at + offset] + number + data[at + offset + size :]


_BOX = re.compile(
    rb"ftyp|moov|mdat|trak|mdia|minf|stbl|edts|dinf|udta|free|mvhd|tkhd|mdhd|hdlr|vmhd|dref|stsd|"
    rb"stts|stss|stsc|stsz|stco|ctts|elst|avc1|avcC|mp4v|esds|pasp|colr|moof|traf|tfhd|trun|mvex"
)


def _mp4(data: bytes, draw: Draw) -> bytes:
    """Change a box of an MP4: its length, its name, or a number that it holds."""
    found = [m.start() for m in _BOX.finditer(data)]
    at = found[int(draw.integers(len(found)))]
    way = draw.random()
    if way < 0.25:
        at -= 4
    elif way < 0.35:
        other = found[int(draw.integers(len(found)))]
        return data[:at] + data[other : other + 4] + data[at + 4 :]
    else:
        at += 4 + int(draw.integers(0, 120 if draw.random() < 0.5 else 24))
    size = int(draw.choice([1, 2, 4, 4]))
    number = (int(draw.choice(EXTREMES)) & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    return data[: max(at, 0)] + number + data[max(at, 0) + size :]


_ELEMENTS = (
    *(b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\x15\x49\xa9\x66"),
    *(
        b"\x1c\x53\xbb\x6b",
        b"\x11\x4d\x9b\x74",
        b"\xae",
        b"\xe0",
        b"\xb0\x82",
        b"\xba\x82",
        b"\xa3",
    ),
    *(b"\x63\xa2", b"\x2a\xd7\xb1", b"\x44\x89", b"\x23\xe3\x83", b"\x86", b"\xe7", b"\x83"),
)


def _matroska(data: bytes, draw: Draw) -> bytes:
    """Change an element of a Matroska file, and make the checksums of its elements anew."""
    name = _ELEMENTS[int(draw.integers(len(_ELEMENTS)))]
    found = [m.start() for m in re.finditer(re.escape(name), data)] or [0]
    at = found[int(draw.integers(len(found)))] + len(name) + int(draw.integers(0, 12))
    if draw.random() < 0.5:
        size = int(draw.choice([1, 2, 4]))
        number = (int(draw.choice(EXTREMES)) & ((1 << 8 * size) - 1)).to_bytes(size, "big")
        changed = bytearray(data[:at] + number + data[at + size :])
    else:
        changed = bytearray(_flip(data, (), draw))
    _forge(changed)
    return bytes(changed)


_CHECKED = re.compile(
    rb"(?:\x1f\x43\xb6\x75|\x11\x4d\x9b\x74|\x15\x49\xa9\x66|\x16\x54\xae\x6b|\x1c\x53\xbb\x6b|"
    rb"\x12\x54\xc3\x67)([\x80-\xff]|[\x40-\x7f].|[\x20-\x3f]..|[\x10-\x1f].{3}|\x01.{7})\xbf\x84",
    re.DOTALL,
)
"""Elements that begin with a checksum over what follows in them."""


def _forge(data: bytearray) -> None:
    for head in _CHECKED.finditer(bytes(data)):
        size = int.from_bytes(head[1], "big") & ((1 << 7 * len(head[1])) - 1)
        body = data[head.end() + 4 : head.end(1) + size]
        data[head.end() : head.end() + 4] = zlib.crc32(body).to_bytes(4, "little")


def _zip(data: bytes, draw: Draw) -> bytes:
    """Change a field of an archive's headers, or a file in it whose checksum is then made anew."""
    if draw.random() < 0.5:
        return _repacked(data, draw)
    signature = (b"PK\1\2", b"PK\3\4", b"PK\5\6")[int(draw.integers(3))]
    found = [m.start() for m in re.finditer(re.escape(signature), data)] or [0]
    at = found[int(draw.integers(len(found)))] + int(draw.integers(4, 46))
    size = int(draw.choice([1, 2, 4]))
    number = (int(draw.choice(EXTREMES)) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return data[:at] + number + data[at + size :]


def _repacked(data: bytes, draw: Draw) -> bytes:
    """Write an archive anew with one of its files changed, missing, doubled or called otherwise."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    pickles = [i for i, (name, _) in enumerate(files) if name.endswith((".pkl", ".json", ".toml"))]
    some = pickles if pickles and draw.random() < 0.6 else range(len(files))
    which = some[int(draw.integers(len(some)))]
    name, body = files[which]
    way = int(draw.integers(6))
    if way == 0:
        del files[which]
    elif way == 1:
        files.append(("." + name if draw.random() < 0.5 else name.upper(), body))
    elif way == 2:
        files[which] = (name + str(draw.choice(["/", "x", "\u202e", ".png"])), body)
    else:
        files[which] = (name, _WAYS[int(draw.integers(len(_WAYS)))](body, (body,), draw))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in files:
            archive.writestr(zipfile.ZipInfo(name[:60_000]), body)
    return buffer.getvalue()


def _csv(data: bytes, draw: Draw) -> bytes:
    """Put an extreme number or text into a cell, or drop, double or rename a column."""
    lines = data.decode("utf-8", "replace").split("\n")
    filled = [i for i, line in enumerate(lines) if line]
    at = filled[int(draw.integers(len(filled)))]
    cells = lines[at].split(",")
    full = [i for i, cell in enumerate(cells) if cell] or [0]
    which = full[int(draw.integers(len(full)))] if draw.random() < 0.8 else len(cells) // 2
    way = draw.random()
    if way < 0.45:
        cells[which] = str(draw.choice(NUMBERS))
    elif way < 0.8:
        text = TEXTS[int(draw.integers(len(TEXTS)))].replace('"', '""')
        cells[which] = f'"{text}"'
    elif way < 0.9:
        del cells[which]
    else:
        cells.insert(which, cells[which])
    lines[at] = ",".join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _json(data: bytes, draw: Draw) -> bytes:
    """Exchange, drop or nest a value somewhere in a JSON tree; it stays JSON."""
    if draw.random() < 0.06:
        deep = int(draw.choice([500, 100_000]))
        return (b"[" * deep + b"]" * deep) if draw.random() < 0.5 else b'{"a":' * deep + b"1"
    tree = json.loads(data)
    for _ in range(int(draw.integers(1, 3))):
        tree = _changed(tree, draw)
    text = json.dumps(tree)
    if draw.random() < 0.1:
        text = re.sub(r"\d+", lambda m: "9" * 5000 if draw.random() < 0.1 else m[0], text)
    return text.encode()


def _changed(tree: Any, draw: Draw) -> Any:
    places = list(_places(tree))
    if not places:
        return VALUES[int(draw.integers(len(VALUES)))]
    holder, key = places[int(draw.integers(len(places)))]
    way = draw.random()
    if way < 0.7:
        holder[key] = VALUES[int(draw.integers(len(VALUES)))]
    elif way < 0.85:
        del holder[key]
    else:
        holder[key] = [holder[key]] if draw.random() < 0.5 else {"a": holder[key]}
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a tree as its holder and key; a short list stands for a long one."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for number, (key, value) in enumerate(items):
        if number < 40:
            yield tree, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _toml(data: bytes, draw: Draw) -> bytes:
    """Put another value behind a key, or drop, double or rename a line; it stays nearly TOML."""
    lines = data.decode().split("\n")
    keyed = [i for i, line in enumerate(lines) if "=" in line]
    at = keyed[int(draw.integers(len(keyed)))]
    key = lines[at].split("=")[0]
    way = draw.random()
    if way < 0.75:
        pool = (*NUMBERS, "{}", "[]", "true", '"a"', "1979-05-27", "{uniform=[0,1]}", "[[1,2],3]")
        pool += ("{uniform=[1,0]}", "{choice=[]}", "{choice=[{}]}", "{normal=[0,1e308]}")
        pool += ("{log_uniform=[1e-300,1e300]}", f"{{uniform=[0,{'9' * 400}]}}", f"[{'9' * 400}]")
        pool += ("[" * 3000 + "]" * 3000, '"' + "x" * 9000 + '"', r'"\u0000"', '"\\ud800"')
        lines[at] = f"{key}= {pool[int(draw.integers(len(pool)))]}"
    elif way < 0.85:
        del lines[at]
    else:
        lines.insert(at, lines[at] if draw.random() < 0.5 else f"x{key}.y = 1")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _safetensors(data: bytes, draw: Draw) -> bytes:
    """Change the header of a safetensors file, and its length with it or not."""
    (size,) = struct.unpack_from("<Q", data)
    header, body = data[8 : 8 + size], data[8 + size :]
    if draw.random() < 0.2:
        claimed = int(draw.choice([0, 1, size - 1, size + 1, 2**31, 2**62, 2**63]))
        return struct.pack("<Q", claimed) + header + body
    tree = json.loads(header)
    if draw.random() < 0.4 and "card" in tree.get("__metadata__", {}):
        card = _json(tree["__metadata__"]["card"].encode(), draw)
        tree["__metadata__"]["card"] = card.decode()
        header = json.dumps(tree).encode()
    else:
        header = _json(header, draw)
    return struct.pack("<Q", len(header)) + header + body


INSIDE: dict[str, Callable[[bytes, Draw], bytes]] = {
    "png": _png,
    "jpg": _jpeg,
    "mp4": _mp4,
    "mkv": _matroska,
    "zip": _zip,
    "pt": _zip,
    "csv": _csv,
    "json": _json,
    "toml": _toml,
    "safetensors": _safetensors,
}
"""Kind of file -> how it is damaged inside of its format."""
