"""JSON and TOML of strangers end in a value or in one short line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import distributions, load_toml
from rvsd_bench.texts import (
    DEEPEST,
    LONGEST_QUOTE,
    brief,
    parse_json,
    read_json,
    require_shallow,
    shortened,
)

DEEP = "[" * 100_000


def test_halves_of_characters_are_a_character_if_they_are_two_and_text_if_they_are_quoted() -> None:
    assert parse_json(r'["\ud83c\udf28"]') == ["\U0001f328"]
    assert parse_json(r'["\\ud83c"]') == [r"\ud83c"]


def test_json_is_what_the_json_module_reads(tmp_path: Path) -> None:
    tree = {"a": [1, -2.5e-3, None, True, "föhn\n"], "b": {}}
    (tmp_path / "a.json").write_text(json.dumps(tree))
    assert read_json(tmp_path / "a.json") == tree == parse_json(json.dumps(tree))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DEEP, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        ("NaN", "no finite number"),
        ("[-Infinity]", "no finite number"),
        ("[1e999]", "'1e999', which is no finite number"),
        ("9" * 5000, "4300 digits"),
        ("{", "Expecting"),
        (r'{"a": ["\uDcff"]}', "half of a character"),
        (r'{"\ud83d": 1}', "half of a character"),
    ],
)
def test_what_no_reader_can_work_with_is_a_value_error_of_one_line(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_json(text)
    assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_values_may_lie_so_deep_and_no_deeper_in_any_mixture() -> None:
    most, more = ('{"b":{},"a":[' * n + "2" + "]}" * n for n in (DEEPEST // 2, DEEPEST // 2 + 1))
    assert parse_json(most) == json.loads(most)
    with pytest.raises(ValueError, match="nested too deep"):
        require_shallow(more)


def test_brackets_in_strings_and_comments_lie_in_nothing() -> None:
    names = ["[" * 300, 'a"[' * 300, "\\[{" * 300]
    assert parse_json(json.dumps(names)) == names
    require_shallow(f"# {'[' * 300}\na = '{'[' * 300}'\nb = [[[1]]]")


@pytest.mark.parametrize("text", [f"a = {DEEP}", f"a = {'9' * 5000}", 'a = "\\ud800"', "a = "])
def test_toml_that_the_parser_cannot_take_is_refused_by_the_name_of_its_file(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match=r"a\.toml: not valid TOML") as caught:
        load_toml(tmp_path / "a.toml")
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_a_number_beyond_all_floats_is_refused_and_not_repeated_in_full() -> None:
    with pytest.raises(InputError, match="a: uniform is too large a number") as caught:
        list(distributions({"a": {"uniform": [0, 10**400]}}, "recipe"))
    assert len(str(caught.value)) < 200


def _endless() -> list[Any]:
    found: list[Any] = []
    for _ in range(5000):
        found = [found]
    return found


@pytest.mark.parametrize(
    "make", [lambda: "x" * 9000, lambda: 10**5000, _endless, lambda: {"a\n": "\u202e\x1b"}]
)
def test_a_quote_is_one_short_line_that_can_be_seen(make: Callable[[], Any]) -> None:
    for text in (brief(make()), shortened(brief(make()) * 3)):
        assert len(text) <= LONGEST_QUOTE and text.isprintable()


def test_a_short_value_is_quoted_as_it_is_written() -> None:
    assert brief({"a": 1.5}) == "{'a': 1.5}"
