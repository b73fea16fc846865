"""Boards that many processes add to, and names that were chosen to break them."""

from __future__ import annotations

import csv
import json
import multiprocessing
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, csv_lines, read_csv
from rvsd_bench.errors import InputError, OutputError
from rvsd_bench.leaderboard import board as boards
from rvsd_bench.leaderboard.board import add, rebuild
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.card import Card, card_from, read_card
from rvsd_bench.leaderboard.table import group, read_run

CARD = {
    "name": "Mine", "authors": ["A. Author"], "paper": "A paper, 2026", "licence": "CC BY 4.0",
    "training_data": "RVSD train", "hardware": "one GPU",
}  # fmt: skip
HOSTILE = [
    "=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "'=1", "''", "\t=1", "\r", "a\nb", "a\r\nb", '"', '""',
    'a","b', ",", ";", "NA", "nan", "null", "None", "inf", "1e5", "007", "true", "#REF!",
    "\u202eevil\u202c", "\u200b", "\ufeff", "a\u0000b", "\u2028", "\x1b[31m", "x" * 10_000, " a ",
    "<script>", "{{7*7}}", "${x}", "%s", "../../up", "\U0001f328\ufe0f", "e\u0301", "\ud7ff", "|",
]  # fmt: skip


def row(name: str, psnr: float, **cells: object) -> dict[str, object]:
    return {
        "schema_version": 1, "method_id": name, "method_name": name, "kind": "video",
        "protocol": "rvsd-2023", "protocol_hash": "0123456789ab", "dataset": "demo",
        "split": "test", "source": "measured", "valid": True, "psnr": psnr, "n_sources": 12,
        "dataset_manifest_sha256": "f" * 64, "predictions_sha256": f"{hash(name) & 0xFFFF:064x}",
        "trained": True, "run_id": "r",
    } | cells  # fmt: skip


def run(folder: Path, rows: Sequence[dict[str, object]], **facts: object) -> Path:
    """Write a run of the evaluator as it lies on disk."""
    folder.mkdir(parents=True)
    shared = ("run_id", "method_id", "protocol_hash", "dataset", "split")
    videos = [
        {**{k: r[k] for k in shared}, "video": f"{v:05d}", "metric": "psnr", "mean": r["psnr"],
         "source_id": str(v), "n_frames": 1, "n_expected": 1, "status": "ok"}
        for r in rows
        for v in range(2)
    ]  # fmt: skip
    (folder / "leaderboard.csv").write_text("".join(csv_lines(LEADERBOARD, rows)), newline="")
    (folder / "per_video.csv").write_text("".join(csv_lines(PER_VIDEO, videos)), newline="")
    (folder / "manifest.json").write_text(json.dumps({"command": "rvsd-bench evaluate"} | facts))
    return folder


def names(board: Path) -> list[str]:
    return [r["method_id"] for r in read_csv(board / "leaderboard.csv")]


def test_a_board_is_read_as_a_run_is_and_ranks_its_rows(tmp_path: Path) -> None:
    for name, psnr in (("a", 20.0), ("b", 22.0), ("c", 21.0)):
        found = add(run(tmp_path / name, [row(name, psnr)]), tmp_path / "board")
    assert (found.total, names(tmp_path / "board")) == (3, ["a", "b", "c"])
    assert len(read_run(tmp_path / "board").videos) == 6
    (part,) = build([tmp_path / "board"], tmp_path / "out")
    assert [(r["method_id"], r["rank"]) for r in part.rows] == [("b", "1"), ("c", "2"), ("a", "3")]


def test_the_page_of_a_board_says_how_each_of_its_runs_was_made(tmp_path: Path) -> None:
    for name in ("a", "b"):
        facts = {"command": f"rvsd-bench evaluate {name}", "run_id": f"id-{name}"}
        rows = [row(name, 20.0, run_id=f"id-{name}")]
        add(run(tmp_path / name, rows, **facts), tmp_path / "board")
    build([tmp_path / "board"], tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    for name in ("a", "b"):
        assert f"board: id-{name}" in page and f"rvsd-bench evaluate {name}" in page


def test_the_order_of_additions_changes_no_byte(tmp_path: Path) -> None:
    tables = set()
    for order in ("abc", "cab"):
        for name in order:
            home = tmp_path / order
            add(run(home / name, [row(name, 20.0 + ord(name))]), home / "board")
        files = ("leaderboard.csv", "per_video.csv", "manifest.json")
        tables.add(tuple((home / "board" / name).read_bytes() for name in files))
    assert len(tables) == 1


def fill(number: int, home: Path, board: Path, runs: int, rows: int) -> None:
    for index in range(runs):
        mine = [f"m{number}-{index}-{k}" for k in range(rows)]
        add(run(home / f"{number}-{index}", [row(n, 20.0) for n in mine]), board)
        assert set(mine) <= set(names(board))  # what was added stays, whoever writes next


def test_processes_that_add_at_once_lose_and_halve_nothing(tmp_path: Path) -> None:
    """In short here: 4 processes, 5 additions of 4 rows each."""
    context = multiprocessing.get_context("fork")
    board = tmp_path / "board"
    workers = [
        context.Process(target=fill, args=(n, tmp_path / "runs", board, 5, 4)) for n in range(4)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):  # what a reader sees is always whole
        if (board / "leaderboard.csv").exists():
            rows = read_csv(board / "leaderboard.csv")
            assert all(len(r) == len(LEADERBOARD) and r["psnr"] == "20.0" for r in rows)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    found = names(board)
    assert len(found) == len(set(found)) == 80
    assert sorted(found) == sorted(
        f"m{n}-{i}-{k}" for n in range(4) for i in range(5) for k in range(4)
    )
    assert len(list((board / "entries").iterdir())) == 20
    assert not list(board.rglob("*.tmp*"))


def test_a_name_is_given_once_and_the_same_frames_are_no_second_row(tmp_path: Path) -> None:
    board = tmp_path / "board"
    add(run(tmp_path / "one", [row("identity", 18.0, source="input"), row("a", 20.0)]), board)
    both = run(tmp_path / "two", [row("identity", 18.0, source="input"), row("b", 21.0)])
    found = add(both, board)
    assert (found.there, found.total) == (("identity",), 3)
    with pytest.raises(InputError, match=r"has 'identity', 'b' already, with the same frames"):
        add(both, board)
    for other in ("a", "A", "\uff41"):  # letter case and Unicode's forms make no new name
        changed = run(tmp_path / f"x{ord(other)}", [row(other, 25.0, predictions_sha256="0" * 64)])
        with pytest.raises(InputError, match="nothing is replaced; choose another name"):
            add(changed, board)
    elsewhere = run(tmp_path / "else", [row("a", 25.0, dataset_manifest_sha256="e" * 64)])
    assert add(elsewhere, board).total == 4


def test_all_rows_of_a_run_are_added_or_none(tmp_path: Path) -> None:
    board = tmp_path / "board"
    add(run(tmp_path / "one", [row("a", 20.0)]), board)
    before = {path: path.read_bytes() for path in board.rglob("*") if path.is_file()}
    mixed = run(tmp_path / "two", [row("new", 21.0), row("a", 25.0, predictions_sha256="0" * 64)])
    with pytest.raises(InputError, match="'a'"):
        add(mixed, board)
    assert {path: path.read_bytes() for path in board.rglob("*") if path.is_file()} == before
    invalid = run(tmp_path / "bad", [row("bad", 20.0, valid=False, notes="frame 3 is missing")])
    with pytest.raises(InputError, match=r"'bad' is not valid: frame 3 is missing"):
        add(invalid, board)


def test_tables_that_were_lost_or_spoilt_are_made_again(tmp_path: Path) -> None:
    board = tmp_path / "board"
    for name in "ab":
        add(run(tmp_path / name, [row(name, 20.0)]), board)
    whole = (board / "leaderboard.csv").read_bytes()
    (board / "leaderboard.csv").write_text("half a li")
    (board / "per_video.csv").unlink()
    assert rebuild(board) == 2
    assert (board / "leaderboard.csv").read_bytes() == whole


def test_an_addition_that_was_killed_before_the_tables_is_completed_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board, mine = tmp_path / "board", run(tmp_path / "b", [row("b", 20.0)])
    add(run(tmp_path / "a", [row("a", 20.0)]), board)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(boards, "_write_tables", killed)
        add(mine, board)
    left = board / "entries" / ".tmp.x.0123456789abcdef.json"
    left.write_text("{")
    assert names(board) == ["a"]
    with pytest.raises(InputError, match="has 'b' already"):
        add(mine, board)
    assert names(board) == ["a", "b"] and not left.exists()


@pytest.mark.parametrize("spoil", ['"psnr": "20.0"->"psnr": "99.0"', "{->", '"rows"->"raws"'])
def test_an_entry_that_was_changed_is_named(tmp_path: Path, spoil: str) -> None:
    board = tmp_path / "board"
    add(run(tmp_path / "a", [row("a", 20.0)]), board)
    (entry,) = (board / "entries").iterdir()
    entry.write_text(entry.read_text().replace(*spoil.split("->")))
    with pytest.raises(InputError, match=rf"{entry.name} is not as it was added"):
        rebuild(board)


def test_hostile_names_stay_text_from_run_to_board_to_table_and_move_no_rank(
    tmp_path: Path,
) -> None:
    assert len(HOSTILE) >= 40
    for index, name in enumerate(HOSTILE):
        add(run(tmp_path / f"{index}", [row(name, 20.0 + index)]), tmp_path / "board")
    assert sorted(names(tmp_path / "board")) == sorted(HOSTILE)
    (part,) = build([tmp_path / "board"], tmp_path / "out")
    assert [r["method_id"] for r in part.rows] == HOSTILE[::-1]
    assert [int(r["rank"]) for r in part.rows] == list(range(1, len(HOSTILE) + 1))
    with (tmp_path / "out" / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]  # as a spreadsheet sees them
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    (again,) = group(read_csv(tmp_path / "out" / "leaderboard.csv"))
    assert [r["method_id"] for r in again.rows] == HOSTILE[::-1]


def test_a_card_describes_the_row_of_its_submission_alone(tmp_path: Path) -> None:
    card = Card(**{**CARD, "authors": ("A", "B"), "venue": "ECCV", "year": 2026})  # type: ignore[arg-type]
    rows = [row("median", 19.0), row("frames:x.zip@12", 20.0, licence="MIT")]
    methods = [{"id": "frames:x.zip@12", "card": card.as_dict()}, {"id": "median", "card": None}]
    add(run(tmp_path / "packed", rows, methods=methods), tmp_path / "one")
    rows = [row("median", 19.0), row("frames:x@12", 20.0, licence="MIT")]
    add(run(tmp_path / "folder", rows), tmp_path / "two", card=card)
    for board in ("one", "two"):
        carded, median = read_csv(tmp_path / board / "leaderboard.csv")
        told = ("method_name", "source_ref", "licence", "venue", "year")
        assert [carded[n] for n in told] == [
            "Mine", "A paper, 2026", "CC BY 4.0; MIT", "ECCV", "2026",
        ]  # fmt: skip
        assert median["method_name"] == "median"
        (kept,) = json.loads((tmp_path / board / "manifest.json").read_text())["cards"].values()
        assert kept["authors"] == ["A", "B"]
    with pytest.raises(InputError, match="2 measured methods without a card, a card is for one"):
        add(run(tmp_path / "x", [row("a", 1.0), row("b", 1.0)]), tmp_path / "two", card=card)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": ""}, "name is empty"),
        ({"name": "a\nb"}, r"name holds U\+000A"),
        ({"name": "a\0b"}, r"name holds U\+0000"),
        ({"name": "\u202eevil"}, r"name holds U\+202E"),
        ({"name": "a\u2028b"}, r"name holds U\+2028"),
        ({"name": "x" * 10_000}, "name has 10000 characters, at most 100"),
        ({"name": " a"}, "blank"),
        ({"name": 5}, "name must be text"),
        ({"authors": []}, "authors is empty"),
        ({"authors": ["A", "\x1b[2J"]}, r"authors holds U\+001B"),
        ({"authors": "A"}, "authors must be a list of names"),
        ({"paper": "x" * 2000}, "paper has 2000 characters"),
        ({"licence": None}, "licence"),
        ({"year": 20260}, r"year is 20260, must lie in \[1900, 2200\]"),
        ({"year": "2026"}, "year"),
        ({"nmae": "x"}, "Did you mean 'name'"),
    ],
)
def test_a_card_that_cannot_stand_is_refused_by_its_field(
    change: dict[str, object], text: str
) -> None:
    with pytest.raises(InputError, match=text) as told:
        card_from({k: v for k, v in (CARD | change).items() if v is not None}, "card.toml")
    assert str(told.value).startswith("card.toml: ") and str(told.value).isprintable()


@pytest.mark.parametrize("name", ["=1+1", '"', "NA", "<b>", "@x", "'a", "7", "\u00c9cole"])
def test_odd_names_that_can_be_read_may_stand_on_a_card(tmp_path: Path, name: str) -> None:
    text = "\n".join(f"{k} = {json.dumps(v)}" for k, v in (CARD | {"name": name}).items())
    (tmp_path / "card.toml").write_text(text, encoding="utf-8")
    card = read_card(tmp_path / "card.toml")
    add(run(tmp_path / "run", [row("frames:x", 20.0)]), tmp_path / "board", card=card)
    (found,) = read_csv(tmp_path / "board" / "leaderboard.csv")
    assert found["method_name"] == card.name == name


def test_folders_that_are_no_boards_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    (tmp_path / "file").write_text("")
    mine = run(tmp_path / "run", [row("a", 20.0)])
    with pytest.raises(InputError, match="photos holds other files"):
        add(mine, tmp_path / "photos")
    with pytest.raises(InputError, match="file is a file"):
        add(mine, tmp_path / "file")
    with pytest.raises(InputError, match="photos is no board"):
        rebuild(tmp_path / "photos")
    with pytest.raises(InputError, match="photos is not a run"):
        add(tmp_path / "photos", tmp_path / "board")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]
    assert not (tmp_path / "board").exists()


def test_who_waits_for_others_that_add_in_turn_waits_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filelock import FileLock

    board = tmp_path / "board"
    add(run(tmp_path / "a", [row("a", 20.0)]), board)
    monkeypatch.setattr(boards, "_PATIENCE_S", 0.3)
    busy = FileLock(board / ".lock", thread_local=False)
    busy.acquire()

    def others() -> None:
        for number in range(10):  # together far longer than anyone's patience
            time.sleep(0.1)
            (board / "entries" / f".tmp.{number}").touch()
        busy.release()

    thread = threading.Thread(target=others)
    thread.start()
    add(run(tmp_path / "b", [row("b", 20.0)]), board)
    thread.join()
    assert names(board) == ["a", "b"]


def test_methods_that_differ_in_options_have_a_row_each(tmp_path: Path) -> None:
    rows = [row(f"median?k={k}", 20.0, method_name="median") for k in (3, 5)]
    add(run(tmp_path / "run", rows), tmp_path / "board")
    assert names(tmp_path / "board") == ["median?k=3", "median?k=5"]


def test_a_board_that_stays_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    board = tmp_path / "board"
    add(run(tmp_path / "a", [row("a", 20.0)]), board)
    monkeypatch.setattr(boards, "_PATIENCE_S", 0.01)
    with FileLock(board / ".lock"), pytest.raises(OutputError, match="locked by another process"):
        add(run(tmp_path / "b", [row("b", 20.0)]), board)
    assert names(board) == ["a"]
