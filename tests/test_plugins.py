"""Metrics of other packages: named on the command line or in a protocol's file, scored, told of."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.evaluation import protocol
from rvsd_bench.metrics import open_metric
from rvsd_bench.metrics.plugins import open_plugin

BRIGHTNESS = """
from rvsd_bench.metrics import MetricCard

class Brightness:
    weights = None
    def __init__(self, scale=1.0):
        self.scale = scale
        self.card = MetricCard("brightness", "how far the mean brightness is off", "fr", "lower",
                               "", 3, 1, "MIT", "none")
    def prepare(self, reference, coverage=None):
        return float(reference.mean())
    def score(self, frame, prepared):
        return self.scale * abs(float(frame.mean()) - prepared)

build = Brightness
"""


def install(folder: Path, name: str, code: str, version: str = "1.2") -> None:
    """Lay a package on the path as an installer would: one module, one metric of its name."""
    for old in folder.glob(f"{name}-*.dist-info"):
        old.rename(folder / f"gone-{old.name.removesuffix('.dist-info')}")
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[rvsd_bench.metrics]\n{name} = {name}_x:build\n")
    (folder / f"{name}_x.py").write_text(code)
    sys.modules.pop(f"{name}_x", None)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    install(folder, "brightness", BRIGHTNESS)
    return folder


def own(folder: Path, **changes: str) -> str:
    """Write a protocol of one's own that names the metric; `changes` replace its lines by key."""
    text = protocol.source("rvsd-2023")
    lines = {"id": '"mine-1"', "status": '"community"', **changes}
    for key, value in lines.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(old, f"{key} = {value}", 1)
    path = folder / "mine.toml"
    path.write_text(f"{text}\n[metrics.brightness]\nscale = 2.0\n")
    return str(path)


def test_a_metric_of_another_package_makes_another_protocol_of_the_communitys(site: Path) -> None:
    ours = protocol.load("rvsd-2023")
    found = protocol.extended(ours, ["psnr", "brightness", "brightness"])
    assert (found.id, found.status) == ("rvsd-2023+brightness", "community")
    assert [*found.metrics] == ["psnr", "ssim", "lpips", "brightness"]
    assert found.plugins == {"brightness": "brightness 1.2"}
    assert found.hash != ours.hash
    assert protocol.load("rvsd-2023+brightness") == found
    assert protocol.extended(ours, ["psnr", "warp_err"]) == ours
    assert protocol.extended(found, ["brightness"]) == found


def test_the_hash_covers_the_version_of_the_package_that_defines_a_metric(site: Path) -> None:
    before = protocol.load("rvsd-2023+brightness")
    install(site, "brightness", BRIGHTNESS, version="1.3")
    after = protocol.load("rvsd-2023+brightness")
    assert after.plugins == {"brightness": "brightness 1.3"}
    assert after.hash != before.hash
    assert replace(after, plugins=before.plugins).hash == before.hash


def test_a_protocol_of_ones_own_is_read_from_a_file(site: Path, tmp_path: Path) -> None:
    found = protocol.load(own(tmp_path))
    assert (found.id, found.status) == ("mine-1", "community")
    assert found.metrics["brightness"] == {"scale": 2.0}
    assert found.plugins == {"brightness": "brightness 1.2"}
    assert protocol.load(own(tmp_path, about='"else"')).hash == found.hash
    assert protocol.load(own(tmp_path, average='"micro"')).hash != found.hash


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"id": '"rvsd-2023"'}, "'rvsd-2023' is taken or no name"),
        ({"id": '"a+b"'}, "taken or no name"),
        ({"status": '"official"'}, "'official' is for ours, yours is 'community'"),
        ({"crop_border": "4"}, "crop_border"),
        ({"id": '"mine"\nplugins = {brightness = "brightness 9"}'}, "its package is found"),
    ],
)
def test_a_file_cannot_pass_for_one_of_ours_or_ask_for_what_is_not_done(
    site: Path, tmp_path: Path, changes: dict[str, str], text: str
) -> None:
    with pytest.raises(InputError, match=text):
        protocol.load(own(tmp_path, **changes))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ("[metrics.brightnes]", "no metric for .* named 'brightnes'. Did you mean 'brightness'"),
        ("[metrics.nima]\nsize = 3", "no parameter of metric 'nima' for .* named 'size'"),
        ("[metrics.warp_err]", "warp_err has one definition"),
        ("metrics", "not valid TOML"),
    ],
)
def test_what_a_file_names_must_be_there(site: Path, tmp_path: Path, more: str, text: str) -> None:
    path = Path(own(tmp_path))
    path.write_text(f"{path.read_text()}\n{more}\n")
    with pytest.raises(InputError, match=text):
        protocol.load(str(path))
    with pytest.raises(InputError, match=r"absent\.toml: cannot be read"):
        protocol.load(str(tmp_path / "absent.toml"))


def test_only_installed_metrics_are_added_to_an_id(site: Path) -> None:
    for name in ("rvsd-2023+brightnes", "rvsd-2023+psnr", "rvsd-2023+"):
        with pytest.raises(InputError, match="no metric of another package"):
            protocol.load(name)


def test_a_plugin_is_opened_with_its_parameters_and_scores(site: Path) -> None:
    metric = open_metric("brightness", params={"scale": 3.0})
    frame = np.full((4, 4, 3), 10, np.uint8)
    assert metric.score(frame + np.uint8(2), metric.prepare(frame)) == 6.0


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1/0", "of bad 1.2 .bad_x:build. cannot be loaded: ZeroDivisionError"),
        ("def build(): return 1/0", "of bad 1.2 cannot be built: ZeroDivisionError"),
        ("def build(): return object()", "has no MetricCard"),
        (BRIGHTNESS, "is called 'brightness' on its card"),
        (BRIGHTNESS.replace('"brightness"', '"bad"').replace('"fr"', '"xx"'), "must say"),
        (BRIGHTNESS.replace('"brightness"', '"bad"').replace("def score", "def sc"), "prepare and"),
    ],
)
def test_a_broken_plugin_is_named_with_its_package(site: Path, code: str, text: str) -> None:
    install(site, "bad", code)
    with pytest.raises(InputError, match=text):
        open_plugin("bad", {})
    assert open_plugin("brightness", {}).card.name == "brightness"


def test_a_plugin_without_its_own_dependencies_counts_as_missing(site: Path) -> None:
    install(site, "bad", "import no_such_module")
    with pytest.raises(MissingError, match=r"bad 1\.2 .*'no_such_module'"):
        open_plugin("bad", {})


def test_a_protocol_with_plugins_is_plain_json(site: Path) -> None:
    from dataclasses import asdict

    json.dumps(asdict(protocol.load("rvsd-2023+brightness")))
