"""Read the card that a submitter writes: who made what, from which data, on which machine."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import load_toml, structure

CARD_FILE = "card.toml"
LONGEST_NAME, LONGEST_TEXT = 100, 1000
"""Characters."""
EARLIEST, LATEST = 1900, 2200


@dataclass(frozen=True)
class Card:
    """A submission as its authors describe it; every text is one line."""

    name: str
    """What the method is called in the tables."""
    authors: tuple[str, ...]
    paper: str
    """A citation, or "unpublished"."""
    licence: str
    """Of the restored frames or the model."""
    training_data: str
    hardware: str
    """On what it ran, or was trained."""
    venue: str = ""
    year: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        return {**asdict(self), "authors": list(self.authors)}


def read_card(path: Path) -> Card:
    """Return a card, or raise InputError naming the field that is absent or cannot stand."""
    return card_from(load_toml(path), str(path))


def card_from(values: dict[str, Any], where: str) -> Card:
    """Return the card that a mapping describes; an error begins with `where`."""
    if isinstance(values.get("authors"), str):  # it would be taken for a list of letters
        raise InputError(f'{where}: authors must be a list of names, such as ["A. Author"]')
    card = structure(Card, values, where)
    for field in fields(Card):
        value = getattr(card, field.name)
        texts = value if isinstance(value, tuple) else (value,)
        if field.name == "authors" and not value:
            raise InputError(f"{where}: authors is empty; write one at least")
        for text in texts:
            if isinstance(text, str) and (fault := _fault(field.name, text)):
                raise InputError(f"{where}: {field.name} {fault}")
    if card.year is not None and not EARLIEST <= card.year <= LATEST:
        raise InputError(f"{where}: year is {card.year}, must lie in [{EARLIEST}, {LATEST}]")
    return card


def _fault(field: str, text: str) -> str:
    """Return why a text cannot stand in a table that others read, or an empty one."""
    longest = LONGEST_NAME if field in ("name", "venue") else LONGEST_TEXT
    if not text.strip():
        return "" if field == "venue" else "is empty"
    if text != text.strip():
        return "begins or ends with a blank"
    if len(text) > longest:
        return f"has {len(text)} characters, at most {longest} are shown"
    odd = [mark for mark in text if unicodedata.category(mark) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    if odd:
        return f"holds U+{ord(odd[0]):04X}, which is no visible character: write one plain line"
    return ""
