"""Hold setup.cfg to the tree: what it does not list is missing from the wheel."""

from __future__ import annotations

import configparser
from importlib import import_module
from pathlib import Path

import rvsd_bench

FOLDERS = {
    "rvsd_bench": "rvsd_bench",
    "generators": "rvsd_bench.generators",
    "baselines": "rvsd_bench.baselines",
    "leaderboard": "rvsd_bench.leaderboard",
}


def _setup(repository: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg")
    return config


def _package_of(folder: Path, repository: Path) -> str:
    first, *rest = folder.relative_to(repository).parts
    return ".".join([FOLDERS[first], *rest])


def test_every_package_on_disk_is_listed_and_nothing_else(repository: Path) -> None:
    on_disk = {
        _package_of(init.parent, repository)
        for top in FOLDERS
        for init in (repository / top).rglob("__init__.py")
    }
    listed = set(_setup(repository)["options"]["packages"].split())
    assert listed == on_disk


def test_every_data_file_is_matched_by_package_data(repository: Path) -> None:
    patterns = {
        package: value.split()
        for package, value in _setup(repository)["options.package_data"].items()
    }
    missed = []
    for top, package in FOLDERS.items():
        for path in (repository / top).rglob("*"):
            if not path.is_file() or path.suffix in (".py", ".pyc") or "__pycache__" in path.parts:
                continue
            inside = path.relative_to(repository / top)
            if not any(inside.match(pattern) for pattern in patterns.get(package, [])):
                missed.append(str(path.relative_to(repository)))
    assert missed == []


def test_every_pattern_of_package_data_matches_a_file(repository: Path) -> None:
    folders = {package: top for top, package in FOLDERS.items()}
    for package, value in _setup(repository)["options.package_data"].items():
        for pattern in value.split():
            assert list((repository / folders[package]).glob(pattern)), f"{package}: {pattern}"


def test_every_entry_point_names_something_that_exists(repository: Path) -> None:
    for group, value in _setup(repository)["options.entry_points"].items():
        for line in value.strip().splitlines():
            module, _, attribute = line.partition("=")[2].strip().partition(":")
            assert hasattr(import_module(module), attribute), f"{group}: {line}"


def test_the_changelog_opens_with_this_version(repository: Path) -> None:
    headings = [
        line for line in (repository / "CHANGELOG.md").read_text().splitlines() if line[:3] == "## "
    ]
    assert rvsd_bench.__version__ in headings[0]
    assert f"version: {rvsd_bench.__version__}" in (repository / "CITATION.cff").read_text()
