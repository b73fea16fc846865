"""Pictures come back as they were written, and a damaged one never comes back at all."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rvsd_bench.errors import InputError, OutputError
from rvsd_bench.media import images


def picture(height: int = 37, width: int = 53, seed: int = 0) -> NDArray[np.uint8]:
    """A slope with noise on it, all three channels different."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.array([1, 2, 1.5])
    return (slope % 200 + rng.integers(0, 40, (height, width, 3))).astype(np.uint8)


def deep(height: int = 9, width: int = 7) -> NDArray[np.uint16]:
    return np.random.default_rng(1).integers(0, 65536, (height, width, 3)).astype(np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def test_pillow_reads_the_png_that_was_written(tmp_path: Path) -> None:
    images.write_png(tmp_path / "a.png", picture())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), picture())


def test_what_pillow_wrote_is_read_in_the_same_order_of_channels(tmp_path: Path) -> None:
    for suffix in (".png", ".bmp", ".tif"):
        Image.fromarray(picture()).save(tmp_path / f"a{suffix}")
        assert np.array_equal(images.read_image(tmp_path / f"a{suffix}"), picture())
        assert images.read_size(tmp_path / f"a{suffix}") == (37, 53, "rgb8")


def test_layers_of_16_bits_come_back_exactly(tmp_path: Path) -> None:
    grey = deep()[..., 0]
    images.write_png(tmp_path / "grey.png", grey)
    images.write_png(tmp_path / "rgb.png", deep())
    assert np.array_equal(images.read_gray16(tmp_path / "grey.png"), grey)
    assert np.array_equal(images.read_rgb16(tmp_path / "rgb.png"), deep())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "grey.png")), grey)


def test_a_layer_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    images.write_png(tmp_path / "a.png", picture())
    with pytest.raises(InputError, match=r"a\.png must be a grey16 PNG, it is rgb8"):
        images.read_gray16(tmp_path / "a.png")


def test_jpeg_keeps_full_chroma_and_the_quality_asked_for(tmp_path: Path) -> None:
    images.write_jpeg(tmp_path / "a.jpg", picture())
    Image.fromarray(picture()).save(tmp_path / "b.jpg", quality=98, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as ours, Image.open(tmp_path / "b.jpg") as theirs:
        assert {factors[1:3] for factors in ours.layer} == {(1, 1)}  # type: ignore[attr-defined]
        assert ours.quantization == theirs.quantization  # type: ignore[attr-defined]
    error = images.read_image(tmp_path / "a.jpg").astype(float) - picture()
    assert np.sqrt(np.mean(error**2)) < 2


@pytest.mark.parametrize(
    "pixels",
    [picture()[..., 0], picture().astype(np.float32), np.zeros((4, 4, 4), np.uint8)],
    ids=["8-bit grey", "float", "four channels"],
)
def test_only_frames_and_layers_are_written(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="a PNG is written from"):
        images.encode_png(pixels)


def test_a_picture_cannot_be_written_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="make its folder first"):
        images.write_png(tmp_path / "no" / "a.png", picture())


@pytest.mark.parametrize("at", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_in_a_png_is_one_line_naming_the_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], at: float
) -> None:
    data = bytearray(images.encode_png(picture()))
    data[8 + int(at * (len(data) - 8))] ^= 4
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.png"):
        images.read_image(path)
    assert capfd.readouterr().err == ""  # libpng's own complaints never reach the user


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_cut_file_is_refused_wherever_it_is_cut(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    data = images.encode_png(picture()) if kind == "png" else images.encode_jpeg(picture())
    for length in [*range(1, len(data) - 1, len(data) // 40), len(data) - 1]:
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=f"cut\\.{kind}"):
            images.read_image(path)
    assert capfd.readouterr().err == ""


def test_a_cut_jpeg_is_refused_although_its_thumbnail_ends_properly(tmp_path: Path) -> None:
    data = images.encode_jpeg(picture())
    thumbnail = images.encode_jpeg(picture(8, 8))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[:2] + segment + data[2:])
    assert images.read_image(path).shape == (37, 53, 3)
    path.write_bytes((data[:2] + segment + data[2:])[:-400])
    with pytest.raises(InputError, match="ends too early"):
        images.read_image(path)


def test_a_png_with_good_checksums_but_too_little_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.png"
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0))
    few_rows = chunk(b"IDAT", zlib.compress(bytes(31 * 4)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + few_rows + chunk(b"IEND", b""))
    with pytest.raises(InputError, match="cannot be decoded"):
        images.read_image(path)


def test_trailing_bytes_after_a_whole_jpeg_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(images.encode_jpeg(picture()) + bytes(100))
    assert images.read_image(tmp_path / "a.jpg").shape == (37, 53, 3)


def test_progressive_and_restarting_jpegs_are_whole(tmp_path: Path) -> None:
    for name, options in {"p": {"progressive": True}, "r": {"restart_marker_blocks": 2}}.items():
        Image.fromarray(picture()).save(tmp_path / f"{name}.jpg", quality=95, **options)
        with Image.open(tmp_path / f"{name}.jpg") as image:
            expected = np.asarray(image).astype(int)
        assert np.abs(images.read_image(tmp_path / f"{name}.jpg") - expected).mean() < 1


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IEND", b""))
    with pytest.raises(InputError, match=r"bomb\.png claims to be 30000 x 30000 pixels"):
        images.read_image(path)


@pytest.mark.parametrize("side", [9000, 15000])
def test_a_huge_bmp_is_refused_by_its_header_too(tmp_path: Path, side: int) -> None:
    small = io.BytesIO()
    Image.new("L", (1, 1)).save(small, "BMP")
    data = bytearray(small.getvalue())
    data[18:26] = struct.pack("<ii", side, side)
    (tmp_path / "huge.bmp").write_bytes(data)
    with pytest.raises(InputError, match=r"huge\.bmp .*pixels"):
        images.read_image(tmp_path / "huge.bmp")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_frames_are_refused_with_what_to_do(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    if suffix == "png":
        images.write_png(path, deep())
    else:
        Image.fromarray(deep()[..., 0]).save(path)
    assert images.read_size(path).bits == 16
    with pytest.raises(InputError, match=rf"deep\.{suffix} is a .*16 picture.*8 bits.*ffmpeg"):
        images.read_image(path)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "grey8"), ("RGBA", "rgb+alpha8"), ("LA", "grey+alpha8"), ("P", "palette8")],
)
def test_grey_alpha_and_palette_become_rgb_and_the_header_tells(
    tmp_path: Path, mode: str, name: str
) -> None:
    source = Image.fromarray(picture()).convert(mode)
    source.save(tmp_path / "a.png")
    assert images.read_size(tmp_path / "a.png") == (37, 53, name)
    expected = np.asarray(source.convert("RGBA"))[..., :3]
    assert np.array_equal(images.read_image(tmp_path / "a.png"), expected)


def test_one_bit_pictures_are_black_and_white(tmp_path: Path) -> None:
    source = Image.fromarray(picture()).convert("1")
    source.save(tmp_path / "a.png")
    assert np.array_equal(images.read_image(tmp_path / "a.png"), np.asarray(source.convert("RGB")))


def test_pixels_are_taken_as_stored_whatever_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to view
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=exif)
    assert images.read_size(tmp_path / "a.jpg")[:2] == (37, 53)
    assert images.read_image(tmp_path / "a.jpg").shape == (37, 53, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"no picture", "is not a readable"), (b"\x89PNG\r\n\x1a\n", "claims")],
    ids=["empty", "text", "only a signature"],
)
def test_what_is_no_picture_is_refused_in_one_line(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.png {message}") as caught:
        images.read_image(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


def test_a_missing_picture_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone\.png"):
        images.read_image(tmp_path / "gone.png")


def test_a_jpeg_of_endless_scans_is_refused_before_they_are_gone_through(tmp_path: Path) -> None:
    """Each scan costs a pass over the whole picture: 100 KB of them took half a minute."""
    whole = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 100, 110)).save(whole, "JPEG", progressive=True)
    data = whole.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    path = tmp_path / "scans.jpg"
    path.write_bytes(data[:-2] + last * 80 + data[-2:])
    assert images.read_image(path).shape == (64, 64, 3)
    path.write_bytes(data[:-2] + last * 100 + data[-2:])
    with pytest.raises(InputError, match=r"scans\.jpg is damaged: it has more than 100 scans"):
        images.read_image(path)
