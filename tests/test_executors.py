"""Hold every executor to the same promises: a guilty task fails alone, whatever it does."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.jobs import Task, TaskResult, cluster, run_tasks

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the package ray is not installed"
)
# How long a task may take, and how much later it must be over.
TIMEOUT_S, LATE_S = 3.0, 5.0

# Functions of a pool must be importable in a fresh process: `eval` is, and does as it is told.
EXIT = "__import__('os')._exit(9)"
KILL = "__import__('os').kill(__import__('os').getpid(), 9)"
SLEEP = "__import__('time').sleep(600)"
STOP = "__import__('os').kill(__import__('os').getpid(), 19)"
PID = "__import__('os').getpid()"

ALL = ("serial", "pool", pytest.param("ray", marks=needs_ray))
APART = ALL[1:]


@pytest.fixture(scope="module", autouse=True)
def _one_cluster() -> Any:
    """End the cluster that the first test of `ray` started."""
    yield
    if importlib.util.find_spec("ray") is not None:
        cluster.import_ray().shutdown()


def _run(executor: str, *expressions: str, **options: Any) -> list[TaskResult[Any]]:
    tasks = [Task(f"task {i}", text) for i, text in enumerate(expressions)]
    return list(run_tasks(eval, tasks, workers=2, executor=executor, **options))


def _crumb(folder: Path, then: str) -> str:
    """Return an expression that leaves a file behind, each time it is begun, and goes on."""
    return f"[open({str(folder)!r} + '/%s' % __import__('uuid').uuid4().hex, 'x').close(), {then}]"


@pytest.mark.parametrize("executor", ALL)
def test_results_are_those_of_serial_in_the_order_of_the_tasks(executor: str) -> None:
    words = ["[n ** 2 for n in range(3)]", "'x' * 100_000", "None", "(1, {2: 3})"]
    assert [r.value for r in _run(executor, *words)] == [
        [0, 1, 4],
        "x" * 100_000,
        None,
        (1, {2: 3}),
    ]


@pytest.mark.parametrize("executor", ALL)
def test_an_exception_comes_with_its_task_and_its_trace(executor: str) -> None:
    raising = (
        "exec('from rvsd_bench.errors import InputError; raise InputError(\"a.mp4 is empty\")')"
    )
    first, second, third = _run(executor, "1 / 0", raising, "3")
    assert (first.id, first.outcome, first.value) == ("task 0", "error", None)
    assert "ZeroDivisionError" in str(first.error)
    assert "Traceback" in first.trace
    assert "<string>" in first.trace
    assert (type(second.error), str(second.error)) == (InputError, "a.mp4 is empty")
    assert (third.outcome, third.value, third.attempts) == ("ok", 3, 1)


@pytest.mark.parametrize("executor", APART)
def test_a_poison_task_fails_alone_after_three_attempts(executor: str, tmp_path: Path) -> None:
    told: list[str] = []
    results = _run(executor, "0", _crumb(tmp_path, KILL), "2", "3", "4", report=told.append)
    assert [r.outcome for r in results] == ["ok", "crash", "ok", "ok", "ok"]
    assert [r.value for r in results] == [0, None, 2, 3, 4]
    assert results[1].attempts == len(list(tmp_path.iterdir())) == 3
    assert [r.attempts for r in results if r.error is None] == [1] * 4
    assert [line.split(":")[0] for line in told] == ["task 1"] * 2


@pytest.mark.parametrize("executor", APART)
def test_a_worker_that_is_killed_from_outside_costs_no_task(executor: str, tmp_path: Path) -> None:
    once = f"{EXIT} if len(__import__('os').listdir({str(tmp_path)!r})) == 1 else 'done'"
    results = _run(executor, "0", _crumb(tmp_path, once), "2")
    assert [r.outcome for r in results] == ["ok"] * 3
    assert (results[1].value, results[1].attempts) == ([None, "done"], 2)


@pytest.mark.parametrize("executor", APART)
def test_hung_tasks_are_stopped_at_their_deadline_with_what_they_started(
    executor: str, tmp_path: Path
) -> None:
    child = "__import__('subprocess').Popen(('sleep', '600')).pid"
    hung = []
    for name, hang in (("asleep", SLEEP), ("stopped", STOP)):
        note = f"open({str(tmp_path / name)!r}, 'w').write(str([{PID}, {child}]))"
        hung.append(f"[{note}, {hang}]")
    tasks = [Task(str(n), text) for n, text in enumerate(["0", *hung, "3"])]
    results, ended = [], []
    for result in run_tasks(eval, tasks, workers=2, executor=executor, timeout_s=TIMEOUT_S):
        results.append(result)
        ended.append(time.time())
    assert [r.outcome for r in results] == ["ok", "timeout", "timeout", "ok"]
    assert [r.attempts for r in results] == [1] * 4  # it would hang again
    assert "3 s" in str(results[1].error)
    for name, end in zip(("asleep", "stopped"), ended[1:3]):
        assert TIMEOUT_S - 1 < end - (tmp_path / name).stat().st_mtime < TIMEOUT_S + LATE_S
        pids = json.loads((tmp_path / name).read_text())
        while any(map(_lives, pids)) and time.time() < end + LATE_S:
            time.sleep(0.1)
        assert not any(map(_lives, pids))


def test_the_others_go_on_while_one_task_hangs_or_dies() -> None:
    stamp = "[__import__('time').sleep(0.2), __import__('time').time()][1]"
    results = _run("pool", f"[__import__('time').sleep(2.5), {EXIT}]", *[stamp] * 8)
    stamps = [r.value for r in results[1:]]
    assert max(stamps) - min(stamps) < 2.5  # none of them waited for the first attempt's end
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("executor", APART)
def test_payloads_and_values_that_cannot_travel_fail_alone(executor: str) -> None:
    results = _run(executor, "lambda: 0", "1")
    assert [r.outcome for r in results] == ["error", "ok"]
    tasks: list[Task[Any]] = [Task("a", lambda: 0), Task("b", "2")]
    stuck, sound = run_tasks(eval, tasks, workers=2, executor=executor)
    assert (stuck.outcome, sound.value) == ("error", 2)
    assert "pickle" in str(stuck.error)


@pytest.mark.parametrize("executor", APART)
def test_workers_keep_to_one_thread(executor: str) -> None:
    threads = "__import__('cv2').getNumThreads()"
    assert [r.value for r in _run(executor, threads, "0")] == [1, 0]


@pytest.mark.parametrize("executor", ALL)
def test_an_interrupt_ends_the_job_within_ten_seconds_and_it_can_be_resumed(
    executor: str, tmp_path: Path, heeds_interrupts: Callable[[], None]
) -> None:
    code = (
        "import sys\nfrom rvsd_bench.jobs import Task, run_tasks\n"
        "if __name__ == '__main__':\n"
        "    tasks = [Task(str(n), text) for n, text in enumerate(sys.argv[2:])]\n"
        "    for result in run_tasks(eval, tasks, workers=2, executor=sys.argv[1]):\n"
        "        print(result.value, flush=True)"
    )
    words = [PID, f"[open({str(tmp_path / 'begun')!r}, 'w').write(str({PID})), {SLEEP}]", PID]
    job = subprocess.Popen(
        [sys.executable, "-c", code, executor, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_interrupts,
    )
    deadline = time.monotonic() + 60
    while not _written(tmp_path / "begun") and time.monotonic() < deadline:
        time.sleep(0.05)
    start = time.monotonic()
    os.kill(job.pid, signal.SIGINT)
    printed, complaint = job.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert "KeyboardInterrupt" in complaint
    assert len(printed.split()) == 1  # what was done before is known, and nothing is made up
    begun = int((tmp_path / "begun").read_text())
    while _lives(begun) and time.monotonic() - start < 10:
        time.sleep(0.05)
    assert not _lives(begun)


def test_a_deadline_needs_an_executor_that_can_keep_it() -> None:
    with pytest.raises(InputError, match="--timeout needs"):
        run_tasks(eval, [Task("0", "0")], executor="serial", timeout_s=1)


def test_one_worker_with_a_deadline_is_a_process_that_can_be_stopped() -> None:
    tasks = [Task("pid", PID), Task("hangs", SLEEP), Task("after", "3")]
    results = list(run_tasks(eval, tasks, timeout_s=1.0))
    assert results[0].value != os.getpid()
    assert [r.outcome for r in results] == ["ok", "timeout", "ok"]


def test_processes_that_cannot_start_end_the_job_and_do_not_loop(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from rvsd_bench.jobs import Task, run_tasks\n"
        "print(list(run_tasks(eval, [Task('a', '1'), Task('b', '2')], workers=2)))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "end as they start" in done.stderr.splitlines()[-1]
    assert "__name__ == '__main__'" in done.stderr.splitlines()[-1]


def test_without_ray_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"pip install 'rvsd-bench\[ray\]'"):
        run_tasks(eval, [Task("0", "0")], executor="ray")


@needs_ray
def test_a_cluster_of_ours_listens_on_loopback_and_wants_its_token() -> None:
    assert [r.value for r in _run("ray", "1", "2")] == [1, 2]
    ray = cluster.import_ray()
    assert ray.util.get_node_ip_address() == "127.0.0.1"
    address = ray.get_runtime_context().gcs_address
    assert _joins(address, os.environ["RAY_AUTH_TOKEN"]) == "4"
    assert _joins(address, secrets.token_hex(32)) == "refused"


def _joins(address: str, token: str) -> str:
    """Return what a stranger's process gets of the cluster at an address."""
    code = (
        "from rvsd_bench.jobs import Task, run_tasks\n"
        "from rvsd_bench.errors import InputError\n"
        "try:\n"
        "    tasks = [Task('0', '2 + 2')]\n"
        "    print([r.value for r in run_tasks(eval, tasks, executor='ray')][0])\n"
        "except InputError:\n"
        "    print('refused')"
    )
    known = os.environ | {"RAY_ADDRESS": address, "RAY_AUTH_TOKEN": token}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=known, capture_output=True, text=True, check=False, timeout=90
    )
    return done.stdout.strip()


def _written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _lives(pid: int) -> bool:
    done = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()[:1] not in ("", "Z")
