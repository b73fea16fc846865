"""Entry points of ours and of packages that are laid on the path as an installer would."""

from __future__ import annotations

from pathlib import Path

import pytest

from rvsd_bench import registry
from rvsd_bench.errors import InputError, MissingError


def install(
    folder: Path, package: str, entry: str, code: str = "", group: str = "rvsd_bench.baselines"
) -> None:
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    (folder / f"{package}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_our_baselines_are_registered() -> None:
    assert {"affine", "dcp", "identity", "median"} <= set(registry.names("baseline"))


def test_an_installed_package_adds_a_name_and_is_loaded_by_it(site: Path) -> None:
    install(site, "addsone", "blur = addsone:build", "def build(): return 'a blur'")
    assert "blur" in registry.names("baseline")
    assert registry.find("baseline", "blur")() == "a blur"


def test_metrics_and_baselines_do_not_mix(site: Path) -> None:
    install(site, "addsmetric", "niqe = addsmetric:build", "build = int", "rvsd_bench.metrics")
    assert registry.find("metric", "niqe") is int
    assert "niqe" not in registry.names("baseline")


def test_an_unknown_name_is_answered_with_its_nearest() -> None:
    with pytest.raises(InputError, match=r"no baseline named 'medain'\. Did you mean 'median'"):
        registry.find("baseline", "medain")


def test_listing_survives_a_plugin_that_cannot_be_imported(site: Path) -> None:
    install(site, "breaks", "broken = breaks:build", "1/0")
    assert {"broken", "median"} <= set(registry.names("baseline"))
    with pytest.raises(InputError, match=r"'broken' of breaks 1\.2 .*ZeroDivisionError"):
        registry.find("baseline", "broken")


def test_a_plugin_whose_dependency_is_absent_counts_as_missing(site: Path) -> None:
    install(site, "needy", "needy = needy:build", "import no_such_module")
    with pytest.raises(MissingError, match=r"needy 1\.2 .*'no_such_module'"):
        registry.find("baseline", "needy")


def test_metadata_that_is_found_twice_counts_once(site: Path) -> None:
    install(site, "ours_again", "median = rvsd_bench.baselines.median:build")
    assert len(registry.entries("baseline")["median"]) == 1


def test_nobody_takes_a_name_of_ours(site: Path) -> None:
    install(site, "taker", "median = taker:build", "build = None")
    assert registry.find("baseline", "median") is not None


def test_a_name_that_two_strangers_claim_is_refused_with_both(site: Path) -> None:
    install(site, "firstone", "blur = firstone:build")
    install(site, "secondone", "blur = secondone:build")
    assert "blur" in registry.names("baseline")
    with pytest.raises(InputError, match=r"firstone 1\.2.* and secondone 1\.2"):
        registry.find("baseline", "blur")
