"""Read strict TOML into frozen dataclasses, and draw the numbers that it leaves to chance.

A number may be written as a distribution: `{uniform = [a, b]}`, `{log_uniform = [a, b]}`,
`{normal = [mean, deviation]}` (cut at three deviations) or `{choice = [...]}`. What is chosen may
be a whole table, and hold distributions itself: so numbers that belong together stay together.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from rvsd_bench.errors import InputError, unknown
from rvsd_bench.texts import brief, require_shallow, shortened

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")
_KINDS = ("uniform", "log_uniform", "normal", "choice")


def bounded(default: Any, low: float, high: float) -> Any:
    """Declare a dataclass field whose number, or each of whose numbers, lies in [low, high]."""
    return field(default=default, metadata={"range": (low, high)})


def load_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file; raise `InputError` if it is absent or is not TOML."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        require_shallow(text)
        return tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # also UnicodeDecodeError, and a number of thousands of digits
        raise InputError(f"{path}: not valid TOML: {error}") from error
    except RecursionError:
        raise InputError(f"{path}: not valid TOML: its values are nested too deep") from None


def structure(cls: type[T], mapping: Mapping[str, Any], where: str) -> T:
    """Turn a mapping into the frozen dataclass `cls`, refusing all that does not fit.

    Unknown keys, numbers given as text or booleans, and values outside the range of their field
    raise `InputError`; its line begins with `where` and the dotted path of the key.
    """
    import cattrs

    try:
        value = _converter().structure(mapping, cls)
    except cattrs.BaseValidationError as error:
        path, cause = _first_cause(error)
        raise InputError(f"{where}: {_explain(path, cause)}") from None
    for path, number, (low, high) in _ranged(value, ""):
        if not low <= number <= high:
            raise InputError(f"{where}: {path} is {_told(number)}, must lie in [{low:g}, {high:g}]")
    return value


@dataclass(frozen=True)
class Distribution:
    """A number left to chance: one of the four kinds, with its parameters."""

    kind: str
    parameters: tuple[Any, ...]

    def at(self, quantile: float) -> Any:
        """Return the value below which the share `quantile`, in [0, 1), of all draws lies."""
        a, b = self.parameters[0], self.parameters[-1]
        if self.kind == "choice":
            return self.parameters[int(quantile * len(self.parameters))]
        if self.kind == "uniform":
            return a + (b - a) * quantile
        if self.kind == "log_uniform":
            return a * (b / a) ** quantile
        from scipy.special import ndtri

        return a + b * min(3.0, max(-3.0, float(ndtri(quantile))))

    def extremes(self) -> tuple[Any, ...]:
        """Return the values that bound every draw (of a choice: all its values)."""
        if self.kind == "choice":
            return self.parameters
        a, b = map(float, self.parameters)  # between whole numbers lie others
        return (a - 3 * b, a + 3 * b) if self.kind == "normal" else (a, b)


def distributions(tree: Any, where: str, path: str = "") -> Iterator[tuple[str, Distribution]]:
    """Find every distribution in a recipe, each with its dotted path."""
    if isinstance(tree, Mapping):
        if len(tree) == 1 and next(iter(tree)) in _KINDS:
            kind, given = next(iter(tree.items()))
            yield path, _distribution(kind, given, f"{where}: {path}")
            if kind == "choice":
                yield from distributions(given, where, f"{path}.choice")
            return
        for key, value in tree.items():
            yield from distributions(value, where, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from distributions(value, where, f"{path}[{index}]")


def settle(tree: Any, choose: Callable[[str], Any], path: str = "") -> Any:
    """Return the recipe with `choose(path)` in the place of each distribution.

    Of a choice it is one of the values; the distributions in that one are settled too.
    """
    if isinstance(tree, Mapping):
        if len(tree) == 1 and next(iter(tree)) in _KINDS:
            chosen = choose(path)
            if not isinstance(chosen, (Mapping, list)):
                return chosen
            return settle(chosen, choose, f"{path}.choice[{tree['choice'].index(chosen)}]")
        return {k: settle(v, choose, f"{path}.{k}" if path else str(k)) for k, v in tree.items()}
    if isinstance(tree, list):
        return [settle(value, choose, f"{path}[{i}]") for i, value in enumerate(tree)]
    return tree


def corners(tree: Any, where: str) -> Iterator[Any]:
    """Yield a recipe with each of its distributions in turn at each of the values that bound it.

    The others are at their first one; what is inside a choice comes with the value that holds it.
    """
    chances = dict(distributions(tree, where))
    first = {path: chance.extremes()[0] for path, chance in chances.items()}
    yield settle(tree, first.__getitem__)
    for path, chance in chances.items():
        reached = {
            path[: step.start()]: chances[path[: step.start()]].parameters[int(step[1])]
            for step in re.finditer(r"\.choice\[(\d+)\]", path)
        }
        for value in chance.extremes():
            yield settle(tree, {**first, **reached, path: value}.__getitem__)


def _distribution(kind: str, given: Any, where: str) -> Distribution:
    if not isinstance(given, list) or not given or (kind != "choice" and len(given) != 2):
        wanted = "a list of values" if kind == "choice" else "a list of two numbers"
        raise InputError(f"{where}: {kind} needs {wanted}, got {brief(given)}")
    if kind != "choice":
        try:
            a, b = (_number(value) for value in given)
        except InputError as error:
            raise InputError(f"{where}: {kind} {error}") from None
        if not (math.isfinite(a) and math.isfinite(b)):
            raise InputError(f"{where}: {kind} needs finite numbers, got {brief(given)}")
        if kind == "normal" and b < 0:
            raise InputError(f"{where}: the deviation {b:g} is negative")
        if kind != "normal" and not a <= b:
            raise InputError(f"{where}: {kind} begins at {a:g}, above its end {b:g}")
        if kind == "log_uniform" and a <= 0:
            raise InputError(f"{where}: log_uniform needs positive numbers, got {a:g}")
    return Distribution(kind, tuple(given))


def _number(value: Any, _type: Any = float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"must be a number, not {brief(value)}")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"is too large a number: {brief(value)}") from None


def _told(number: float) -> str:
    try:
        return f"{number:g}"
    except OverflowError:  # a whole number beyond all floats
        return brief(number)


def _exactly(wanted: type[Any], name: str) -> Callable[[Any, Any], Any]:
    def check(value: Any, _type: Any) -> Any:
        if type(value) is not wanted:
            raise InputError(f"must be {name}, not {brief(value)}")
        return value

    return check


def _one_of(value: Any, literal: Any) -> Any:
    if value not in get_args(literal):
        raise unknown(
            "choice", shortened(str(value)), [str(choice) for choice in get_args(literal)]
        )
    return value


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal


@cache
def _converter() -> cattrs.Converter:
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(int, _exactly(int, "a whole number"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    converter.register_structure_hook(str, _exactly(str, "text"))
    converter.register_structure_hook_func(_is_choice, _one_of)
    return converter


def _first_cause(error: Exception) -> tuple[str, Exception]:
    """Descend into the first of cattrs' nested errors; return its dotted path and its cause."""
    import cattrs

    if not isinstance(error, cattrs.BaseValidationError):
        return "", error
    cause: Exception = error.exceptions[0]  # type: ignore[assignment]
    step = ""
    for note in getattr(cause, "__notes__", ()):
        if isinstance(note, cattrs.AttributeValidationNote):
            step = str(note.name)
        elif isinstance(note, cattrs.IterableValidationNote):
            step = f"[{note.index}]"
    path, leaf = _first_cause(cause)
    return step + ("." if step and path and not path.startswith("[") else "") + path, leaf


def _explain(path: str, cause: Exception) -> str:
    import cattrs

    if isinstance(cause, cattrs.ForbiddenExtraKeysError):
        known = [f.name for f in fields(cause.cl)]
        prefix = f"{path}." if path else ""
        key = min(cause.extra_fields)
        return str(unknown("key", prefix + shortened(key), [prefix + name for name in known]))
    if isinstance(cause, KeyError):
        return f"{path + '.' if path else ''}{shortened(str(cause.args[0]))} is missing"
    if isinstance(cause, InputError):
        return f"{path} {cause}" if path else str(cause)
    return f"{path or 'the table'} has the wrong shape: {shortened(str(cause))}"


def _ranged(value: Any, path: str) -> Iterator[tuple[str, float, tuple[float, float]]]:
    for item in fields(value):
        inner = getattr(value, item.name)
        name = f"{path}.{item.name}" if path else item.name
        if is_dataclass(inner):
            yield from _ranged(inner, name)
        elif isinstance(inner, tuple):
            limits = item.metadata.get("range", (-math.inf, math.inf))
            numbers = [n for n in inner if type(n) in (int, float)]
            yield from ((f"{name}[{i}]", n, limits) for i, n in enumerate(numbers))
        elif isinstance(inner, (int, float)) and not isinstance(inner, bool):
            yield name, inner, item.metadata.get("range", (-math.inf, math.inf))
