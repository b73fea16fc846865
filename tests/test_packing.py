"""From restored frames to a row on a board, by the commands of docs/submit.md."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench import cli
from rvsd_bench.columns import read_csv
from rvsd_bench.errors import InputError, ValidationError
from rvsd_bench.evaluation.packing import pack
from rvsd_bench.evaluation.submissions import check
from rvsd_bench.media.images import read_image, write_png

CARD = """name = "Mine"
authors = ["A"]
paper = "unpublished"
licence = "CC0"
training_data = "none"
hardware = "none"
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a dataset of two short videos, restored frames and a card, and go there."""
    rng = np.random.default_rng(0)
    for video in ("00000", "00001"):
        wide = rng.integers(10, 200, (32, 60, 3), dtype=np.uint8)
        for index in range(3):
            clean = np.ascontiguousarray(wide[:, 4 * index : 4 * index + 40])
            sides = {"RVSD/test/clean": 0, "RVSD/test/snow": 9, "restored": 1}
            for side, offset in sides.items():
                (tmp_path / side / video).mkdir(parents=True, exist_ok=True)
                name = f"{index:04d}.png" if side != "restored" else f"out_{index}.png"
                write_png(tmp_path / side / video / name, clean + np.uint8(offset))
    (tmp_path / "card.toml").write_text(CARD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line; return exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rvsd-bench", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            cli.main()
        printed = capsys.readouterr()
        return int(leave.value.code or 0), printed.out, printed.err

    return run


def packed(home: Path, out: str = "submission.zip") -> Path:
    return pack("restored", home / out, home / "card.toml", data=home / "RVSD").path


def test_the_page_for_submitters_can_be_followed_to_the_letter(
    home: Path, command: Run, repository: Path
) -> None:
    text = (repository / "docs" / "submit.md").read_text()
    blocks = re.findall(r"```(sh|toml)\n(.*?)```", text, re.DOTALL)
    (card,) = (body for kind, body in blocks if kind == "toml")
    (home / "card.toml").write_text(card)
    (home / "mynet.safetensors").write_bytes(b"weights")
    lines = [line for kind, body in blocks if kind == "sh" for line in body.splitlines()]
    lines += [f"rvsd-bench {line}" for line in re.findall(r"`(leaderboard add --board \S+)`", text)]
    assert len(lines) >= 6
    for line in lines:
        first, *words = shlex.split(line)
        code, out, err = command(*words)
        assert first == "rvsd-bench" and code == 0, (line, out, err)
    rows = {row["method_name"]: row for row in read_csv(home / "page" / "leaderboard.csv")}
    assert set(rows) == {"MyNet", "identity"}
    mine = rows["MyNet"]
    assert float(mine["psnr"]) == pytest.approx(20 * np.log10(255), abs=0.01)  # off by one level
    assert (mine["rank"], mine["venue"], mine["year"]) == ("1", "ECCV", "2026")
    assert mine["source_ref"] == "MyNet, 2026"
    assert "MyNet" in (home / "page" / "index.html").read_text()
    with zipfile.ZipFile(home / "model.zip") as archive:
        assert archive.read("files/mynet.safetensors") == b"weights"


def test_a_submission_names_and_digests_every_frame(home: Path) -> None:
    with zipfile.ZipFile(packed(home)) as archive:
        about = json.loads(archive.read("submission.json"))
        names = set(archive.namelist()) - {"submission.json"}
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}
        assert archive.read("card.toml").decode() == CARD
    frames = {f"test/{v}/{i:04d}.png" for v in ("00000", "00001") for i in range(3)}
    assert names == frames | {"card.toml"}
    assert about["files"] == digests
    source = (home / "restored" / "00001" / "out_2.png").read_bytes()
    assert digests["test/00001/0002.png"] == hashlib.sha256(source).hexdigest()
    assert (about["kind"], about["dataset"], about["split"]) == ("frames", "RVSD", "test")


def test_the_bytes_follow_from_the_contents_alone(home: Path) -> None:
    first = packed(home).read_bytes()
    shutil.make_archive(str(home / "again"), "zip", home / "restored")
    for path in (home / "restored").rglob("*.png"):
        path.touch()
    assert packed(home, "b.zip").read_bytes() == first
    out = pack(str(home / "again.zip"), home / "c.zip", home / "card.toml", data=home / "RVSD").path
    assert out.read_bytes() == first
    out = pack("submission.zip", home / "d.zip", home / "card.toml", data=home / "RVSD").path
    assert out.read_bytes() == first
    path = home / "restored" / "00000" / "out_1.png"
    write_png(path, read_image(path) + np.uint8(1))
    assert packed(home, "e.zip").read_bytes() != first


def test_what_check_refuses_is_not_packed_and_said_at_home(home: Path, command: Run) -> None:
    (home / "restored" / "00001" / "out_1.png").unlink()
    shutil.rmtree(home / "RVSD" / "test" / "clean")
    words = ("restored", "--data", "RVSD", "--card", "card.toml", "--out", "submission.zip")
    code, out, err = command("leaderboard", "pack", *words)
    assert (code, out) == (4, "")
    assert "frames are missing: 0001" in err and "not packed" in err.splitlines()[-1]
    assert not (home / "submission.zip").exists()
    code, out, err = command("leaderboard", "check", "restored", "--data", "RVSD")
    assert code == 4 and err.splitlines()[-1].endswith("errors found: 1, each is listed")
    assert "missing" in out and "not checked: whether frames are the clean ones" in out
    code, out, err = command("leaderboard", "check", "restored", "--data", "RVSD", "--json")
    report = json.loads(out)
    assert code == 4 and report["ok"] is False
    assert [(p["code"], p["video"]) for p in report["problems"]] == [("missing", "00001")]


def test_a_submission_that_was_changed_after_packing_is_found(home: Path) -> None:
    path = packed(home)
    shutil.unpack_archive(path, home / "open")
    assert check(home / "open", home / "RVSD").problems == ()
    frame = home / "open" / "test" / "00001" / "0001.png"
    write_png(frame, read_image(frame) + np.uint8(1))
    (problem,) = check(home / "open", home / "RVSD").problems
    assert problem.code == "changed" and "0001.png" in problem.message


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("nowhere", "--data", "RVSD", "--out", "s.zip"), "nowhere"),
        (("restored", "--out", "s.zip"), "add --data DIR"),
        (("restored", "--data", "RVSD", "--out", "s.tar"), "must end in .zip"),
        (("restored", "--data", "nowhere", "--out", "s.zip"), "nowhere"),
        (("restored", "--data", "RVSD", "--split", "val", "--out", "s.zip"), "no split val"),
        (("svdnet?weights=gone.pth", "--out", "s.zip"), "gone.pth is no file"),
        (("svdnett", "--out", "s.zip"), "Did you mean 'svdnet'"),
        (("RVSD/test/clean", "--data", "RVSD", "--out", "s.zip"), "not packed"),
    ],
)
def test_bad_words_are_one_line_and_write_nothing(
    home: Path, command: Run, words: tuple[str, ...], text: str
) -> None:
    code, out, err = command("leaderboard", "pack", *words, "--card", "card.toml")
    assert code in (2, 4) and out == ""
    assert text in err.splitlines()[-1]
    assert not list(home.glob("s.*"))


@pytest.mark.parametrize("card", ["name = ", 'name = "x"', CARD.replace("Mine", "a\\u0000b")])
def test_a_bad_card_stops_before_the_frames_are_read(home: Path, command: Run, card: str) -> None:
    (home / "card.toml").write_text(card)
    words = ("restored", "--data", "RVSD", "--card", "card.toml", "--out", "s.zip")
    code, out, err = command("leaderboard", "pack", *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "card.toml" in err


def test_a_packed_model_is_run_by_those_who_trust_it(home: Path, command: Run) -> None:
    (home / "mine.py").write_text(
        "import torch\n"
        "from rvsd_bench.baselines import FrameModel, ModelInfo\n"
        "def build(weights='w.bin'):\n"
        "    step = len(open(weights, 'rb').read())\n"
        "    darker = lambda clip: (clip * 255 - step).clamp(0, 255) / 255\n"
        "    return FrameModel(darker, ModelInfo(name='mine', licence='MIT'))\n"
    )
    (home / "w.bin").write_bytes(b"12345678")
    card = ("--card", "card.toml", "--out", "model.zip")
    assert command("leaderboard", "pack", "py:mine.py:build?weights=w.bin", *card)[0] == 0
    (home / "mine.py").unlink()
    (home / "w.bin").unlink()
    words = ("evaluate", "m=model.zip", "--data", "RVSD", "--out", "run", "--metrics", "psnr")
    code, _, err = command(*words)
    assert code == 2 and "--trust-code" in err
    assert command(*words, "--trust-code")[0] == 0
    (row,) = read_csv(home / "run" / "leaderboard.csv")
    assert float(row["psnr"]) == pytest.approx(20 * np.log10(255), abs=0.01)
    with pytest.raises(InputError, match="holds a model and no frames"):
        check(home / "model.zip", home / "RVSD")


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ("{", "was not made by pack"),
        ("[]", "was not made by pack"),
        ('{"kind": "virus", "files": {}}', "unknown kind"),
        ('{"kind": "frames", "files": {"../../etc/passwd": "0"}}', "leaves its folder"),
        ('{"kind": "frames", "files": {"%s": "0"}}' % ("9" * 300), "is too long"),
        ('{"kind": "model", "files": {}, "spec": "svdnet?weights=/etc/passwd"}', "not in its"),
        ('{"kind": "model", "files": {}, "spec": "onnx:../up.onnx"}', "not in its"),
        ('{"kind": "model", "files": {"files/w": "0"}, "spec": "identity"}', "not the file"),
    ],
)
def test_a_forged_submission_is_refused(home: Path, command: Run, about: str, text: str) -> None:
    with zipfile.ZipFile("forged.zip", "w") as archive:
        archive.writestr("submission.json", about)
        archive.writestr("files/w", "x")
    code, out, err = command("evaluate", "forged.zip", "--data", "RVSD", "--out", "run")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert text in err
    assert not (home / "run").exists()


def test_a_board_is_told_of_in_lines_and_json(home: Path, command: Run) -> None:
    (home / "restored" / "card.toml").write_text(CARD)
    words = ("identity", "frames:restored", "--data", "RVSD", "--metrics", "psnr", "--out", "run")
    assert command("evaluate", *words)[0] == 0
    code, out, _ = command("leaderboard", "add", "run", "--board", "board", "--json")
    assert (code, json.loads(out)) == (
        0, {"added": ["identity", "Mine"], "board": "board", "rows": 2},
    )  # fmt: skip
    code, out, err = command("leaderboard", "add", "run", "--board", "board")
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "already" in err
    code, out, _ = command("leaderboard", "add", "--board", "board")
    assert (code, out) == (0, "board: 0 rows added, 2 in all\n")


def test_packing_refuses_with_the_error_of_validation(home: Path) -> None:
    shutil.rmtree(home / "restored" / "00000")
    lines: list[str] = []
    with pytest.raises(ValidationError):
        pack(
            "restored", home / "s.zip", home / "card.toml", data=home / "RVSD", report=lines.append
        )
    assert any("00000" in line for line in lines)
