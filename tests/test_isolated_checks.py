"""What confined models report of themselves: as much as unconfined, and nothing that does harm."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from rvsd_bench.baselines import load
from rvsd_bench.baselines.spec import parse
from rvsd_bench.errors import InputError, ModelError
from rvsd_bench.isolation import reporting, sandbox
from rvsd_bench.isolation.limits import Isolation, Limits
from rvsd_bench.restoring.conforming import Finding, findings_of
from rvsd_bench.restoring.profiling import Profile, profile, profile_apart

NET = """
import torch
from rvsd_bench.baselines import FrameModel, ModelInfo
def build(gain: float = 1):
    print("[]\\n{}\\nrubbish on standard output", flush=True)
    conv = torch.nn.Conv2d(3, 3, 1)
    conv.weight.data[:] = gain * torch.eye(3)[..., None, None]
    conv.bias.data[:] = 0
    return FrameModel(conv, ModelInfo("net"))
"""
ALL = ("odd sizes", "any length", "repeatable", "batch", "input untouched", "range", "640 x 360")
COST = Profile("m", 3, 8, 8, 1, 0.5, 0.5, 2.0, 3, 1.0, "cpu", "float32", 1)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Return a function that says what comes out of the next confined process."""

    class Fake(BytesIO):
        def read_rest(self, most: int) -> bytes:
            return self.read(most)

    def set_up(data: bytes) -> None:
        @contextmanager
        def working(*words: object) -> Iterator[Fake]:
            yield Fake(data)

        monkeypatch.setattr(reporting, "working", working)
        monkeypatch.setattr(reporting, "require_confinable", lambda spec: None)

    return set_up


def packed(*rows: object, end: bytes = b"D") -> bytes:
    texts = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return b"".join(b"R" + len(text).to_bytes(2) + text for text in texts) + end


def finding(check: str, kept: object = True, told: object = "fine") -> dict[str, object]:
    return {"check": check, "kept": kept, "told": told}


def checked(spec: str = "py:m.py", **limits: Any) -> list[Finding]:
    return list(findings_of(parse(spec), isolation=Isolation(Limits(**limits))))


def test_conform_confined_finds_what_it_finds_unconfined(
    confinable: None, run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(NET)
    words = ("conform", f"py:{tmp_path}/net.py?gain=4", "--quick", "--device", "cpu", "--json")
    confined, trusted = run(*words, "--isolate"), run(*words, "--trust-code")
    assert "with all your rights" in trusted.err
    assert json.loads(confined.out) == json.loads(trusted.out[trusted.out.rindex("\n[") :])
    assert [row["check"] for row in json.loads(confined.out) if not row["kept"]] == ["range"]
    for done in (confined, trusted):
        assert done.code == 4 and done.complaint.endswith("does not conform: range")


def test_profile_confined_counts_what_it_counts_unconfined(
    confinable: None, run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(NET)
    spec = f"Mine=py:{tmp_path}/net.py"
    done = run("profile", spec, "--isolate", "--size", "40x24", "--device", "cpu", "--json")
    (row,) = json.loads(done.out)
    model = load(spec, trust_code=True)
    same = asdict(profile(model, method="Mine", size=(24, 40), least_s=0.01))
    measured = ("ms_frame", "repeats", "peak_mib")
    assert {**row, **dict.fromkeys(measured)} == {**same, **dict.fromkeys(measured)}
    assert row["parameters"] == 12 and row["gmacs_frame"] == pytest.approx(9 * 40 * 24 / 1e9)
    assert row["ms_frame"] > 0


FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
FAILURES = {
    "reads": ("open({outside!r})", "crash", "FileNotFoundError"),
    "forks": (FORKS, "crash", "the most it may"),
    "hangs": ("import time; time.sleep(600)", "timeout", "within the limit of 3 s"),
    "eats": ("x = [b'1' * 2**26 for _ in range(99)]", "oom", "raise --memory-limit; .*--tile"),
    "asks for too much": ("import torch; torch.empty(2**50)", "oom", "allocate memory"),
    "leaves": ("import os; os._exit(0)", "crash", "exit code 0 before it was done"),
    "speaks": ("import os; os.write(3, b'[]')", "invalid", "something else than it was asked for"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_model_that_misbehaves_is_named_with_the_way_it_failed(
    confinable: None, tmp_path: Path, case: str
) -> None:
    code, outcome, reason = FAILURES[case]
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "net.py").write_text(code.format(outside=str(tmp_path / "outside.txt")))
    limits = {"memory_bytes": 2**30, "tasks": 64, "video_s": 3.0 if case == "hangs" else 60.0}
    with pytest.raises(ModelError, match=rf"^py:net\.py:build: {outcome}: .*{reason}") as failed:
        checked(f"py:{tmp_path}/net.py", **limits)
    assert failed.value.outcome == outcome


def test_both_commands_end_with_2_and_one_line_for_a_model_that_hangs(
    confinable: None, run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text("import time; time.sleep(600)")
    for command in ("conform", "profile"):
        done = run(command, tmp_path / "net.py", "--isolate", "--time-limit", "1")
        assert (done.code, done.out) == (2, "")
        assert "py:net.py:build: timeout: no answer came within the limit of 1 s" in done.complaint


@pytest.mark.parametrize("command", ["conform", "profile"])
def test_without_bubblewrap_nothing_runs_and_the_package_is_named(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "net.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("shutil.which", lambda name: None)
    sandbox.require_bubblewrap.cache_clear()
    done = run(command, tmp_path / "net.py", "--isolate", "--device", "cpu")
    sandbox.require_bubblewrap.cache_clear()
    assert done.code == 3 and "apt install bubblewrap" in done.complaint
    assert not (tmp_path / "ran").exists()


def test_findings_that_fit_are_taken_over(sent: Callable[[bytes], None]) -> None:
    sent(packed(*map(finding, ALL)))
    assert checked() == [Finding(name, True, "fine") for name in ALL]
    more = (*ALL[:6], "stages", "bfloat16", ALL[6])
    sent(packed(*map(finding, more)))
    assert [one.check for one in checked()] == list(more)


def test_what_is_shown_of_a_finding_is_short_and_printable(sent: Callable[[bytes], None]) -> None:
    told = "\x1b[2J\u202e\ud800a\r\nb" + 9999 * "x"
    sent(packed(finding(ALL[0], told=told), *map(finding, ALL[1:])))
    assert checked()[0].told == ("[2Jab" + 9999 * "x")[: len(checked()[0].told)]
    assert 400 < len(checked()[0].told) <= 500


FORGED = {
    "nothing": packed(),
    "no end": packed(*map(finding, ALL), end=b"?"),
    "too few": packed(*map(finding, ALL[:-2]), finding(ALL[-1])),
    "twice": packed(finding(ALL[0]), finding(ALL[0])),
    "another order": packed(*map(finding, reversed(ALL))),
    "unknown": packed(finding("as good as gold")),
    "endless": packed(*[finding(ALL[0])] * 1000),
    "another type": packed(finding(ALL[0], kept=1)),
    "a list": packed([[]]),
    "a number": packed(1),
    "nested": packed(b"[" * 60000),
    "a key too many": packed({**finding(ALL[0]), "__class__": "x"}),
    "a key too few": packed({"check": ALL[0], "kept": True}),
    "a list as text": packed(finding(ALL[0], told=["x"])),
    "no JSON": packed(b"\xff\xfe"),
    "a pickle": packed(b"cos\nsystem\n(S'x'\ntR."),
    "a forged excuse": b'E{"outcome": "fine", "told": "x"}',
    "an endless excuse": b"E" + b"[" * 10**6,
}


@pytest.mark.parametrize("case", FORGED)
def test_findings_that_cannot_be_are_invalid(sent: Callable[[bytes], None], case: str) -> None:
    sent(FORGED[case])
    with pytest.raises(ModelError, match=r"^py:m\.py:build: invalid: ") as failed:
        checked()
    assert failed.value.outcome == "invalid" and str(failed.value).isprintable()


def test_an_excuse_is_shown_as_far_as_it_can_be_printed(sent: Callable[[bytes], None]) -> None:
    sent(b"E" + json.dumps({"outcome": "crash", "told": "bad\x1b[2J\n luck"}).encode())
    with pytest.raises(ModelError, match=r"^py:m\.py:build: crash: bad\[2J luck$"):
        checked()


def test_a_confined_model_is_not_asked_what_it_is_called_nor_what_was_measured(
    sent: Callable[[bytes], None],
) -> None:
    forged = {**asdict(COST), "method": "the best", "width": 9999, "precision": "float1"}
    sent(packed(forged))
    (row,) = profile_apart(["Mine=py:m.py"], (24, 40), isolation=Isolation())
    assert (row.method, row.height, row.width, row.precision) == ("Mine", 24, 40, "float32")
    assert row.ms_frame == 2.0


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [asdict(COST)] * 2,
        [{**asdict(COST), "ms_frame": float("nan")}],
        [{**asdict(COST), "ms_frame": float("inf")}],
        [{**asdict(COST), "parameters": 10**400}],
        [{**asdict(COST), "parameters": "12"}],
        [{**asdict(COST), "parameters": True}],
        [{**asdict(COST), "window": 1.5}],
        [b'{"method": ' + b"1" * 5000 + b"}"],
    ],
)
def test_a_cost_that_cannot_be_is_invalid(
    sent: Callable[[bytes], None], rows: list[object]
) -> None:
    sent(packed(*rows))
    with pytest.raises(ModelError, match=r"^py:m\.py:build: invalid: "):
        list(profile_apart(["py:m.py"], (24, 40), isolation=Isolation()))


def test_what_does_not_come_in_files_is_not_confined(run: Callable[..., Any]) -> None:
    found = list(findings_of(parse("identity"), quick=True, isolation=Isolation()))
    assert [one.check for one in found] == list(ALL[:6])
    done = run("conform", "identity", "--isolate", "--trust-code")
    assert done.code == 2 and "give one of them" in done.complaint


def test_a_file_that_is_absent_is_named(confinable: None) -> None:
    with pytest.raises(InputError, match="there is no file"):
        checked("py:/nowhere/net.py")
