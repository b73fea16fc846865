"""Confined models: what they cannot reach, how they fail, and what is left of them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rvsd_bench.baselines.spec import parse
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError, MissingError, ModelError
from rvsd_bench.evaluation.auditing import Audit, judge_audit, summed_up
from rvsd_bench.isolation import cell, cgroups, limits, sandbox
from rvsd_bench.isolation.confined import Confined, lend
from rvsd_bench.isolation.limits import Isolation, Limits
from rvsd_bench.media.images import write_png

CLIP = ArrayClip(np.arange(2 * 8 * 10 * 3, dtype=np.uint8).reshape(2, 8, 10, 3))
PROBED = (
    *("read_truth", "write_repository", "write_inputs", "connect_loopback", "connect_outside"),
    *("read_other_processes", "disturb_processes", "read_secrets", "inherit_files"),
    *("gain_rights", "fill_disk", "send_too_much", "send_endless_frames"),
    *("send_pickle_as_excuse", "bomb_memory", "bomb_forks"),
)
HALF = """
from rvsd_bench.baselines import FrameModel, ModelInfo
def build(): return FrameModel(lambda x: x / 2, ModelInfo("half"))
"""

QUICK = """
import os, sys
while frame := sys.stdin.buffer.read(40 * 48 * 3):
    os.write(3, b"F" + bytes(value // 2 for value in frame))
os._exit(0)
"""  # what a model gives are pixels, whatever computes them: torch takes seconds to load


@pytest.fixture(scope="module")
def probing() -> ModuleType:
    """Return the benchmark's own module: the probes are those of its figure."""
    path = Path(__file__).parent.parent / "benchmarks" / "reliability" / "sandbox.py"
    spec = importlib.util.spec_from_file_location("reliability_sandbox", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _restored(code: str, folder: Path, **given: Any) -> list[np.ndarray]:
    """Restore the clip with a model file of this code, confined."""
    (folder / "model.py").write_text(code)
    model = Confined(parse(f"py:{folder}/model.py"), Isolation(Limits(**given)))
    return list(model.restore(lambda: CLIP))


@pytest.mark.parametrize("name", PROBED)
def test_a_hostile_model_is_held(confinable: None, probing: ModuleType, name: str) -> None:
    with probing.world() as world:
        _, faults = probing.attempt(probing.PROBES[name], world)
    assert faults == []


@pytest.mark.parametrize(
    "name",
    ["read_truth", "write_repository", "write_inputs", "connect_loopback", "read_other_processes",
     "disturb_processes", "read_secrets"],
)  # fmt: skip
def test_the_same_code_gets_through_where_nothing_confines_it(
    probing: ModuleType, tmp_path: Path, name: str
) -> None:
    (tmp_path / "__init__.py").touch()
    (tmp_path / "input.png").touch()
    with probing.world() as world, subprocess.Popen(["sleep", "60"]) as bystander:
        harmless = {
            "host_pid": bystander.pid,
            "roots": [str(world.folder)],
            "package": str(tmp_path),
            "inputs": [str(tmp_path / "input.png")],
        }
        model = probing.hostile(probing.Probe(name, facts=harmless), world)
        done = subprocess.run(
            [sys.executable, str(model)], capture_output=True, text=True, timeout=30
        )
        bystander.kill()
    assert "ESCAPED" in done.stderr and done.returncode == 1


def test_a_model_restores_as_it_does_unconfined(confinable: None, tmp_path: Path) -> None:
    frames = _restored(HALF, tmp_path)
    assert np.array_equal(np.stack(frames), np.rint(CLIP.frames / 2).astype(np.uint8))
    assert all(frame.flags.writeable for frame in frames)


FAILURES = {
    "oom": ("x = [b'1' * 2**26 for _ in range(99)]", "memory"),
    "timeout": ("import time; time.sleep(600)", "within the limit of 4 s"),
    "crash": ("import os; os.kill(os.getpid(), 11)", "signal 11"),
    "invalid": (
        "import os; os.write(max(map(int, os.listdir('/proc/self/fd')[:-1])), b'?')",
        "something else than it was asked for",
    ),
}


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_failure_has_a_type_and_a_reason(confinable: None, tmp_path: Path, outcome: str) -> None:
    code, reason = FAILURES[outcome]
    with pytest.raises(ModelError, match=reason) as failed:
        limit = 4.0 if outcome == "timeout" else 60.0
        _restored(code, tmp_path, memory_bytes=2**28, video_s=limit)
    assert failed.value.outcome == outcome


def test_a_crash_tells_the_last_line_that_was_printed(confinable: None, tmp_path: Path) -> None:
    code = "import os, sys; print('no such layer', file=sys.stderr, flush=True); os._exit(7)"
    with pytest.raises(ModelError, match=r"exit code 7 .*: no such layer"):
        _restored(code, tmp_path)


def test_a_submission_that_has_used_up_its_time_is_not_waited_for(
    confinable: None, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"limit of 0.1 s of the submission"):
        _restored("import time; time.sleep(60)", tmp_path, total_s=0.1)


def test_an_input_that_cannot_be_read_is_told(confinable: None, tmp_path: Path) -> None:
    class Damaged(ArrayClip):
        def __iter__(self) -> Any:
            raise InputError("0001.png is damaged")

    (tmp_path / "model.py").write_text(HALF)
    model = Confined(parse(f"py:{tmp_path}/model.py"), Isolation())
    with pytest.raises(InputError, match=r"the input cannot be read: 0001.png is damaged"):
        list(model.restore(lambda: Damaged(CLIP.frames)))


def test_nothing_outlives_a_scorer_that_is_killed(
    confinable: None, probing: ModuleType, tmp_path: Path
) -> None:
    script = tmp_path / "scorer.py"
    with probing.world() as world:
        model = probing.hostile(probing.PROBES["stay"], world)
        script.write_text(
            "import numpy as np\n"
            "from rvsd_bench.clip import ArrayClip\n"
            "from rvsd_bench.isolation.confined import Confined\n"
            "from rvsd_bench.isolation.limits import Isolation\n"
            "from rvsd_bench.baselines.spec import parse\n"
            "clip = ArrayClip(np.zeros((1, 8, 10, 3), np.uint8))\n"
            f"list(Confined(parse('py:{model}'), Isolation()).restore(lambda: clip))\n"
        )
        scorer = subprocess.Popen([sys.executable, str(script)])
        _wait(lambda: len(world.left()) >= 5, 60)
        assert len(world.left()) >= 5  # two of bubblewrap, the model and its children
        scorer.send_signal(signal.SIGKILL)
        scorer.wait()
        _wait(lambda: not world.left(), probing.LEFT_S)
        assert world.left() == []


def _wait(until: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.05)


def test_files_are_lent_under_names_that_tell_nothing_of_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    spec = parse(f"Mine=py:{tmp_path}/net.py:make?weights={tmp_path}/weights&depth=3&from=x.toml")
    inside, lent = lend(spec)
    assert str(inside) == (
        "py:/model/0/net.py:make?weights=/model/1/weights&depth=3&from=/model/2/x.toml"
    )
    assert lent == {
        "/model/0/net.py": tmp_path / "net.py",
        "/model/1/weights": tmp_path / "weights",
        "/model/2/x.toml": Path("x.toml"),
    }
    assert parse(str(inside)).paths == tuple(map(Path, lent))


def test_without_bubblewrap_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    sandbox.require_bubblewrap.cache_clear()
    with pytest.raises(MissingError, match=r"apt install bubblewrap.*frames:DIR.*--trust-code"):
        sandbox.require_bubblewrap()
    sandbox.require_bubblewrap.cache_clear()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 0", "too old"),
        ("case $1 in --help) echo --disable-userns;; *) echo not permitted >&2; exit 1;; esac",
         "may not confine anything .not permitted.: .*user namespaces.*seccomp=unconfined"),
    ],
)  # fmt: skip
def test_a_bubblewrap_that_does_not_work_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, told: str
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(fake))
    sandbox.require_bubblewrap.cache_clear()
    with pytest.raises(MissingError, match=told):
        sandbox.require_bubblewrap()
    sandbox.require_bubblewrap.cache_clear()


def test_a_truth_that_the_model_could_read_is_refused(tmp_path: Path) -> None:
    sandbox.require_hidden([tmp_path / "data" / "gt"], [tmp_path / "model"])
    with pytest.raises(InputError, match="which a confined model can read: move it"):
        sandbox.require_hidden([tmp_path / "data" / "gt"], [tmp_path / "data"])
    with pytest.raises(InputError, match="which a confined model can read"):
        sandbox.require_hidden([Path(sys.prefix) / "share" / "gt"], [])


def test_the_use_of_a_process_and_its_children_is_what_the_system_says() -> None:
    child = subprocess.Popen([sys.executable, "-c", "x = b'1' * 2**25; input()"],
                             stdin=subprocess.PIPE)  # fmt: skip
    try:
        _wait(lambda: limits.usage(child.pid).at_most > 2**25, 20)
        mine, its = limits.usage(os.getpid()), limits.usage(child.pid)
        status = Path(f"/proc/{child.pid}/status").read_text()
        kib = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmRSS"))
        assert its.at_most == pytest.approx(kib * 1024, rel=0.02)
        assert 2**25 <= its.exactly() <= its.at_most
        assert its.tasks == 1 and set(its.resident) == {child.pid} < set(mine.resident)
    finally:
        child.communicate(b"\n")
    assert limits.usage(child.pid).tasks == 0


def test_a_model_that_leaves_the_machine_without_memory_is_stopped(
    confinable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell, "memory_is_short", lambda: True)
    with pytest.raises(ModelError, match="next to no memory") as failed:
        _restored("import time; time.sleep(60)", tmp_path)
    assert failed.value.outcome == "oom"


def test_two_equal_runs_differ_by_nothing_and_others_are_told() -> None:
    rng = np.random.default_rng(0)
    clean, one, other = rng.integers(0, 200, (3, 8, 8, 3), dtype=np.uint8)
    audit = Audit(lambda index: one)
    audit.see(0, one, clean)
    assert audit.evidence() == {
        "audited": 1, "audit_levels": 0, "audit_micro_db": 0, "audit_failed": 0,
    }  # fmt: skip
    assert list(judge_audit("m", "v", audit.evidence())) == []
    audit = Audit(lambda index: other)
    audit.see(0, one, clean)
    error = [np.mean((frame.astype(float) - clean) ** 2) for frame in (one, other)]
    apart = abs(10 * np.log10(error[0] / error[1]))
    found = audit.evidence()
    assert found["audit_micro_db"] == round(1e6 * apart)
    assert found["audit_levels"] == np.abs(one.astype(int) - other).max()
    (problem,) = judge_audit("m", "v", found)
    assert (problem.level, problem.code) == ("warning", "nondeterministic")
    told = summed_up([found, {"frames": 3}])
    assert told == {
        "videos": 1,
        "max_abs_diff": found["audit_levels"],
        "psnr_diff_db": pytest.approx(apart, abs=1e-6),
    }


def test_a_difference_of_a_hundredth_of_a_decibel_is_no_finding() -> None:
    assert list(judge_audit("m", "v", {"audited": 5, "audit_micro_db": 10_000})) == []
    assert list(judge_audit("m", "v", {"audited": 5, "audit_micro_db": 10_001,
                                       "audit_levels": 1}))  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for video in ("00000", "00001"):
        for index in range(2):
            clean = rng.integers(0, 200, (40, 48, 3), dtype=np.uint8)
            for side, frame in (("clean", clean), ("snow", clean + np.uint8(5))):
                folder = tmp_path / "data" / "test" / side / video
                folder.mkdir(parents=True, exist_ok=True)
                write_png(folder / f"{index:04d}.png", frame)
    return tmp_path / "data"


def test_evaluate_types_each_failure_and_scores_the_others(
    confinable: None, run: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "half.py").write_text(QUICK)
    (tmp_path / "hang.py").write_text("import time; time.sleep(600)")
    (tmp_path / "big.py").write_text("x = [b'1' * 2**26 for _ in range(99)]")
    bad = [f"hang=py:{tmp_path}/hang.py", f"big=py:{tmp_path}/big.py"]
    given = f"given=frames:{data}/test/snow"
    words = ("--data", data, "--metrics", "psnr", "--device", "cpu", "--out", tmp_path / "run")
    code = ("--isolate", "--time-limit", "15", "--memory-limit", "0.25", "--limit", "1")
    done = run("evaluate", f"half=py:{tmp_path}/half.py", *bad, given, *words, *code)
    assert done.code == 5 and "timeout" in done.err
    found = json.loads((tmp_path / "run" / "validation.json").read_text())["problems"]
    assert {(p["method"], p["code"]) for p in found if p["level"] == "error"} == {
        ("hang", "timeout"), ("big", "oom"),
    }  # fmt: skip
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    audits = {method["id"]: method["audit"] for method in manifest["methods"]}
    equal = {"videos": 1, "max_abs_diff": 0, "psnr_diff_db": 0.0}
    assert audits == {"half": equal, "hang": None, "big": None, "given": None}
    assert "--isolate" in manifest["command"]
    rows = (tmp_path / "run" / "per_frame.csv").read_text()
    assert "timeout: no answer came" in rows and "oom: the model took more" in rows


def test_restore_confined_writes_what_it_writes_unconfined(
    confinable: None, run: Callable[..., Any], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "half.py").write_text(HALF)
    words = ("restore", f"py:{tmp_path}/half.py", data / "test" / "snow", "--device", "cpu")
    assert run(*words, "--isolate", "--out", tmp_path / "one").code == 0
    trusted = run(*words, "--trust-code", "--out", tmp_path / "two")
    assert trusted.code == 0 and "run with all your rights" in trusted.err
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.png")}
        for name in ("one", "two")
    )
    assert one == two and len(one) == 4
    assert "were done" in run(*words, "--isolate", "--out", tmp_path / "one").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--isolate", "--trust-code"), "give one of them"),
        (("--memory-limit", "4"), "kept by --isolate alone"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    run: Callable[..., Any], data: Path, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = run("restore", "median", data / "test" / "snow", "--out", tmp_path / "out", *words,
               "--device", "cpu")  # fmt: skip
    assert done.code == 2 and told in done.complaint


def test_doctor_tells_of_sandbox_executors_and_memory(run: Callable[..., Any]) -> None:
    found = {row["what"]: row for row in json.loads(run("doctor", "--json").out)}
    assert {"cores", "memory", "disk", "executors", "ray", "namespaces", "sandbox"} <= set(found)
    try:
        sandbox.require_bubblewrap()
        cgroups.require_fence()
        there = "ok"
    except MissingError:
        there = "note"
    assert found["sandbox"]["state"] == there
    whole = float(found["memory"]["detail"].split()[0])
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert whole <= pages / 2**30 + 0.1
