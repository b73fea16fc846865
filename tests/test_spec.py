"""How the strings that name models are read, and what ids and folder names come of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from rvsd_bench.baselines import Spec, method_id, parse, slug
from rvsd_bench.errors import InputError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("median", Spec("name", "median")),
        ("median?k=5", Spec("name", "median", {"k": "5"})),
        ("dcp?omega=0.8&patch=7", Spec("name", "dcp", {"omega": "0.8", "patch": "7"})),
        ("affine?from=a/b=c", Spec("name", "affine", {"from": "a/b=c"})),
        ("frames:out", Spec("frames", "out")),
        ("frames:a=b/out", Spec("frames", "a=b/out")),
        (r"frames:C:\out", Spec("frames", r"C:\out")),
        ("py:net.py", Spec("py", "net.py")),
        ("py:net.py:make?width=8", Spec("py", "net.py:make", {"width": "8"})),
        ("ours=median", Spec("name", "median", name="ours")),
        ("My net 2=frames:out", Spec("frames", "out", name="My net 2")),
        (r"net.py", Spec("py", "net.py", guessed=True)),
        (r"C:\models\net.py:make", Spec("py", r"C:\models\net.py:make", guessed=True)),
        ("desnownet", Spec("name", "desnownet")),
    ],
)
def test_a_string_is_read_as_written(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    "text", ["median?k=5", "frames:a/out", "py:a/net.py:make?width=8", "affine?from=d"]
)
def test_a_spec_prints_as_it_was_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("target", "file", "attribute"),
    [
        ("net.py", "net.py", "build"),
        ("a/net.py:make", "a/net.py", "make"),
        (r"C:\a\net.py", r"C:\a\net.py", "build"),
        (r"C:\a\net.py:make", r"C:\a\net.py", "make"),
    ],
)
def test_the_factory_follows_the_last_colon(target: str, file: str, attribute: str) -> None:
    spec = parse(f"py:{target}")
    assert (spec.path, spec.attribute) == (Path(file), attribute)


def test_a_bare_folder_is_taken_for_restored_frames(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == Spec("frames", str(tmp_path), guessed=True)


def test_a_registered_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "median").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse("median").scheme == "name"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("ours=", "is empty"),
        ("median?k", "'k' must read key=value"),
        ("median?=3", "'=3' must read key=value"),
        ("median?k=3&k=5", "'k' is given twice"),
        ("frame:out", "no model scheme named 'frame'. Did you mean 'frames'"),
        ("onxx:net.onnx", "no model scheme named 'onxx'. Did you mean 'onnx'"),
        ("frames:", "names no file or folder"),
        ("no/such/folder", "no such folder"),
    ],
)
def test_a_string_that_names_no_model_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


def test_the_id_is_the_name_if_there_is_one() -> None:
    assert method_id(parse("ours=median?k=5")) == "ours"


def test_the_id_of_a_spec_without_files_is_the_spec() -> None:
    assert method_id(parse("median?k=5")) == "median?k=5"


def test_the_id_cuts_paths_and_ends_in_the_digest_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("x = 1")
    digest = hashlib.sha256(b"x = 1").hexdigest()
    assert method_id(parse(f"py:{tmp_path}/net.py:make")) == f"py:net.py:make@{digest[:8]}"
    weights = parse(f"svdnet?weights={tmp_path}/net.py")
    assert method_id(weights) == f"svdnet?weights=net.py@{digest[:8]}"
    encoder = parse("semivdn?encoder_weights=convnext.pth")  # a path, though it has no slash
    assert encoder.paths == (Path("convnext.pth"),)


def test_the_id_of_frames_changes_with_their_content_and_not_with_their_place(
    tmp_path: Path,
) -> None:
    ids = []
    for place, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / place / "out" / "00000").mkdir(parents=True)
        (tmp_path / place / "out" / "00000" / "0000.png").write_bytes(content)
        ids.append(method_id(parse(f"frames:{tmp_path / place / 'out'}")))
    assert ids[0] == ids[1] != ids[2]
    assert re.fullmatch(r"frames:out@[0-9a-f]{8}", ids[0])


def test_a_known_digest_is_not_computed_again() -> None:
    assert method_id(parse("affine?from=/no/such"), "0123456789") == "affine?from=such@01234567"


def test_slugs_are_names_that_every_file_system_takes() -> None:
    for method in ("median?k=5", "frames:out@12345678", "py:net.py:make", "schöner Schnee", "..."):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", slug(method))


def test_long_ids_make_names_that_fit_and_stay_apart() -> None:
    slugs = {slug("n" * 300 + end) for end in "ab"}
    assert len(slugs) == 2
    assert max(map(len, slugs)) <= 110


def test_plain_ids_are_their_own_slugs_and_others_stay_apart() -> None:
    assert slug("svdnet-2.1") == "svdnet-2.1"
    assert len({slug(method) for method in ("a?b", "a=b", "a-b", "a b", "a:b")}) == 5
