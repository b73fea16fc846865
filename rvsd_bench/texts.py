"""Read JSON that anybody may have written, quote what anybody wrote, refuse what is no text."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError

LONGEST_QUOTE = 80
"""Characters of a value that a message repeats."""
DEEPEST = 100
"""How many lists and tables may lie within each other."""
_STRUCTURE = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}]')
"""The brackets of JSON or TOML; strings and comments are matched whole."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Where JSON may hold a surrogate: two of them are a character, one alone is none."""


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raise ValueError or OSError, in one line, if it is none.

    Refused are also numbers that are not finite, halves of characters, and values nested too deep
    for the parser.
    """
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Return what a JSON text holds; raise ValueError as `read_json` does."""
    require_shallow(text)
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:  # quotes that do not match can hide brackets
        raise ValueError("its values are nested too deep") from None
    if _HALF.search(text) and not is_text(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it holds a half of a character, which cannot be written again")
    return value


def require_shallow(text: str) -> None:
    """Raise ValueError for JSON or TOML nested deeper than `DEEPEST`, before a parser recurses.

    In the depth of a recursion, what else Python does can fail, and prints a trace.
    """
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for mark in _STRUCTURE.finditer(text):
        depth += (mark[0] in "[{") - (mark[0] in "]}")
        if depth > DEEPEST:
            raise ValueError("its values are nested too deep")


def brief(value: Any) -> str:
    """Return a value as it would be written in code, cut to `LONGEST_QUOTE` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists without an end
        text = type(value).__name__
    return shortened(text)


def shortened(text: str) -> str:
    """Return a text in one line of at most `LONGEST_QUOTE` characters that can all be seen."""
    line = " ".join(text.split())
    seen = "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in line)
    return seen if len(seen) <= LONGEST_QUOTE else f"{seen[: LONGEST_QUOTE - 3]}..."


def is_text(text: str) -> bool:
    """Tell whether a text can be written as UTF-8; the name of a file may be any bytes."""
    return not any("\ud800" <= mark <= "\udfff" for mark in text)


def require_text(name: str, what: str) -> None:
    """Raise InputError for a name that is no text, before work is done that could not be told."""
    if not is_text(name):
        raise InputError(f"{what} {brief(name)} is no text in UTF-8: rename it")


def writable(text: str) -> str:
    """Return a text that can be written: halves of characters, of which a stranger's error may
    consist, become their codes.
    """
    return text.encode(errors="backslashreplace").decode()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {brief(text)}, which is no finite number")
    return number
