"""Read and write still images strictly: 8-bit RGB frames and 16-bit layers."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError
from rvsd_bench.files import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from rvsd_bench.files import readable, write_bytes

LARGEST_SIDE = 8192
"""Pixels; a header that claims more is refused before anything is decoded."""

MOST_SCANS = 100
"""Of a JPEG; each costs a pass over the whole picture, whatever its few bytes. Encoders make 10."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_KINDS = {0: "grey", 2: "rgb", 3: "palette", 4: "grey+alpha", 6: "rgb+alpha"}
_PIL_KINDS = {
    "1": "grey1",
    "L": "grey8",
    "LA": "grey+alpha8",
    "P": "palette8",
    "RGB": "rgb8",
    "RGBA": "rgb+alpha8",
    "CMYK": "cmyk8",
    "I;16": "grey16",
    "I;16B": "grey16",
    "I": "grey32",
    "F": "float32",
}


class Header(NamedTuple):
    """What a file's first bytes say of its picture; `mode` is rgb8, grey8, palette8, rgb16, ..."""

    height: int
    width: int
    mode: str

    @property
    def bits(self) -> int:
        """Bits per channel, the number at the end of `mode`."""
        found = re.search("[0-9]+$", self.mode)
        return int(found[0]) if found else 8


def read_size(path: Path) -> Header:
    """Return height, width and mode from the header, decoding nothing.

    Raises InputError if the file is no PNG, JPEG, TIFF or BMP, or larger than 8192 x 8192.
    """
    with readable(path), path.open("rb") as file:
        head = file.read(26)
    if not head:
        raise InputError(f"{path} is empty")
    header = _png_header(head) if head.startswith(_PNG_MAGIC) else _other_header(path)
    if not (0 < header.height <= LARGEST_SIDE and 0 < header.width <= LARGEST_SIDE):
        raise InputError(
            f"{path} claims to be {header.width} x {header.height} pixels; "
            f"1 x 1 to {LARGEST_SIDE} x {LARGEST_SIDE} can be read"
        )
    return header


def read_image(path: Path) -> Frame:
    """Read a whole picture as 8-bit RGB [H, W, 3], or raise InputError naming the file.

    A picture is refused if its PNG checksums fail or its JPEG markers break off before the end
    (a JPEG has no checksums, so a flipped bit inside it can go unseen), and if it has more than 8
    bits a channel. Grey and palette become three channels and alpha is dropped; `read_size` tells.
    Pixels are taken as stored: an EXIF orientation is not applied.
    """
    data, header = _whole(path)
    if header.bits > 8:
        raise deep_frame(path, header.mode)
    return _decode(path, data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def read_gray16(path: Path) -> NDArray[np.uint16]:
    """Read a 16-bit grey PNG as uint16 [H, W]."""
    return _read16(path, "grey16")


def read_rgb16(path: Path) -> NDArray[np.uint16]:
    """Read a 16-bit RGB PNG as uint16 [H, W, 3]."""
    return np.ascontiguousarray(_read16(path, "rgb16")[..., ::-1])


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a PNG atomically; see `encode_png` for what it may hold."""
    write_bytes(path, encode_png(pixels))


def write_jpeg(path: Path, frame: Frame, quality: int = 98) -> None:
    """Write a 4:4:4 JPEG atomically."""
    write_bytes(path, encode_jpeg(frame, quality))


def encode_png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode uint8 RGB, uint16 grey or uint16 RGB as PNG, with OpenCV's default parameters."""
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    grey16 = pixels.ndim == 2 and pixels.dtype == np.uint16
    if not grey16 and not (colour and pixels.dtype in (np.uint8, np.uint16)):
        raise InputError(
            "a PNG is written from uint8 [H, W, 3], uint16 [H, W] or uint16 [H, W, 3], "
            f"got {pixels.dtype} {list(pixels.shape)}"
        )
    return _encode(".png", pixels, [])


def encode_jpeg(frame: Frame, quality: int = 98) -> bytes:
    """Encode uint8 RGB as JPEG without chroma subsampling (4:4:4)."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise InputError(
            f"a JPEG is written from uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}"
        )
    full_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality, *full_chroma])


def encode_webp(frame: Frame, quality: int) -> bytes:
    """Encode uint8 RGB as a lossy WebP, which no longer side than 16383 pixels allows."""
    return _encode(".webp", frame, [cv2.IMWRITE_WEBP_QUALITY, quality])


def decode_jpeg(data: bytes) -> Frame:
    """Decode what `encode_jpeg` made, as `read_image` would."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags), np.uint8)


def deep_frame(path: Path, mode: str) -> InputError:
    """Return the error for a frame with more than 8 bits a channel."""
    return InputError(
        f"{path} is a {mode} picture, frames must have 8 bits a channel: convert it, for example "
        "with `ffmpeg -i IN -pix_fmt rgb24 OUT.png`"
    )


def _encode(suffix: str, pixels: NDArray[Any], parameters: list[int]) -> bytes:
    # OpenCV wants BGR; its own conversion takes a fiftieth of the time of copying a reversed view.
    blue_first = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(suffix, blue_first, parameters)
    if not done:
        raise InputError(f"OpenCV could not encode {list(pixels.shape)} pixels as {suffix}")
    return data.tobytes()  # type: ignore[no-any-return]


def _read16(path: Path, mode: str) -> NDArray[np.uint16]:
    data, header = _whole(path)
    if header.mode != mode:
        raise InputError(f"{path} must be a {mode} PNG, it is {header.mode}")
    return _decode(path, data, cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]


def _whole(path: Path) -> tuple[bytes, Header]:
    header = read_size(path)
    data = path.read_bytes()
    problem = _damage(data)
    if problem:
        raise InputError(f"{path} is damaged: {problem}; copy or export it again")
    return data, header


def _decode(path: Path, data: bytes, flags: int) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(f"{path} is damaged: it cannot be decoded; copy or export it again")
    return pixels  # type: ignore[no-any-return]


def _png_header(head: bytes) -> Header:
    width, height, bits, kind = struct.unpack(">IIBB", head[16:].ljust(10, b"\0"))
    return Header(height, width, f"{_PNG_KINDS.get(kind, 'unknown')}{bits}")


def _other_header(path: Path) -> Header:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is judged by the caller
            with Image.open(path, formats=("JPEG", "TIFF", "BMP")) as image:
                width, height = image.size
                mode = _PIL_KINDS.get(image.mode, image.mode)
                bits = max(getattr(image, "tag_v2", {}).get(258, (8,)))
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large a picture: {error}") from error
    except Exception as error:  # a broken header can raise nearly anything in PIL
        raise InputError(f"{path} is not a readable PNG, JPEG, TIFF or BMP picture") from error
    return Header(height, width, "rgb16" if mode == "rgb8" and bits > 8 else mode)


def _damage(data: bytes) -> str | None:
    if data.startswith(_PNG_MAGIC):
        return _png_damage(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_damage(data)
    return None


def _png_damage(data: bytes) -> str | None:
    """Check every chunk's CRC up to IEND, so that libpng never has to guess."""
    at = len(_PNG_MAGIC)
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return "a checksum does not match"
        if kind == b"IEND":
            return None
        at = end
    return "the file ends too early"


def _jpeg_damage(data: bytes) -> str | None:
    """Walk the segments to the end-of-image marker, which decoders do not insist on."""
    at, scans = 2, 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return "a segment does not begin with a marker"
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xD9:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            scans += 1
            if scans > MOST_SCANS:
                return f"it has more than {MOST_SCANS} scans"
            at = _end_of_scan(data, at)
    return None if data[at : at + 2] == b"\xff\xd9" else "the file ends too early"


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the next marker stands that is neither a stuffed 0xFF nor a restart."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        following = data[at + 1]
        if following != 0 and not 0xD0 <= following <= 0xD7:
            return at
        at += 2
    return len(data)
