"""Evil archives, made with the zipfile module and by hand, and honest ones of equal bytes."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from archives import EVIL, SMALL, made, pictures

from rvsd_bench import archives as reader
from rvsd_bench.archives import Limits, kept, unpacked, write_archive
from rvsd_bench.errors import InputError


@pytest.mark.parametrize("evil", EVIL)
def test_an_evil_archive_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: str
) -> None:
    make, text = EVIL[evil]
    (tmp_path / "in").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    path = tmp_path / "in" / "mine.zip"
    path.write_bytes(make())
    with pytest.raises(InputError) as told, unpacked(path, pictures, SMALL):
        pytest.fail("it was unpacked")
    line = str(told.value)
    assert text in line and "mine.zip" in line
    assert line.isprintable() and len(line) < 400
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()] == [
        Path("in/mine.zip")
    ]
    assert not any((tmp_path / "temporary").iterdir())


def test_there_are_thirty_of_them() -> None:
    assert len(EVIL) >= 30


def test_many_faults_are_counted(tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_bytes(made("/a.png", "../b.png", "c.png", "C.png"))
    with (
        pytest.raises(InputError, match=r"'/a.png' is an absolute path \(and 2 more faults\)"),
        unpacked(tmp_path / "mine.zip", pictures),
    ):
        pass


def test_only_wanted_files_come_out_of_a_private_folder_that_goes_away(tmp_path: Path) -> None:
    names = ("mine/00000/0000.png", "mine/00001/0000.png", "mine/run.sh", "mine/inner.zip")
    litter = ("__MACOSX/mine/._0000.png", "mine/.DS_Store", "mine/00000/.hidden.png")
    (tmp_path / "mine.zip").write_bytes(made("mine/", *names, *litter))
    with unpacked(tmp_path / "mine.zip", pictures) as folder:
        found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
        assert set(found) == {"00000/0000.png", "00001/0000.png"}  # the folder around all is cut
        assert found["00000/0000.png"].read_text() == repr("mine/00000/0000.png")
        assert folder.name == "mine.zip"
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert not any(p.stat().st_mode & 0o111 for p in found.values())
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("names", "inside"),
    [
        (("00000/0.png", "00000/1.png"), {"00000/0.png", "00000/1.png"}),
        (("test/00000/0.png",), {"00000/0.png"}),
        (("a/0.png", "b/0.png"), {"a/0.png", "b/0.png"}),
        (("0.png", "1.png"), {"0.png", "1.png"}),
    ],
)
def test_a_folder_of_frames_is_not_taken_for_the_one_around_all(
    tmp_path: Path, names: tuple[str, ...], inside: set[str]
) -> None:
    (tmp_path / "mine.zip").write_bytes(made(*names))
    with unpacked(tmp_path / "mine.zip", pictures) as folder:
        assert {str(p.relative_to(folder)) for p in folder.rglob("*.png")} == inside


def count_written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []
    real = reader._write
    monkeypatch.setattr(
        reader, "_write", lambda a, entry, t: written.append(entry.filename) or real(a, entry, t)
    )
    return written


def test_what_is_kept_is_unpacked_once_and_again_where_anything_about_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, home, written = tmp_path / "mine.zip", tmp_path / "home", count_written(monkeypatch)
    write_archive(path, {"a/0.png": b"one", "a/1.png": b"two", "notes.txt": b"no picture"})
    folder = kept(path, pictures, home)
    assert (folder.name, written) == ("mine.zip", ["a/0.png", "a/1.png"])

    def change(act: Callable[[], object]) -> int:
        """Do something to the folder; return how many files are unpacked for it."""
        act()
        written.clear()
        assert kept(path, pictures, home) == folder
        assert {p.name: p.read_bytes() for p in folder.rglob("*.png")} == {
            "0.png": b"one", "1.png": b"two",
        }  # fmt: skip
        return len(written)

    def swap() -> None:
        (tmp_path / "other").write_bytes(b"one")
        (folder / "a/0.png").unlink()
        (folder / "a/0.png").symlink_to(tmp_path / "other")

    assert change(lambda: None) == 0
    assert change(lambda: (folder / "a/0.png").write_bytes(b"One")) == 2
    assert change(lambda: (folder / "a/1.png").unlink()) == 2
    assert change(lambda: (folder / "a/2.png").write_bytes(b"extra")) == 2
    assert change(swap) == 2
    write_archive(path, {"a/0.png": b"one", "a/1.png": b"owt"})
    assert kept(path, pictures, home) != folder
    assert (folder / "a/1.png").read_bytes() == b"two"  # whoever uses it still has it


def test_an_archive_is_judged_again_although_it_was_kept(tmp_path: Path) -> None:
    write_archive(tmp_path / "mine.zip", {"a/0.png": b"one"})
    kept(tmp_path / "mine.zip", pictures, tmp_path / "home")
    with pytest.raises(InputError, match="3 bytes, at most 2"):
        kept(tmp_path / "mine.zip", pictures, tmp_path / "home", Limits(total_bytes=2))


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_of_an_evil_archive_is_kept(tmp_path: Path, evil: str) -> None:
    (tmp_path / "mine.zip").write_bytes(EVIL[evil][0]())
    with pytest.raises(InputError):
        kept(tmp_path / "mine.zip", pictures, tmp_path / "home", SMALL)
    assert not [*tmp_path.rglob("*.png")]


def test_a_file_that_did_not_change_keeps_its_time_of_change(tmp_path: Path) -> None:
    path, states = tmp_path / "mine.zip", []
    for content in (b"one", b"one", b"two"):
        write_archive(path, {"a/0.png": content})
        with unpacked(path, pictures) as folder:
            states.append((folder / "a/0.png").stat().st_mtime_ns)
    assert states[0] == states[1] == (zlib.crc32(b"one") & 0x7FFFFFFF) * 10**9
    assert states[2] != states[0]


def test_equal_files_make_equal_archives_that_others_can_read(tmp_path: Path) -> None:
    (tmp_path / "frame").write_bytes(b"pixels")
    whole = []
    for order in (1, -1):
        files = {"b/1.png": tmp_path / "frame", "a.toml": b"x = 1", "b/\u00e9.png": b""}
        write_archive(tmp_path / "out.zip", dict([*files.items()][::order]))
        whole.append((tmp_path / "out.zip").read_bytes())
        os.utime(tmp_path / "frame", (0, 0))
    assert whole[0] == whole[1]
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        assert {n: archive.read(n) for n in archive.namelist()} == {
            "a.toml": b"x = 1", "b/1.png": b"pixels", "b/\u00e9.png": b"",
        }  # fmt: skip


def test_a_full_disk_is_told_before_anything_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(tmp_path / "mine.zip", {"a/0.png": b"12345"})
    real = reader.shutil.disk_usage
    monkeypatch.setattr(reader.shutil, "disk_usage", lambda path: real(path)._replace(free=4))
    with (
        pytest.raises(OSError, match=r"needs 5 bytes unpacked, .* has 4: free some space"),
        unpacked(tmp_path / "mine.zip", pictures),
    ):
        pass


def test_an_archive_with_flipped_cut_or_spliced_bytes_is_read_or_refused(tmp_path: Path) -> None:
    honest = made("mine/00000/0000.png", "mine/00000/0001.png", "mine/card.toml", "mine/")
    with (
        zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as large,
        large.open("00000/0000.png", "w", force_zip64=True) as file,
    ):
        file.write(b"pixels" * 50)
    draw = np.random.default_rng(11)
    outcomes = {"read": 0, "refused": 0}
    for index in range(400):
        whole = bytearray(honest if index % 2 else (tmp_path / "large.zip").read_bytes())
        at = int(draw.integers(len(whole)))
        if index % 5 == 0:
            del whole[at:]
        elif index % 5 == 1:
            whole[at:at] = whole[: int(draw.integers(60))]
        else:
            for place in draw.integers(len(whole), size=1 + index % 3):
                whole[place] ^= 1 << int(draw.integers(8))
        path = tmp_path / "mine.zip"
        path.write_bytes(bytes(whole))
        try:
            with unpacked(path, pictures, SMALL) as folder:
                assert all(p.resolve().is_relative_to(folder.resolve()) for p in folder.rglob("*"))
            outcomes["read"] += 1
        except InputError as error:
            assert str(error).isprintable()
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20
