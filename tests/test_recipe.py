from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import (
    Distribution,
    bounded,
    distributions,
    load_toml,
    settle,
    structure,
)


@dataclass(frozen=True)
class Wheel:
    radius_m: float = bounded(0.3, 0.1, 2)
    spokes: int = bounded(32, 8, 64)
    colour: Literal["black", "grey"] = "black"
    tubeless: bool = False
    offset_m: tuple[float, float] | None = bounded(None, -1, 1)


@dataclass(frozen=True)
class Bicycle:
    name: str = "bicycle"
    front: Wheel = field(default_factory=Wheel)


def _refusal(tree: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        structure(Bicycle, tree, "b.toml")
    message = str(caught.value)
    assert message.startswith("b.toml: ") and "\n" not in message
    return message


def test_a_table_becomes_the_dataclass_with_defaults_for_what_it_leaves_out() -> None:
    tree = {"front": {"radius_m": 1, "offset_m": [0.5, -1]}}
    assert structure(Bicycle, tree, "x") == Bicycle(front=Wheel(radius_m=1.0, offset_m=(0.5, -1.0)))


def test_an_unknown_key_is_named_by_its_path_with_the_nearest_one() -> None:
    message = _refusal({"front": {"radius": 0.3}})
    assert "'front.radius'" in message and "Did you mean 'front.radius_m'" in message


@pytest.mark.parametrize(
    ("tree", "path", "fault"),
    [
        ({"front": {"radius_m": True}}, "front.radius_m", "True"),
        ({"front": {"radius_m": "0.3"}}, "front.radius_m", "'0.3'"),
        ({"front": {"spokes": 32.0}}, "front.spokes", "whole number"),
        ({"front": {"tubeless": 1}}, "front.tubeless", "true or false"),
        ({"front": {"colour": "gray"}}, "front.colour", "Did you mean 'grey'"),
        ({"front": {"radius_m": 3}}, "front.radius_m", "[0.1, 2]"),
        ({"front": {"radius_m": math.nan}}, "front.radius_m", "nan"),
        ({"front": {"offset_m": [0.0, 5.0]}}, "front.offset_m[1]", "[-1, 1]"),
        ({"front": {"offset_m": [0.0]}}, "front.offset_m", ""),
        ({"front": 3}, "front", ""),
        ({"name": 3}, "name", "text"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(
    tree: dict[str, Any], path: str, fault: str
) -> None:
    message = _refusal(tree)
    assert path in message and fault in message


def test_toml_that_is_absent_or_broken_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 1")
    for path in (broken, tmp_path / "none.toml"):
        with pytest.raises(InputError, match=path.name):
            load_toml(path)


@pytest.mark.parametrize(
    ("kind", "parameters", "quantile", "value"),
    [
        ("uniform", (2, 6), 0.25, 3.0),
        ("log_uniform", (1, 100), 0.5, 10.0),
        ("normal", (5, 2), 0.5, 5.0),
        ("normal", (5, 2), 0.841344746, 7.0),
        ("normal", (5, 2), 0.9999, 11.0),
        ("choice", ("a", "b", "c"), 0.34, "b"),
    ],
)
def test_distributions_invert_their_distribution_functions(
    kind: str, parameters: tuple[Any, ...], quantile: float, value: Any
) -> None:
    drawn = Distribution(kind, parameters).at(quantile)
    assert drawn == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6))


def test_every_distribution_is_found_and_replaced_also_in_lists() -> None:
    tree = {"a": {"uniform": [0, 1]}, "b": {"c": [1, {"choice": [2, 3]}]}, "d": 4}
    found = dict(distributions(tree, "x"))
    assert set(found) == {"a", "b.c[1]"}
    assert settle(tree, {"a": 0.5, "b.c[1]": 3}.__getitem__) == {
        "a": 0.5,
        "b": {"c": [1, 3]},
        "d": 4,
    }


def test_what_is_chosen_may_hold_distributions_of_its_own() -> None:
    tree = {"a": {"choice": [{"b": {"uniform": [0, 1]}, "c": 2}, {"b": 3, "c": [{"choice": [4]}]}]}}
    found = dict(distributions(tree, "x"))
    assert set(found) == {"a", "a.choice[0].b", "a.choice[1].c[0]"}
    values = {"a.choice[0].b": 0.5, "a.choice[1].c[0]": 4}
    first, second = found["a"].parameters
    assert settle(tree, {"a": first, **values}.__getitem__) == {"a": {"b": 0.5, "c": 2}}
    assert settle(tree, {"a": second, **values}.__getitem__) == {"a": {"b": 3, "c": [4]}}


@pytest.mark.parametrize(
    "table",
    [
        {"uniform": [1]},
        {"uniform": [2, 1]},
        {"uniform": 3},
        {"log_uniform": [0, 1]},
        {"normal": [0, -1]},
        {"normal": [0, math.inf]},
        {"choice": []},
    ],
)
def test_a_distribution_that_cannot_be_drawn_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="x: a"):
        dict(distributions({"a": table}, "x"))


def test_every_whole_number_of_a_tuple_is_held_to_the_range() -> None:
    @dataclass(frozen=True)
    class Gears:
        teeth: tuple[int, ...] = bounded((11, 28), 9, 60)

    assert structure(Gears, {"teeth": [9, 60]}, "b.toml").teeth == (9, 60)
    with pytest.raises(InputError, match=r"b.toml: teeth\[1\] is 61, must lie in \[9, 60\]"):
        structure(Gears, {"teeth": [9, 61]}, "b.toml")
