"""Option strings and cards become configurations, and what does not fit is named."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest

from rvsd_bench.baselines.configuring import config_from_card, configured
from rvsd_bench.errors import InputError
from rvsd_bench.recipe import bounded


@dataclass(frozen=True)
class Config:
    width: float = bounded(0.5, 0.01, 2)
    blocks: tuple[int, ...] = bounded((4, 7, 3), 0, 20)
    queries: int = bounded(8, 1, 64)
    tanh: bool = False
    flow: Literal["none", "dis"] = "none"
    note: str = ""


PRESETS = {"default": Config(), "tiny": Config(width=0.0625, blocks=(1, 1, 1), tanh=True)}


def test_a_preset_is_returned_as_it_is_without_fields() -> None:
    assert configured(PRESETS, "tiny", {}, "net") == PRESETS["tiny"]


def test_option_strings_replace_fields_by_values_of_their_type() -> None:
    fields = {
        "width": "1", "blocks": "2, 0,20", "queries": "16", "tanh": "No", "flow": "dis",
        "note": "3",
    }  # fmt: skip
    found = configured(PRESETS, "tiny", fields, "net")
    assert found == Config(1.0, (2, 0, 20), 16, False, "dis", "3")
    assert isinstance(found.width, float) and isinstance(found.blocks, tuple)
    assert configured(PRESETS, "tiny", {"queries": "9"}, "net").blocks == (1, 1, 1)


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("widht", "1", "There is no option of net named 'widht'. Did you mean 'width' or"),
        ("width", "wide", "net: option 'width' must be float, got 'wide'"),
        ("width", "nan", "net: width is nan, must lie in [0.01, 2]"),
        ("width", "3", "net: width is 3, must lie in [0.01, 2]"),
        ("width", "", "net: option 'width' must be float, got ''"),
        ("queries", "8.5", "net: option 'queries' must be int, got '8.5'"),
        ("queries", "0", "net: queries is 0, must lie in [1, 64]"),
        ("blocks", "1,x", "net: option 'blocks' must be int, got 'x'"),
        ("blocks", "1,21", "net: blocks[1] is 21, must lie in [0, 20]"),
        ("tanh", "maybe", "net: option 'tanh' must be bool, got 'maybe'"),
        ("flow", "raft", "net: flow There is no choice named 'raft'. Known: dis, none."),
    ],
)
def test_what_does_not_fit_is_named(field: str, text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        configured(PRESETS, "default", {field: text}, "net")
    assert str(caught.value).startswith(told)


def test_an_unknown_preset_is_named_with_its_neighbours() -> None:
    with pytest.raises(InputError, match=r"no preset of net named 'tyni'. Did you mean 'tiny'"):
        configured(PRESETS, "tyni", {}, "net")


def test_a_card_gives_back_the_configuration_that_it_holds() -> None:
    import json

    stored = json.loads(json.dumps(asdict(PRESETS["tiny"])))
    assert config_from_card(Config, stored) == PRESETS["tiny"]
    assert config_from_card(Config, {"width": 1}) == Config(width=1.0)


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"widht": 1}, "no key named 'widht'"),
        ({"width": "1"}, "width must be a number, not '1'"),
        ({"width": 5}, r"width is 5, must lie in \[0.01, 2\]"),
        ({"blocks": 4}, "blocks has the wrong shape"),
        ({"tanh": 1}, "tanh must be true or false, not 1"),
        (["width"], "config must be a table"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(card: Any, told: str) -> None:
    with pytest.raises(InputError, match=f"the checkpoint's card: .*{told}"):
        config_from_card(Config, card)
