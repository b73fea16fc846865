"""Hold who may write into a dataset at one time, and what is cleared away of runs that died."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.files import publish_folder
from rvsd_bench.jobs import Shard
from rvsd_bench.making.claiming import claimed

DIE = """
import os, sys
from pathlib import Path
from rvsd_bench.files import publish_folder
from rvsd_bench.jobs import parse_shard
from rvsd_bench.making.claiming import claimed
out = Path(sys.argv[1])
with claimed(out, parse_shard(sys.argv[2]), set()), publish_folder(out / "test/snow/00000"):
    os.kill(os.getpid(), 9)
"""


def killed(out: Path, shard: str) -> None:
    subprocess.run([sys.executable, "-c", DIE, str(out), shard], check=False)


def names(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))


@pytest.mark.parametrize("shard", ["1/1", "2/3"])
def test_the_lock_and_the_temporaries_of_a_killed_run_do_not_stay(
    tmp_path: Path, shard: str
) -> None:
    killed(tmp_path / "out", shard)
    lock, *_, temporary = names(tmp_path / "out")
    assert lock == f".lock.{shard.replace('/', '-of-')}"
    assert temporary.startswith("test/snow/.tmp.00000.")
    with claimed(tmp_path / "out", Shard(), set()):
        assert names(tmp_path / "out") == [".lock.1-of-1", "test", "test/snow"]
    assert not (tmp_path / "out").exists()


def test_what_other_shards_are_writing_stays(tmp_path: Path) -> None:
    with (
        claimed(tmp_path, Shard(1, 2), {"test/00000"}),
        publish_folder(tmp_path / "test/clean/00000") as folder,
    ):
        (folder / "0000.png").write_text("half")
        (tmp_path / "test/snow/00007").mkdir(parents=True)
        with claimed(tmp_path, Shard(2, 2), {"test/00000"}):
            pass
        assert (folder / "0000.png").read_text() == "half"
        assert (tmp_path / "test/snow/00007").is_dir()
    assert (tmp_path / "test/clean/00000/0000.png").is_file()


def test_a_job_in_other_parts_is_refused_while_one_is_at_work(tmp_path: Path) -> None:
    with claimed(tmp_path, Shard(1, 2), set()):
        for shard in (Shard(), Shard(1, 3), Shard(1, 2)):
            with pytest.raises(InputError, match="another run"), claimed(tmp_path, shard, set()):
                pytest.fail("two jobs in one folder")
        assert names(tmp_path) == [".lock.1-of-2"]


def test_unfinished_videos_of_an_older_plan_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("clean/00000", "snow/00001", "layers/00002", "snow/notes", "clean/00003"):
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "0000.png").write_text("")
    (tmp_path / "test/clean/00004.mkv").write_text("")
    (tmp_path / "test/meta").mkdir()
    (tmp_path / "test/meta/00003.json").write_text("{}")
    with claimed(tmp_path, Shard(), {"test/00000"}):
        pass
    left = {path.parent.name for path in tmp_path.rglob("*.png")}
    assert left == {"00000", "notes", "00003"}
    assert not list(tmp_path.rglob("*.mkv"))
