"""Metrics of other packages: named on the command line or in a protocol's file, scored, told of."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.columns import LEADERBOARD, read_csv
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.evaluation import measuring, protocol
from rvsd_bench.evaluation.evaluating import evaluate
from rvsd_bench.media.images import read_image, write_png
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
    measuring._opened.cache_clear()


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
        ({"id": f'"{"x" * 10_000}"'}, "id: 'x{70,80}\\.\\.\\. is taken or no name"),
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


OFFSETS = (1, 3, 9)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a paired dataset of three videos whose snow is a known number of levels."""
    rng = np.random.default_rng(0)
    for video, offset in enumerate(OFFSETS):
        for index in range(2):
            clean = rng.integers(10, 200, (24, 32, 3), dtype=np.uint8)
            for side, frame in (("clean", clean), ("snow", clean + np.uint8(offset))):
                path = tmp_path / "data" / "test" / side / f"{video:05d}" / f"{index:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_png(path, frame)
    return tmp_path / "data"


def test_a_run_scores_a_plugin_beside_ours_and_keeps_its_number_out_of_the_fixed_columns(
    site: Path, data: Path, tmp_path: Path
) -> None:
    found = evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr", "brightness"])
    frames, videos = found.per_frame, found.per_video
    assert [*frames[frames.metric == "brightness"].value] == [1, 1, 3, 3, 9, 9]
    assert [*videos[videos.metric == "brightness"]["mean"]] == [1, 3, 9]
    assert set(videos.protocol) == {"rvsd-2023+brightness"}
    assert tuple(read_csv(tmp_path / "run" / "leaderboard.csv")[0]) == LEADERBOARD
    facts = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (method,) = facts["methods"]
    numbers = method["plugins"]
    assert (numbers["brightness"], numbers["brightness_micro"]) == pytest.approx((13 / 3, 13 / 3))
    assert 1 <= numbers["brightness_ci_lo"] < 13 / 3 < numbers["brightness_ci_hi"] <= 9
    told = facts["plugins"]["brightness"]
    assert (told["package"], told["direction"], told["licence"]) == (
        "brightness 1.2", "lower", "MIT",
    )  # fmt: skip
    assert facts["protocol"]["plugins"] == {"brightness": "brightness 1.2"}
    again = evaluate(["identity"], data, out=tmp_path / "run", metrics=["psnr", "brightness"])
    assert again.scored == 0


def test_another_version_of_a_plugin_is_another_run(site: Path, data: Path, tmp_path: Path) -> None:
    evaluate(["identity"], data, out=tmp_path / "run", metrics=["brightness"])
    install(site, "brightness", BRIGHTNESS, version="1.3")
    with pytest.raises(InputError, match="holds a run with protocol hash"):
        evaluate(["identity"], data, out=tmp_path / "run", metrics=["brightness"])


def test_a_protocol_of_ones_own_is_named_by_its_file(
    site: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    found = evaluate(["identity"], data, out=out, protocol=own(tmp_path), metrics=["brightness"])
    assert "--protocol mine-1.toml " in json.loads((out / "manifest.json").read_text())["command"]
    (score,) = [result.scores["brightness"]["00002"] for result in found.results]
    assert set(score.values.values()) == {18.0}  # twice, as the file says


def test_a_plugin_that_compares_with_the_truth_is_refused_where_there_is_none(
    site: Path, data: Path
) -> None:
    with pytest.raises(InputError, match="no clean frames for brightness"):
        evaluate(["identity"], data / "test" / "snow", metrics=["brightness"], skip_missing=True)


def test_a_broken_plugin_stops_only_who_names_it_and_can_be_skipped(
    site: Path, data: Path, tmp_path: Path
) -> None:
    install(site, "bad", "1/0")
    assert evaluate(["identity"], data, metrics=["psnr", "brightness"]).plan.skipped == {}
    with pytest.raises(InputError, match=r"of bad 1\.2 .*ZeroDivisionError"):
        evaluate(["identity"], data, metrics=["psnr", "bad"])
    found = evaluate(["identity"], data, metrics=["psnr", "bad"], skip_missing=True)
    assert "ZeroDivisionError" in found.plan.skipped["bad"]
    assert found.plan.metrics == ("psnr",)


def test_a_plugin_that_fails_on_a_frame_leaves_the_other_metrics_their_values(
    site: Path, data: Path
) -> None:
    fails = BRIGHTNESS.replace("return self.scale", "return 1 / 0 * self.scale")
    install(site, "brightness", fails)
    with pytest.raises(InputError, match=r"no headline for identity: .*ZeroDivisionError"):
        evaluate(["identity"], data, metrics=["psnr", "brightness"])


def test_the_command_lists_and_prints_it(
    site: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rvsd_bench.cli import cli

    words = ["evaluate", "identity", "--data", str(data), "--out", str(tmp_path / "run")]
    cli.main([*words, "--metrics", "psnr,brightness"], standalone_mode=False)
    title, header, line = capsys.readouterr().out.splitlines()
    assert title.startswith("rvsd-2023+brightness on data/test")
    assert header.split() == ["method", "psnr", "brightness"]
    assert line.split()[-3].startswith("4.333")
    cli.main(["list", "metrics"], standalone_mode=False)
    assert "registered by brightness 1.2" in capsys.readouterr().out
    cli.main(["protocol", "show", "rvsd-2023+brightness"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert protocol.load("rvsd-2023+brightness").hash in shown and "brightness 1.2" in shown
    cli.main(["protocol", "diff", "rvsd-2023", own(tmp_path)], standalone_mode=False)
    assert "metrics.brightness.scale: None -> 2.0" in capsys.readouterr().out


def test_compare_knows_which_way_a_plugin_is_better_also_from_a_board(
    site: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rvsd_bench.cli import cli

    for path in sorted((data / "test" / "clean").rglob("*.png")):
        target = tmp_path / "mine" / path.relative_to(data / "test" / "clean")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, read_image(path) + np.uint8(2))
    models = ["identity", f"mine=frames:{tmp_path / 'mine'}"]
    evaluate(models, data, out=tmp_path / "run", metrics=["psnr", "brightness"])
    cli.main(
        ["leaderboard", "add", str(tmp_path / "run"), "--board", str(tmp_path / "board")],
        standalone_mode=False,
    )
    for home in (tmp_path / "run", tmp_path / "board"):
        capsys.readouterr()
        words = ["leaderboard", "compare", str(home), "--a", "identity", "--b", "mine"]
        cli.main(words, standalone_mode=False)
        lines = capsys.readouterr().out.splitlines()
        (line,) = [x for x in lines if x.startswith("brightness")][:1]
        assert line.startswith("brightness ↓") and " 2:1:0 " in line  # 1, 3, 9 against 2, 2, 2
        cli.main([*words, "--json"], standalone_mode=False)
        rows = json.loads(capsys.readouterr().out)["metrics"]
        assert [row["b_wins"] for row in rows if row["metric"] == "brightness"] == [2]
