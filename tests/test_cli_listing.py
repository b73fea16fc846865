"""The command `list`: a row for everything, with licence, needs and presence, fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rvsd_bench import catalogue
from rvsd_bench.baselines import load
from rvsd_bench.cli import main


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `list` and return its rows by name."""

    def run(what: str) -> dict[str, dict[str, str]]:
        monkeypatch.setattr("sys.argv", ["rvsd-bench", "list", what, "--json"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 0
        return {row.pop("name"): row for row in json.loads(capsys.readouterr().out)}

    return run


@pytest.mark.parametrize("what", list(catalogue.LISTS))
def test_every_row_tells_licence_needs_and_presence(listed, what: str) -> None:
    rows = listed(what)
    assert rows
    for row in rows.values():
        assert set(row) == {"about", "licence", "needs", "status"}
        assert all(row.values())


def test_baselines_are_listed_as_they_describe_themselves(listed) -> None:
    rows = listed("baselines")
    assert {"affine", "dcp", "identity", "median", "frames:DIR", "py:FILE.py:build"} <= set(rows)
    for name in ("dcp", "identity", "median"):
        assert rows[name]["licence"] == load(name).info.licence
        assert rows[name]["status"] == "ready"
    assert "affine?from=DIR" in rows["affine"]["needs"]


def test_presets_tell_snowfalls_recipes_and_cameras_apart(listed) -> None:
    rows = listed("presets")
    assert {"moderate", "night", "rvsd_like.toml", "phone", "dusk"} <= set(rows)
    told = "noise of 1200 electrons at white, JPEG at quality 50: --degrade webcam"
    assert rows["webcam"]["about"] == told
    assert "--recipe" in rows["rvsd_like.toml"]["about"]


def test_a_network_says_for_each_preset_whether_it_is_trained(
    listed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rvsd_bench.baselines import desnownet, semivdn, svdnet

    rows = listed("baselines")
    for network in (desnownet, semivdn, svdnet):
        name = network.CARD.name
        specs = {name if preset == "default" else f"{name}?preset={preset}": preset
                 for preset in network.PRESETS}  # fmt: skip
        assert set(specs) == {row for row in rows if row.partition("?")[0] == name}
        for spec, preset in specs.items():
            there = (network.SHIPPED / f"{preset}.safetensors").is_file()
            assert (rows[spec]["status"] == "ready") == there
            assert ("weights=FILE" in rows[spec]["needs"]) != there
    assert rows["svdnet"]["status"] == "untrained: needs weights=FILE, or --allow-untrained"
    assert rows["svdnet?preset=light"]["about"] == "the same with channels=64, trunk_blocks=10"
    assert "widths=24,48,64" in rows["semivdn?preset=tiny"]["about"]
    (tmp_path / "light.safetensors").write_bytes(b"")
    monkeypatch.setattr(svdnet, "SHIPPED", tmp_path)
    rows = listed("baselines")
    assert (rows["svdnet?preset=light"]["status"], rows["svdnet?preset=light"]["needs"]) == (
        "ready", "nothing",
    )  # fmt: skip
    assert rows["svdnet?preset=lite"]["status"].startswith("untrained")


def test_what_is_listed_of_a_preset_builds_it(listed) -> None:
    about = listed("baselines")["semivdn?preset=tiny"]["about"]
    fields = about.removeprefix("the same with ").replace(", ", "&")
    by_fields, by_preset = (
        load(f"semivdn?{options}").info.facts["config"] for options in (fields, "preset=tiny")
    )
    assert by_fields == by_preset


def test_a_metric_without_its_weights_says_so(
    listed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("RVSD_BENCH_WEIGHTS", str(tmp_path / "weights"))
    rows = listed("metrics")
    assert rows["psnr"]["status"] == "ready"
    assert rows["musiq"]["status"].startswith("missing: weights musiq")
    assert "ommercial" in rows["musiq"]["licence"]
    assert "waits for nima, musiq" in listed("protocols")["realsnow85-2024"]["status"]
    from rvsd_bench.weights.store import record

    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / record("lpips").file).write_bytes(b"")
    assert rows["lpips"]["status"].startswith("missing: weights lpips")
    assert listed("metrics")["lpips"]["status"] == "ready"


def plugin(folder: Path, name: str, code: str, group: str = "baselines") -> None:
    info = folder / f"{name}-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.3\nLicense-Expression: MIT\n"
    )
    (info / "entry_points.txt").write_text(f"[rvsd_bench.{group}]\n{name} = {name}:build\n")
    (folder / f"{name}.py").write_text(code)


def test_a_broken_plugin_is_a_row_with_its_reason_and_the_others_stay(
    listed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugin(tmp_path, "plug_broken", "raise OSError('no licence key')")
    plugin(tmp_path, "plug_needy", "import no_such_module")
    plugin(tmp_path, "plug_metric", "1/0", group="metrics")
    monkeypatch.syspath_prepend(tmp_path)
    rows = listed("baselines")
    assert rows["plug_broken"]["status"].startswith("broken: baseline 'plug_broken' of plug_broken")
    assert "OSError: no licence key" in rows["plug_broken"]["status"]
    assert "'no_such_module', which is not installed" in rows["plug_needy"]["status"]
    assert rows["median"]["status"] == "ready"
    assert "ZeroDivisionError" in listed("metrics")["plug_metric"]["status"]


def test_a_plugin_is_listed_by_its_card_or_else_by_its_package(
    listed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugin(tmp_path, "plug_plain", "def build(): ...")
    plugin(
        tmp_path,
        "plug_card",
        "from rvsd_bench.baselines import ModelInfo\n"
        "CARD = ModelInfo('net', about='a net', licence='BSD', weights='n.pth')\n"
        "def build(): ...",
    )
    monkeypatch.syspath_prepend(tmp_path)
    rows = listed("baselines")
    assert rows["plug_plain"]["about"] == "registered by plug_plain 0.3"
    assert rows["plug_plain"]["licence"] == "MIT"
    assert rows["plug_card"] == {
        "about": "a net", "licence": "BSD", "needs": "weights n.pth", "status": "ready",
    }  # fmt: skip


def test_people_get_lines_and_a_wrong_word_gets_the_choices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = []
    for what in ("presets", "models"):
        monkeypatch.setattr("sys.argv", ["rvsd-bench", "list", what])
        with pytest.raises(SystemExit) as stop:
            main()
        codes.append(stop.value.code)
    out, error = capsys.readouterr()
    assert codes == [0, 2]
    assert "moderate" in out and "licence: Apache-2.0" in out
    assert "'models' is not one of 'baselines'" in error
