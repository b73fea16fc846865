"""What a run says of the machine and the code that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rvsd_bench.evaluation.environment import git_state


def test_the_commit_is_that_of_the_checkout(repository: Path) -> None:
    if not (repository / ".git").exists():
        pytest.skip("these tests run from no checkout")
    command = ["git", "-C", str(repository), "log", "-1", "--format=%H"]
    head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    state = git_state()
    assert state is not None and state[0] == head
