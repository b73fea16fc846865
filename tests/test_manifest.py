"""Hold what a dataset records of itself, and that its card and manifest follow from that alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.files import digest_of
from rvsd_bench.making.card import dataset_card
from rvsd_bench.making.manifest import (
    finished,
    manifest,
    read_meta,
    versions,
    write_manifest,
)


def _meta(**changes: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "format": 1,
        "frames": 3,
        "height": 48,
        "width": 64,
        "fps": 25.0,
        "times_s": [0.0, 0.04, 0.08],
        "source": {"name": "a.mp4", "sha256": "aa" * 32, "licence": "CC0"},
        "variant": 0,
        "seed": 1,
        "request": {
            "recipe": {"name": "moderate", "sha256": "bb" * 32},
            "container": "png",
            "layers": "png16",
        },
        "compose": {"domain": "linear", "gain": 2},
        "atmospheric_light": {"value16": [1, 2, 3]},
        "depth": {"source": "ground"},
        "motion": {"method": "flow"},
        "scene": {},
        "reading": {"kind": "video"},
        "files": {"clean/00000/0000.png": "cc" * 32},
        "versions": {"rvsd-bench": "0.1.0"},
    }
    return meta | changes


def _write(root: Path, split: str, name: str, meta: dict[str, Any]) -> None:
    path = root / split / "meta" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(meta))


def test_videos_are_counted_per_split_and_sources_once(tmp_path: Path) -> None:
    other = {"name": "b.mp4", "sha256": "dd" * 32, "licence": None}
    _write(tmp_path, "train", "00000", _meta())
    _write(
        tmp_path,
        "train",
        "00001",
        _meta(variant=1, frames=5, times_s=[0.0, 0.04, 0.08, 0.12, 0.16]),
    )
    _write(tmp_path, "test", "00000", _meta(source=other))
    write_manifest(tmp_path)
    found = json.loads((tmp_path / "manifest.json").read_text())
    assert found["splits"] == {
        "train": {"videos": 2, "frames": 8, "sources": 1},
        "test": {"videos": 1, "frames": 3, "sources": 1},
    }
    rows = [(row["split"], row["video"]) for row in found["videos"]]
    assert rows == [("test", "00000"), ("train", "00000"), ("train", "00001")]


def test_the_manifest_is_one_text_for_one_dataset_and_another_for_another(tmp_path: Path) -> None:
    for root in (tmp_path / "a", tmp_path / "b"):
        _write(root, "test", "00000", _meta())
        write_manifest(root)
    texts = [(tmp_path / name / "manifest.json").read_bytes() for name in "ab"]
    assert texts[0] == texts[1]
    cards = [(tmp_path / name / "README.md").read_bytes() for name in "ab"]
    assert cards[0] == cards[1]
    changed = manifest({("test", "00000"): _meta(files={"clean/00000/0000.png": "ee" * 32})})
    assert changed["sha256"] != json.loads(texts[0])["sha256"]


def test_videos_come_in_natural_order(tmp_path: Path) -> None:
    for name in ("100000", "00002", "00010"):
        _write(tmp_path, "test", name, _meta())
    assert [name for _, name in finished(tmp_path)] == ["00002", "00010", "100000"]


def test_hidden_files_are_no_videos(tmp_path: Path) -> None:
    _write(tmp_path, "test", ".tmp.00000.ab", _meta())
    assert finished(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("[1]", "is not a meta file"),
        ("{}", "see 'format'"),
        (json.dumps(_meta(frames="3")), "see 'frames'"),
        (json.dumps(_meta(format=2)), "has format 2; this version reads 1"),
        (json.dumps(_meta(format=True)), "see 'format'"),
        (json.dumps(_meta(frames=10**9)), "see 'times_s'"),
        (json.dumps(_meta(times_s=[0, "1", 2])), "see 'times_s'"),
        (json.dumps(_meta(fps=0)), "see 'fps'"),
        (json.dumps(_meta(fps=float("nan"))), "is not JSON: .* no finite number"),
        (json.dumps(_meta(files={"a": ["cc"]})), "see 'files'"),
        (json.dumps(_meta(source={"name": "a"})), "see 'source.sha256'"),
        (json.dumps(_meta(request=_meta()["request"] | {"container": "gif"})), "container'"),
        (json.dumps(_meta(request=_meta()["request"] | {"recipe": []})), "recipe.name'"),
        (json.dumps(_meta(versions=[])), "see 'versions'"),
        ("[" * 100_000, "is not JSON: its values are nested too deep"),
    ],
)
def test_what_is_no_meta_file_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "00000.json"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_meta(path)
    assert str(path) in str(caught.value)


def test_a_digest_ignores_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 1.5})


def test_the_versions_name_what_a_last_bit_may_depend_on() -> None:
    assert {"rvsd-bench", "python", "numpy", "numba", "opencv", "processor"} <= set(versions())
    assert versions() == versions()


def test_the_card_names_footage_and_licence_safely() -> None:
    source = {"name": "a|b<script>.mp4", "sha256": "aa" * 32, "licence": 'CC "BY"'}
    card = dataset_card({("test", "00000"): _meta(source=source)})
    assert "a\\|b&lt;script>.mp4" in card
    assert 'license_name: "CC \\"BY\\""' in card
    assert "| test | 1 | 3 | 1 | 64×48 |" in card
    assert "Find out the licence" not in card


def test_the_card_warns_of_footage_without_a_licence() -> None:
    source = {"name": "a.mp4", "sha256": "aa" * 32, "licence": None}
    assert "Find out the licence" in dataset_card({("test", "00000"): _meta(source=source)})


def test_the_card_tells_the_folders_that_there_are() -> None:
    request = _meta()["request"] | {"container": "ffv1", "layers": "none"}
    card = dataset_card({("test", "00000"): _meta(request=request)})
    assert "<video>.mkv" in card
    assert "layers/<video>" not in card
