"""Files are written whole or not at all, and digests depend on content alone."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rvsd_bench import files
from rvsd_bench.errors import InputError, OutputError


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    names = ["f10.png", "f9.png", "f1.png", "f01.png", "e2x10.png", "e2x9.png"]
    ordered = sorted(names, key=files.natural_key)
    assert ordered == ["e2x9.png", "e2x10.png", "f01.png", "f1.png", "f9.png", "f10.png"]


def test_a_written_file_holds_the_bytes_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert listing(tmp_path) == ["a.bin"]


def test_json_is_sorted_plain_and_the_same_every_time(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"b": [1.5, None], "a": "é"})
    assert path.read_bytes() == '{\n "a": "é",\n "b": [\n  1.5,\n  null\n ]\n}\n'.encode()


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, 1)
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, float("nan"))
    assert path.read_text() == "1\n"


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere/a\.bin \(3 bytes are needed\): No such.*make"):
        files.write_bytes(tmp_path / "nowhere" / "a.bin", b"abc")


def test_a_block_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def half() -> None:
        with files.publish_file(path) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["a.txt"]


def test_the_temporary_file_keeps_the_suffix_for_encoders(tmp_path: Path) -> None:
    with files.publish_file(tmp_path / ("long name " * 20 + ".mkv")) as temporary:
        assert temporary.suffix == ".mkv"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"")


FILL = """
import os, resource, sys
from pathlib import Path
from rvsd_bench import files
from rvsd_bench.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
target = Path(sys.argv[2])
try:
    if sys.argv[1] == "file":
        files.write_bytes(target, bytes(5000))
    else:
        with files.publish_folder(target) as folder:
            (folder / "small").write_bytes(bytes(10))
            with (folder / "big").open("wb") as file:
                file.write(bytes(5000))
except OutputError as error:
    os.write(1, str(error).encode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_full_disk_is_an_output_error_and_leaves_what_was_there(
    tmp_path: Path, what: str
) -> None:
    target = tmp_path / "target"
    if what == "file":
        target.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FILL, what, str(target)], capture_output=True, text=True, check=True
    )
    size = "5000" if what == "file" else "more than 1010"
    assert done.stdout == (
        f"cannot write {target} ({size} bytes are needed): File too large; "
        "free some space and run again"
    )
    assert listing(tmp_path) == (["target"] if what == "file" else [])
    assert what == "folder" or target.read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="choose a writable folder"):
        files.write_bytes(tmp_path / "a", b"")


def test_a_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "clip"
    with files.publish_folder(target) as folder:
        files.write_text(folder / "0.txt", "a")
        assert not target.exists()
        assert folder.parent == target.parent
        assert folder.name.startswith(".tmp.clip.")
    assert listing(tmp_path) == ["deep", "deep/clip", "deep/clip/0.txt"]


def test_a_folder_whose_block_fails_does_not_appear(tmp_path: Path) -> None:
    def half() -> None:
        with files.publish_folder(tmp_path / "clip") as folder:
            files.write_text(folder / "0.txt", "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert listing(tmp_path) == []


def test_a_folder_that_exists_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    with (
        pytest.raises(OutputError, match="already exists"),
        files.publish_folder(tmp_path / "clip"),
    ):
        pytest.fail("the block ran")


def test_the_folder_of_a_faster_process_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "clip"
    with files.publish_folder(target) as slow:
        files.write_text(slow / "0.txt", "slow")
        with files.publish_folder(target) as fast:
            files.write_text(fast / "0.txt", "fast")
    assert listing(tmp_path) == ["clip", "clip/0.txt"]
    assert (target / "0.txt").read_text() == "fast"


def test_a_file_inside_of_a_lent_folder_is_named_as_it_would_have_been_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    wanted = f"cannot write {tmp_path}/clip/0.png (7 bytes are needed): No space left on device"
    with pytest.raises(OutputError) as caught, files.publish_folder(tmp_path / "clip") as folder:
        files.stage_bytes(folder / "0.png", bytes(7))
    assert str(caught.value) == f"{wanted}; free some space and run again"
    assert listing(tmp_path) == []


HOLD = """
import sys
from pathlib import Path
from rvsd_bench import files
home = Path(sys.argv[1])
with files.publish_file(home / "a.txt") as file, files.publish_folder(home / "clip") as folder:
    file.write_text("half")
    (folder / "0.png").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_orphans_are_those_of_dead_processes_and_nothing_else(tmp_path: Path) -> None:
    job = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert job.stdout is not None and job.stdout.readline() == b"ready\n"
    mine = {".tmp.notes", ".tmp.0123456789abcdef", "tmp.a.0123456789abcdef.txt"}
    for name in mine:
        (tmp_path / name).write_text("of the user")
    files.remove_orphans(tmp_path, tmp_path / "not there")
    living = {name for name in listing(tmp_path) if name not in mine}
    assert len(living) == 3 and all(name.startswith(".tmp.") for name in living)
    job.kill()
    job.communicate()
    assert {name for name in listing(tmp_path) if name not in mine} == living
    files.remove_orphans(tmp_path)
    assert set(listing(tmp_path)) == mine


def test_without_locks_what_rested_for_a_day_counts_as_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", none)
    old = tmp_path / ".tmp.old.0123456789abcdef"
    old.mkdir()
    os.utime(old, (0, 0))
    with files.publish_folder(tmp_path / "clip") as folder:
        files.remove_orphans(tmp_path)
        assert listing(tmp_path) == [folder.name]
    assert listing(tmp_path) == ["clip"]


def test_a_temporary_that_was_taken_for_an_orphan_at_birth_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, swept = files._hold, []

    def late(path: Path) -> int | None:
        if not swept:
            swept.append(path)
            files.remove_orphans(path.parent)
        return hold(path)

    monkeypatch.setattr(files, "_hold", late)
    files.write_bytes(tmp_path / "a", b"whole")
    assert swept and not swept[0].exists()
    assert listing(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"whole"


def test_what_is_discarded_is_never_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    (clip / "0.png").write_text("0")
    remove, seen = shutil.rmtree, []

    def watched(path: Path, **options: bool) -> None:
        seen.append((clip.exists(), path.name.startswith(".tmp.clip.")))
        remove(path, **options)

    monkeypatch.setattr(files.shutil, "rmtree", watched)
    for _ in range(2):
        files.discard(clip)
    assert seen == [(False, True)] and listing(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder .*file/clip: Not a directory"):
        files.make_folder(tmp_path / "file" / "clip")


def test_failing_to_read_inside_the_block_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.publish_folder(tmp_path / "clip"):
        (tmp_path / "input").read_bytes()


def test_sha256_is_the_published_one(tmp_path: Path) -> None:
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_bytes(b"abc") == files.sha256_file(tmp_path / "a") == known


def test_reading_what_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone: No such file"):
        files.sha256_file(tmp_path / "gone")


def make_source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "2.png").write_bytes(b"two")
    (folder / "10.PNG").write_bytes(b"ten")
    return folder


def test_a_source_folder_is_known_by_its_pictures_alone(tmp_path: Path) -> None:
    one = make_source(tmp_path / "one")
    other = make_source(tmp_path / "other")
    for junk in ("Thumbs.db", ".DS_Store", "._2.png", "notes.txt"):
        (other / junk).write_bytes(b"junk")
    (other / "deeper.png").mkdir()
    lines = (f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in
             (("10.PNG", b"ten"), ("2.png", b"two")))  # fmt: skip
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert files.digest_source(one) == files.digest_source(other) == expected
    (other / "2.png").write_bytes(b"two!")
    assert files.digest_source(other) != expected


def test_a_source_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"abc")
    assert files.digest_source(tmp_path / "a.mp4") == hashlib.sha256(b"abc").hexdigest()


def test_a_source_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image files"):
        files.digest_source(tmp_path)


def test_the_digest_of_a_tree_sees_names_places_and_bytes(tmp_path: Path) -> None:
    for root in ("a", "b"):
        (tmp_path / root / "x").mkdir(parents=True)
        (tmp_path / root / "x" / "1").write_bytes(b"1")
        (tmp_path / root / "2").write_bytes(b"2")
    same = files.tree_digest(tmp_path / "a")
    assert files.tree_digest(tmp_path / "b") == same
    (tmp_path / "b" / "2").rename(tmp_path / "b" / "x" / "2")
    assert files.tree_digest(tmp_path / "b") != same


def test_pictures_that_are_symbolic_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "1.png").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match=r"1\.png is a symbolic link"):
        files.image_files(tmp_path)
