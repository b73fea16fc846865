"""Turn option strings, and the cards of checkpoints, into a network's configuration.

A configuration is a frozen dataclass with default values, whose fields are int, float, bool, str,
Literal or tuples of one of those; `rvsd_bench.recipe.bounded` gives a number its range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from rvsd_bench.baselines.spec import truth
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.recipe import structure
from rvsd_bench.texts import brief

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


def configured(presets: Mapping[str, C], preset: str, fields: Mapping[str, str], what: str) -> C:
    """Return a preset with some fields replaced by values given as option strings.

    Tuples are written with commas. Raises InputError, naming `what`, for an unknown preset or
    field, and for a value of another type or out of its field's range.
    """
    if preset not in presets:
        raise unknown(f"preset of {what}", preset, presets)
    base = presets[preset]
    hints = get_type_hints(type(base))
    for name in fields:
        if name not in hints:
            raise unknown(f"option of {what}", name, ["preset", "weights", *hints])
    values = {
        name: _parsed(text, hints[name], f"{what}: option {name!r}")
        for name, text in fields.items()
    }
    return structure(type(base), {**asdict(base), **values}, what)


def config_from_card(cls: type[C], mapping: Mapping[str, Any]) -> C:
    """Return the configuration that a checkpoint's card holds as JSON values.

    A field that the card does not name keeps its default. Raises InputError for what does not fit.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"the checkpoint's card: config must be a table, not {brief(mapping)}")
    return structure(cls, mapping, "the checkpoint's card")


def _parsed(text: str, hint: Any, where: str) -> Any:
    if get_origin(hint) is tuple:
        return [_parsed(part.strip(), get_args(hint)[0], where) for part in text.split(",")]
    if hint not in (int, float, bool):
        return text
    try:
        return truth(text) if hint is bool else hint(text)
    except ValueError as error:
        raise InputError(f"{where} must be {hint.__name__}, got {text!r}") from error
